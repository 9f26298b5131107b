"""Which Windows this is."""

from __future__ import annotations

from ctypes import POINTER, Structure, byref, c_uint32, sizeof
from ctypes.wintypes import DWORD, WCHAR, WORD

from podshim.win32.binding import Library, check_ntstatus

_ALL_PROCESSOR_GROUPS = 0xFFFF


class _VersionInformation(Structure):
    """RTL_OSVERSIONINFOW."""

    _fields_ = (
        ("size", DWORD),
        ("major", DWORD),
        ("minor", DWORD),
        ("build", DWORD),
        ("platform", DWORD),
        ("service_pack", WCHAR * 128),
    )


_get_version = Library("ntdll.dll").function(
    "RtlGetVersion", c_uint32, POINTER(_VersionInformation)
)
_active_processors = Library("kernel32.dll").function("GetActiveProcessorCount", DWORD, WORD)


def build_number() -> int:
    """The build, such as 20348 for Server 2022; what compatibility settings say does not count.

    Raises:
        OSError: Windows does not tell, or this is not Windows.
    """
    information = _VersionInformation(size=sizeof(_VersionInformation))
    check_ntstatus(_get_version(byref(information)), "RtlGetVersion")
    build: int = information.build
    return build


def processor_count() -> int:
    """The processors of all groups that are active.

    Raises:
        OSError: This is not Windows.
    """
    count: int = _active_processors(_ALL_PROCESSOR_GROUPS)
    return count
