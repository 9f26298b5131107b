"""Many lives over the stand-in: nothing is left of any, whatever events come while it closes."""

import asyncio
import ctypes
import sys
import uuid
from ctypes import byref
from ctypes.wintypes import BOOL, DWORD, HANDLE

assert sys.platform == "win32"

# ruff: noqa: E402 - after the line that tells where this runs

from podshim.engines.hcs.hostservice import Service
from podshim.engines.hcs.results import ClosedError, HcsError
from podshim.engines.hcs.system import Hcs
from windows.cases.engine import DOCUMENT, service, spawn

_kernel = ctypes.WinDLL("kernel32.dll")
_kernel.GetCurrentProcess.restype = HANDLE
_kernel.GetProcessHandleCount.argtypes = [HANDLE, ctypes.POINTER(DWORD)]
_kernel.GetProcessHandleCount.restype = BOOL


def handles() -> int:
    count = DWORD()
    assert _kernel.GetProcessHandleCount(_kernel.GetCurrentProcess(), byref(count))
    return count.value


async def live(made: Service) -> None:
    """A system with two processes with pipes: one exits, one is killed; and a failure."""
    system = await Hcs(made).create_system(f"c-{uuid.uuid4()}", DOCUMENT)
    await system.start()
    ended = await spawn(system, "cmd /c exit 3", CreateStdOutPipe=True, CreateStdInPipe=True)
    killed = await spawn(system, "ping -n 600 127.0.0.1", CreateStdOutPipe=True)
    await killed.kill()
    async with asyncio.timeout(30):
        assert (await ended.wait(), await killed.wait()) == (3, 0xFFFFFFFF)
    try:
        await spawn(system, "C:\\no\\such\\program.exe", CreateStdOutPipe=True)
    except HcsError:
        pass
    else:
        raise AssertionError
    await ended.close()
    await killed.close()
    await system.close()


async def test_handles_do_not_pile_up() -> None:
    async with service() as made:
        for _ in range(5):  # threads and what is made once
            await live(made)
        before = handles()
        for _ in range(25):
            await live(made)
        # A watcher of the stand-in may not have let go of its process yet.
        async with asyncio.timeout(20):
            while handles() > before + 4:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_events_may_come_while_handles_close() -> None:
    async with service() as made:
        for _ in range(30):
            system = await Hcs(made).create_system(f"c-{uuid.uuid4()}", DOCUMENT)
            await system.start()
            process = await spawn(system, "cmd /c exit 4")
            ends = [asyncio.ensure_future(process.wait()), asyncio.ensure_future(system.wait())]
            await system.terminate()  # its end, and the process's, are told while we close
            await asyncio.gather(process.close(), system.close())
            code, end = await asyncio.gather(*ends, return_exceptions=True)
            assert isinstance(code, ClosedError) or code in {4, 0xFFFFFFFF}
            assert end is None or isinstance(end, ClosedError)
