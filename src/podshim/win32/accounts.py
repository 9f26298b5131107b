"""Local accounts and groups of this machine."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_void_p, cast
from ctypes.wintypes import BOOL, DWORD, LPCWSTR, LPWSTR
from dataclasses import dataclass
from typing import Final

from podshim.win32.binding import (
    ERROR_INSUFFICIENT_BUFFER,
    Library,
    check,
    check_code,
    failure,
    last_error,
)

NERR_USER_NOT_FOUND: Final = 2221

#: What `add_user` makes: UF_NORMAL_ACCOUNT and UF_DONT_EXPIRE_PASSWD.
ORDINARY: Final = 0x200 | 0x10000

_USER_PRIV_USER: Final = 1


class _UserInfo(Structure):
    """USER_INFO_1."""

    _fields_ = (
        ("name", LPWSTR),
        ("password", LPWSTR),
        ("password_age", DWORD),
        ("priv", DWORD),
        ("home_dir", LPWSTR),
        ("comment", LPWSTR),
        ("flags", DWORD),
        ("script_path", LPWSTR),
    )


class _Member(Structure):
    """LOCALGROUP_MEMBERS_INFO_0."""

    _fields_ = (("sid", c_void_p),)


@dataclass(frozen=True, slots=True)
class Account:
    """What a local account says of itself.

    Args:
        comment: Its comment.
        flags: What it is, as bits `UF_`.
    """

    comment: str
    flags: int


_netapi32 = Library("netapi32.dll")
_advapi32 = Library("advapi32.dll")
_group_info = _netapi32.function(
    "NetLocalGroupGetInfo", DWORD, LPCWSTR, LPCWSTR, DWORD, POINTER(c_void_p)
)
_user_add = _netapi32.function(
    "NetUserAdd", DWORD, LPCWSTR, DWORD, POINTER(_UserInfo), POINTER(DWORD)
)
_user_info = _netapi32.function("NetUserGetInfo", DWORD, LPCWSTR, LPCWSTR, DWORD, POINTER(c_void_p))
_user_delete = _netapi32.function("NetUserDel", DWORD, LPCWSTR, LPCWSTR)
_add_members = _netapi32.function(
    "NetLocalGroupAddMembers", DWORD, LPCWSTR, LPCWSTR, DWORD, c_void_p, DWORD
)
_free = _netapi32.function("NetApiBufferFree", DWORD, c_void_p)
_lookup = _advapi32.function(
    "LookupAccountNameW",
    BOOL,
    LPCWSTR,
    LPCWSTR,
    c_void_p,
    POINTER(DWORD),
    LPWSTR,
    POINTER(DWORD),
    POINTER(ctypes.c_int),
)


def is_group(name: str) -> bool:
    """Whether this machine has a local group of this name."""
    info = c_void_p()
    try:
        found = _group_info(None, name, 1, byref(info)) == 0
    except OSError:
        return False  # a system without this function has no groups to tell of
    if not info.value:
        return False
    _free(info)
    return bool(found)


def find_user(name: str) -> Account | None:
    """The local account of a name; None if there is none. Blocks.

    Raises:
        OSError: The system does not tell.
    """
    found = c_void_p()
    code = _user_info(None, name, 1, byref(found))
    if code == NERR_USER_NOT_FOUND:
        return None
    check_code(code, name)
    try:
        info = cast(found, POINTER(_UserInfo)).contents
        return Account(info.comment or "", info.flags)
    finally:
        _free(found)


def add_user(name: str, password: str, comment: str) -> None:
    """Make an ordinary local account, whose password does not expire.

    Raises:
        OSError: It can't be made, or there is one.
    """
    info = _UserInfo(
        name=name,
        password=password,
        priv=_USER_PRIV_USER,
        comment=comment,
        flags=ORDINARY,
    )
    check_code(_user_add(None, 1, byref(info), None), name)


def delete_user(name: str) -> None:
    """Delete a local account, if there is one of this name. Blocks.

    Args:
        name: The account's name.

    Raises:
        OSError: It can't be deleted.
    """
    code = _user_delete(None, name)
    if code != NERR_USER_NOT_FOUND:
        check_code(code, name)


def add_to_group(group: str, user: str) -> None:
    """Make a local account a member of a local group.

    Raises:
        OSError: It can't be.
    """
    sid = _sid_of(user)
    member = _Member(cast(sid, c_void_p))
    check_code(_add_members(None, group, 0, byref(member), 1), group)


def _sid_of(user: str) -> ctypes.Array[ctypes.c_char]:
    sid_size, domain_size, kind = DWORD(), DWORD(), ctypes.c_int()
    _lookup(None, user, None, byref(sid_size), None, byref(domain_size), byref(kind))
    if last_error() != ERROR_INSUFFICIENT_BUFFER:
        raise failure(last_error(), user)
    sid = ctypes.create_string_buffer(max(sid_size.value, 1))
    domain = ctypes.create_unicode_buffer(max(domain_size.value, 1))
    check(_lookup(None, user, sid, byref(sid_size), domain, byref(domain_size), byref(kind)), user)
    return sid
