"""Job objects: groups of processes with limits, figures and one end.

Theory of operation. A process that is created into a job stays in it, and so do its descendants.
Limits and questions go through two calls, with a number that says what about and a structure of
that kind. A kind that this Windows does not know fails like a wrong argument; so it is asked about
before it is set, and `ERROR_NOT_SUPPORTED` raised then. `KILL_ON_JOB_CLOSE` makes the last handle
the owner of the processes: whatever becomes of us, they end.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    POINTER,
    Structure,
    byref,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
    sizeof,
)
from ctypes.wintypes import BOOL, DWORD, HANDLE, LPCWSTR, WORD
from typing import TYPE_CHECKING, Final

from podshim.win32.binding import (
    ERROR_ALREADY_EXISTS,
    ERROR_INVALID_PARAMETER,
    ERROR_MORE_DATA,
    ERROR_NOT_SUPPORTED,
    Library,
    check,
    code_of,
    failure,
    last_error,
)
from podshim.win32.handles import Handle

if TYPE_CHECKING:
    from collections.abc import Sequence

_BASIC_ACCOUNTING: Final = 1
_BASIC_PROCESS_IDS: Final = 3
_COMPLETION_PORT: Final = 7
_EXTENDED_LIMITS: Final = 9
_GROUPS: Final = 14
_CPU_RATE: Final = 15
_MEMORY_USAGE: Final = 28
_CREATE_SILO: Final = 35
_IO_ATTRIBUTION: Final = 42

_LIMIT_JOB_MEMORY: Final = 0x200
_LIMIT_KILL_ON_CLOSE: Final = 0x2000
_CPU_RATE_ENABLE: Final = 1
CPU_RATE_WEIGHT: Final = 2
CPU_RATE_HARD_CAP: Final = 4
_IO_RATE_ENABLE: Final = 1
_IO_ATTRIBUTION_ENABLE: Final = 1
#: More processor groups than Windows has.
_MOST_GROUPS: Final = 64


class BasicAccounting(Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION; times in 100 ns."""

    _fields_ = (
        ("TotalUserTime", c_int64),
        ("TotalKernelTime", c_int64),
        ("ThisPeriodTotalUserTime", c_int64),
        ("ThisPeriodTotalKernelTime", c_int64),
        ("TotalPageFaultCount", c_uint32),
        ("TotalProcesses", c_uint32),
        ("ActiveProcesses", c_uint32),
        ("TotalTerminatedProcesses", c_uint32),
    )


class _BasicLimits(Structure):
    _fields_ = (
        ("PerProcessUserTimeLimit", c_int64),
        ("PerJobUserTimeLimit", c_int64),
        ("LimitFlags", c_uint32),
        ("MinimumWorkingSetSize", c_size_t),
        ("MaximumWorkingSetSize", c_size_t),
        ("ActiveProcessLimit", c_uint32),
        ("Affinity", c_size_t),
        ("PriorityClass", c_uint32),
        ("SchedulingClass", c_uint32),
    )


