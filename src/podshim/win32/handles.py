"""Owners of Windows' handles: closed once, on every path, and never used after that.

Theory of operation. A `Handle` owns one kernel handle. It is a context manager; `close` may be
called any number of times, from any thread; `value` of a closed one raises, because its number may
be somebody else's by now; `release` gives the number away. None is inheritable unless it says so.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock
from ctypes.wintypes import BOOL, DWORD, HANDLE

from podshim.win32.binding import ERROR_INVALID_HANDLE, Library, check, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

#: What some functions return for no handle: all bits set, for a 64-bit process.
INVALID_HANDLE_VALUE = (1 << 64) - 1
HANDLE_FLAG_INHERIT = 1

_kernel32 = Library("kernel32.dll")
_close_handle = _kernel32.function("CloseHandle", BOOL, HANDLE)
_set_handle_information = _kernel32.function("SetHandleInformation", BOOL, HANDLE, DWORD, DWORD)


def is_handle(value: int | None) -> bool:
    """Whether a number that Windows gave out is a handle: neither 0 nor INVALID_HANDLE_VALUE."""
    return value not in {None, 0, -1, INVALID_HANDLE_VALUE}


def handle_of(fd: int) -> int:
    """The handle under a descriptor of the C library, which goes on owning it.

    Raises:
        OSError: There is no such descriptor, or this is not Windows.
    """
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.get_osfhandle(fd)
    raise failure(ERROR_INVALID_HANDLE, f"descriptor {fd}")


class Handle:
    """The owner of a kernel handle.

    Args:
        value: The handle.
        what: What it is, for errors.

    Raises:
        OSError: It is none.
    """

    __slots__ = ("_lock", "_value", "what")

    def __init__(self, value: int | None, what: str = "handle") -> None:
        if value is None or not is_handle(value):
            raise failure(ERROR_INVALID_HANDLE, what)
        self._value: int | None = value
        self._lock = allocate_lock()
        self.what = what

    def __repr__(self) -> str:
        state = "closed" if self._value is None else f"{self._value:#x}"
        return f"<Handle {self.what} {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_value", None) is not None:
            import warnings

            warnings.warn(f"{self!r} was never closed", ResourceWarning, source=self, stacklevel=2)
            self.close()

    @property
    def closed(self) -> bool:
        """Whether it has been closed or given away."""
        return self._value is None

    @property
    def value(self) -> int:
        """The handle's number, for a call.

        Raises:
            OSError: It is closed.
        """
        if self._value is None:
            raise failure(ERROR_INVALID_HANDLE, self.what)
        return self._value

    def close(self) -> None:
        """Close it, if it is open."""
        value = self._take()
        if value is not None:
            _close_handle(value)

    def release(self) -> int:
        """Give the handle away: whoever gets the number owns it.

        Raises:
            OSError: It is closed.
        """
        value = self._take()
        if value is None:
            raise failure(ERROR_INVALID_HANDLE, self.what)
        return value

    def set_inheritable(self, *, inheritable: bool) -> None:
        """Say whether a process that is created with inheritance gets it."""
        flags = HANDLE_FLAG_INHERIT if inheritable else 0
        check(_set_handle_information(self.value, HANDLE_FLAG_INHERIT, flags), self.what)

    def _take(self) -> int | None:
        with self._lock:
            value, self._value = self._value, None
            return value


def descriptor(handle: Handle) -> int:
    """Put a handle under a descriptor of the C library, which owns it from now on.

    Raises:
        OSError: There is no room for one, or this is not Windows; the handle is closed.
    """
    with handle:
        if sys.platform == "win32":
            import msvcrt

            fd = msvcrt.open_osfhandle(handle.value, 0)
            handle.release()
            return fd
        raise failure(ERROR_INVALID_HANDLE, handle.what)
