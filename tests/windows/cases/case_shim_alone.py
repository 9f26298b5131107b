"""Standalone tasks, HostProcess pods, servers that many ask at once, and servers that last."""

import asyncio
import ctypes
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from ctypes.wintypes import BOOL, DWORD, HANDLE
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from podshim.errors import Code
from podshim.manager import Shim, ShimCommandError, pod_annotations
from podshim.manager.spec import WINDOWS_RESOURCES_TYPE_URL
from podshim.transport import pipes
from podshim.win32.binding import Library
from podshim.win32.running import open_process

assert sys.platform == "win32"

from windows.cases.shims import (  # noqa: E402 - after the line above
    HOST_PROCESS,
    INHERIT,
    PAUSE,
    TERMINATED,
    Stage,
    ends,
    python,
    refused,
    stage,
    unique,
    watched,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROCESS_QUERY_AND_READ = 0x410


class _Counters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS_EX."""

    _fields_ = (
        ("size", DWORD),
        ("page_faults", DWORD),
        ("sizes", ctypes.c_size_t * 8),
        ("private", ctypes.c_size_t),
    )


_kernel32 = Library("kernel32.dll")
_handle_count = _kernel32.function("GetProcessHandleCount", BOOL, HANDLE, ctypes.POINTER(DWORD))
_memory = _kernel32.function(
    "K32GetProcessMemoryInfo", BOOL, HANDLE, ctypes.POINTER(_Counters), DWORD
)
FAMILY = """
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
print(child.pid, flush=True)
child.wait()
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("alone")) as one:
        yield one


async def test_a_standalone_task_lives_and_leaves_nothing(made: Stage) -> None:
    name = unique("t")
    spec = made.spec(name, python("import sys; print(sys.stdin.read()); sys.exit(5)"))
    async with made.manager.task(name, spec=spec) as (shim, task):
        assert shim.answer
        async with refused(Code.NOT_FOUND, "task with id: 'other' not found"):
            await type(task)(lambda: shim.calls, "other", 0, None, "").state()
        pid = await task.start()
        done = await task.run("e1", python("print('in')"))
        assert done.stdout.split() == [b"in"]
        assert pid in await task.pids()
        await task.update({"cpu": {"shares": 77}}, type_url=WINDOWS_RESOURCES_TYPE_URL)
        assert made.documents("HcsModifyComputeSystem", name)[-1]["Settings"] == {"Weight": 77}
        await task.stdin.write(b"words")
        await task.close_stdin()
        stdout, _ = await task.read_all()
        assert stdout.split() == [b"words"]
        assert (await task.wait()).status == 5
        assert (await task.delete()).status == 5
        assert (await task.state()).status == 3  # as long as the shim is there
        await made.manager.events.wait("/tasks/delete", name)
        topics = [event.topic for event in made.manager.events.of(name) if not event.exec_id]
        assert topics == ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]
        await shim.shutdown()
        assert await shim.wait_gone()
        with pytest.raises(FileNotFoundError):
            await pipes.dial(shim.answer.address, timeout=0.1)
        assert (await shim.delete()).status == 255


def host_process(made: Stage, pod: str, name: str, args: list[str], **more: Any) -> dict[str, Any]:
    """The spec of a HostProcess container."""
    annotations = pod_annotations(pod, sandbox=name == pod) | HOST_PROCESS | INHERIT
    return made.spec(name, args, annotations, process={"cwd": "", **more})


async def test_a_tree_of_processes_ends_with_its_host_process_container(made: Stage) -> None:
    name, member = unique("pod"), unique("c")
    sandbox = host_process(made, name, name, PAUSE)
    async with made.manager.task(name, spec=sandbox, stdin=False) as (_, pause):
        assert await pause.start() == 1  # it only pretends
        first = host_process(made, name, member, python(FAMILY))
        async with made.manager.task(member, spec=first) as (_, task):
            pid = await task.start()
            child = int(await task.stdout.read_until(b"\n"))
            assert {pid, child} <= set(await task.pids())
            code = "import os, sys; print(os.environ['A'], os.getcwd()); sys.exit(6)"
            spec = {"args": python(code), "cwd": "C:\\windows", "env": ["A=b c"], "user": {}}
            process = await task.exec("e1", spec=spec)
            await process.start()
            stdout, _ = await process.read_all()
            assert stdout.decode().strip() == f"b c C:\\hpc\\{member}\\windows"
            assert (await process.wait()).status == 6
            await process.delete()
            with watched(pid) as one, watched(child) as other:
                await task.kill(9)
                assert (await task.wait()).status == 1
                await asyncio.gather(ends(one), ends(other))
            assert (await task.delete()).status == 1
        await pause.kill(15)
        assert (await pause.wait()).status == 0
        assert (await pause.delete()).status == 0
    assert not made.calls("HcsCreateComputeSystem", member)


async def test_containers_of_a_pod_join_its_server_all_at_once(made: Stage) -> None:
    name = unique("pod")
    async with made.pod(name) as (shim, _), AsyncExitStack() as stack:
        names = [unique("c") for _ in range(8)]
        both = await asyncio.gather(
            *(stack.enter_async_context(made.container(name, PAUSE, each)) for each in names)
        )
        assert shim.process
        pid = str(shim.process.pid).encode()
        assert {(Path(one.bundle.path) / "shim.pid").read_bytes() for one, _ in both} == {pid}
        pids = await asyncio.gather(*(task.start() for _, task in both))
        assert len(set(pids)) == 8
        with ExitStack() as handles:
            running = [handles.enter_context(watched(each)) for each in pids]
            await asyncio.gather(*(task.kill(9) for _, task in both))
            ended = await asyncio.gather(*(task.wait() for _, task in both))
            assert {each.status for each in ended} == {TERMINATED}
            await asyncio.gather(*map(ends, running))
        await asyncio.gather(*(task.delete() for _, task in both))


async def test_of_two_starts_of_a_sandbox_at_once_one_serves(made: Stage) -> None:
    name = unique("pod")
    spec = made.spec(name, PAUSE, pod_annotations(name, sandbox=True))
    shim = made.manager.prepare(name, spec)
    try:
        answers = await asyncio.gather(shim.start(), shim.start(), return_exceptions=True)
        failed = [each for each in answers if isinstance(each, BaseException)]
        assert len(failed) == 1, answers
        assert isinstance(failed[0], ShimCommandError), answers
        task = await shim.create(stdin=False)
        assert await task.start() > 0
    finally:
        await shim.close()


async def figures(shim: Shim) -> tuple[int, int]:
    """How many handles and how many bytes a server has."""
    assert shim.process
    with open_process(shim.process.pid, PROCESS_QUERY_AND_READ) as process:
        count = DWORD()
        assert _handle_count(process.value, ctypes.byref(count))
        counters = _Counters(size=ctypes.sizeof(_Counters))
        assert _memory(process.value, ctypes.byref(counters), counters.size)
        return count.value, counters.private


async def test_a_server_does_not_grow_with_its_execs(made: Stage) -> None:
    name = unique("t")
    async with made.manager.task(name, spec=made.spec(name, PAUSE), stdin=False) as (shim, task):
        await task.start()

        async def runs(count: int) -> None:
            for _ in range(count):
                done = await task.run(unique("e"), ["cmd", "/c", "exit 3"])
                assert done.status == 3

        await runs(10)
        handles, size = await figures(shim)
        await runs(50)
        after, grown = await figures(shim)
        assert after <= handles + 8, (handles, after)
        assert grown <= size + (8 << 20), (size, grown)
