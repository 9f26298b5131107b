"""The names in a folder of the system that is no folder of a disk, such as the one of all pipes."""

from __future__ import annotations

from ctypes import POINTER, Structure, byref
from ctypes.wintypes import BOOL, DWORD, FILETIME, HANDLE, LPCWSTR, WCHAR

from podshim.win32.binding import Library, failure, last_error
from podshim.win32.handles import is_handle

ERROR_NO_MORE_FILES = 18
#: What a system says that can't list such a folder.
_CANT_LIST = frozenset({1, 50, 66, 120, 267})


class FindData(Structure):
    """WIN32_FIND_DATAW."""

    _fields_ = (
        ("attributes", DWORD),
        ("created", FILETIME),
        ("accessed", FILETIME),
        ("written", FILETIME),
        ("size_high", DWORD),
        ("size_low", DWORD),
        ("reserved", DWORD * 2),
        ("name", WCHAR * 260),
        ("short_name", WCHAR * 14),
    )


_kernel32 = Library("kernel32.dll")
_find_first = _kernel32.function("FindFirstFileW", HANDLE, LPCWSTR, POINTER(FindData))
_find_next = _kernel32.function("FindNextFileW", BOOL, HANDLE, POINTER(FindData))
_find_close = _kernel32.function("FindClose", BOOL, HANDLE)


def names_in(folder: str) -> list[str] | None:
    """All names in a folder, in the order in which the system tells them.

    Args:
        folder: Its path, with a backslash at its end.

    Returns:
        The names; None where the system has no listing of this folder.

    Raises:
        OSError: It can't be listed now.
    """
    data = FindData()
    search = _find_first(folder + "*", byref(data))
    if not is_handle(search):
        code = last_error()
        if code in _CANT_LIST:
            return None
        raise failure(code, folder)
    names: list[str] = []
    try:
        while True:
            names.append(data.name)
            if not _find_next(search, byref(data)):
                code = last_error()
                if code != ERROR_NO_MORE_FILES:
                    raise failure(code, folder)
                return names
    finally:
        _find_close(search)
