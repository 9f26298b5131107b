"""Files by handle: opened without access, to ask what they really are called."""

from __future__ import annotations

import ctypes
from ctypes import c_void_p
from ctypes.wintypes import DWORD, HANDLE, LPCWSTR, LPWSTR

from podshim.win32.binding import Library, failure, last_error
from podshim.win32.handles import Handle, is_handle

VOLUME_NAME_DOS = 0
VOLUME_NAME_GUID = 1
FILE_NAME_NORMALIZED = 0
FILE_NAME_OPENED = 8

_SHARE_ALL = 7
_OPEN_EXISTING = 3
#: Folders can be opened only so.
_BACKUP_SEMANTICS = 0x02000000
#: What any path of Windows fits into.
_MOST_CHARACTERS = 1 << 15

_kernel32 = Library("kernel32.dll")
_create_file = _kernel32.function(
    "CreateFileW", HANDLE, LPCWSTR, DWORD, DWORD, c_void_p, DWORD, DWORD, HANDLE
)
_final_path_name = _kernel32.function(
    "GetFinalPathNameByHandleW", DWORD, HANDLE, LPWSTR, DWORD, DWORD
)


def open_without_access(path: str) -> Handle:
    """Open a file or folder that is there, only to ask about it.

    Args:
        path: Its path.

    Raises:
        OSError: It can't be opened.
    """
    value = _create_file(path, 0, _SHARE_ALL, None, _OPEN_EXISTING, _BACKUP_SEMANTICS, None)
    if not is_handle(value):
        raise failure(last_error(), path)
    return Handle(value, path)


def final_path(handle: Handle, flags: int) -> str:
    """What a file is called when every link on the way to it has been followed.

    Args:
        handle: The file.
        flags: One of VOLUME_NAME_* and one of FILE_NAME_*.

    Raises:
        OSError: It has no such name.
    """
    size = 260
    while True:
        buffer = ctypes.create_unicode_buffer(size)
        length: int = _final_path_name(handle.value, buffer, size, flags)
        if not length:
            raise failure(last_error(), handle.what)
        if length < size:
            return buffer.value
        size = min(length + 1, _MOST_CHARACTERS + 1)
