"""Overlapped I/O that a thread waits for itself, with a time limit: no event loop.

Theory of operation. Windows writes to the OVERLAPPED structure and to the buffer of an operation
until it has ended. `Operation` therefore owns both, and leaves nothing running behind: one that
takes longer than it may is cancelled, and its end awaited, before its memory can go away.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_void_p
from ctypes.wintypes import BOOL, DWORD, HANDLE, LPCWSTR

from podshim.win32.binding import (
    ERROR_BROKEN_PIPE,
    ERROR_IO_PENDING,
    ERROR_MORE_DATA,
    ERROR_OPERATION_ABORTED,
    Library,
    check,
    failure,
    last_error,
)
from podshim.win32.handles import Handle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_WAIT_OBJECT_0 = 0
_WAIT_FAILED = 0xFFFFFFFF
_INFINITE = 0xFFFFFFFF


class _Overlapped(ctypes.Structure):
    """OVERLAPPED; pipes have no offset."""

    _fields_ = (
        ("Internal", c_void_p),
        ("InternalHigh", c_void_p),
        ("Offset", DWORD),
        ("OffsetHigh", DWORD),
        ("hEvent", HANDLE),
    )


_kernel32 = Library("kernel32.dll")
_create_event = _kernel32.function("CreateEventW", HANDLE, c_void_p, BOOL, BOOL, LPCWSTR)
_wait = _kernel32.function("WaitForSingleObject", DWORD, HANDLE, DWORD)
_get_result = _kernel32.function(
    "GetOverlappedResult", BOOL, HANDLE, POINTER(_Overlapped), POINTER(DWORD), BOOL
)
_cancel = _kernel32.function("CancelIoEx", BOOL, HANDLE, POINTER(_Overlapped))
_read_file = _kernel32.function(
    "ReadFile", BOOL, HANDLE, c_void_p, DWORD, POINTER(DWORD), POINTER(_Overlapped)
)
_write_file = _kernel32.function(
    "WriteFile", BOOL, HANDLE, c_void_p, DWORD, POINTER(DWORD), POINTER(_Overlapped)
)


def read(handle: Handle, limit: int, timeout: float | None) -> bytes:
    """Read from a pipe that was opened for overlapped I/O.

    Args:
        handle: The pipe.
        limit: The most bytes to take.
        timeout: How long to wait for the first of them (s); None for ever.

    Returns:
        What there was, at least one byte; none at the end.

    Raises:
        TimeoutError: Nothing came.
        OSError: It can't be read.
    """
    buffer = ctypes.create_string_buffer(limit)
    try:
        count = _run(handle, _read_file, buffer, limit, timeout)
    except OSError as error:
        if getattr(error, "winerror", None) == ERROR_BROKEN_PIPE:
            return b""
        raise
    return buffer.raw[:count]


def write(handle: Handle, data: bytes, timeout: float | None) -> int:
    """Write to a pipe that was opened for overlapped I/O.

    Args:
        handle: The pipe.
        data: What to write.
        timeout: How long to wait until all of it is taken (s); None for ever.

    Returns:
        How many bytes were taken.

    Raises:
        TimeoutError: Not all was taken; how much is not known.
        OSError: It can't be written.
    """
    buffer = ctypes.create_string_buffer(data, len(data))
    return _run(handle, _write_file, buffer, len(data), timeout)


def _run(
    handle: Handle,
    start: Callable[..., int],
    buffer: ctypes.Array[ctypes.c_char],
    size: int,
    timeout: float | None,
) -> int:
    """Start an operation and see it to its end, which may be its being cancelled."""
    with Handle(_create_event(None, True, False, None), "event") as event:  # noqa: FBT003
        state = _Overlapped(hEvent=event.value)
        if not start(handle.value, ctypes.addressof(buffer), size, None, byref(state)):
            error = last_error()
            if error not in {ERROR_IO_PENDING, ERROR_MORE_DATA}:
                raise failure(error, handle.what)
        limit = _INFINITE if timeout is None else min(int(max(timeout, 0) * 1000), _INFINITE - 1)
        try:
            waited = _wait(event.value, limit)
        except BaseException:
            _cancel_and_wait(handle, state)
            raise
        if waited != _WAIT_OBJECT_0:
            problem = last_error() if waited == _WAIT_FAILED else 0
            count = _cancel_and_wait(handle, state)
            if count is None or problem:
                check(not problem, handle.what)
                raise TimeoutError(f"{handle.what}: no answer in time")
            return count
        return _result(handle, state)


def _cancel_and_wait(handle: Handle, state: _Overlapped) -> int | None:
    """Cancel an operation; its result if it ended by itself just before, None otherwise."""
    _cancel(handle.value, byref(state))  # "not found" where it has just ended
    try:
        return _result(handle, state)
    except OSError as error:
        if getattr(error, "winerror", None) == ERROR_OPERATION_ABORTED:
            return None
        raise


def _result(handle: Handle, state: _Overlapped) -> int:
    count = DWORD()
    wait_for_it = True
    if not _get_result(handle.value, byref(state), byref(count), wait_for_it):
        error = last_error()
        if error != ERROR_MORE_DATA:
            raise failure(error, handle.what)
    return int(count.value)
