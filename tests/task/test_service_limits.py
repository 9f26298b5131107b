"""The task service: what can never be right, and calls whose clients do not stay."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.any_pb2 import Any

from podshim.api import (
    runc_options_pb2,
    task_types_pb2 as types,
    task_v3_pb2 as pb,
    task_v3_ttrpc,
)
from podshim.engine import TypedValue
from podshim.errors import Code
from task.service_support import (
    PROCESS,
    RESOURCES,
    Link,
    create,
    exec_request,
    status_of,
)
from task.task_support import Pod, quiesce, until

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


async def test_a_delete_that_is_tried_again(
    pod: Pod, link: Link, task: task_v3_ttrpc.TaskStub
) -> None:
    await create(pod, task, "c1", "exit", "3")
    await task.start(pb.StartRequest(id="c1"))
    await task.wait(pb.WaitRequest(id="c1"))
    gate = pod.engine.hold("delete c1")
    client = await link.connect()
    first = asyncio.create_task(task_v3_ttrpc.TaskStub(client).delete(pb.DeleteRequest(id="c1")))
    await gate.reached.wait()
    client.close()
    with pytest.raises(ConnectionError):
        await first
    again = asyncio.create_task(task.delete(pb.DeleteRequest(id="c1")))
    await task.shutdown(pb.ShutdownRequest(id="c1"))
    assert not pod.registry.finished.is_set()
    gate.open()
    assert (await again).exit_status == 3
    assert pod.registry.finished.is_set()
