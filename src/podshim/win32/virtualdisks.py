"""Virtual disk files: giving one an identifier.

Theory of operation. A disk's file says who the disk is. The two formats of files keep that in two
places, which are set under two names; the ending of the file's name tells its format.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_ubyte, c_uint32, c_void_p
from ctypes.wintypes import DWORD, HANDLE, LPCWSTR
from typing import TYPE_CHECKING

from podshim.win32.binding import Library, check_code
from podshim.win32.handles import Handle

if TYPE_CHECKING:
    from uuid import UUID

_OPEN_VERSION = 2
_SET_IDENTIFIER = 2
_SET_VIRTUAL_DISK_ID = 5


class _StorageType(ctypes.Structure):
    """VIRTUAL_STORAGE_TYPE; all zero lets Windows find out."""

    _fields_ = (("device", c_uint32), ("vendor", c_ubyte * 16))


class _OpenParameters(ctypes.Structure):
    """OPEN_VIRTUAL_DISK_PARAMETERS."""

    _fields_ = (("version", c_uint32), ("rest", c_ubyte * 40))


class _SetInformation(ctypes.Structure):
    """SET_VIRTUAL_DISK_INFO; what is set begins where a pointer could."""

    _fields_ = (("version", c_uint32), ("padding", c_uint32), ("value", c_ubyte * 24))


_virtdisk = Library("virtdisk.dll")
_open = _virtdisk.function(
    "OpenVirtualDisk",
    DWORD,
    *(POINTER(_StorageType), LPCWSTR, c_uint32, c_uint32),
    *(POINTER(_OpenParameters), POINTER(c_void_p)),
)
_set = _virtdisk.function("SetVirtualDiskInformation", DWORD, HANDLE, POINTER(_SetInformation))


def set_identifier(path: str, identifier: UUID) -> None:
    """Give a virtual disk an identifier. Blocks.

    Raises:
        OSError: It can't be opened or changed.
    """
    opened = c_void_p()
    parameters = _OpenParameters(version=_OPEN_VERSION)
    check_code(_open(byref(_StorageType()), path, 0, 0, byref(parameters), byref(opened)), path)
    with Handle(opened.value, path) as disk:
        kind = _SET_VIRTUAL_DISK_ID if path.lower().endswith(".vhdx") else _SET_IDENTIFIER
        information = _SetInformation(version=kind)
        information.value[:16] = list(identifier.bytes_le)
        check_code(_set(disk.value, byref(information)), path)
