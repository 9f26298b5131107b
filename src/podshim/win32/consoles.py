"""Pseudo consoles: a terminal for processes, whose keyboard and screen are two pipes of ours."""

from __future__ import annotations

import ctypes
import threading
from ctypes import POINTER, Structure, byref, c_void_p
from ctypes.wintypes import DWORD, HANDLE, LONG, SHORT
from typing import TYPE_CHECKING

from podshim.win32.binding import ERROR_INVALID_HANDLE, Library, check_hresult, failure

if TYPE_CHECKING:
    from podshim.win32.handles import Handle


class _Coord(Structure):
    _fields_ = (("X", SHORT), ("Y", SHORT))


_kernel32 = Library("kernel32.dll")
_create = _kernel32.function(
    "CreatePseudoConsole", LONG, _Coord, HANDLE, HANDLE, DWORD, POINTER(c_void_p)
)
_resize = _kernel32.function("ResizePseudoConsole", LONG, c_void_p, _Coord)
_close = _kernel32.function("ClosePseudoConsole", None, c_void_p)


def _size(width: int, height: int) -> _Coord:
    # Both are 16 bits wide, and signed: more than that wraps, as it does for every caller.
    return _Coord(ctypes.c_int16(width).value, ctypes.c_int16(height).value)


class PseudoConsole:
    """A pseudo console.

    Args:
        width: In characters.
        height: In lines.
        keyboard: The pipe that it reads; may be closed when it is made.
        screen: The pipe that it writes; likewise.

    Raises:
        OSError: There can be none.
    """

    def __init__(self, width: int, height: int, keyboard: Handle, screen: Handle) -> None:
        made = c_void_p()
        check_hresult(
            _create(_size(width, height), keyboard.value, screen.value, 0, byref(made)),
            "pseudo console",
        )
        self._value: int | None = made.value or 0
        self._lock = threading.Lock()

    @property
    def value(self) -> int:
        """Its handle, for the creation of a process.

        Raises:
            OSError: It is closed.
        """
        if self._value is None:
            raise failure(ERROR_INVALID_HANDLE, "pseudo console")
        return self._value

    def resize(self, width: int, height: int) -> None:
        """Give it another size, in characters.

        Raises:
            OSError: It is closed, or this Windows can't.
        """
        with self._lock:
            check_hresult(_resize(self.value, _size(width, height)), "pseudo console")

    def close(self) -> None:
        """End it and what is attached to it; any number of times.

        May block until what is on the screen has been read from the pipe.
        """
        with self._lock:
            value, self._value = self._value, None
        if value is not None:
            _close(value)
