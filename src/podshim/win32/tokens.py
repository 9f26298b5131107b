"""Access tokens: our own, those of users who log on, and the environment that belongs to one."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_void_p
from ctypes.wintypes import BOOL, DWORD, HANDLE, LPCWSTR
from typing import Final

from podshim.win32.binding import Library, check
from podshim.win32.handles import Handle

LOGON_INTERACTIVE: Final = 2
LOGON_SERVICE: Final = 5
_PROVIDER_DEFAULT: Final = 0
_TOKEN_ALL_ACCESS: Final = 0xF01FF

_kernel32 = Library("kernel32.dll")
_advapi32 = Library("advapi32.dll")
_userenv = Library("userenv.dll")
_current_process = _kernel32.function("GetCurrentProcess", HANDLE)
_open_token = _advapi32.function("OpenProcessToken", BOOL, HANDLE, DWORD, POINTER(HANDLE))
_logon = _advapi32.function(
    "LogonUserW", BOOL, LPCWSTR, LPCWSTR, LPCWSTR, DWORD, DWORD, POINTER(HANDLE)
)
_create_block = _userenv.function("CreateEnvironmentBlock", BOOL, POINTER(c_void_p), HANDLE, BOOL)
_destroy_block = _userenv.function("DestroyEnvironmentBlock", BOOL, c_void_p)


def own_token() -> Handle:
    """The token of this process, with all access.

    Raises:
        OSError: It can't be opened.
    """
    token = HANDLE()
    check(_open_token(_current_process(), _TOKEN_ALL_ACCESS, byref(token)), "own token")
    return Handle(token.value, "own token")


def log_on(user: str, domain: str | None, password: str | None, kind: int) -> Handle:
    """Log a user on. May block while a domain is asked.

    Args:
        user: The name.
        domain: Its domain; None for this machine's own and whatever the name says.
        password: None for accounts that need none.
        kind: `LOGON_INTERACTIVE` or `LOGON_SERVICE`.

    Raises:
        OSError: There is no such user, or it may not log on that way.
    """
    token = HANDLE()
    check(_logon(user, domain, password, kind, _PROVIDER_DEFAULT, byref(token)))
    return Handle(token.value, f"token of {user}")


def environment_of(token: Handle) -> list[str]:
    """The variables of a token's user, as `NAME=value`, without any of ours.

    Raises:
        OSError: They can't be had.
    """
    block = c_void_p()
    check(_create_block(byref(block), token.value, False), token.what)  # noqa: FBT003 - a BOOL
    address = block.value or 0
    try:
        variables = []
        while variable := ctypes.wstring_at(address):
            variables.append(variable)
            # In UTF-16 units: a character beyond the first plane has two.
            units = len(variable.encode("utf-16-le", "surrogatepass")) // 2
            address += (units + 1) * ctypes.sizeof(ctypes.c_wchar)
        return variables
    finally:
        _destroy_block(block)
