"""A pod of containers in the real binary: processes, streams, signals, limits, events."""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from podshim.api import task_v3_pb2, task_v3_ttrpc
from podshim.api.runhcs_options_pb2 import ProcessDetails
from podshim.api.runhcs_stats_pb2 import Statistics
from podshim.errors import Code
from podshim.manager import Shim, Task
from podshim.manager.spec import WINDOWS_RESOURCES_TYPE_URL
from podshim.transport import pipes

assert sys.platform == "win32"

from windows.cases.shims import (  # noqa: E402 - after the line above
    CLOSED,
    INTERRUPTED,
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

BARE_CMD = ["C:\\Windows\\System32\\cmd.exe"]
FLOOD = """
import hashlib, sys
block = bytes(range(256)) * 256
for stream in (sys.stdout.buffer, sys.stderr.buffer):
    for n in range(48):
        stream.write(n.to_bytes(4, 'big') + block)
    stream.flush()
"""
# Wine gives a process no standard streams of its console: it opens the console itself.
CONSOLE = """
import time
out = open('CONOUT$', 'w')
print('seen', file=out, flush=True)
print('got', open('CONIN$').readline().strip(), file=out, flush=True)
time.sleep(600)
"""
DIGEST = """
import hashlib, sys
print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())
"""


@dataclass
class Pod:
    """A pod with a running sandbox and a running container."""

    stage: Stage
    name: str
    shim: Shim
    pause: Task
    joined: Shim
    web: Task


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pod(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pod]:
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(stage(tmp_path_factory.mktemp("pod")))
        name = unique("pod")
        shim, pause = await stack.enter_async_context(made.pod(name))
        joined, web = await stack.enter_async_context(made.container(name, PAUSE))
        await web.start()
        yield Pod(made, name, shim, pause, joined, web)


async def test_both_bundles_tell_of_one_server(pod: Pod) -> None:
    told = {
        tuple((Path(shim.bundle.path) / file).read_bytes() for file in ("address", "shim.pid"))
        for shim in (pod.shim, pod.joined)
    }
    assert pod.shim.answer
    assert pod.shim.process
    namespace = pod.stage.manager.namespace
    address = (
        rf"\\.\pipe\ProtectedPrefix\Administrators\containerd-shim-{namespace}-{pod.name}-pipe"
    )
    assert pod.shim.answer.address == address
    assert told == {(address.encode(), str(pod.shim.process.pid).encode())}
    assert (await pod.joined.server()).shim_pid == pod.shim.process.pid


async def test_the_pause_container_has_its_command_replaced(pod: Pod) -> None:
    name = unique("pod")
    async with pod.stage.pod(name, BARE_CMD):
        (document,) = pod.stage.documents("HcsCreateProcess", name)
        assert document["CommandLine"] == "cmd /c ping -t 127.0.0.1 > nul"


async def test_an_exec_tells_its_status_and_both_outputs(pod: Pod) -> None:
    code = "import sys; sys.stdout.write('out'); sys.stderr.write('err'); sys.exit(7)"
    done = await pod.web.run(unique("e"), python(code))
    assert (done.status, done.stdout, done.stderr) == (7, b"out", b"err")


async def test_many_megabytes_come_as_they_were_written(pod: Pod) -> None:
    block = bytes(range(256)) * 256
    wanted = b"".join(n.to_bytes(4, "big") + block for n in range(48))
    done = await pod.web.run(unique("e"), python(FLOOD))
    for stream in (done.stdout, done.stderr):
        assert len(stream) == len(wanted)
        assert hashlib.sha256(stream).digest() == hashlib.sha256(wanted).digest()


async def test_input_reaches_the_process_to_its_end(pod: Pod) -> None:
    data = bytes(range(256)) * 4096
    done = await pod.web.run(unique("e"), python(DIGEST), stdin=data)
    assert done.stdout.decode().strip() == hashlib.sha256(data).hexdigest()


async def test_environment_folder_and_user_of_an_exec(pod: Pod) -> None:
    code = "import os; print(os.environ['A'], os.getcwd(), os.environ['USERNAME'])"
    spec = {
        "args": python(code),
        "cwd": "C:\\windows",
        "env": ["A=b c", "SystemRoot=C:\\windows"],
        "user": {"username": "ContainerUser"},
    }
    process = await pod.web.exec(unique("e"), spec=spec)
    await process.start()
    stdout, _ = await process.read_all()
    assert stdout.decode().strip() == "b c C:\\windows ContainerUser"
    assert (await process.wait()).status == 0
    await process.delete()


@pytest.mark.parametrize(
    ("signal", "status"),
    [
        (0, INTERRUPTED),
        (1, INTERRUPTED),
        (2, CLOSED),
        (5, CLOSED),
        (6, CLOSED),
        (15, CLOSED),
        (9, TERMINATED),
    ],
)
async def test_signals_end_an_exec(pod: Pod, signal: int, status: int) -> None:
    process = await pod.web.exec(unique("e"), PAUSE, stdin=False)
    pid = await process.start()
    with watched(pid) as running:
        await process.kill(signal)
        assert (await process.wait()).status == status
        await ends(running)
    async with refused(Code.NOT_FOUND, "not found"):
        await process.kill(signal)
    assert (await process.delete()).status == status


async def test_a_signal_that_windows_does_not_know_is_refused(pod: Pod) -> None:
    for signal in (3, 7, 64, 2**32 - 1):
        async with refused(Code.FAILED_PRECONDITION, f"signal {signal}: invalid signal value"):
            await pod.web.kill(signal)
    assert (await pod.web.state()).status == 2


async def test_a_terminal_is_read_resized_and_ended(pod: Pod) -> None:
    process = await pod.web.exec(unique("e"), python(CONSOLE), terminal=True)
    await process.start()
    await process.stdout.read_until(b"seen")
    await process.stdin.write(b"words\r\n")
    await process.stdout.read_until(b"got words")
    await process.resize(132, 43)
    sizes = pod.stage.documents("HcsModifyProcess", pod.web.task_id)
    assert {"Operation": "ConsoleSize", "ConsoleSize": {"Height": 43, "Width": 132}} in sizes
    await process.kill(9)
    assert (await process.wait()).status == TERMINATED
    await process.delete()


async def test_what_has_no_terminal_is_not_resized(pod: Pod) -> None:
    async with refused(Code.FAILED_PRECONDITION, "is not a tty"):
        await pod.web.resize(80, 25)


async def test_processes_are_told_with_their_execs(pod: Pod) -> None:
    name = unique("e")
    process = await pod.web.exec(name, PAUSE, stdin=False)
    pid = await process.start()
    request = task_v3_pb2.PidsRequest(id=pod.web.task_id)
    answer = await pod.joined.calls.call(task_v3_ttrpc.PIDS, request)
    named = {
        each.pid: ProcessDetails.FromString(each.info.value).exec_id for each in answer.processes
    }
    assert named[pid] == name
    assert named[(await pod.web.state()).pid] == pod.web.task_id
    await process.kill(9)
    await process.wait()
    await process.delete()


async def test_figures_are_told(pod: Pod) -> None:
    measured = await pod.web.stats()
    assert isinstance(measured, Statistics)
    assert measured.windows.memory.memory_usage_commit_bytes > 0
    assert measured.windows.uptime_ns > 0


async def test_limits_are_changed(pod: Pod) -> None:
    name = pod.web.task_id
    before = len(pod.stage.calls("HcsModifyComputeSystem", name))
    await pod.web.update({"memory": {"limit": 301 << 20}}, type_url=WINDOWS_RESOURCES_TYPE_URL)
    await pod.web.update({"cpu": {"maximum": 5000}}, type_url=WINDOWS_RESOURCES_TYPE_URL)
    assert pod.stage.documents("HcsModifyComputeSystem", name)[before:] == [
        {"ResourcePath": "Container/Memory/SizeInMB", "RequestType": "Update", "Settings": 302},
        {
            "ResourcePath": "Container/Processor",
            "RequestType": "Update",
            "Settings": {"Maximum": 5000},
        },
    ]
    async with refused(Code.INVALID_ARGUMENT, "invalid cpu resources request for container"):
        await pod.web.update(
            {"cpu": {"maximum": 5000, "shares": 3}}, type_url=WINDOWS_RESOURCES_TYPE_URL
        )


async def test_the_life_of_a_second_container_is_told_in_order(pod: Pod) -> None:
    events = pod.stage.manager.events
    async with pod.stage.container(pod.name, python("import sys; sys.exit(int(input()))")) as (
        shim,
        task,
    ):
        assert (await task.state()).status == 1
        pid = await task.start()
        done = await task.run("one", python("print(1)"))
        assert done.stdout.split() == [b"1"]
        await task.stdin.write(b"258\n")
        assert (await task.wait()).status == 258
        deleted = await task.delete()
        assert (deleted.status, deleted.pid) == (258, pid)
        async with refused(Code.NOT_FOUND, f"task with id: '{task.task_id}' not found"):
            await task.state()
        await events.wait("/tasks/delete", task.task_id)
        assert [(event.topic, event.exec_id) for event in events.of(task.task_id)] == [
            ("/tasks/create", ""),
            ("/tasks/start", ""),
            ("/tasks/exec-added", "one"),
            ("/tasks/exec-started", "one"),
            ("/tasks/exit", "one"),
            ("/tasks/delete", "one"),
            ("/tasks/exit", ""),
            ("/tasks/delete", ""),
        ]
        # What containerd does after a task that was deleted in good order.
        assert (await shim.delete()).status == 255
    assert (await pod.web.state()).status == 2


async def test_everyone_in_a_container_is_ended(pod: Pod) -> None:
    async with pod.stage.container(pod.name, PAUSE) as (_, task):
        await task.start()
        execs = [await task.exec(unique("e"), PAUSE, stdin=False) for _ in range(3)]
        await asyncio.gather(*(each.start() for each in execs))
        async with refused(Code.FAILED_PRECONDITION, "cannot signal all"):
            await execs[0].kill(9, everyone=True)
        await task.kill(9, everyone=True)
        ended = await asyncio.gather(*(each.wait() for each in (*execs, task)))
        assert {each.status for each in ended} == {TERMINATED}
        await task.delete()


async def test_execs_end_with_their_container(pod: Pod) -> None:
    async with pod.stage.container(pod.name, python("input()")) as (_, task):
        await task.start()
        process = await task.exec(unique("e"), PAUSE, stdin=False)
        with watched(await process.start()) as running:
            await task.stdin.write(b"\n")
            assert (await task.wait()).status == 0
            await process.wait()
            await ends(running)
        assert (await task.delete()).status == 0


async def test_a_whole_pod_goes_and_leaves_nothing(pod: Pod) -> None:
    name = unique("pod")
    async with AsyncExitStack() as stack:
        shim, pause = await stack.enter_async_context(pod.stage.pod(name))
        _, one = await stack.enter_async_context(pod.stage.container(name, PAUSE))
        _, other = await stack.enter_async_context(pod.stage.container(name, PAUSE))
        assert shim.process
        assert shim.answer
        pids = [(await pause.state()).pid, await one.start(), await other.start()]
        with ExitStack() as handles:
            running = [handles.enter_context(watched(pid)) for pid in pids]
            await pause.kill(9, everyone=True)
            for task in (one, other, pause):
                assert (await task.wait()).status == TERMINATED
                assert (await task.delete()).status == TERMINATED
            await asyncio.gather(*map(ends, running))
        assert (await pause.state()).status == 3
        assert (await pause.delete()).status == TERMINATED  # a sandbox as often as one likes
        await shim.shutdown()
        assert await shim.wait_gone()
        with pytest.raises(FileNotFoundError):
            await pipes.dial(shim.answer.address, timeout=0.1)
        assert (await shim.delete()).status == 255
        made = {line["system"] for line in pod.stage.calls("HcsCreateComputeSystem")}
        assert {name, one.task_id, other.task_id} <= made
    for system in (name, one.task_id, other.task_id):
        assert pod.stage.calls("HcsCloseComputeSystem", system)
