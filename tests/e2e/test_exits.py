"""How a container's end is told: status, time, once, to everybody, in order."""

from __future__ import annotations

import asyncio
import time

import pytest

from e2e.e2e_support import STOPPED, House
from podshim.api import events_pb2
from podshim.errors import Code
from podshim.ttrpc import StatusError


@pytest.mark.parametrize("status", [0, 1, 2, 42, 127, 255])
async def test_an_exit_status_arrives_unchanged(house: House, status: int) -> None:
    """Wait, State, Delete and TaskExit tell the status and time with which the init ended.

    The time is not before the start, and the same everywhere.
    """
    before = time.time_ns()
    async with house.shell(f"exit {status}") as task:
        ended = await task.wait()
        state = await task.state()
        deleted = await task.delete()
        event = await house.exited(task)
    assert ended.at is not None
    assert before < ended.at < time.time_ns()
    assert (ended.status, state.exit_status, deleted.status, event.exit_status) == (status,) * 4
    assert state.exited_at.ToNanoseconds() == deleted.at == ended.at
    assert event.exited_at.ToNanoseconds() == ended.at
    assert deleted.pid == task.pid == event.pid


@pytest.mark.parametrize("number", [1, 2, 6, 9, 15, 34])
async def test_death_by_a_signal_is_128_more(house: House, number: int) -> None:
    """An init that dies by signal n is reported as 128 + n."""
    async with house.running("sleep", "1000") as task:
        # Nothing else ends an init: the kernel spares it signals that it does not handle.
        await task.kill(9)
        assert (await task.wait()).status == 137
    # An exec is no init, so any signal ends it.
    async with house.running() as task:
        process = await task.exec("e", ["sleep", "1000"])
        await process.start()
        await process.kill(number)
        assert (await process.wait()).status == 128 + number
        assert (await house.exited(task, "e")).exit_status == 128 + number


async def test_a_signal_that_the_init_handles(house: House) -> None:
    """Kill delivers the signal that was asked for, and the status is the handler's."""
    script = "trap 'exit 42' USR1; echo ready; while :; do sleep 1000 & wait $!; done"
    async with house.shell(script) as task:
        await task.stdout.read_until(b"ready\n")
        await task.kill(10)
        assert (await task.wait()).status == 42


async def test_all_waiters_are_answered_alike(house: House) -> None:
    """Wait before Start returns at the exit, Wait after it at once; many waiters all return."""
    async with house.task("sh", "-c", "read line; exit 3") as task:
        early = [asyncio.ensure_future(task.wait()) for _ in range(6)]
        await task.start()
        late = [asyncio.ensure_future(task.wait()) for _ in range(6)]
        await asyncio.sleep(0)
        assert not any(waiter.done() for waiter in early + late)
        await task.stdin.write(b"\n")
        ends = await asyncio.gather(*early, *late)
        afterwards = await task.wait(timeout=5)
        assert {(end.status, end.at) for end in ends} == {(3, afterwards.at)}


async def test_it_is_stopped_when_wait_returns(house: House) -> None:
    """State is STOPPED not later than Wait's return: the next call on the connection sees it."""
    for _ in range(5):
        async with house.shell("exit 0") as task:
            await task.wait()
            assert (await task.state()).status == STOPPED


async def test_a_process_that_ends_at_once_has_a_pid(house: House) -> None:
    """Start of a process that exits immediately returns its pid, every time, and start < exit."""
    for _ in range(5):
        async with house.task("true") as task:
            assert await task.start() == task.pid > 0
            await task.wait()
            await task.delete()
            await house.deleted(task)
            topics = [topic for topic, _ in house.topics(task)]
            assert topics == ["create", "start", "exit", "delete"]


async def test_ten_fast_containers_at_once(house: House) -> None:
    """Ten containers that end at once, together: each is reported exactly once, in order."""

    async def live(status: int) -> None:
        async with house.shell(f"exit {status}") as task:
            assert (await task.wait()).status == status
            await task.delete()
            await house.deleted(task)
            topics = [topic for topic, _ in house.topics(task)]
            assert topics == ["create", "start", "exit", "delete"]
            assert [event.exit_status for event in house.exits(task)] == [status]

    await asyncio.gather(*map(live, range(10)))


async def test_delete_right_after_wait(house: House) -> None:
    """Delete sent as soon as Wait has returned: TaskExit still precedes TaskDelete, each time."""
    for number in range(8):
        async with house.shell(f"exit {number}") as task:
            await task.wait()
            assert (await task.delete()).status == number
            await house.deleted(task)
            topics = [topic for topic, _ in house.topics(task)]
            assert topics == ["create", "start", "exit", "delete"]


async def test_after_delete_everything_is_not_found(house: House) -> None:
    """After Delete, State, Wait, Delete, Kill and Start find no such task."""
    async with house.shell("exit 0") as task:
        await task.wait()
        await task.delete()
        for call in (task.state, task.wait, task.delete, task.kill, task.start, task.pids):
            with pytest.raises(StatusError, match="container not created: not found") as caught:
                await call()
            assert caught.value.code is Code.NOT_FOUND


async def test_the_events_tell_what_happened(house: House) -> None:
    """Every event has namespace, time and the container; create tells bundle, rootfs and streams.

    TaskExit's id is the container's for the init.
    """
    async with house.shell("exit 7", rootfs=house.rootfs_mount()) as task:
        stdio = task.fifos.stdio
        bundle = house.bundles[task.task_id].path
        await task.wait()
        await task.delete()
        await house.deleted(task)
        events = house.manager.events.of(task.task_id)
    assert {event.namespace for event in events} == {house.manager.namespace}
    assert all(event.at for event in events)
    create, start, end, deletion = (event.message for event in events)
    assert isinstance(create, events_pb2.TaskCreate)
    assert (create.bundle, create.pid, create.checkpoint) == (bundle, task.pid, "")
    assert [(mount.type, mount.source) for mount in create.rootfs] == [("bind", str(house.rootfs))]
    told = (create.io.stdin, create.io.stdout, create.io.stderr, create.io.terminal)
    assert told == (stdio.stdin, stdio.stdout, stdio.stderr, False)
    assert isinstance(start, events_pb2.TaskStart)
    assert start.pid == task.pid
    assert isinstance(end, events_pb2.TaskExit)
    assert (end.id, end.container_id, end.exit_status) == (task.task_id, task.task_id, 7)
    assert isinstance(deletion, events_pb2.TaskDelete)
    assert (deletion.id, deletion.pid, deletion.exit_status) == ("", task.pid, 7)
    assert deletion.exited_at == end.exited_at
