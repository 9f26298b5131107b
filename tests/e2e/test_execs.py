"""Further processes in a container: their lives, their ends, their order."""

from __future__ import annotations

import asyncio
import random
import signal

import pytest

from e2e.e2e_support import (
    CREATED,
    RUNNING,
    STOPPED,
    House,
    begin,
    refused,
    until,
)
from podshim.api import runc_options_pb2, task_v3_pb2, task_v3_ttrpc
from podshim.errors import Code
from podshim.manager import Exec, process_spec
from support import census


async def test_the_life_of_an_exec(house: House) -> None:
    """CREATED with pid 0; Start makes it RUNNING with a pid; its end is STOPPED with its status."""
    async with house.running() as task:
        process = await task.exec("e1", ["sh", "-c", "read line; exit 11"])
        state = await process.state()
        assert (state.id, state.status, state.pid) == ("e1", CREATED, 0)
        assert state.stdout == process.fifos.stdio.stdout
        pid = await process.start()
        assert pid > 0
        state = await process.state()
        assert (state.status, state.pid) == (RUNNING, pid)
        with refused(Code.UNKNOWN, "cannot start a running process"):
            await process.start()
        with refused(Code.UNKNOWN, "cannot delete a running process"):
            await process.delete()
        await process.stdin.write(b"\n")
        ended = await process.wait()
        state = await process.state()
        assert (ended.status, state.status, state.exit_status) == (11, STOPPED, 11)
        deleted = await process.delete()
        assert (deleted.status, deleted.at, deleted.pid) == (11, ended.at, pid)
        with refused(Code.NOT_FOUND, "process does not exist e1: not found"):
            await process.state()
        event = await house.exited(task, "e1")
        assert (event.container_id, event.id, event.pid) == (task.task_id, "e1", pid)
        assert event.exit_status == 11
        assert event.exited_at.ToNanoseconds() == ended.at
        # Nothing of it happened to the init.
        assert (await task.state()).status == RUNNING
        assert house.topics(task)[2:] == [
            *(("exec-added", "e1"), ("exec-started", "e1"), ("exit", "e1"))
        ]


@pytest.mark.parametrize("status", [0, 1, 2, 42, 127, 255])
async def test_an_exit_status_arrives_unchanged(house: House, status: int) -> None:
    """An exec's Wait, State, Delete and TaskExit tell its status."""
    async with house.running() as task:
        process = await begin(task, "e", f"exit {status}")
        assert (await process.wait()).status == status
        assert (await process.state()).exit_status == status
        assert (await process.delete()).status == status
        assert (await house.exited(task, "e")).exit_status == status


async def test_an_exec_id_that_is_taken_and_used_again(house: House) -> None:
    """A duplicate exec id is AlreadyExists, whatever the first one's state; free after Delete."""
    async with house.running() as task:
        for status in (1, 2):
            process = await task.exec("same", ["sh", "-c", f"exit {status}"])
            with refused(Code.ALREADY_EXISTS, "id same: already exists"):
                await task.exec("same", ["true"])
            await process.start()
            with refused(Code.ALREADY_EXISTS, "id same: already exists"):
                await task.exec("same", ["true"])
            assert (await process.wait()).status == status
            await process.delete()


async def test_an_unknown_exec(house: House) -> None:
    """Everything about an exec that is not there is NotFound."""
    async with house.running() as task:
        ghost = Exec(task._calls, task.task_id, "ghost", None)
        for call in (ghost.state, ghost.start, ghost.wait, ghost.kill, ghost.delete):
            with refused(Code.NOT_FOUND, "process does not exist ghost: not found"):
                await call()


async def test_an_exec_that_is_deleted_without_a_start(house: House) -> None:
    """Delete of a created exec succeeds with status 0; its kill was a failed precondition."""
    async with house.running() as task:
        process = await task.exec("e", ["true"])
        with refused(Code.FAILED_PRECONDITION, "process not created: failed precondition"):
            await process.kill()
        deleted = await process.delete()
        assert (deleted.status, deleted.at, deleted.pid) == (0, None, 0)


async def test_killing_an_exec_that_has_ended(house: House) -> None:
    """Kill of an exited exec is NotFound."""
    async with house.running() as task:
        process = await begin(task, "e", "exit 0")
        await process.wait()
        with refused(Code.NOT_FOUND, "process already finished: not found"):
            await process.kill()


async def test_a_missing_program(house: House) -> None:
    """Start of an exec of a missing binary fails with the runtime's text; Delete then succeeds.

    The init, and another exec, are unaffected, and nobody waits for the failed one for ever.
    """
    async with house.running() as task:
        process = await task.exec("e", ["/no/such/program"])
        waiter = asyncio.ensure_future(process.wait())
        with refused(Code.UNKNOWN, "OCI runtime exec failed: ") as caught:
            await process.start()
        assert "no such file or directory" in caught.value.message.lower()
        assert (await waiter).status == 0
        assert (await process.delete()).status == 0
        assert (await task.run("e", ["echo", "well"])).stdout == b"well\n"
        topics = [topic for topic, exec_id in house.topics(task) if exec_id]
        assert topics == ["exec-added", "exec-added", "exec-started", "exit"]


async def test_a_large_argument(house: House) -> None:
    """An argument of 20,000 bytes arrives whole."""
    text = "x" * 20_000
    async with house.running() as task:
        assert (await task.run("e", ["echo", text])).stdout == f"{text}\n".encode()


