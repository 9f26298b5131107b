"""The task service over real ttrpc, in memory: each call in each state, with its text and code."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from google.protobuf.any_pb2 import Any

from podshim.api import (
    task_types_pb2 as types,
    task_v2_pb2,
    task_v2_ttrpc,
    task_v3_pb2 as pb,
    task_v3_ttrpc,
    types_pb2,
)
from podshim.engine import Stdio, TypedValue
from podshim.errors import Code, ShimError
from podshim.task.service import services
from podshim.ttrpc import StatusError
from podshim.wire import JOINING
from task.service_support import (
    ZERO_TIME,
    Link,
    bundle_of,
    create,
    exec_request,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.descriptor import Descriptor

    from task.task_support import Pod


# One service under two names.


def shape(message: Descriptor, seen: frozenset[str] = frozenset()) -> object:
    """All that matters of a message on the wire, down through its fields."""
    if message.full_name in seen:
        return message.full_name
    fields = []
    for field in message.fields:
        inner = field.message_type
        of_field = shape(inner, seen | {message.full_name}) if inner is not None else None
        repeated = field.is_repeated
        fields.append((field.name, field.number, field.type, repeated, of_field))
    return fields


@pytest.mark.parametrize(
    "name", [message.name for message in pb.DESCRIPTOR.message_types_by_name.values()]
)
def test_the_versions_have_the_same_messages(name: str) -> None:
    newer = pb.DESCRIPTOR.message_types_by_name[name]
    older = task_v2_pb2.DESCRIPTOR.message_types_by_name[name]
    assert shape(newer) == shape(older)


def test_the_versions_have_the_same_methods(pod_less_services: dict[str, set[str]]) -> None:
    newer = pb.DESCRIPTOR.services_by_name["Task"]
    older = task_v2_pb2.DESCRIPTOR.services_by_name["Task"]
    assert [method.name for method in newer.methods] == [method.name for method in older.methods]
    for one, other in zip(newer.methods, older.methods, strict=True):
        assert one.input_type.name == other.input_type.name
        assert one.output_type.name == other.output_type.name
    names = {method.name for method in newer.methods}
    assert pod_less_services == {
        "containerd.task.v2.Task": names,
        "containerd.task.v3.Task": names,
    }


@pytest.fixture
def pod_less_services(pod: Pod) -> dict[str, set[str]]:
    return {service.name: set(service.methods) for service in services(pod.registry)}


async def test_both_versions_see_the_same_tasks(pod: Pod, link: Link) -> None:
    client = await link.connect()
    older, newer = task_v2_ttrpc.TaskStub(client), task_v3_ttrpc.TaskStub(client)
    request = task_v2_pb2.CreateTaskRequest(id="c1", bundle=bundle_of(pod), stdout="/o")
    assert (await older.create(request)).pid == 1001
    state = await newer.state(pb.StateRequest(id="c1"))
    assert (state.pid, state.stdout) == (1001, "/o")
    assert (await older.state(task_v2_pb2.StateRequest(id="c1"))).stdout == "/o"


# Create, and what State says.


async def test_what_create_passes_on(pod: Pod, task: task_v3_ttrpc.TaskStub) -> None:
    request = pb.CreateTaskRequest(
        id="c1",
        bundle=bundle_of(pod),
        rootfs=[types_pb2.Mount(type="overlay", source="s", target="t", options=["ro", "x=y"])],
        terminal=True,
        stdin="/i",
        stdout="/o",
        stderr="/e",
        options=Any(type_url="runtimeoptions.v1.Options", value=b"\x0a\x01x"),
    )
    await task.create(request)
    passed = pod.container().request
    assert (passed.id, passed.bundle.path) == ("c1", request.bundle)
    assert passed.stdio == Stdio(terminal=True, stdin="/i", stdout="/o", stderr="/e")
    assert passed.options == TypedValue("runtimeoptions.v1.Options", b"\x0a\x01x")
    (mount,) = passed.rootfs
    assert (mount.type, mount.source, mount.target) == ("overlay", "s", "t")
    assert mount.options == ("ro", "x=y")
    state = await task.state(pb.StateRequest(id="c1"))
    assert state == pb.StateResponse(
        id="c1",
        bundle=request.bundle,
        pid=1001,
        status=types.CREATED,
        stdin="/i",
        stdout="/o",
        stderr="/e",
        terminal=True,
        exited_at={"seconds": ZERO_TIME},
    )
    (event,) = pod.take()
    assert b"overlay" in event.message.value


@pytest.mark.parametrize("field", ["checkpoint", "parent_checkpoint"])
@pytest.mark.parametrize("path", ["images", "/images\0"])
async def test_a_checkpoint_that_can_not_be(
    pod: Pod, task: task_v3_ttrpc.TaskStub, field: str, path: str
) -> None:
    request = pb.CreateTaskRequest(id="c1", bundle=bundle_of(pod))
    setattr(request, field, path)
    got, message = await status_of(task.create(request))
    assert got is Code.INVALID_ARGUMENT
    assert message.endswith("must be an absolute path: invalid argument")
    assert pod.engine.calls == []


@pytest.mark.parametrize(
    ("task_id", "bundle", "code", "text"),
    [
        ("x" * 200, None, Code.INVALID_ARGUMENT, "greater than maximum length (76 characters)"),
        ("a/b", None, Code.INVALID_ARGUMENT, "must match"),
        ("", None, Code.INVALID_ARGUMENT, "identifier must not be empty: invalid argument"),
        ("c1", "", Code.INVALID_ARGUMENT, "bundle must not be empty: invalid argument"),
        ("c1", "run/c1", Code.INVALID_ARGUMENT, "must be an absolute path: invalid argument"),
        ("c1", "/nowhere/c1", Code.NOT_FOUND, "/nowhere/c1: No such file or directory: not found"),
    ],
)
async def test_a_create_that_can_not_be(
    pod: Pod,
    task: task_v3_ttrpc.TaskStub,
    task_id: str,
    bundle: str | None,
    code: Code,
    text: str,
) -> None:
    path = bundle_of(pod) if bundle is None else bundle
    got, message = await status_of(task.create(pb.CreateTaskRequest(id=task_id, bundle=path)))
    assert got is code
    assert message.endswith(text) or text in message
    assert pod.engine.calls == []
    assert pod.told() == []


async def test_a_create_that_the_engine_refuses(pod: Pod, task: task_v3_ttrpc.TaskStub) -> None:
    text = 'OCI runtime create failed: exec: "no-runc": executable file not found in $PATH'
    pod.engine.fail("create c1", ShimError(text))
    assert await status_of(create(pod, task)) == (Code.UNKNOWN, text)
    await create(pod, task)
    assert await status_of(create(pod, task)) == (
        Code.ALREADY_EXISTS,
        "task c1: already exists",
    )


# Lookup.

LOOKUPS: dict[str, Callable[[task_v3_ttrpc.TaskStub, str, str], Awaitable[object]]] = {
    "State": lambda task, id_, exec_id: task.state(pb.StateRequest(id=id_, exec_id=exec_id)),
    "Start": lambda task, id_, exec_id: task.start(pb.StartRequest(id=id_, exec_id=exec_id)),
    "Delete": lambda task, id_, exec_id: task.delete(pb.DeleteRequest(id=id_, exec_id=exec_id)),
    "Kill": lambda task, id_, exec_id: task.kill(pb.KillRequest(id=id_, exec_id=exec_id, signal=9)),
    "Wait": lambda task, id_, exec_id: task.wait(pb.WaitRequest(id=id_, exec_id=exec_id)),
    "ResizePty": lambda task, id_, exec_id: task.resize_pty(
        pb.ResizePtyRequest(id=id_, exec_id=exec_id)
    ),
    "CloseIO": lambda task, id_, exec_id: task.close_io(pb.CloseIORequest(id=id_, exec_id=exec_id)),
}
TASK_LOOKUPS: dict[str, Callable[[task_v3_ttrpc.TaskStub, str], Awaitable[object]]] = {
    "Pids": lambda task, id_: task.pids(pb.PidsRequest(id=id_)),
    "Pause": lambda task, id_: task.pause(pb.PauseRequest(id=id_)),
    "Resume": lambda task, id_: task.resume(pb.ResumeRequest(id=id_)),
    "Checkpoint": lambda task, id_: task.checkpoint(pb.CheckpointTaskRequest(id=id_)),
    "Exec": lambda task, id_: task.exec(pb.ExecProcessRequest(id=id_)),
    "Update": lambda task, id_: task.update(pb.UpdateTaskRequest(id=id_)),
    "Stats": lambda task, id_: task.stats(pb.StatsRequest(id=id_)),
}


@pytest.mark.parametrize("name", [*LOOKUPS, *TASK_LOOKUPS])
async def test_an_unknown_task(task: task_v3_ttrpc.TaskStub, name: str) -> None:
    for task_id in ("c9", ""):
        if name in LOOKUPS:
            call = LOOKUPS[name](task, task_id, "")
        else:
            call = TASK_LOOKUPS[name](task, task_id)
        assert await status_of(call) == (Code.NOT_FOUND, "container not created: not found")


@pytest.mark.parametrize("name", [*LOOKUPS])
async def test_an_unknown_exec(pod: Pod, task: task_v3_ttrpc.TaskStub, name: str) -> None:
    await create(pod, task)
    assert await status_of(LOOKUPS[name](task, "c1", "e9")) == (
        Code.NOT_FOUND,
        "process does not exist e9: not found",
    )


async def test_connect_never_fails(pod: Pod, task: task_v3_ttrpc.TaskStub) -> None:
    for task_id in ("c1", ""):
        response = await task.connect(pb.ConnectRequest(id=task_id))
        assert response == pb.ConnectResponse(shim_pid=os.getpid(), task_pid=0, version="")
    await create(pod, task)
    response = await task.connect(pb.ConnectRequest(id="c1"))
    assert (response.shim_pid, response.task_pid) == (os.getpid(), 1001)


# A life, as clients drive it.


async def test_a_whole_life(pod: Pod, task: task_v3_ttrpc.TaskStub) -> None:
    await create(pod, task)
    waiting = asyncio.create_task(task.wait(pb.WaitRequest(id="c1")))
    assert (await task.start(pb.StartRequest(id="c1"))).pid == 1001
    assert (await task.state(pb.StateRequest(id="c1"))).status == types.RUNNING
    assert await status_of(task.start(pb.StartRequest(id="c1"))) == (
        Code.UNKNOWN,
        "cannot start a running process",
    )
    assert await status_of(task.delete(pb.DeleteRequest(id="c1"))) == (
        Code.UNKNOWN,
        "cannot delete a running process",
    )
    pod.process().finish(42)
    waited = await waiting
    assert waited.exit_status == 42
    state = await task.state(pb.StateRequest(id="c1"))
    assert (state.status, state.exit_status, state.pid) == (types.STOPPED, 42, 1001)
    assert state.exited_at == waited.exited_at
    assert state.exited_at.ToNanoseconds() == pod.process().ended.at  # type: ignore[union-attr]
    assert await task.wait(pb.WaitRequest(id="c1")) == waited
    kill = pb.KillRequest(id="c1", signal=9, all=True)
    assert await status_of(task.kill(kill)) == (
        Code.NOT_FOUND,
        "process already finished: not found",
    )
    assert await task.delete(pb.DeleteRequest(id="c1")) == pb.DeleteResponse(
        pid=1001, exit_status=42, exited_at=waited.exited_at
    )
    assert await status_of(task.delete(pb.DeleteRequest(id="c1"))) == (
        Code.NOT_FOUND,
        "container not created: not found",
    )
    await task.shutdown(pb.ShutdownRequest(id="c1"))
    assert pod.registry.finished.is_set()
    assert await status_of(create(pod, task)) == (
        Code.UNAVAILABLE,
        "the shim is shutting down: unavailable",
    )


async def test_an_exec_by_all_its_states(pod: Pod, task: task_v3_ttrpc.TaskStub) -> None:
    await create(pod, task)
    await task.start(pb.StartRequest(id="c1"))
    request = exec_request()
    request.stdout = "/o"
    await task.exec(request)
    state = await task.state(pb.StateRequest(id="c1", exec_id="e1"))
    assert (state.id, state.exec_id, state.bundle) == ("e1", "", bundle_of(pod))
    assert (state.status, state.pid, state.stdout) == (types.CREATED, 0, "/o")
    assert state.exited_at.seconds == ZERO_TIME
    kill = pb.KillRequest(id="c1", exec_id="e1", signal=9)
    assert await status_of(task.kill(kill)) == (
        Code.FAILED_PRECONDITION,
        "process not created: failed precondition",
    )
    assert await status_of(task.exec(request)) == (Code.ALREADY_EXISTS, "id e1: already exists")
    assert (await task.start(pb.StartRequest(id="c1", exec_id="e1"))).pid == 1002
    state = await task.state(pb.StateRequest(id="c1", exec_id="e1"))
    assert (state.status, state.pid) == (types.RUNNING, 1002)
    await task.pause(pb.PauseRequest(id="c1"))
    for exec_id in ("", "e1"):
        state = await task.state(pb.StateRequest(id="c1", exec_id=exec_id))
        assert state.status == types.PAUSED
    await task.resume(pb.ResumeRequest(id="c1"))
    await task.kill(kill)
    waited = await task.wait(pb.WaitRequest(id="c1", exec_id="e1"))
    assert waited.exit_status == 137
    state = await task.state(pb.StateRequest(id="c1", exec_id="e1"))
    assert (state.status, state.exit_status) == (types.STOPPED, 137)
    deleted = await task.delete(pb.DeleteRequest(id="c1", exec_id="e1"))
    assert deleted == pb.DeleteResponse(pid=1002, exit_status=137, exited_at=waited.exited_at)
    assert await status_of(task.delete(pb.DeleteRequest(id="c1", exec_id="e1"))) == (
        Code.NOT_FOUND,
        "process does not exist e1: not found",
    )


async def test_an_exec_that_never_started(pod: Pod, task: task_v3_ttrpc.TaskStub) -> None:
    await create(pod, task)
    await task.start(pb.StartRequest(id="c1"))
    await task.exec(exec_request())
    text = 'OCI runtime exec failed: exec: "nope": executable file not found in $PATH: unknown'
    pod.engine.fail("start c1/e1", ShimError(text))
    start = pb.StartRequest(id="c1", exec_id="e1")
    assert await status_of(task.start(start)) == (Code.UNKNOWN, text)
    state = await task.state(pb.StateRequest(id="c1", exec_id="e1"))
    assert state.status == types.CREATED
    waited = await task.wait(pb.WaitRequest(id="c1", exec_id="e1"))
    assert waited == pb.WaitResponse(exit_status=0, exited_at={"seconds": ZERO_TIME})
    deleted = await task.delete(pb.DeleteRequest(id="c1", exec_id="e1"))
    assert deleted == pb.DeleteResponse(pid=0, exit_status=0, exited_at={"seconds": ZERO_TIME})


async def test_a_created_task_is_deleted_without_a_status(
    pod: Pod, task: task_v3_ttrpc.TaskStub
) -> None:
    await create(pod, task)
    deleted = await task.delete(pb.DeleteRequest(id="c1"))
    assert deleted == pb.DeleteResponse(pid=1001, exit_status=0, exited_at={"seconds": ZERO_TIME})


async def test_an_exec_after_the_end(pod: Pod, task: task_v3_ttrpc.TaskStub) -> None:
    await create(pod, task)
    await task.start(pb.StartRequest(id="c1"))
    await task.exec(exec_request())
    pod.process().finish(0)
    await task.wait(pb.WaitRequest(id="c1"))
    assert await status_of(task.start(pb.StartRequest(id="c1", exec_id="e1"))) == (
        Code.FAILED_PRECONDITION,
        "container c1 init process is not running: failed precondition",
    )
    assert await status_of(task.exec(exec_request("e2"))) == (
        Code.UNKNOWN,
        "cannot exec in a stopped state",
    )


async def test_a_start_that_joins_keeps_the_shim_until_its_container_has_come(
    pod: Pod, task: task_v3_ttrpc.TaskStub
) -> None:
    joining = {JOINING: "1"}
    await task.connect(pb.ConnectRequest(id="c2"), metadata=joining)
    await task.shutdown(pb.ShutdownRequest())
    assert not pod.registry.finished.is_set()
    await pod.created("c2")
    await task.connect(pb.ConnectRequest(id="c2"), metadata=joining)
    await task.delete(pb.DeleteRequest(id="c2"))
    await task.shutdown(pb.ShutdownRequest())
    assert pod.registry.finished.is_set()
    with pytest.raises(StatusError) as caught:
        await task.connect(pb.ConnectRequest(id="c3"), metadata=joining)
    assert caught.value.code is Code.UNAVAILABLE
    assert (await task.connect(pb.ConnectRequest(id="c3"))).shim_pid == os.getpid()
