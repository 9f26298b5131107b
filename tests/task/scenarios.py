"""What a task must do over any engine: the same scenarios for the fake one and for the real ones.

A `World` knows how to make a container that runs one of two programs: `exits(status)`, which ends
by itself, and `RUNS`, which does not. The scenarios know neither processes nor gates; what they
race, they race for real, and hold to what must be true whoever wins.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import pytest

from podshim.engine import Stdio
from podshim.errors import FailedPreconditionError, NotFoundError, ShimError
from podshim.task.lifecycle import State
from podshim.task.outbox import Outbox
from podshim.task.registry import Registry
from task.task_support import check_order, describe

if TYPE_CHECKING:
    from podshim.engine import CreateRequest, Engine, Exit
    from podshim.task.events import Event
    from podshim.task.task import Task

RUNS = ("run",)
MISSING = ("missing",)
LONG = 60.0


def exits(status: int) -> tuple[str, ...]:
    return ("exit", str(status))


class World(ABC):
    """An engine and how to make containers in it."""

    def __init__(self, engine: Engine) -> None:
        self.outbox: Outbox[Event] = Outbox()
        self.registry = Registry(engine, self.outbox)
        self.events: list[str] = []

    @abstractmethod
    def request(self, program: tuple[str, ...]) -> CreateRequest:
        """What makes a container whose init runs `program`."""

    @abstractmethod
    def spec(self, program: tuple[str, ...]) -> bytes:
        """The process of an exec that runs `program`."""

    async def created(self, program: tuple[str, ...]) -> Task:
        return await self.registry.create(self.request(program))

    async def running(self, program: tuple[str, ...]) -> Task:
        task = await self.created(program)
        await task.start()
        return task

    async def add(self, task: Task, exec_id: str, program: tuple[str, ...]) -> None:
        await task.exec(exec_id, self.spec(program), Stdio())

    def told(self, task: Task) -> list[str]:
        """All events so far, with `c` for the task."""
        while (event := self.outbox.head) is not None:
            self.outbox.remove(event)
            self.events.append(describe(event))
        check_order(self.events)
        return [line.replace(task.id, "c") for line in self.events]

    async def end(self, task: Task) -> Exit | None:
        """Kill and delete, as a client does that cleans up."""
        if not task.init.ended.is_set():
            await task.kill("", 9, everyone=True)
        end = await ended(task)
        await task.delete()
        return end


async def ended(task: Task, exec_id: str = "") -> Exit | None:
    async with asyncio.timeout(LONG):
        return await task.process(exec_id).wait()


def state(task: Task) -> State:
    return task.state


class Scenarios:
    """Inherit, and give a fixture `world`."""

    @pytest.mark.parametrize("status", [0, 1, 2, 42, 127, 255])
    async def test_an_exit_status_is_reported_unchanged(self, world: World, status: int) -> None:
        task = await world.created(exits(status))
        waiting = [asyncio.create_task(ended(task)) for _ in range(10)]
        assert await task.start() == task.init.pid > 0
        ends = await asyncio.gather(*waiting)
        assert {end.status for end in ends if end} == {status}
        assert ends.count(ends[0]) == 10
        assert state(task) is State.STOPPED
        deleted = await task.delete()
        assert deleted.exit == ends[0]
        assert world.told(task) == ["create c", "start c", f"exit c {status}", f"delete c {status}"]

    async def test_death_by_a_signal(self, world: World) -> None:
        task = await world.running(RUNS)
        await task.kill("", 9, everyone=False)
        end = await ended(task)
        assert end is not None
        assert end.status == 137
        for everyone in (False, True):
            with pytest.raises(NotFoundError, match="process already finished: not found"):
                await task.kill("", 9, everyone=everyone)
        await task.delete()

    async def test_a_running_task_stays(self, world: World) -> None:
        task = await world.running(RUNS)
        with pytest.raises(ShimError, match=r"^cannot delete a running process$"):
            await task.delete()
        with pytest.raises(ShimError, match=r"^cannot start a running process$"):
            await task.start()
        assert task.init.pid in [pid for pid, _ in await task.pids()]
        await world.end(task)
        assert world.told(task).count("exit c 137") == 1

    async def test_an_exec_lives_and_ends(self, world: World) -> None:
        task = await world.running(RUNS)
        await world.add(task, "e1", exits(3))
        assert task.process("e1").pid == 0
        assert await task.start("e1") > 0
        end = await ended(task, "e1")
        assert end is not None
        assert end.status == 3
        deleted = await task.exec_of("e1").delete()
        assert deleted.exit == end
        await world.add(task, "e1", RUNS)  # the id is free again
        pid = await task.start("e1")
        assert (pid, "e1") in await task.pids()
        await task.kill("e1", 9, everyone=False)
        end = await ended(task, "e1")
        assert end is not None
        assert end.status == 137
        await world.end(task)

    async def test_an_exec_of_a_program_that_is_not_there(self, world: World) -> None:
        task = await world.running(RUNS)
        await world.add(task, "e1", MISSING)
        with pytest.raises(ShimError, match=r"no such file or directory|not found"):
            await task.start("e1")
        assert await ended(task, "e1") is None
        with pytest.raises(FailedPreconditionError):
            await task.kill("e1", 9, everyone=False)
        assert (await task.exec_of("e1").delete()).exit is None
        assert state(task) is State.RUNNING
        await world.end(task)

    async def test_a_container_that_is_deleted_unstarted(self, world: World) -> None:
        task = await world.created(RUNS)
        pid = task.init.pid
        assert pid > 0
        deleted = await task.delete()
        assert (deleted.pid, deleted.exit) == (pid, None)
        assert world.told(task) == ["create c", "exit c 137", "delete c 0"]

    async def test_an_init_that_is_killed_before_its_start(self, world: World) -> None:
        task = await world.created(RUNS)
        await task.kill("", 9, everyone=True)
        with pytest.raises(ShimError):
            await task.start()
        end = await ended(task)
        assert end is not None
        assert (end.status, state(task)) == (137, State.STOPPED)
        await task.delete()
        assert "start c" not in world.told(task)

    async def test_execs_end_before_their_init(self, world: World) -> None:
        task = await world.running(RUNS)
        for name in ("e1", "e2", "e3"):
            await world.add(task, name, RUNS)
        await asyncio.gather(task.start("e1"), task.start("e2"))
        await task.kill("", 9, everyone=False)
        await ended(task)
        with pytest.raises(FailedPreconditionError, match="init process is not running"):
            await task.start("e3")
        told = world.told(task)
        assert told[-1] == "exit c 137"
        assert sorted(told[-3:-1]) == ["exit c/e1 137", "exit c/e2 137"]
        await task.delete()

    async def test_execs_that_are_starting_when_the_init_dies(self, world: World) -> None:
        task = await world.running(RUNS)
        names = [f"e{number}" for number in range(6)]
        for name in names:
            await world.add(task, name, RUNS)
        starting = [asyncio.create_task(task.start(name)) for name in names]
        await asyncio.sleep(0)
        await task.kill("", 9, everyone=False)
        results = await asyncio.gather(*starting, return_exceptions=True)
        await ended(task)
        told = world.told(task)
        for name, result in zip(names, results, strict=True):
            started = not isinstance(result, BaseException)
            assert (f"exec-started c/{name}" in told) == started
            assert (f"exit c/{name} 137" in told) == started
        assert told[-1] == "exit c 137"
        await task.delete()

    async def test_many_execs_at_a_time(self, world: World) -> None:
        task = await world.running(RUNS)
        names = [f"e{number}" for number in range(20)]

        async def live(number: int) -> int:
            name = names[number]
            await world.add(task, name, exits(number))
            await task.start(name)
            end = await ended(task, name)
            await task.exec_of(name).delete()
            return end.status if end else -1

        assert await asyncio.gather(*map(live, range(20))) == list(range(20))
        told = world.told(task)
        assert [told.count(f"exit c/{name} {number}") for number, name in enumerate(names)] == [
            1
        ] * 20
        await world.end(task)

    async def test_frozen_and_thawed(self, world: World) -> None:
        task = await world.running(RUNS)
        await task.pause()
        assert state(task) is State.PAUSED
        with pytest.raises(ShimError, match="cannot pause a paused container"):
            await task.pause()
        with pytest.raises(ShimError, match="cannot delete a paused process"):
            await task.delete()
        await task.resume()
        assert state(task) is State.RUNNING
        await world.end(task)
        assert world.told(task)[2:4] == ["paused c", "resumed c"]

    async def test_deletions_at_once(self, world: World) -> None:
        task = await world.running(exits(9))
        end = await ended(task)
        results = await asyncio.gather(*(task.delete() for _ in range(3)))
        assert {result.exit for result in results} == {end}
        assert len(world.registry) == 0
        assert world.told(task).count("delete c 9") == 1
        world.registry.shutdown()
        assert world.registry.finished.is_set()

    async def test_a_creation_whose_caller_goes_away(self, world: World) -> None:
        request = world.request(RUNS)
        creating = asyncio.create_task(world.registry.create(request))
        await asyncio.sleep(0)
        creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating
        world.registry.shutdown()
        async with asyncio.timeout(LONG):
            await world.registry.finished.wait()
        assert len(world.registry) == 0
