"""The console that a user sits at, made raw: every key goes to the program as it is.

Theory of operation. A console's mode is a property of the console, not of this process: whoever
changes it must put it back, on every path. Input that is no console is left as it is.
"""

from __future__ import annotations

from contextlib import contextmanager
from ctypes import POINTER, byref
from ctypes.wintypes import BOOL, DWORD, HANDLE
from typing import TYPE_CHECKING

from podshim.win32.binding import Library, check

if TYPE_CHECKING:
    from collections.abc import Iterator

STD_INPUT_HANDLE = -10 & 0xFFFFFFFF
STD_OUTPUT_HANDLE = -11 & 0xFFFFFFFF

_PROCESSED_INPUT = 0x1
_LINE_INPUT = 0x2
_ECHO_INPUT = 0x4
_VIRTUAL_TERMINAL_INPUT = 0x200
_PROCESSED_OUTPUT = 0x1
_VIRTUAL_TERMINAL_PROCESSING = 0x4
_NO_AUTO_RETURN = 0x8

_kernel32 = Library("kernel32.dll")
_get_std_handle = _kernel32.function("GetStdHandle", HANDLE, DWORD)
_get_console_mode = _kernel32.function("GetConsoleMode", BOOL, HANDLE, POINTER(DWORD))
_set_console_mode = _kernel32.function("SetConsoleMode", BOOL, HANDLE, DWORD)


def raw_mode(mode: int) -> int:
    """A console input's mode with keys passed on as they are."""
    return mode & ~(_PROCESSED_INPUT | _LINE_INPUT | _ECHO_INPUT) | _VIRTUAL_TERMINAL_INPUT


def terminal_mode(mode: int) -> int:
    """A console output's mode with the sequences of terminals understood."""
    return mode | _PROCESSED_OUTPUT | _VIRTUAL_TERMINAL_PROCESSING | _NO_AUTO_RETURN


@contextmanager
def raw_input() -> Iterator[bool]:
    """Make the console raw for a `with` block.

    Yields:
        Whether standard input is a console.

    Raises:
        OSError: It is, and can't be made raw.
    """
    changed: list[tuple[int, int]] = []
    try:
        for number, change in ((STD_INPUT_HANDLE, raw_mode), (STD_OUTPUT_HANDLE, terminal_mode)):
            handle = _get_std_handle(number)
            mode = DWORD()
            if handle and _get_console_mode(handle, byref(mode)):
                check(_set_console_mode(handle, change(mode.value)), "console")
                changed.append((handle, mode.value))
        yield bool(changed)
    finally:
        for handle, before in changed:
            _set_console_mode(handle, before)
