"""Hyper-V sockets of containers in VMs: which VM a container's GUID stands for.

Theory of operation. A container in a VM has a GUID of its own, which means nothing to the host
until it is told that connections to it go to the VM, and there to the container. That holds for as
long as the handle is open.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_ubyte, c_uint32, c_void_p, sizeof
from ctypes.wintypes import BOOL, DWORD, HANDLE, LPCWSTR
from typing import TYPE_CHECKING

from podshim.win32.binding import Library, check, failure, last_error
from podshim.win32.handles import Handle, is_handle

if TYPE_CHECKING:
    from uuid import UUID

_GENERIC_READ_WRITE = 0xC0000000
_CREATE_NEW = 1
_UPDATE = 0x21C004
_PASS_THROUGH = 1


class _AddressInfo(ctypes.Structure):
    """What the driver takes."""

    _fields_ = (
        ("system", c_ubyte * 16),
        ("vm", c_ubyte * 16),
        ("silo", c_ubyte * 16),
        ("flags", c_uint32),
    )


_kernel32 = Library("kernel32.dll")
_create_file = _kernel32.function(
    "CreateFileW", HANDLE, LPCWSTR, DWORD, DWORD, c_void_p, DWORD, DWORD, HANDLE
)
_control = _kernel32.function(
    "DeviceIoControl",
    BOOL,
    *(HANDLE, DWORD, POINTER(_AddressInfo), DWORD, c_void_p, DWORD, POINTER(DWORD), c_void_p),
)


def record(system: UUID, vm: UUID) -> bytes:
    """The driver's record that sends connections for a system to a container in a VM."""
    return bytes(_record(system, vm))


def redirect(system: UUID, vm: UUID) -> Handle:
    """Send connections for a container's GUID to the container in its VM. Blocks.

    Args:
        system: The container's GUID.
        vm: The VM's.

    Returns:
        What keeps it so until it is closed.

    Raises:
        OSError: Windows refuses.
    """
    path = f"\\\\.\\HvSocketSystem\\AddressInfo\\{{{system}}}"
    value = _create_file(path, _GENERIC_READ_WRITE, 0, None, _CREATE_NEW, 0, None)
    if not is_handle(value):
        raise failure(last_error(), path)
    handle = Handle(value, path)
    try:
        info, count = _record(system, vm), DWORD()
        size = sizeof(info)
        check(_control(handle.value, _UPDATE, byref(info), size, None, 0, byref(count), None), path)
    except BaseException:
        handle.close()
        raise
    return handle


def _record(system: UUID, vm: UUID) -> _AddressInfo:
    return _AddressInfo(
        system=(c_ubyte * 16).from_buffer_copy(system.bytes_le),
        vm=(c_ubyte * 16).from_buffer_copy(vm.bytes_le),
        flags=_PASS_THROUGH,
    )