async def test_fifty_execs_at_once(house: House) -> None:
    """50 concurrent execs with staggered exits: every exit is right and reported exactly once."""
    order = list(range(50))
    random.shuffle(order)

    async with house.running() as task:

        async def live(number: int) -> None:
            process = await task.exec(f"e{number}", ["sh", "-c", f"read line; exit {number}"])
            await process.start()
            started.append(number)
            await until(lambda: len(started) == len(order), "all run")
            await process.stdin.write(b"\n")
            assert (await process.wait()).status == number
            assert (await process.delete()).status == number

        started: list[int] = []
        await asyncio.gather(*map(live, order))
        await task.kill(signal.SIGTERM)
        await task.wait()
        await task.delete()
        await house.deleted(task)
        for number in order:
            exits = house.exits(task, f"e{number}")
            assert [event.exit_status for event in exits] == [number]
            topics = [topic for topic, exec_id in house.topics(task) if exec_id == f"e{number}"]
            assert topics == ["exec-added", "exec-started", "exit"]


@pytest.mark.parametrize("own_pids", [True, False], ids=["own pids", "host pids"])
async def test_all_execs_end_before_the_init(house: House, own_pids: bool) -> None:
    """When init exits, the exits of its execs are told first, also in the host's pid namespace."""
    spec = house.spec(["sh", "-c", "read line; exit 3"])
    if not own_pids:
        spec["linux"]["namespaces"] = [
            item for item in spec["linux"]["namespaces"] if item["type"] != "pid"
        ]
    async with house.running(spec=spec) as task:
        processes = [await begin(task, f"e{number}", "sleep 1000") for number in range(5)]
        await task.stdin.write(b"\n")
        assert (await task.wait()).status == 3
        for process in processes:
            assert (await process.wait()).status == 137
        await house.exited(task)
        ends = [exec_id for topic, exec_id in house.topics(task) if topic == "exit"]
        assert sorted(ends[:-1]) == [f"e{number}" for number in range(5)]
        assert ends[-1] == ""


async def test_execs_that_race_with_the_end_of_the_init(house: House) -> None:
    """Init exits while execs start: those that ran are told before it, the others never ran."""
    async with house.shell("read line; exit 3") as task:
        processes = [await task.exec(f"e{number}", ["sleep", "1000"]) for number in range(6)]

        async def end() -> None:
            await task.stdin.write(b"\n")

        starts = [process.start() for process in processes]
        results = await asyncio.gather(*starts[:3], end(), *starts[3:], return_exceptions=True)
        del results[3]
        assert (await task.wait()).status == 3
        await house.exited(task)
        topics = house.topics(task)
        assert topics[-1] == ("exit", "")
        for process, result in zip(processes, results, strict=True):
            started = ("exec-started", process.exec_id) in topics
            assert started == (("exit", process.exec_id) in topics)
            assert started == (not isinstance(result, BaseException))
        late = await asyncio.gather(processes[0].start(), return_exceptions=True)
        assert isinstance(late[0], Exception)


async def test_a_start_after_the_init_s_end(house: House) -> None:
    """Exec Start after init's exit is FailedPrecondition, and the exec can be deleted."""
    async with house.shell("read line; exit 3") as task:
        process = await task.exec("late", ["true"])
        await task.stdin.write(b"\n")
        await task.wait()
        with refused(Code.FAILED_PRECONDITION, "init process is not running"):
            await process.start()
        assert (await process.delete()).status == 0


async def test_an_exec_in_a_created_container(house: House) -> None:
    """Exec is allowed before Start of the init."""
    async with house.task("sleep", "1000") as task:
        process = await task.exec("e", ["true"])
        assert (await process.state()).status == CREATED
        await process.delete()


async def test_pids_tell_execs(house: House) -> None:
    """Pids lists every process by the host's number; an exec's carries its id, the init's none."""
    async with house.shell("sleep 1000 & echo up; wait") as task:
        await task.stdout.read_until(b"up\n")
        assert len(await task.pids()) == 2
        process = await task.exec("named", ["sleep", "1000"])
        pid = await process.start()
        answer = await task._calls().call(
            task_v3_ttrpc.PIDS, task_v3_pb2.PidsRequest(id=task.task_id)
        )
        assert len(answer.processes) == 3
        told = {item.pid: item.info for item in answer.processes}
        assert told[pid].type_url == "containerd.runc.v1.ProcessDetails"
        details = runc_options_pb2.ProcessDetails.FromString(told.pop(pid).value)
        assert details.exec_id == "named"
        assert task.pid in told
        assert not any(info.type_url for info in told.values())
        assert all(map(census.is_alive, told))


async def test_execs_go_with_their_container(house: House) -> None:
    """Delete of the init takes its execs with it, ended or never started; nobody waits on."""
    async with house.running() as task:
        ended = await begin(task, "ended", "exit 1")
        await ended.wait()
        never = await task.exec("never", ["true"])
        waiter = asyncio.ensure_future(never.wait())
        await task.kill(signal.SIGTERM)
        await task.wait()
        await task.delete()
        assert (await waiter).status == 0
        with refused(Code.NOT_FOUND, "container not created"):
            await ended.state()


async def test_an_exec_may_have_another_user_and_folder(house: House) -> None:
    """The spec that Exec carries is what runs: user, group, folder, variables."""
    async with house.running() as task:
        spec = process_spec(
            ["sh", "-c", "id -u; id -g; pwd; echo $COLOUR"],
            env=["COLOUR=blue"],
            cwd="/tmp",
            user=(1000, 1001),
        )
        process = await task.exec("e", spec=spec)
        await process.start()
        assert await process.read_all() == (b"1000\n1001\n/tmp\nblue\n", b"")
