"""What a server sets on itself, once, before anything else.

Theory of operation. A shim lives for weeks beside programs that it must not disturb. It works in
`/`, so that it pins no mount; it keeps no descriptor that it was not given on purpose; and whatever
kills it, its last words go to standard error, which is the bundle's `panic.log`. On SIGUSR1 the
interpreter writes all threads' stacks there even when the event loop is stuck.

To adopt orphans (to be a subreaper) is left to the engine: only who reaps them may adopt them.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import FrameType

_PR_SET_NAME = 15
_MAX_NAME = 15
_STDERR = 2
UMASK = 0o022


def settle(known: Collection[int], name: str) -> None:
    """Make this process a server.

    Args:
        known: The descriptors to keep besides the standard ones, -1 for none; children won't
            inherit them.
        name: How `ps` and `top` shall call the process (15 bytes of it).

    Raises:
        OSError: The kernel refuses.
    """
    close_inherited({0, 1, 2, *known})
    for fd in known:
        if fd >= 0:
            os.set_inheritable(fd, False)  # noqa: FBT003 - the standard library's signature
    os.chdir("/")
    os.umask(UMASK)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # `subprocess` gives children the default back
    # A handler: what is ignored would be ignored by all that an engine runs.
    signal.signal(signal.SIGHUP, _go_on)
    faulthandler.enable(file=_STDERR)
    _set_name(name)


def _go_on(_number: int, _frame: FrameType | None) -> None:
    """Do nothing."""


def close_inherited(known: Collection[int]) -> None:
    """Close every descriptor that `start` passed on from who knows where.

    What this process has opened itself, such as an engine's module on its import, won't outlive an
    exec: by that it is told from what has outlived one.

    Args:
        known: What to keep.
    """
    for word in os.listdir("/proc/self/fd"):
        fd = int(word)
        try:
            if fd not in known and os.get_inheritable(fd):
                os.close(fd)
        except OSError:  # listdir's own, closed by now
            continue


def dump_on_sigusr1() -> None:
    """Write all threads' stacks on SIGUSR1, then do what was installed for it before."""
    faulthandler.register(signal.SIGUSR1, file=_STDERR, all_threads=True, chain=True)


def end_within(seconds: float) -> None:
    """End the process by then, whatever goes on: what hangs is written to standard error first.

    The interpreter itself waits for the threads of executors for ever.

    Args:
        seconds: How long an ordinary end may take.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=_STDERR)


def _set_name(name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    text = ctypes.c_char_p(os.fsencode(name)[:_MAX_NAME])
    if libc.prctl(_PR_SET_NAME, text, zero, zero, zero):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl PR_SET_NAME")
