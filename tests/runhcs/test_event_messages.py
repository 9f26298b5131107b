"""What events say, to the member, and their order over whole lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp

from podshim.api import events_pb2, types_pb2
from runhcs.slot_support import argon, in_pod, status_of
from task.task_support import decode

if TYPE_CHECKING:
    from runhcs.slot_support import Shim


def stamped(at: int) -> Timestamp:
    return Timestamp(seconds=at // 10**9, nanos=at % 10**9)


def told(shim: Shim) -> list[tuple[str, str, Any]]:
    return [(event.topic, event.message.type_url, decode(event)) for event in shim.take()]


async def test_every_message_of_a_life(shim: Shim) -> None:
    mount = types_pb2.Mount(type="windows-layer", source="C:\\s", target="", options=["a=b"])
    request = shim.request(argon(), stdin="i", stdout="o", stderr="e", rootfs=[mount])
    request.checkpoint = "C:\\ignored"
    await shim.task.create(request)
    pid = await shim.start()
    await shim.exec("c1", "e1")
    exec_pid = await shim.start("c1", "e1")
    shim.process("c1/e1").finish(3)
    exec_end = shim.engine.now
    await shim.wait("c1", "e1")
    await shim.delete("c1", "e1")
    shim.process().finish(0xC0000005)
    end = shim.engine.now
    await shim.wait()
    await shim.delete()
    io = events_pb2.TaskIO(stdin="i", stdout="o", stderr="e", terminal=False)
    expected = [
        (
            "create",
            events_pb2.TaskCreate(
                container_id="c1", bundle=request.bundle, rootfs=[mount], io=io, pid=0
            ),
        ),
        ("start", events_pb2.TaskStart(container_id="c1", pid=pid)),
        ("exec-added", events_pb2.TaskExecAdded(container_id="c1", exec_id="e1")),
        (
            "exec-started",
            events_pb2.TaskExecStarted(container_id="c1", exec_id="e1", pid=exec_pid),
        ),
        (
            "exit",
            events_pb2.TaskExit(
                container_id="c1",
                id="e1",
                pid=exec_pid,
                exit_status=3,
                exited_at=stamped(exec_end),
            ),
        ),
        (
            "delete",
            events_pb2.TaskDelete(
                container_id="c1",
                id="e1",
                pid=exec_pid,
                exit_status=3,
                exited_at=stamped(exec_end),
            ),
        ),
        (
            "exit",
            events_pb2.TaskExit(
                container_id="c1",
                id="c1",
                pid=pid,
                exit_status=0xC0000005,
                exited_at=stamped(end),
            ),
        ),
        (
            "delete",
            events_pb2.TaskDelete(
                container_id="c1",
                id="",
                pid=pid,
                exit_status=0xC0000005,
                exited_at=stamped(end),
            ),
        ),
    ]
    assert told(shim) == [
        (f"/tasks/{topic}", message.DESCRIPTOR.full_name, message) for topic, message in expected
    ]


async def test_a_process_that_ends_before_its_start_returns(shim: Shim) -> None:
    await shim.create(argon("exit", "2"))
    pid = await shim.start()
    assert await shim.wait() == 2
    assert await shim.status() == f"STOPPED 2 pid {pid}"
    assert shim.told() == ["create c1", "start c1", "exit c1 2"]


async def test_the_start_is_told_before_it_is_answered(shim: Shim) -> None:
    await shim.create(argon())
    await shim.start()
    assert shim.told() == ["create c1", "start c1"]
    await shim.exec("c1", "e1")
    await shim.start("c1", "e1")
    assert shim.told() == ["exec-added c1/e1", "exec-started c1/e1"]


async def test_an_unstarted_exec_has_no_exit_but_an_unstarted_init_has(shim: Shim) -> None:
    await shim.run(argon())
    await shim.exec("c1", "e1")
    await shim.kill("c1", "e1")
    await shim.wait("c1", "e1")
    await shim.delete("c1", "e1")
    shim.process().finish(0)
    await shim.wait()
    assert shim.told() == [
        "create c1",
        "start c1",
        "exec-added c1/e1",
        "delete c1/e1 1",
        "exit c1 0",
    ]


async def test_an_exec_is_deleted_after_the_end_of_its_init(shim: Shim) -> None:
    await shim.run(argon())
    await shim.exec("c1", "e1", "exit", "3")
    await shim.start("c1", "e1")
    shim.process().finish(0)
    await shim.wait()
    await shim.delete("c1", "e1")
    assert shim.told()[-3:] == ["exit c1/e1 3", "exit c1 0", "delete c1/e1 3"]


async def test_events_are_not_told_of_what_failed(pod: Shim) -> None:
    await status_of(pod.create(argon(), "w1"))
    await status_of(pod.start("w1"))
    await status_of(pod.delete("p"))
    assert pod.told() == []
    await pod.create(in_pod(argon()), "w1")
    assert pod.told() == ["create w1"]


async def test_events_have_their_time(shim: Shim) -> None:
    await shim.run(argon("exit", "0"))
    await shim.wait()
    times = [event.at for event in shim.take()]
    assert times == sorted(times)
    assert len(set(times)) == len(times)
