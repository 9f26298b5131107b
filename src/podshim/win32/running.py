"""Running processes: opened by their ids, ended, signalled, measured."""

from __future__ import annotations

from ctypes import POINTER, Structure, byref, c_size_t, c_uint32, c_void_p, sizeof
from ctypes.wintypes import BOOL, DWORD, HANDLE, LONG, LPCSTR, LPCWSTR, ULONG
from typing import Final

from podshim.win32.binding import Library, check, check_ntstatus
from podshim.win32.handles import Handle

PROCESS_ALL_ACCESS: Final = 0x1FFFFF
PROCESS_QUERY_LIMITED_INFORMATION: Final = 0x1000

#: The events that a console's control routine takes.
CTRL_C: Final = 0
CTRL_BREAK: Final = 1
CTRL_CLOSE: Final = 2
CTRL_LOGOFF: Final = 5
CTRL_SHUTDOWN: Final = 6

_VM_COUNTERS: Final = 3
_WAIT_OBJECT: Final = 0


class _VmCounters(Structure):
    """VM_COUNTERS_EX2."""

    _fields_ = (
        ("PeakVirtualSize", c_size_t),
        ("VirtualSize", c_size_t),
        ("PageFaultCount", c_uint32),
        ("PeakWorkingSetSize", c_size_t),
        ("WorkingSetSize", c_size_t),
        ("QuotaPeakPagedPoolUsage", c_size_t),
        ("QuotaPagedPoolUsage", c_size_t),
        ("QuotaPeakNonPagedPoolUsage", c_size_t),
        ("QuotaNonPagedPoolUsage", c_size_t),
        ("PagefileUsage", c_size_t),
        ("PeakPagefileUsage", c_size_t),
        ("PrivateUsage", c_size_t),
        ("PrivateWorkingSetSize", c_size_t),
        ("SharedCommitUsage", c_size_t),
    )


_kernel32 = Library("kernel32.dll")
_ntdll = Library("ntdll.dll")
_open = _kernel32.function("OpenProcess", HANDLE, DWORD, BOOL, DWORD)
_exit_code = _kernel32.function("GetExitCodeProcess", BOOL, HANDLE, POINTER(DWORD))
_terminate = _kernel32.function("TerminateProcess", BOOL, HANDLE, DWORD)
_wait = _kernel32.function("WaitForSingleObject", DWORD, HANDLE, DWORD)
_module = _kernel32.function("GetModuleHandleW", HANDLE, LPCWSTR)
_procedure = _kernel32.function("GetProcAddress", c_void_p, HANDLE, LPCSTR)
_remote_thread = _kernel32.function(
    "CreateRemoteThread",
    HANDLE,
    HANDLE,
    c_void_p,
    c_size_t,
    c_void_p,
    c_void_p,
    DWORD,
    POINTER(DWORD),
)
_query = _ntdll.function(
    "NtQueryInformationProcess", LONG, HANDLE, ULONG, c_void_p, ULONG, POINTER(ULONG)
)


def open_process(pid: int, access: int) -> Handle:
    """Open a process by its id; the caller closes it.

    Raises:
        OSError: There is none, or it does not allow this access.
    """
    value = _open(access, False, pid)  # noqa: FBT003 - a BOOL
    check(value, f"process {pid}")
    return Handle(value, f"process {pid}")


def has_ended(process: Handle) -> bool:
    """Whether a process has ended.

    Raises:
        OSError: The handle is closed.
    """
    return int(_wait(process.value, 0)) == _WAIT_OBJECT


def exit_code(process: Handle) -> int:
    """The exit code of a process that has ended, unsigned.

    Raises:
        OSError: It can't be told.
    """
    code = DWORD()
    check(_exit_code(process.value, byref(code)), process.what)
    return int(code.value)


def terminate(process: Handle, code: int) -> None:
    """End a process at once.

    Raises:
        OSError: It has ended, or may not be.
    """
    check(_terminate(process.value, code), process.what)


def send_control(process: Handle, event: int) -> None:
    """Let a process handle a console event, as if its console had sent it.

    A thread in that process runs the system's routine for such events, whose place is the same in
    all processes.

    Args:
        process: The process, opened with all access.
        event: A `CTRL_` number.

    Raises:
        OSError: The process has ended, or this Windows has no such routine.
    """
    module = _module("kernel32.dll")
    check(module, "kernel32.dll")
    routine = _procedure(module, b"CtrlRoutine")
    check(routine, "CtrlRoutine")
    thread = _remote_thread(process.value, None, 0, routine, event, 0, None)
    check(thread, process.what)
    Handle(thread, "control thread").close()


def private_working_set(process: Handle) -> int:
    """How many bytes of a process's memory are resident and its alone.

    Raises:
        OSError: It can't be told.
    """
    counters = _VmCounters()
    status = _query(process.value, _VM_COUNTERS, byref(counters), sizeof(counters), None)
    check_ntstatus(status & 0xFFFFFFFF, process.what)
    return int(counters.PrivateWorkingSetSize)
