"""What the system knows of all processes at once."""

from __future__ import annotations

import ctypes
from ctypes import (
    POINTER,
    Structure,
    byref,
    c_int32,
    c_int64,
    c_uint32,
    c_uint64,
    c_void_p,
    sizeof,
)
from ctypes.wintypes import LONG, ULONG, USHORT
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from podshim.win32.binding import Library, check_ntstatus

if TYPE_CHECKING:
    from collections.abc import Iterator

_SYSTEM_PROCESS_INFORMATION: Final = 5
_LENGTH_MISMATCH: Final = 0xC0000004
_FIRST_SIZE: Final = 512 * 1024
_LARGEST: Final = 256 * 1024 * 1024


class _ProcessInformation(Structure):
    """SYSTEM_PROCESS_INFORMATION, as far as it is read here."""

    _fields_ = (
        ("NextEntryOffset", c_uint32),
        ("NumberOfThreads", c_uint32),
        ("WorkingSetPrivateSize", c_int64),
        ("HardFaultCount", c_uint32),
        ("NumberOfThreadsHighWatermark", c_uint32),
        ("CycleTime", c_uint64),
        ("CreateTime", c_int64),
        ("UserTime", c_int64),
        ("KernelTime", c_int64),
        ("ImageNameLength", USHORT),
        ("ImageNameMaximumLength", USHORT),
        ("ImageNameBuffer", c_uint64),
        ("BasePriority", c_int32),
        ("UniqueProcessId", c_uint64),
        ("InheritedFromUniqueProcessId", c_uint64),
        ("HandleCount", c_uint32),
        ("SessionId", c_uint32),
        ("UniqueProcessKey", c_uint64),
        ("PeakVirtualSize", c_uint64),
        ("VirtualSize", c_uint64),
        ("PageFaultCount", c_uint32),
        ("PeakWorkingSetSize", c_uint64),
        ("WorkingSetSize", c_uint64),
        ("QuotaPeakPagedPoolUsage", c_uint64),
        ("QuotaPagedPoolUsage", c_uint64),
        ("QuotaPeakNonPagedPoolUsage", c_uint64),
        ("QuotaNonPagedPoolUsage", c_uint64),
        ("PagefileUsage", c_uint64),
        ("PeakPagefileUsage", c_uint64),
        ("PrivatePageCount", c_uint64),
    )


_query = Library("ntdll.dll").function(
    "NtQuerySystemInformation", LONG, ULONG, c_void_p, ULONG, POINTER(ULONG)
)


@dataclass(frozen=True, slots=True)
class SystemProcess:
    """One process; sizes in bytes, times in 100 ns.

    Args:
        pid: Its id.
        image: The name of its program's file.
        created: When it began, in 100 ns since 1601.
        user_time: Time that it ran itself.
        kernel_time: Time that the kernel ran for it.
        commit: Memory that it has committed.
        working_set: Memory that is resident.
        private_working_set: Of this, what is its alone.
    """

    pid: int
    image: str
    created: int
    user_time: int
    kernel_time: int
    commit: int
    working_set: int
    private_working_set: int


def parse(data: bytes, address: int) -> Iterator[SystemProcess]:
    """Read what the system wrote.

    Args:
        data: Its bytes.
        address: Where they lay: names are told by their address.
    """
    at = 0
    while at + sizeof(_ProcessInformation) <= len(data):
        entry = _ProcessInformation.from_buffer_copy(data, at)
        name = entry.ImageNameBuffer - address
        image = b""
        if entry.ImageNameBuffer and 0 <= name <= len(data) - entry.ImageNameLength:
            image = data[name : name + entry.ImageNameLength]
        yield SystemProcess(
            entry.UniqueProcessId,
            image.decode("utf-16-le", "replace"),
            entry.CreateTime,
            entry.UserTime,
            entry.KernelTime,
            entry.PrivatePageCount,
            entry.WorkingSetSize,
            entry.WorkingSetPrivateSize,
        )
        if not entry.NextEntryOffset:
            return
        at += entry.NextEntryOffset


def system_processes() -> list[SystemProcess]:
    """All processes of the system.

    Raises:
        OSError: They can't be told.
    """
    size = _FIRST_SIZE
    needed = ULONG()
    while True:
        buffer = ctypes.create_string_buffer(size)
        status = _query(_SYSTEM_PROCESS_INFORMATION, buffer, size, byref(needed)) & 0xFFFFFFFF
        if status != _LENGTH_MISMATCH or size >= _LARGEST:
            break
        size = min(max(2 * size, needed.value), _LARGEST)
    check_ntstatus(status, "NtQuerySystemInformation")
    used = min(needed.value or size, size)
    return list(parse(ctypes.string_at(buffer, used), ctypes.addressof(buffer)))
