"""What a container may use and does use: statistics, limits, freezing, the memory's end."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from e2e.e2e_support import PAUSED, RUNNING, STOPPED, House, refused, until, until_async
from podshim.api import cgroups_v1_pb2, cgroups_v2_pb2
from podshim.errors import Code
from support import census

if TYPE_CHECKING:
    from podshim.manager import Task

MIB = 1 << 20
#: Takes 200 MB. One process alone: after its kill nobody's page (of a pipe, say) is wanted, for
#: which the kernel would kill a second process of the container.
HUNGRY = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200000000"]
Metrics = cgroups_v1_pb2.Metrics | cgroups_v2_pb2.Metrics


async def stats(task: Task) -> Metrics:
    """The metrics, of the version of cgroups that the host has."""
    measured = await task.stats()
    assert isinstance(measured, Metrics)
    return measured


def memory_limit(metrics: Metrics) -> int:
    if isinstance(metrics, cgroups_v1_pb2.Metrics):
        return metrics.memory.usage.limit
    return metrics.memory.usage_limit


def memory_usage(metrics: Metrics) -> int:
    if isinstance(metrics, cgroups_v1_pb2.Metrics):
        return metrics.memory.usage.usage
    return metrics.memory.usage


def cpu_time(metrics: Metrics) -> float:
    """In s."""
    if isinstance(metrics, cgroups_v1_pb2.Metrics):
        return metrics.cpu.usage.total / 1e9
    return metrics.cpu.usage_usec / 1e6


async def test_statistics_are_plausible(house: House) -> None:
    """Stats of a running container: its processes, memory and CPU time, as the kernel has them."""
    async with house.shell("sleep 1000 & echo up; while :; do :; done") as task:
        await task.stdout.read_until(b"up\n")
        first = await stats(task)
        assert first.pids.current == 2
        assert 0 < memory_usage(first) < 100 * MIB
        assert 0 < cpu_time(first) < 60

        async def more() -> bool:
            return cpu_time(await stats(task)) > cpu_time(first) + 0.05

        await until_async(more, "CPU time is counted")
        kind = await house.pause.stats()
        assert type(kind) is type(first)


async def test_statistics_of_a_deleted_container(house: House) -> None:
    """Stats fails after Delete, as NotFound."""
    async with house.shell("true") as task:
        await task.wait()
        await task.delete()
        with refused(Code.NOT_FOUND):
            await task.stats()


async def test_an_update_is_seen_in_the_statistics(house: House) -> None:
    """Update of the memory's limit is what Stats says then, and what the kernel holds to."""
    async with house.running() as task:
        await task.update({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}})
        assert memory_limit(await stats(task)) == 64 * MIB
        await task.update({"memory": {"limit": 96 * MIB, "swap": 96 * MIB}})
        assert memory_limit(await stats(task)) == 96 * MIB


async def test_an_update_that_can_not_be(house: House) -> None:
    """A limit below what is used is refused with the runtime's words; the container is unharmed."""
    async with house.running() as task:
        before = memory_limit(await stats(task))
        with refused(Code.UNKNOWN):
            await task.update({"memory": {"limit": 4096, "swap": 4096}})
        assert memory_limit(await stats(task)) in {before, 4096}
        assert (await task.state()).status == RUNNING
        await task.update({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}})
        assert (await task.run("e", ["echo", "well"])).stdout == b"well\n"


async def test_pause_and_resume(house: House) -> None:
    """Pause freezes the processes: PAUSED, for execs too; what makes no sense then is refused.

    Resume lets them go on. Both are announced.
    """
    async with house.running("cat") as task:
        process = await task.exec("e", ["cat"])
        await process.start()
        await task.pause()
        assert (await task.state()).status == PAUSED
        assert (await process.state()).status == PAUSED
        await task.stdin.write(b"frozen\n")
        with refused(Code.UNKNOWN, "cannot pause a paused container"):
            await task.pause()
        with refused(Code.UNKNOWN, "cannot exec in a paused state"):
            await task.exec("late", ["true"])
        with refused(Code.UNKNOWN, "cannot start a paused process"):
            await task.start()
        with refused(Code.UNKNOWN, "cannot delete a paused process"):
            await task.delete()
        assert set(await task.pids()) >= {task.pid}
        await task.resume()
        assert (await task.state()).status == RUNNING
        assert (await process.state()).status == RUNNING
        assert await task.stdout.read_until(b"\n") == b"frozen\n"
        with refused(Code.UNKNOWN, "cannot resume a running process"):
            await task.resume()
        await house.manager.events.wait("/tasks/resumed", task.task_id)
        topics = [topic for topic, _ in house.topics(task)]
        assert [topic for topic in topics if topic in {"paused", "resumed"}] == [
            *("paused", "resumed")
        ]


async def test_a_paused_container_is_killed(house: House) -> None:
    """SIGKILL ends a paused container, its execs with it, and nothing stays frozen."""
    async with house.running("sleep", "1000") as task:
        process = await task.exec("e", ["sleep", "1000"])
        await process.start()
        await task.pause()
        await task.kill(signal.SIGKILL, everyone=True)
        assert (await task.wait()).status == 137
        assert (await process.wait()).status == 137
        assert (await task.state()).status == STOPPED
        await task.delete()
        await house.deleted(task)
        assert [topic for topic, _ in house.topics(task)][-2:] == ["exit", "delete"]


async def test_a_container_whose_memory_ends(house: House) -> None:
    """The out-of-memory kill of the init: TaskOOM comes before its TaskExit, with status 137."""
    limit = {"memory": {"limit": 16 * MIB, "swap": 16 * MIB}}
    for _ in range(3):
        async with house.running(spec=house.spec(HUNGRY, resources=limit)) as task:
            assert (await task.wait()).status == 137
            await task.delete()
            await house.deleted(task)
            topics = [topic for topic, _ in house.topics(task)]
            assert topics == ["create", "start", "oom", "exit", "delete"]


async def test_a_memory_kill_that_the_init_survives(house: House) -> None:
    """The kill of a child is announced while the container runs on; none is invented."""
    limit = {"memory": {"limit": 24 * MIB, "swap": 24 * MIB}}
    async with house.running(spec=house.spec(["sleep", "1000"], resources=limit)) as task:
        assert (await task.run("e", HUNGRY)).status == 137
        await house.manager.events.wait("/tasks/oom", task.task_id)
        assert (await task.state()).status == RUNNING
        await task.kill(signal.SIGKILL)
        await task.wait()
        await task.delete()
        await house.deleted(task)
    async with house.running("sleep", "1000") as task:
        await task.kill(signal.SIGKILL)
        assert (await task.wait()).status == 137
        await task.delete()
        await house.deleted(task)
        assert "oom" not in [topic for topic, _ in house.topics(task)]


async def test_pids_of_a_shell(house: House) -> None:
    """A shell and its child are two processes."""
    async with house.shell("sleep 1000; true") as task:
        pids: list[int] = []

        async def both() -> bool:
            nonlocal pids
            pids = await task.pids()
            return len(pids) == 2

        await until_async(both, "two processes")
        assert task.pid in pids
        await task.kill(signal.SIGKILL, everyone=True)
        await task.wait()
        await until(lambda: not any(map(census.is_alive, pids)), "all are gone")
