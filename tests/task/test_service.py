"""The task service over real ttrpc, in memory: each call in each state, with its text and code."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from google.protobuf.any_pb2 import Any

from podshim.api import (
    runc_options_pb2,
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
from podshim.ttrpc import Client, Server, StatusError
from task.task_support import Pod, quiesce, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from google.protobuf.descriptor import Descriptor

ZERO_TIME = -62135596800
PROCESS = "types.containerd.io/opencontainers/runtime-spec/1/Process"
RESOURCES = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"


class Link:
    """A client and a server with the task service, connected."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.server = Server(services(pod.registry))
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self.server.protocol, sock=theirs)
        _, client = await loop.create_connection(Client, sock=ours)
        self.clients.append(client)
        return client

    async def close(self) -> None:
        for client in self.clients:
            client.close()
        self.server.close()
        await self.server.wait_closed()


@pytest_asyncio.fixture
async def link(pod: Pod) -> AsyncIterator[Link]:
    link = Link(pod)
    yield link
    await link.close()


@pytest_asyncio.fixture
async def task(link: Link) -> task_v3_ttrpc.TaskStub:
    return task_v3_ttrpc.TaskStub(await link.connect())


def bundle_of(pod: Pod, task_id: str = "c1", *args: str) -> str:
    return pod.request(task_id, *args).bundle.path


async def create(pod: Pod, task: task_v3_ttrpc.TaskStub, task_id: str = "c1", *args: str) -> int:
    request = pb.CreateTaskRequest(id=task_id, bundle=bundle_of(pod, task_id, *args))
    return (await task.create(request)).pid


def exec_request(exec_id: str = "e1", *args: str, task_id: str = "c1") -> pb.ExecProcessRequest:
    spec = Any(type_url=PROCESS, value=json.dumps({"args": list(args) or ["sleep"]}).encode())
    return pb.ExecProcessRequest(id=task_id, exec_id=exec_id, spec=spec)


async def status_of(call: Awaitable[object]) -> tuple[Code, str]:
    with pytest.raises(StatusError) as caught:
        await call
    return caught.value.code, caught.value.message


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


# What can never be right.


@pytest.mark.parametrize(
    ("exec_id", "text"),
    [
        ("", "exec id cannot be empty: invalid argument"),
        ("x" * 200, "greater than maximum length (76 characters): invalid argument"),
        ("a/b", "must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument"),
    ],
)
async def test_an_exec_id_must_be_one(
    pod: Pod, task: task_v3_ttrpc.TaskStub, exec_id: str, text: str
) -> None:
    await create(pod, task)
    code, message = await status_of(task.exec(exec_request(exec_id)))
    assert code is Code.INVALID_ARGUMENT
    assert message.endswith(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", "must not be empty: invalid argument"),
        (b"{", "is not valid JSON"),
        (b"\xff\xfe\x00", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"[]", "is not a JSON object: invalid argument"),
        (b"null", "is not a JSON object: invalid argument"),
    ],
)
async def test_json_must_be_an_object(
    pod: Pod, task: task_v3_ttrpc.TaskStub, value: bytes, text: str
) -> None:
    await create(pod, task)
    message = Any(type_url=PROCESS, value=value)
    for what, call in (
        ("exec spec", task.exec(pb.ExecProcessRequest(id="c1", exec_id="e1", spec=message))),
        ("resources", task.update(pb.UpdateTaskRequest(id="c1", resources=message))),
    ):
        code, got = await status_of(call)
        assert code is Code.INVALID_ARGUMENT
        assert got.startswith(what)
        assert text in got
    assert pod.engine.calls == ["create c1"]


async def test_what_crashes_gos_shim(pod: Pod, task: task_v3_ttrpc.TaskStub) -> None:
    await create(pod, task)
    for call in (
        task.exec(pb.ExecProcessRequest(id="c1", exec_id="e1")),
        task.update(pb.UpdateTaskRequest(id="c1")),
    ):
        code, _ = await status_of(call)
        assert code is Code.INVALID_ARGUMENT
    assert (await task.state(pb.StateRequest(id="c1"))).status == types.CREATED


# The rest.


async def test_sizes_are_cut_to_sixteen_bits(pod: Pod, task: task_v3_ttrpc.TaskStub) -> None:
    await create(pod, task)
    await task.resize_pty(pb.ResizePtyRequest(id="c1", width=65536 + 80, height=25))
    assert pod.process().size == (80, 25)
    await task.close_io(pb.CloseIORequest(id="c1"))
    await task.close_io(pb.CloseIORequest(id="c1", stdin=True))
    assert pod.process().stdin_closed == 2


async def test_pids_tell_the_execs(pod: Pod, task: task_v3_ttrpc.TaskStub) -> None:
    await create(pod, task)
    await task.start(pb.StartRequest(id="c1"))
    await task.exec(exec_request())
    await task.start(pb.StartRequest(id="c1", exec_id="e1"))
    init, process = (await task.pids(pb.PidsRequest(id="c1"))).processes
    assert (init.pid, init.HasField("info")) == (1001, False)
    assert (process.pid, process.info.type_url) == (1002, "containerd.runc.v1.ProcessDetails")
    details = runc_options_pb2.ProcessDetails.FromString(process.info.value)
    assert details.exec_id == "e1"


