"""Whether a file system tells the ids of files."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_int, c_ubyte, c_uint64, sizeof
from ctypes.wintypes import BOOL, DWORD, HANDLE

from podshim.win32.binding import Library
from podshim.win32.files import open_without_access

_FILE_ID_INFO = 18


class _FileId(ctypes.Structure):
    """FILE_ID_INFO."""

    _fields_ = (("volume", c_uint64), ("id", c_ubyte * 16))


_get = Library("kernel32.dll").function(
    "GetFileInformationByHandleEx", BOOL, HANDLE, c_int, POINTER(_FileId), DWORD
)


def has_file_id(path: str) -> bool:
    """Whether the id of a file or folder can be told; some network file systems have none.

    Raises:
        OSError: It can't be opened.
    """
    with open_without_access(path) as handle:
        told = _FileId()
        return bool(_get(handle.value, _FILE_ID_INFO, byref(told), sizeof(told)))
