"""Letting virtual machines use files of the host.

Theory of operation. A VM's worker runs as an account of its own, named by the VM's id, and all of
them belong to one group. A file is opened to one VM by the compute service; to the whole group by
an entry in the file's access list, which subfolders and files inherit.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_uint32, c_void_p
from ctypes.wintypes import BOOL, DWORD, HLOCAL, LPCWSTR

from podshim.win32.binding import Library, check, check_code, check_hresult

_VM_GROUP = "S-1-5-83-0"
_SE_FILE_OBJECT = 1
_DACL_SECURITY_INFORMATION = 4
_GRANT_ACCESS = 1
_INHERIT_TO_ALL = 3
_TRUSTEE_IS_SID = 0
_TRUSTEE_IS_GROUP = 2
_ALL = 0x10000000  # GENERIC_ALL


class _Trustee(ctypes.Structure):
    """TRUSTEE_W."""

    _fields_ = (
        ("multiple", c_void_p),
        ("operation", c_uint32),
        ("form", c_uint32),
        ("type", c_uint32),
        ("name", c_void_p),
    )


class _Entry(ctypes.Structure):
    """EXPLICIT_ACCESS_W."""

    _fields_ = (
        ("permissions", DWORD),
        ("mode", c_uint32),
        ("inheritance", DWORD),
        ("trustee", _Trustee),
    )


_grant = Library("vmcompute.dll").function("GrantVmAccess", c_uint32, LPCWSTR, LPCWSTR)
_advapi32 = Library("advapi32.dll")
_string_to_sid = _advapi32.function("ConvertStringSidToSidW", BOOL, LPCWSTR, POINTER(c_void_p))
_get_security = _advapi32.function(
    "GetNamedSecurityInfoW",
    *(DWORD, LPCWSTR, c_uint32, DWORD),
    *(c_void_p, c_void_p, POINTER(c_void_p), c_void_p, POINTER(c_void_p)),
)
_set_entries = _advapi32.function(
    "SetEntriesInAclW", DWORD, c_uint32, POINTER(_Entry), c_void_p, POINTER(c_void_p)
)
_set_security = _advapi32.function(
    "SetNamedSecurityInfoW",
    *(DWORD, LPCWSTR, c_uint32, DWORD, c_void_p, c_void_p, c_void_p, c_void_p),
)
_local_free = Library("kernel32.dll").function("LocalFree", HLOCAL, HLOCAL)


def grant_vm_access(vm_id: str, path: str) -> None:
    """Let one VM use a file or folder. Blocks.

    Raises:
        OSError: It can't be let.
    """
    check_hresult(_grant(vm_id, path), path)


def grant_vm_group_access(path: str) -> None:
    """Let all VMs do everything with a file, or with a folder and what is in it. Blocks.

    Raises:
        OSError: They can't be let.
    """
    sid, old, descriptor, new = c_void_p(), c_void_p(), c_void_p(), c_void_p()
    try:
        check(_string_to_sid(_VM_GROUP, byref(sid)), _VM_GROUP)
        found = _get_security(
            *(path, _SE_FILE_OBJECT, _DACL_SECURITY_INFORMATION),
            *(None, None, byref(old), None, byref(descriptor)),
        )
        check_code(found, path)
        trustee = _Trustee(form=_TRUSTEE_IS_SID, type=_TRUSTEE_IS_GROUP, name=sid.value)
        entry = _Entry(_ALL, _GRANT_ACCESS, _INHERIT_TO_ALL, trustee)
        check_code(_set_entries(1, byref(entry), old, byref(new)), path)
        changed = _set_security(
            *(path, _SE_FILE_OBJECT, _DACL_SECURITY_INFORMATION, None, None, new, None)
        )
        check_code(changed, path)
    finally:
        for memory in (sid, descriptor, new):
            if memory.value:
                _local_free(memory.value)