async def test_update_stats_checkpoint(pod: Pod, task: task_v3_ttrpc.TaskStub) -> None:
    await create(pod, task)
    await task.start(pb.StartRequest(id="c1"))
    resources = Any(type_url=RESOURCES, value=b'{"memory":{"limit":1}}')
    await task.update(pb.UpdateTaskRequest(id="c1", resources=resources))
    assert pod.container().resources == b'{"memory":{"limit":1}}'
    stats = (await task.stats(pb.StatsRequest(id="c1"))).stats
    assert (stats.type_url, stats.value) == ("io.containerd.cgroups.v2.Metrics", b"\x0a\x00")
    options = Any(type_url="containerd.runc.v1.CheckpointOptions", value=b"\x08\x01")
    await task.checkpoint(pb.CheckpointTaskRequest(id="c1", path="/images/1", options=options))
    await task.checkpoint(pb.CheckpointTaskRequest(id="c1", path="/images/2"))
    assert pod.container().checkpoints == [
        ("/images/1", TypedValue("containerd.runc.v1.CheckpointOptions", b"\x08\x01")),
        ("/images/2", None),
    ]
    code, message = await status_of(task.checkpoint(pb.CheckpointTaskRequest(id="c1", path="x")))
    assert (code, message) == (
        Code.INVALID_ARGUMENT,
        'checkpoint path "x" must be an absolute path: invalid argument',
    )


async def test_shutdown_with_a_task_has_no_effect(pod: Pod, task: task_v3_ttrpc.TaskStub) -> None:
    await create(pod, task)
    await task.shutdown(pb.ShutdownRequest(id="c1", now=True))
    assert not pod.registry.finished.is_set()
    assert (await task.state(pb.StateRequest(id="c1"))).status == types.CREATED


async def test_a_wait_with_a_deadline_changes_nothing(
    pod: Pod, task: task_v3_ttrpc.TaskStub
) -> None:
    await create(pod, task)
    code, _ = await status_of(task.wait(pb.WaitRequest(id="c1"), timeout=0.02))
    assert code is Code.DEADLINE_EXCEEDED
    pod.process().finish(1)
    assert (await task.wait(pb.WaitRequest(id="c1"))).exit_status == 1


async def test_a_hundred_waits_do_not_hold_up_a_state(
    pod: Pod, task: task_v3_ttrpc.TaskStub
) -> None:
    await create(pod, task)
    waits = [asyncio.create_task(task.wait(pb.WaitRequest(id="c1"))) for _ in range(100)]
    assert (await task.state(pb.StateRequest(id="c1"))).status == types.CREATED
    pod.process().finish(5)
    assert {response.exit_status for response in await asyncio.gather(*waits)} == {5}


async def test_a_state_does_not_wait_for_a_slow_operation(
    pod: Pod, task: task_v3_ttrpc.TaskStub
) -> None:
    await create(pod, task)
    await task.start(pb.StartRequest(id="c1"))
    gate = pod.engine.hold("pause c1")
    pausing = asyncio.create_task(task.pause(pb.PauseRequest(id="c1")))
    await gate.reached.wait()
    assert (await task.state(pb.StateRequest(id="c1"))).status == types.PAUSING
    assert (await task.connect(pb.ConnectRequest(id="c1"))).task_pid == 1001
    gate.open()
    await pausing


async def test_a_connection_lost_during_create_leaves_no_container(pod: Pod, link: Link) -> None:
    client = await link.connect()
    stub = task_v3_ttrpc.TaskStub(client)
    gate = pod.engine.hold("create c1")
    creating = asyncio.create_task(create(pod, stub))
    await gate.reached.wait()
    client.close()
    with pytest.raises(ConnectionError, match="ttrpc: closed"):
        await creating
    await until(lambda: link.server.calls == 0)
    gate.open()
    await until(lambda: len(pod.registry) == 0)
    assert pod.engine.containers == {}
    assert pod.told() == []


async def test_a_connection_lost_during_start_does_not_stop_it(pod: Pod, link: Link) -> None:
    client = await link.connect()
    stub = task_v3_ttrpc.TaskStub(client)
    await create(pod, stub)
    gate = pod.engine.hold("start c1")
    starting = asyncio.create_task(stub.start(pb.StartRequest(id="c1")))
    await gate.reached.wait()
    client.close()
    with pytest.raises(ConnectionError):
        await starting
    await until(lambda: link.server.calls == 0)
    gate.open()
    await quiesce()
    again = task_v3_ttrpc.TaskStub(await link.connect())
    assert (await again.state(pb.StateRequest(id="c1"))).status == types.RUNNING
    assert pod.told() == ["create c1", "start c1"]


async def test_a_delete_that_is_tried_again_after_its_deadline(
    pod: Pod, task: task_v3_ttrpc.TaskStub
) -> None:
    await create(pod, task, "c1", "exit", "3")
    await task.start(pb.StartRequest(id="c1"))
    await task.wait(pb.WaitRequest(id="c1"))
    gate = pod.engine.hold("delete c1")
    code, _ = await status_of(task.delete(pb.DeleteRequest(id="c1"), timeout=0.02))
    assert code is Code.DEADLINE_EXCEEDED
    again = asyncio.create_task(task.delete(pb.DeleteRequest(id="c1")))
    await task.shutdown(pb.ShutdownRequest(id="c1"))
    assert not pod.registry.finished.is_set()
    gate.open()
    assert (await again).exit_status == 3
    assert pod.registry.finished.is_set()
