"""Events: in order, none lost, whatever containerd does; and nothing ever waits for them."""

from __future__ import annotations

import asyncio
import itertools
import signal
from typing import TYPE_CHECKING

from e2e.e2e_support import STOPPED, House, begin, until

if TYPE_CHECKING:
    from pathlib import Path

    from podshim.manager import Task


async def lead_a_life(house: House, status: int) -> Task:
    """A container from Create to Delete, with an exec and a pause."""
    async with house.shell(f"read line; exit {status}") as task:
        await task.run("e", ["sh", "-c", "exit 1"])
        await task.pause()
        await task.resume()
        await task.stdin.write(b"\n")
        assert (await task.wait()).status == status
        assert (await task.state()).status == STOPPED
        assert (await task.delete()).status == status
    return task


def once(topics: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without immediate repetitions."""
    return [topic for topic, _ in itertools.groupby(topics)]


LIFE = [
    *(("create", ""), ("start", "")),
    *(("exec-added", "e"), ("exec-started", "e"), ("exit", "e")),
    *(("paused", ""), ("resumed", ""), ("exit", ""), ("delete", "")),
]


async def test_events_wait_for_containerd(house: House) -> None:
    """While the socket is away calls go on as ever; afterwards all events come, in order, once.

    Several containers live their whole lives in that time, together.
    """
    async with house.manager.events.away():
        tasks = await asyncio.gather(*(lead_a_life(house, number) for number in range(6)))
        assert all(house.topics(task) == [] for task in tasks)
    for task in tasks:
        await house.deleted(task)
        assert house.topics(task) == LIFE


async def test_more_events_than_any_queue_of_go_s_holds(house: House) -> None:
    """More events than 128 pile up while containerd is away: all arrive, in their order."""
    rounds = 80
    async with house.running() as task:
        async with house.manager.events.away():
            for _ in range(rounds):
                await task.pause()
                await task.resume()
        await house.manager.events.wait_until(
            lambda: len(house.topics(task)) >= 2 + 2 * rounds, "all of them"
        )
        expected = [("create", ""), ("start", "")] + [("paused", ""), ("resumed", "")] * rounds
        assert house.topics(task) == expected


async def test_a_containerd_that_refuses(house: House) -> None:
    """A containerd that answers with an error gets the same event again, and those behind it."""
    events = house.manager.events
    events.refused.clear()
    events.refuse(2)
    task = await lead_a_life(house, 3)
    await house.deleted(task)
    assert house.topics(task) == LIFE
    assert len(events.refused) == 2


async def test_only_a_lost_acknowledgement_repeats_an_event(house: House) -> None:
    """An event that was taken without an answer comes twice; no other does, and none is lost."""
    events = house.manager.events
    events.lose_acknowledgements(1)
    task = await lead_a_life(house, 3)
    await house.deleted(task)
    topics = house.topics(task)
    assert once(topics) == LIFE
    assert len(topics) <= len(LIFE) + 1


async def test_a_containerd_that_restarts_again_and_again(house: House) -> None:
    """Restarts at any moment lose nothing and disorder nothing."""

    async def restart() -> None:
        for _ in range(10):
            async with house.manager.events.away():
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.03)

    restarting = asyncio.ensure_future(restart())
    tasks = await asyncio.gather(*(lead_a_life(house, number) for number in range(4)))
    await restarting
    for task in tasks:
        await house.deleted(task)
        assert once(house.topics(task)) == LIFE


async def test_a_server_ends_without_containerd(runtime: str, rootfs: Path) -> None:
    """A server that is told to go while the events socket is missing goes all the same."""
    async with House.open(runtime, rootfs) as house:
        await house.manager.events.stop()
        await house.pause.kill(signal.SIGKILL)
        await house.pause.wait()
        await house.pause.delete()
        await house.sandbox.shutdown()
        assert await house.sandbox.wait_gone(timeout=15)
        await house.manager.events.start()


async def test_events_of_many_containers_do_not_mix(house: House) -> None:
    """Ten containers with execs at once: each sequence is right by itself; the ids are right."""
    tasks = await asyncio.gather(*(lead_a_life(house, number) for number in range(10)))
    for number, task in enumerate(tasks):
        await house.deleted(task)
        assert house.topics(task) == LIFE
        assert [event.exit_status for event in house.exits(task)] == [number]
        (ended,) = house.exits(task, "e")
        assert (ended.container_id, ended.id) == (task.task_id, "e")


async def test_execs_that_end_at_once_are_told_in_order(house: House) -> None:
    """Fast execs, together: added < started < exit for each, and exactly one exit."""
    count = 30
    async with house.running() as task:

        async def live(number: int) -> None:
            process = await begin(task, f"e{number}", f"exit {number}")
            assert (await process.wait()).status == number
            await process.delete()

        await asyncio.gather(*map(live, range(count)))
        await until(
            lambda: sum(topic == "exit" for topic, _ in house.topics(task)) == count, "all exits"
        )
        for number in range(count):
            topics = [topic for topic, exec_id in house.topics(task) if exec_id == f"e{number}"]
            assert topics == ["exec-added", "exec-started", "exit"]
