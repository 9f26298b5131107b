"""A shim that waits for a debugger, and accounts that are not there."""

import asyncio
import os
import sys
from ctypes.wintypes import BOOL, DWORD, HANDLE, LPCWSTR

import pytest

from podshim.shim.runhcs.debugger import VARIABLE, await_debugger
from podshim.win32 import accounts, version
from podshim.win32.binding import Library
from podshim.win32.handles import Handle

assert sys.platform == "win32"

from windows.cases.process_support import until  # noqa: E402 - after the line that tells where

_kernel32 = Library("kernel32.dll")
_open = _kernel32.function("OpenEventW", HANDLE, DWORD, BOOL, LPCWSTR)
_set = _kernel32.function("SetEvent", BOOL, HANDLE)
_MODIFY = 2


async def _event() -> Handle:
    found: list[int] = []

    def look() -> bool:
        if value := _open(_MODIFY, 0, f"Global\\debugger-{os.getpid()}"):
            found.append(value)
        return bool(found)

    await until(look)
    return Handle(found[0], "event")


async def test_every_creation_waits_until_the_event_is_set() -> None:
    for _ in range(2):
        waiting = asyncio.ensure_future(await_debugger({VARIABLE: "1"}))
        with await _event() as event:
            done, _ = await asyncio.wait((waiting,), timeout=0.2)
            assert not done
            assert _set(event.value)
            await asyncio.wait_for(waiting, 20)


async def test_a_wait_can_be_given_up() -> None:
    waiting = asyncio.ensure_future(await_debugger({VARIABLE: "1"}))
    with await _event():
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


@pytest.mark.parametrize("environment", [{}, {VARIABLE: ""}])
async def test_without_the_variable_nobody_waits(environment: dict[str, str]) -> None:
    await asyncio.wait_for(await_debugger(environment), 20)


def test_an_account_that_is_not_there_is_no_error() -> None:
    accounts.delete_user("nobody-of-this-name")
    assert accounts.find_user("nobody-of-this-name") is None


def test_an_account_is_found() -> None:
    # Wine has accounts that are made in the memory of this process, and forgets their comments.
    accounts.add_user("somebody", "secret", "a comment")
    try:
        assert accounts.find_user("somebody") is not None
    finally:
        accounts.delete_user("somebody")
    assert accounts.find_user("somebody") is None


def test_the_build_is_the_true_one() -> None:
    assert version.build_number() == 20348
