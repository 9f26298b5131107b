"""What signals mean to containers."""

import pytest

from podshim.engines.hcs.signals import signal_options
from podshim.errors import FailedPreconditionError

INVALID = "invalid"

#: signal: Windows, Windows without signals, Linux, Linux without signals
TABLE = {
    0: ("CtrlC", INVALID, INVALID, INVALID),
    1: ("CtrlBreak", INVALID, 1, INVALID),
    2: ("CtrlClose", INVALID, 2, INVALID),
    3: (INVALID, INVALID, 3, INVALID),
    5: ("CtrlLogOff", INVALID, 5, INVALID),
    6: ("CtrlShutdown", None, 6, None),
    9: (None, None, 9, None),
    15: ("CtrlShutdown", None, 15, None),
    31: (INVALID, INVALID, 31, INVALID),
    32: (INVALID, INVALID, INVALID, INVALID),
    64: (INVALID, INVALID, INVALID, INVALID),
    -1: (INVALID, INVALID, INVALID, INVALID),
    0xFFFFFFFF: (INVALID, INVALID, INVALID, INVALID),
}


@pytest.mark.parametrize("signal", TABLE)
@pytest.mark.parametrize(
    ("column", "linux", "supported"),
    [(0, False, True), (1, False, False), (2, True, True), (3, True, False)],
)
def test_signals(signal: int, column: int, linux: bool, supported: bool) -> None:
    expected = TABLE[signal][column]
    if expected == INVALID:
        with pytest.raises(FailedPreconditionError) as caught:
            signal_options(signal, linux=linux, supported=supported)
        assert str(caught.value).startswith(f"signal {signal}: invalid signal value")
    else:
        options = None if expected is None else {"Signal": expected}
        assert signal_options(signal, linux=linux, supported=supported) == options


def test_windows_takes_no_other_signals_linux_takes_1_to_31() -> None:
    for signal in range(-1, 70):
        if signal not in TABLE:
            with pytest.raises(FailedPreconditionError):
                signal_options(signal)
        if 1 <= signal <= 31:
            assert signal_options(signal, linux=True) == {"Signal": signal}
