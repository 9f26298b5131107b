"""What a host does wrong, and deaths: the client hears it, and nothing is left behind."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from podshim.api import task_v3_pb2, task_v3_ttrpc
from podshim.errors import Code
from podshim.manager import Shim, Task
from podshim.manager.calls import TaskCalls
from podshim.transport import pipes
from podshim.ttrpc import StatusError
from podshim.ttrpc.status import ConnectionLost

assert sys.platform == "win32"

from windows.cases.shims import (  # noqa: E402 - after the line above
    PAUSE,
    TERMINATED,
    Stage,
    ends,
    refused,
    stage,
    unique,
    until,
    watched,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


QUICK = ["cmd", "/c", "exit 3"]


@dataclass
class Pod:
    """A pod with a running sandbox."""

    stage: Stage
    name: str
    shim: Shim
    pause: Task


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pod(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pod]:
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(stage(tmp_path_factory.mktemp("faults")))
        name = unique("pod")
        shim, pause = await stack.enter_async_context(made.pod(name))
        yield Pod(made, name, shim, pause)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def the_pod_lives(pod: Pod) -> AsyncIterator[None]:
    yield
    pod.stage.order()
    assert (await pod.pause.state()).status == 2


def bundle(pod: Pod, name: str, args: list[str] = PAUSE) -> str:
    """The bundle of a container whose `start` is left out."""
    folder = Path(pod.stage.manager.folder) / f"bundle-{name}"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(pod.stage.member(pod.name, name, args)))
    return str(folder)


async def create(pod: Pod, name: str, args: list[str] = PAUSE, **call: Any) -> None:
    request = task_v3_pb2.CreateTaskRequest(id=name, bundle=bundle(pod, name, args))
    await pod.shim.calls.call(task_v3_ttrpc.CREATE, request, **call)


async def start(pod: Pod, name: str, **call: Any) -> int:
    request = task_v3_pb2.StartRequest(id=name)
    return (await pod.shim.calls.call(task_v3_ttrpc.START, request, **call)).pid


async def wait(pod: Pod, name: str) -> int:
    request = task_v3_pb2.WaitRequest(id=name)
    return (await pod.shim.calls.call(task_v3_ttrpc.WAIT, request)).exit_status


async def kill(pod: Pod, name: str, signal: int = 9) -> None:
    request = task_v3_pb2.KillRequest(id=name, signal=signal)
    await pod.shim.calls.call(task_v3_ttrpc.KILL, request)


async def delete(pod: Pod, name: str) -> int:
    request = task_v3_pb2.DeleteRequest(id=name)
    return (await pod.shim.calls.call(task_v3_ttrpc.DELETE, request)).exit_status


async def unknown(pod: Pod, name: str) -> None:
    """The server has no task of this name."""
    async with refused(Code.NOT_FOUND, f"task with id: '{name}' not found"):
        await pod.shim.calls.call(task_v3_ttrpc.STATE, task_v3_pb2.StateRequest(id=name))


@pytest.mark.parametrize("stage_of", ["call", "completion", "after"])
async def test_a_creation_that_fails_is_told_and_undone(pod: Pod, stage_of: str) -> None:
    name = unique("c")
    fault = {"call": "HcsCreateComputeSystem", "system": name, "result": "0x80070005"}
    pod.stage.order({**fault, "stage": stage_of})
    with pytest.raises(StatusError) as caught:
        await create(pod, name)
    assert f"{name}" in str(caught.value)
    await unknown(pod, name)
    pod.stage.order()
    # The id is free again, and so are the layers.
    request = task_v3_pb2.CreateTaskRequest(
        id=name, bundle=str(Path(pod.stage.manager.folder) / f"bundle-{name}")
    )
    await pod.shim.calls.call(task_v3_ttrpc.CREATE, request)
    assert await delete(pod, name) == 0


async def test_a_start_that_fails_is_told_and_ends_the_task(pod: Pod) -> None:
    for call in ("HcsStartComputeSystem", "HcsCreateProcess"):
        for moment in ("call", "completion"):
            name = unique("c")
            pod.stage.order({"call": call, "system": name, "result": "0x80070005", "stage": moment})
            await create(pod, name)
            with pytest.raises(StatusError) as caught:
                await start(pod, name)
            assert caught.value.code in {Code.UNKNOWN, Code.PERMISSION_DENIED}
            assert await wait(pod, name) == 1
            async with refused(Code.FAILED_PRECONDITION, "is in invalid state"):
                await start(pod, name)
            assert await delete(pod, name) == 1
            await pod.stage.manager.events.wait("/tasks/delete", name)
            assert pod.stage.manager.events.topics(name) == [
                "/tasks/create",
                "/tasks/exit",
                "/tasks/delete",
            ]
            assert pod.stage.calls("HcsCloseComputeSystem", name)


async def test_a_client_s_deadline_ends_waiting_not_the_work(pod: Pod) -> None:
    name = unique("c")
    pod.stage.order({"call": "HcsStartComputeSystem", "system": name, "delay_ms": 1500})
    await create(pod, name)
    async with refused(Code.DEADLINE_EXCEEDED):
        await start(pod, name, timeout=0.3)
    await pod.stage.manager.events.wait("/tasks/start", name)
    await kill(pod, name)
    assert await wait(pod, name) == TERMINATED
    assert await delete(pod, name) == TERMINATED


async def test_a_kill_during_a_start_waits_for_it(pod: Pod) -> None:
    name = unique("c")
    pod.stage.order({"call": "HcsStartComputeSystem", "system": name, "delay_ms": 1000})
    await create(pod, name)
    starting = asyncio.ensure_future(start(pod, name))
    await until(lambda: pod.stage.calls("HcsStartComputeSystem", name), "the start")
    await kill(pod, name)
    assert await starting > 0
    assert await wait(pod, name) == TERMINATED
    assert await delete(pod, name) == TERMINATED


@pytest.mark.parametrize("call", ["HcsCreateProcess", "HcsStartComputeSystem"])
async def test_what_exits_before_its_start_returns(pod: Pod, call: str) -> None:
    name = unique("c")
    pod.stage.order({"call": call, "system": name, "exit_first": True})
    await create(pod, name, QUICK)
    with contextlib.suppress(StatusError):  # which of the two is faster is not told
        await start(pod, name)
    await wait(pod, name)
    await delete(pod, name)
    topics = pod.stage.manager.events.topics
    await pod.stage.manager.events.wait("/tasks/delete", name)
    assert topics(name)[-2:] == ["/tasks/exit", "/tasks/delete"]
    assert topics(name).count("/tasks/exit") == 1


async def test_a_container_that_exits_by_itself_ends_its_task(pod: Pod) -> None:
    name = unique("c")
    await create(pod, name, QUICK)
    await start(pod, name)
    assert await wait(pod, name) == 3
    assert await delete(pod, name) == 3


async def test_a_client_that_leaves_in_a_creation_can_take_it_up_again(pod: Pod) -> None:
    name = unique("c")
    assert pod.shim.answer
    pod.stage.order({"call": "HcsCreateComputeSystem", "system": name, "delay_ms": 800})
    client = await pipes.connect(pod.shim.answer.address, timeout=5.0)
    other = TaskCalls(client, 2, pod.stage.manager.namespace)
    request = task_v3_pb2.CreateTaskRequest(id=name, bundle=bundle(pod, name))
    creating = asyncio.ensure_future(other.call(task_v3_ttrpc.CREATE, request))
    await until(lambda: pod.stage.calls("HcsCreateComputeSystem", name), "the creation")
    client.close()
    with pytest.raises(ConnectionLost):
        await creating
    await pod.stage.manager.events.wait("/tasks/create", name)
    assert await delete(pod, name) == 0


async def test_a_client_that_leaves_in_a_wait_is_not_missed(pod: Pod) -> None:
    name = unique("c")
    await create(pod, name)
    await start(pod, name)
    assert pod.shim.answer
    client = await pipes.connect(pod.shim.answer.address, timeout=5.0)
    other = TaskCalls(client, 2, pod.stage.manager.namespace)
    waiting = asyncio.ensure_future(
        other.call(task_v3_ttrpc.WAIT, task_v3_pb2.WaitRequest(id=name))
    )
    await other.call(task_v3_ttrpc.CONNECT, task_v3_pb2.ConnectRequest(id=name))
    client.close()
    with pytest.raises(ConnectionLost):
        await waiting
    await kill(pod, name)
    assert await wait(pod, name) == TERMINATED
    assert await delete(pod, name) == TERMINATED


async def test_events_arrive_in_order_after_their_server_was_away(pod: Pod) -> None:
    name = unique("c")
    events = pod.stage.manager.events
    async with events.away():
        await create(pod, name)
        await start(pod, name)
        await kill(pod, name)
        await wait(pod, name)
        await delete(pod, name)
    await events.wait("/tasks/delete", name)
    assert events.topics(name) == [
        "/tasks/create",
        "/tasks/start",
        "/tasks/exit",
        "/tasks/delete",
    ]


async def test_many_containers_are_created_at_once(pod: Pod) -> None:
    names = [unique("c") for _ in range(8)]
    await asyncio.gather(*(create(pod, name) for name in names))
    pids = await asyncio.gather(*(start(pod, name) for name in names))
    assert len(set(pids)) == 8
    await asyncio.gather(*(kill(pod, name) for name in names))
    assert set(await asyncio.gather(*(wait(pod, name) for name in names))) == {TERMINATED}
    await asyncio.gather(*(delete(pod, name) for name in names))


async def test_of_creations_of_one_id_at_once_one_succeeds(pod: Pod) -> None:
    name = unique("c")
    request = task_v3_pb2.CreateTaskRequest(id=name, bundle=bundle(pod, name))
    tries = (pod.shim.calls.call(task_v3_ttrpc.CREATE, request) for _ in range(5))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    failed = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(failed) == 4
    for error in failed:
        assert isinstance(error, StatusError)
        assert error.code is Code.ALREADY_EXISTS
    assert len(pod.stage.calls("HcsCreateComputeSystem", name)) == 1
    assert await delete(pod, name) == 0


async def test_a_lost_service_ends_what_it_ran_and_says_so(pod: Pod) -> None:
    name = unique("pod")
    made = pod.stage
    async with made.pod(name) as (shim, pause):
        made.order({"call": "HcsGetComputeSystemProperties", "system": name, "disconnect": True})
        with contextlib.suppress(StatusError):
            await pause.stats()
        await pause.wait()
        assert (await shim.server()).shim_pid
        await pause.delete()
        assert made.manager.events.topics(name).count("/tasks/exit") == 1


async def test_a_killed_server_takes_its_containers_along(pod: Pod) -> None:
    name = unique("pod")
    async with (
        pod.stage.pod(name) as (shim, pause),
        pod.stage.container(name, PAUSE) as (joined, task),
    ):
        pids = [(await pause.state()).pid, await task.start()]
        process = await task.exec(unique("e"), PAUSE, stdin=False)
        pids.append(await process.start())
        async with AsyncExitStack() as handles:
            running = [handles.enter_context(watched(pid)) for pid in pids]
            await shim.kill()
            await asyncio.gather(*map(ends, running))
        for each in (joined, shim):
            assert (await each.delete()).status == 255


async def test_a_server_that_is_killed_in_a_creation_leaves_nothing(pod: Pod) -> None:
    name, member = unique("pod"), unique("c")
    async with pod.stage.pod(name) as (shim, pause):
        pid = (await pause.state()).pid
        pod.stage.order({"call": "HcsCreateComputeSystem", "system": member, "never": True})
        folder = Path(pod.stage.manager.folder) / f"bundle-{member}"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(pod.stage.member(name, member, PAUSE)))
        request = task_v3_pb2.CreateTaskRequest(id=member, bundle=str(folder))
        creating = asyncio.ensure_future(shim.calls.call(task_v3_ttrpc.CREATE, request))
        await until(lambda: pod.stage.calls("HcsCreateComputeSystem", member), "the creation")
        with watched(pid) as running:
            await shim.kill()
            await ends(running)
        with pytest.raises(ConnectionLost):
            await creating
        assert (await shim.delete()).status == 255
