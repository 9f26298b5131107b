r"""Job objects of others, by their names in the system's own name space (`\Container_...`)."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_uint32, c_void_p, sizeof
from ctypes.wintypes import DWORD, HANDLE, ULONG, USHORT

from podshim.win32.binding import Library, check_ntstatus
from podshim.win32.handles import Handle
from podshim.win32.jobs import Job

#: JOB_OBJECT_ALL_ACCESS as older headers have it.
JOB_ALL_ACCESS = 0x1F003F


class _UnicodeString(Structure):
    _fields_ = (("length", USHORT), ("maximum", USHORT), ("buffer", c_void_p))


class _ObjectAttributes(Structure):
    _fields_ = (
        ("length", ULONG),
        ("root", HANDLE),
        ("name", POINTER(_UnicodeString)),
        ("attributes", ULONG),
        ("security", c_void_p),
        ("quality", c_void_p),
    )


_open_job = Library("ntdll.dll").function(
    "NtOpenJobObject", c_uint32, POINTER(HANDLE), DWORD, POINTER(_ObjectAttributes)
)


def open_job(name: str, access: int = JOB_ALL_ACCESS) -> Job:
    r"""Open a job by its full name; the caller closes it.

    Args:
        name: The name, such as `\Container_x`.
        access: The rights that are wanted.

    Raises:
        OSError: There is none of this name, or it is not for us.
    """
    text = ctypes.create_unicode_buffer(name)
    size = sizeof(text)
    string = _UnicodeString(size - 2, size, ctypes.addressof(text))
    attributes = _ObjectAttributes(sizeof(_ObjectAttributes), None, ctypes.pointer(string), 0)
    handle = HANDLE()
    check_ntstatus(_open_job(byref(handle), access, byref(attributes)), name)
    return Job.opened(Handle(handle.value, name))
