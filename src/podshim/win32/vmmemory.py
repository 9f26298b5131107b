"""How much memory a virtual machine has in use.

Theory of operation. A VM whose memory is virtual has a process on the host, `vmmem`, that stands
for it: its working set is the VM's. There may be several; whose one is, its user's name tells,
which is the VM's GUID in the domain of all VMs.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_int, c_void_p, create_string_buffer, create_unicode_buffer
from ctypes.wintypes import BOOL, DWORD, HANDLE, LPCWSTR, LPWSTR
from typing import TYPE_CHECKING

from podshim.win32.binding import ERROR_NOT_FOUND, Library, check, failure
from podshim.win32.handles import Handle
from podshim.win32.running import open_process
from podshim.win32.systemprocesses import system_processes

if TYPE_CHECKING:
    from uuid import UUID

_NAMES = frozenset({"vmmem", "vmmem.exe"})
_DOMAIN = "nt virtual machine"
_PROCESS_QUERY_LIMITED_INFORMATION = 0x1000
_TOKEN_QUERY = 8
_TOKEN_USER = 1
_LONGEST_NAME = 512

_advapi32 = Library("advapi32.dll")
_open_token = _advapi32.function("OpenProcessToken", BOOL, HANDLE, DWORD, POINTER(HANDLE))
_information = _advapi32.function(
    "GetTokenInformation", BOOL, HANDLE, c_int, c_void_p, DWORD, POINTER(DWORD)
)
_account = _advapi32.function(
    "LookupAccountSidW",
    BOOL,
    *(LPCWSTR, c_void_p, LPWSTR, POINTER(DWORD)),
    *(LPWSTR, POINTER(DWORD), POINTER(c_int)),
)


def working_set(vm: UUID) -> int:
    """The working set of a VM's memory process, in bytes. Blocks.

    Raises:
        OSError: There is none, or Windows does not tell.
    """
    for process in system_processes():
        if process.image.lower() in _NAMES and _is_of(process.pid, vm):
            return process.working_set
    raise failure(ERROR_NOT_FOUND, f"memory process of VM {vm}")


def _is_of(pid: int, vm: UUID) -> bool:
    """Whether a process runs as a VM; one that can't be asked, or has ended, does not count."""
    try:
        domain, name = _user_of(pid)
    except OSError:
        return False
    return domain.lower() == _DOMAIN and name.lower() == str(vm)


def _user_of(pid: int) -> tuple[str, str]:
    with open_process(pid, _PROCESS_QUERY_LIMITED_INFORMATION) as process:
        opened = HANDLE()
        check(_open_token(process.value, _TOKEN_QUERY, byref(opened)), f"process {pid}")
        with Handle(opened.value, "token") as token:
            return _name_of(token)


def _name_of(token: Handle) -> tuple[str, str]:
    user = create_string_buffer(_LONGEST_NAME)
    size = DWORD()
    check(_information(token.value, _TOKEN_USER, user, len(user), byref(size)), "token's user")
    sid = ctypes.cast(user, POINTER(c_void_p))[0]
    name, domain = create_unicode_buffer(_LONGEST_NAME), create_unicode_buffer(_LONGEST_NAME)
    name_size, domain_size, kind = DWORD(_LONGEST_NAME), DWORD(_LONGEST_NAME), c_int()
    found = _account(
        *(None, sid, name, byref(name_size)), *(domain, byref(domain_size), byref(kind))
    )
    check(found, "account")
    return domain.value, name.value
