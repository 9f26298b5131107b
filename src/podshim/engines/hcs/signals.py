"""What a signal's number means to a Windows or a Linux container: pure.

Theory of operation. containerd sends numbers. Windows has no signals but control events, so a few
numbers stand for events that HCS can raise in a container's process; Linux guests take a signal's
own number. Where neither HCS nor the guest delivers signals, what means "end" ends the process the
hard way, and all else is refused, as is what has no meaning.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from podshim.errors import FailedPreconditionError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Signal(IntEnum):
    """Linux' signals that Linux containers take."""

    HUP = 1
    INT = 2
    QUIT = 3
    ILL = 4
    TRAP = 5
    ABRT = 6
    BUS = 7
    FPE = 8
    KILL = 9
    USR1 = 10
    SEGV = 11
    USR2 = 12
    PIPE = 13
    ALRM = 14
    TERM = 15
    STKFLT = 16
    CHLD = 17
    CONT = 18
    STOP = 19
    TSTP = 20
    TTIN = 21
    TTOU = 22
    URG = 23
    XCPU = 24
    XFSZ = 25
    VTALRM = 26
    PROF = 27
    WINCH = 28
    IO = 29
    PWR = 30
    SYS = 31


#: The control event that each number stands for in a Windows container.
_WINDOWS: Mapping[int, str] = {
    0: "CtrlC",
    1: "CtrlBreak",
    2: "CtrlClose",
    5: "CtrlLogOff",
    6: "CtrlShutdown",
    15: "CtrlShutdown",
}
_LINUX = frozenset(int(signal) for signal in Signal)
#: What ends a process that can't be sent signals.
_ENDS = frozenset({Signal.ABRT, Signal.TERM, Signal.KILL})


def signal_options(
    signal: int, *, linux: bool = False, supported: bool = True
) -> dict[str, str | int] | None:
    """What to send to a process.

    Args:
        signal: The number.
        linux: Whether it is a process of a Linux container.
        supported: Whether signals can be delivered: by this Windows, by the VM's guest.

    Returns:
        The options of HCS' signal call; None to end the process the hard way.

    Raises:
        FailedPreconditionError: The number has no meaning there.
    """
    if not supported:
        if signal in _ENDS:
            return None
    elif linux:
        if signal in _LINUX:
            return {"Signal": signal}
    elif signal == Signal.KILL:
        return None
    elif signal in _WINDOWS:
        return {"Signal": _WINDOWS[signal]}
    raise FailedPreconditionError(f"signal {signal}: invalid signal value")
