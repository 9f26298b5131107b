"""What the engine asks of the host itself, and what it runs there."""

import asyncio
import ctypes
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import byref
from ctypes.wintypes import HANDLE
from pathlib import Path

import pytest

assert sys.platform == "win32"

# ruff: noqa: E402 - after the line that tells where this runs

from podshim.engine import Environment, Stdio
from podshim.engines.hcs import silo
from podshim.engines.hcs.documents.limits import Affinity
from podshim.engines.hcs.engine import HcsEngine
from podshim.errors import InvalidArgumentError, ShimError
from podshim.task.runhcs.host import HostCommand
from podshim.win32 import namedjobs, version
from podshim.win32.handles import Handle
from windows.cases.engine import Client

ENVIRONMENT = Environment("test", "t1")


@contextmanager
def named_job(name: str) -> Iterator[Handle]:
    """A job in the system's name space, as the service makes them for containers."""
    create = ctypes.WinDLL("ntdll.dll").NtCreateJobObject
    text = ctypes.create_unicode_buffer(name)
    size = ctypes.sizeof(text)
    string = namedjobs._UnicodeString(size - 2, size, ctypes.addressof(text))
    length = ctypes.sizeof(namedjobs._ObjectAttributes)
    attributes = namedjobs._ObjectAttributes(length, None, ctypes.pointer(string), 0)
    handle = HANDLE()
    assert create(byref(handle), namedjobs.JOB_ALL_ACCESS, byref(attributes)) == 0
    with Handle(handle.value, name) as job:
        yield job


def test_which_windows_this_is() -> None:
    assert version.build_number() == 20348
    assert version.processor_count() == os.cpu_count()


def test_a_container_without_a_silo_cannot_be_measured_by_it() -> None:
    with pytest.raises(OSError, match="Container_no-such"):
        silo.measure("no-such", None)
    with pytest.raises(ShimError, match="failed to set the CPU affinity of container no-such"):
        silo.set_affinity("no-such", [Affinity(1, 0)])


def test_a_silo_is_found_by_its_name() -> None:
    name = f"c-{uuid.uuid4()}"
    with named_job(f"\\Container_{name}"), silo.silo(name) as job:
        assert job.accounting().TotalProcesses == 0
        assert job.pids() == []


async def test_a_command_runs_on_the_host(tmp_path: Path) -> None:
    engine = HcsEngine(ENVIRONMENT)
    program = "import os, sys; print(os.getcwd(), sys.argv[1:]); sys.exit(sys.stdin.read() != 'x')"
    async with Client(stdin=True) as client:
        words = (sys.executable, "-c", program, "a b", "")
        command = HostCommand(words, str(tmp_path), client.stdio)
        running = asyncio.ensure_future(engine.run_on_host(command))
        stdin = await client.stream("stdin")
        await stdin.write(b"x")
        stdin.close()
        async with asyncio.timeout(30):
            assert await running == 0
        assert (await client.read()).decode() == f"{tmp_path} ['a b', '']\r\n"


@pytest.mark.parametrize(("code", "told"), [(7, 7), (0xC0000005, -1073741819)])
async def test_a_commands_exit_code_is_told(code: int, told: int) -> None:
    words = (sys.executable, "-c", f"import os; os._exit({code - (code >> 31 << 32)})")
    assert await HcsEngine(ENVIRONMENT).run_on_host(HostCommand(words)) == told


async def test_both_outputs_of_a_command_go_to_its_terminal() -> None:
    program = "import sys; print(1, flush=True); print(2, file=sys.stderr)"
    async with Client(terminal=True) as client:
        command = HostCommand((sys.executable, "-c", program), stdio=client.stdio)
        assert await HcsEngine(ENVIRONMENT).run_on_host(command) == 0
        assert await client.read() == b"1\r\n2\r\n"


async def test_a_command_that_cannot_run() -> None:
    engine = HcsEngine(ENVIRONMENT)
    with pytest.raises(InvalidArgumentError, match="missing command"):
        await engine.run_on_host(HostCommand(()))
    with pytest.raises(ShimError, match="executable file not found"):
        await engine.run_on_host(HostCommand(("no-such-program",)))
    with pytest.raises(ShimError, match="failed to run"):
        await engine.run_on_host(HostCommand((sys.executable,), "C:\\no\\such\\folder"))
    stdio = Stdio(stdout="\\\\.\\pipe\\no-such-pipe")
    with pytest.raises(ShimError, match=r"open \\\\\.\\pipe\\no-such-pipe"):
        await engine.run_on_host(HostCommand((sys.executable,), stdio=stdio))


async def test_a_command_ends_with_its_caller() -> None:
    program = "import time; print('up', flush=True); time.sleep(600)"
    async with Client() as client:
        command = HostCommand((sys.executable, "-c", program), stdio=client.stdio)
        running = asyncio.ensure_future(HcsEngine(ENVIRONMENT).run_on_host(command))
        stream = await client.stream("stdout")
        async with asyncio.timeout(20):
            assert await stream.read(100) == b"up\r\n"
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert await stream.read(100) == b""
