"""Runs a command in a job that kills what is in it, and then ends the job, and so itself.

The job lets a process out that asks for it, as the jobs of services do.
"""

import subprocess
import sys
from ctypes import byref, c_int, c_void_p, sizeof
from ctypes.wintypes import BOOL, DWORD, HANDLE, LPCWSTR

from podshim.win32.binding import Library, check
from podshim.win32.jobs import ExtendedLimits

BREAKAWAY_OK = 0x800
KILL_ON_CLOSE = 0x2000
EXTENDED_LIMITS = 9

_kernel32 = Library("kernel32.dll")
create = _kernel32.function("CreateJobObjectW", HANDLE, c_void_p, LPCWSTR)
set_information = _kernel32.function(
    "SetInformationJobObject", BOOL, HANDLE, c_int, c_void_p, DWORD
)
assign = _kernel32.function("AssignProcessToJobObject", BOOL, HANDLE, HANDLE)
terminate = _kernel32.function("TerminateJobObject", BOOL, HANDLE, DWORD)
current = _kernel32.function("GetCurrentProcess", HANDLE)

job = create(None, None)
limits = ExtendedLimits()
limits.Basic.LimitFlags = BREAKAWAY_OK | KILL_ON_CLOSE
check(set_information(job, EXTENDED_LIMITS, byref(limits), sizeof(limits)))
check(assign(job, current()))
ended = subprocess.run(sys.argv[1:], check=False)
sys.stdout.flush()
terminate(job, 100 + ended.returncode)
