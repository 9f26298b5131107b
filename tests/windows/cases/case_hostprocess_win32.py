"""Windows' own calls for HostProcess containers: jobs and messages, creation, consoles, tokens."""

import asyncio
import os
import queue
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podshim.transport.pipes import pipe_pair
from podshim.transport.proactor import signalled
from podshim.win32 import running, searching, tokens
from podshim.win32.consoles import PseudoConsole
from podshim.win32.creation import NewProcess, create_process
from podshim.win32.handles import Handle
from podshim.win32.jobport import ACTIVE_PROCESS_ZERO, EXIT_PROCESS, NEW_PROCESS, JobPort
from podshim.win32.jobs import Job
from podshim.win32.systemprocesses import system_processes

PATIENCE = 60.0


@pytest.fixture
def job() -> Iterator[Job]:
    made = Job(f"case-{uuid.uuid4()}")
    made.kill_on_close()
    yield made
    made.close()


def new(job: Job, code: str, *words: str, **more: Any) -> NewProcess:
    line = " ".join([f'"{sys.executable}"', "-c", f'"{code}"', *words])
    return NewProcess(
        **{
            "application": sys.executable,
            "command_line": line,
            "environment": [f"{name}={value}" for name, value in os.environ.items()],
            "folder": "C:\\",
            "token": None,
            "job": job.handle,
            **more,
        }
    )


async def end_of(process: Handle) -> int:
    async with asyncio.timeout(PATIENCE):
        await signalled(process)
    return running.exit_code(process)


async def test_a_port_hears_of_every_process_and_of_the_last(job: Job) -> None:
    heard: queue.Queue[tuple[int, int]] = queue.Queue()
    port = JobPort(job, lambda message, pid: heard.put((message, pid)))
    try:
        with create_process(new(job, "pass"))[0] as process:
            await end_of(process)
        messages = [heard.get(timeout=PATIENCE) for _ in range(3)]
        assert [message for message, _ in messages] == [
            NEW_PROCESS,
            EXIT_PROCESS,
            ACTIVE_PROCESS_ZERO,
        ]
        assert messages[0][1] == messages[1][1] != 0
    finally:
        port.close()
        port.close()


async def test_a_process_is_born_in_its_job(job: Job) -> None:
    process, pid = create_process(new(job, "import time; time.sleep(600)"))
    with process:
        assert job.holds(process)
        assert job.pids() == [pid]
        assert job.accounting().ActiveProcesses == 1
        assert not running.has_ended(process)
        assert pid in {one.pid for one in system_processes()}
        job.terminate(7)
        assert await end_of(process) == 7
        assert running.has_ended(process)


async def test_a_process_gets_the_handles_that_it_is_given_and_no_others(job: Job) -> None:
    # An inheritable handle of ours that is not in the list stays ours.
    stray_ours, stray = pipe_pair(child_reads=False)
    ours, theirs = pipe_pair(child_reads=False)
    try:
        code = f"import _winapi, os; os.write(1, b'x'); _winapi.WriteFile({stray.value}, b'stray')"
        process, _ = create_process(new(job, code, stdout=theirs))
        theirs.close()
        stray.close()
        with process:
            await end_of(process)
            assert await ours.read(9) == b"x"
            assert await ours.read(9) == b""
            assert await stray_ours.read(9) == b""
    finally:
        for closable in (stray_ours, stray, ours, theirs):
            closable.close()


@pytest.mark.parametrize(
    "change",
    [
        {"application": "C:\\no\\such.exe"},
        {"folder": "C:\\no\\such"},
        {"command_line": "a\0b"},
        {"environment": ["A=\0"]},
    ],
)
def test_what_cant_be_created(job: Job, change: dict[str, Any]) -> None:
    with pytest.raises(OSError, match=r"WinError"):
        create_process(new(job, "pass", **change))
    assert job.pids() == []


async def test_many_processes_are_listed(job: Job) -> None:
    made = [create_process(new(job, "import time; time.sleep(600)")) for _ in range(6)]
    try:
        assert sorted(job.pids()) == sorted(pid for _, pid in made)
    finally:
        job.terminate(1)
        for process, _ in made:
            process.close()


async def test_a_console_may_be_closed_twice() -> None:
    keyboard, keyboard_end = pipe_pair(child_reads=True)
    screen, screen_end = pipe_pair(child_reads=False)
    try:
        with keyboard_end, screen_end:
            console = PseudoConsole(80, 25, keyboard_end, screen_end)
        assert console.value
        await asyncio.to_thread(console.close)
        await asyncio.to_thread(console.close)
        with pytest.raises(OSError, match=r"pseudo console"):
            console.resize(1, 1)
    finally:
        keyboard.close()
        screen.close()


def test_our_own_token_has_an_environment() -> None:
    with tokens.own_token() as token:
        variables = tokens.environment_of(token)
    names = [variable.partition("=")[0].lower() for variable in variables]
    assert "systemroot" in names


def test_files_are_searched_along_a_path(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    (deep / "tool.exe").touch()
    assert searching.search(f"C:\\none;{deep}", "tool", ".exe") == str(deep / "tool.exe")
    assert searching.search("C:\\none", "tool", ".exe") is None
    assert os.path.isdir(searching.windows_folder())
    assert os.path.isdir(searching.system_folder())


async def test_processes_that_have_ended_take_no_control(job: Job) -> None:
    process, _ = create_process(new(job, "pass"))
    with process:
        await end_of(process)
        with pytest.raises(OSError, match=r"WinError"):
            running.send_control(process, running.CTRL_SHUTDOWN)


def test_there_is_no_such_process() -> None:
    with pytest.raises(OSError, match=r"process 4294967292"):
        running.open_process(0xFFFFFFFC, running.PROCESS_ALL_ACCESS)