class ExtendedLimits(Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION; sizes in bytes."""

    _fields_ = (
        ("Basic", _BasicLimits),
        ("IoInfo", c_uint64 * 6),
        ("ProcessMemoryLimit", c_size_t),
        ("JobMemoryLimit", c_size_t),
        ("PeakProcessMemoryUsed", c_size_t),
        ("PeakJobMemoryUsed", c_size_t),
    )


class _CompletionPort(Structure):
    _fields_ = (("CompletionKey", c_void_p), ("CompletionPort", HANDLE))


class _CpuRate(Structure):
    _fields_ = (("ControlFlags", c_uint32), ("Value", c_uint32))


class _GroupAffinity(Structure):
    _fields_ = (("Mask", c_size_t), ("Group", WORD), ("Reserved", WORD * 3))


class MemoryUsage(Structure):
    """JOBOBJECT_MEMORY_USAGE_INFORMATION, in bytes."""

    _fields_ = (("JobMemory", c_uint64), ("PeakJobMemoryUsed", c_uint64))


class _IoStats(Structure):
    _fields_ = (
        ("IoCount", c_size_t),
        ("TotalNonOverlappedQueueTime", c_uint64),
        ("TotalNonOverlappedServiceTime", c_uint64),
        ("TotalSize", c_uint64),
    )


class IoAttribution(Structure):
    """JOBOBJECT_IO_ATTRIBUTION_INFORMATION; sizes in bytes."""

    _fields_ = (("ControlFlags", c_uint32), ("Read", _IoStats), ("Write", _IoStats))


class _IoRate(Structure):
    _fields_ = (
        ("MaxIops", c_int64),
        ("MaxBandwidth", c_int64),
        ("ReservationIops", c_int64),
        ("VolumeName", LPCWSTR),
        ("BaseIoSize", c_uint32),
        ("ControlFlags", c_uint32),
    )


_kernel32 = Library("kernel32.dll")
_create_job = _kernel32.function("CreateJobObjectW", HANDLE, c_void_p, LPCWSTR)
_set_information = _kernel32.function(
    "SetInformationJobObject", BOOL, HANDLE, ctypes.c_int, c_void_p, DWORD
)
_query_information = _kernel32.function(
    "QueryInformationJobObject", BOOL, HANDLE, ctypes.c_int, c_void_p, DWORD, POINTER(DWORD)
)
_terminate = _kernel32.function("TerminateJobObject", BOOL, HANDLE, DWORD)
_set_io_rate = _kernel32.function(
    "SetIoRateControlInformationJobObject", DWORD, HANDLE, POINTER(_IoRate)
)
_is_process_in_job = _kernel32.function("IsProcessInJob", BOOL, HANDLE, HANDLE, POINTER(BOOL))


class Job:
    """A job object, made under a new name; whoever makes it closes it.

    Args:
        name: Its name among the system's objects.

    Raises:
        OSError: It can't be made, or there is one of this name.
    """

    #: The limits that have been set here.
    _flags: int = 0
    _memory: int = 0

    def __init__(self, name: str) -> None:
        self.name = name
        value = _create_job(None, name)
        taken = last_error() == ERROR_ALREADY_EXISTS  # then the handle is another's job
        check(value, name)
        self.handle = Handle(value, name)
        if taken:
            self.handle.close()
            raise failure(ERROR_ALREADY_EXISTS, name)

    @classmethod
    def opened(cls, handle: Handle) -> Job:
        """The job behind a handle that has been opened, owned from now on."""
        job = cls.__new__(cls)
        job.name, job.handle = handle.what, handle
        return job

    def close(self) -> None:
        """Close our handle; any number of times."""
        self.handle.close()

    def kill_on_close(self) -> None:
        """End all processes when the last handle is closed.

        Raises:
            OSError: It can't be said.
        """
        self._limit(_LIMIT_KILL_ON_CLOSE)

    def limits(self) -> ExtendedLimits:
        """The limits as they are.

        Raises:
            OSError: They can't be had.
        """
        limits = ExtendedLimits()
        self._query(_EXTENDED_LIMITS, limits)
        return limits

    def limit_memory(self, size: int) -> None:
        """Let all processes together commit at most so many bytes.

        Raises:
            OSError: It can't be set.
        """
        self._memory = size
        self._limit(_LIMIT_JOB_MEMORY)

    def limit_cpu(self, kind: int, value: int) -> None:
        """Limit or weigh the processors' time.

        Args:
            kind: `CPU_RATE_HARD_CAP` or `CPU_RATE_WEIGHT`.
            value: Of 10000 for all processors; or a weight from 1 to 9.

        Raises:
            OSError: It can't be set.
        """
        rate = _CpuRate()
        self._query_known(_CPU_RATE, rate)
        rate.ControlFlags |= _CPU_RATE_ENABLE | kind
        rate.Value = value
        self._set(_CPU_RATE, rate)

    def bind_to_processors(self, groups: Sequence[tuple[int, int]]) -> None:
        """Run only on these processors.

        Args:
            groups: Masks, each with the number of its processor group.

        Raises:
            OSError: It can't be set.
        """
        self._query_known(_GROUPS, (_GroupAffinity * _MOST_GROUPS)())
        entries = (_GroupAffinity * len(groups))()
        for entry, (mask, group) in zip(entries, groups, strict=True):
            entry.Mask, entry.Group = mask, group
        self._set(_GROUPS, entries)

    def limit_io(self, operations: int, bandwidth: int) -> None:
        """Limit input and output on all volumes.

        Args:
            operations: Per second; 0 for no limit.
            bandwidth: Bytes per second; 0 for no limit.

        Raises:
            OSError: It can't be set.
        """
        rate = _IoRate(MaxIops=operations, MaxBandwidth=bandwidth, ControlFlags=_IO_RATE_ENABLE)
        check(_set_io_rate(self.handle.value, byref(rate)), "SetIoRateControlInformationJobObject")

    def count_io(self) -> None:
        """Attribute input and output to the job from now on: see `io`.

        Raises:
            OSError: This Windows can't.
        """
        try:
            self._set(_IO_ATTRIBUTION, IoAttribution(ControlFlags=_IO_ATTRIBUTION_ENABLE))
        except OSError as error:
            raise _known(error) from None

    def make_silo(self) -> None:
        """Make it a silo, with object and file names of its own; there is no way back.

        Raises:
            OSError: This Windows can't, or there are processes in it.
        """
        check(_set_information(self.handle.value, _CREATE_SILO, None, 0), self.name)

    def notify(self, port: Handle, key: int) -> None:
        """Tell a completion port what happens to the processes.

        Args:
            port: The port.
            key: What its messages are marked with.

        Raises:
            OSError: It can't be said.
        """
        self._set(_COMPLETION_PORT, _CompletionPort(key, port.value))

    def terminate(self, code: int) -> None:
        """End all processes with this exit code.

        Raises:
            OSError: They can't be ended.
        """
        check(_terminate(self.handle.value, code), self.name)

    def pids(self) -> list[int]:
        """The ids of all processes.

        Raises:
            OSError: They can't be told.
        """
        room = 1
        while True:
            kind = type("_Ids", (Structure,), {"_fields_": _id_list(room)})
            ids = kind()
            try:
                self._query(_BASIC_PROCESS_IDS, ids)
            except OSError as error:
                if code_of(error) != ERROR_MORE_DATA:
                    raise
                # Processes may join while we ask: some room more than there are now.
                room = max(2 * room, ids.NumberOfAssignedProcesses + 8)
                continue
            return [int(pid) for pid in ids.ProcessIdList[: ids.NumberOfProcessIdsInList]]

    def accounting(self) -> BasicAccounting:
        """What its processes have used and how many there are.

        Raises:
            OSError: It can't be told.
        """
        figures = BasicAccounting()
        self._query(_BASIC_ACCOUNTING, figures)
        return figures

    def memory(self) -> MemoryUsage:
        """How much memory its processes commit, now and at most.

        Raises:
            OSError: This Windows does not tell.
        """
        usage = MemoryUsage()
        self._query_known(_MEMORY_USAGE, usage)
        return usage

    def io(self) -> IoAttribution:
        """What its processes have read and written since `count_io`.

        Raises:
            OSError: This Windows does not tell.
        """
        figures = IoAttribution(ControlFlags=_IO_ATTRIBUTION_ENABLE)
        self._query_known(_IO_ATTRIBUTION, figures)
        return figures

    def holds(self, process: Handle) -> bool:
        """Whether a process is in it.

        Raises:
            OSError: It can't be told.
        """
        answer = BOOL()
        check(_is_process_in_job(process.value, self.handle.value, byref(answer)), self.name)
        return bool(answer.value)

    def _limit(self, flag: int) -> None:
        # Some systems take limits without telling of them: what was set before is set again.
        self._flags |= flag
        limits = self.limits()
        limits.Basic.LimitFlags |= self._flags
        if self._memory:
            limits.JobMemoryLimit = self._memory
        self._set(_EXTENDED_LIMITS, limits)

    def _set(self, kind: int, value: Structure | ctypes.Array[_GroupAffinity]) -> None:
        check(_set_information(self.handle.value, kind, byref(value), sizeof(value)), self.name)

    def _query_known(self, kind: int, into: Structure | ctypes.Array[_GroupAffinity]) -> None:
        """Ask about a kind that not every Windows knows."""
        try:
            self._query(kind, into)
        except OSError as error:
            raise _known(error) from None

    def _query(self, kind: int, into: Structure | ctypes.Array[_GroupAffinity]) -> None:
        size = sizeof(into)
        check(_query_information(self.handle.value, kind, byref(into), size, None), self.name)


def _known(error: OSError) -> OSError:
    """The error, or that the kind of information is not supported: the arguments were right."""
    if code_of(error) == ERROR_INVALID_PARAMETER:
        return failure(ERROR_NOT_SUPPORTED, error.filename or "")
    return error


def _id_list(room: int) -> tuple[tuple[str, type], ...]:
    return (
        ("NumberOfAssignedProcesses", c_uint32),
        ("NumberOfProcessIdsInList", c_uint32),
        ("ProcessIdList", c_size_t * room),
    )
