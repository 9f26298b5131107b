"""Starts, ends, freezes and kills that meet, each race brought about on purpose."""

from __future__ import annotations

import asyncio
import errno

import pytest

from podshim.errors import (
    FailedPreconditionError,
    NotFoundError,
    ShimError,
)
from podshim.task.lifecycle import State
from task.task_support import Pod, add_exec, quiesce, state, until

# Races between a start and an end.


async def test_an_init_that_dies_while_it_is_started_is_told_started_first(pod: Pod) -> None:
    task = await pod.created()
    gate = pod.engine.hold("start c1")
    starting = asyncio.create_task(task.start())
    await gate.reached.wait()
    pod.process().finish(137)
    await quiesce()
    assert pod.told() == ["create c1"]
    assert state(task) is State.CREATED
    pod.process().ended = None  # the runtime has not noticed
    gate.open()
    assert await starting == 1001
    pod.process().finish(137)
    await task.init.wait()
    assert pod.told() == ["start c1", "exit c1 137"]


@pytest.mark.parametrize("exec_id", ["", "e1"])
async def test_a_kill_that_comes_too_late_is_told_so_in_one_way(pod: Pod, exec_id: str) -> None:
    task = await pod.running()
    await add_exec(task)
    await task.start("e1")
    name = f"c1/{exec_id}" if exec_id else "c1"
    pod.engine.fail(f"kill {name} 15", ProcessLookupError(errno.ESRCH, "No such process"))
    with pytest.raises(NotFoundError, match=r"^process already finished: not found$"):
        await task.kill(exec_id, 15, everyone=False)


async def test_an_init_killed_before_its_start(pod: Pod) -> None:
    task = await pod.created()
    await task.kill("", 9, everyone=True)
    end = await task.init.wait()
    assert end is not None
    assert (end.status, task.state) == (137, State.STOPPED)
    with pytest.raises(ShimError, match="cannot start a stopped process"):
        await task.start()
    assert pod.told() == ["create c1", "exit c1 137"]
    await task.delete()
    assert pod.told() == ["delete c1 137"]


async def test_a_start_that_fails_for_a_dead_init_leaves_it_stopped(pod: Pod) -> None:
    task = await pod.created()
    gate = pod.engine.hold("start c1")
    starting = asyncio.create_task(task.start())
    await gate.reached.wait()
    pod.process().finish(137)
    await quiesce()
    gate.open()
    with pytest.raises(FailedPreconditionError, match="OCI runtime start failed"):
        await starting
    assert state(task) is State.STOPPED
    assert pod.told() == ["create c1", "exit c1 137"]


async def test_a_start_that_fails_while_the_init_lives(pod: Pod) -> None:
    task = await pod.created()
    pod.engine.fail("start c1", ShimError("OCI runtime start failed: no such file or directory"))
    with pytest.raises(ShimError, match="no such file or directory"):
        await task.start()
    assert state(task) is State.START_FAILED
    with pytest.raises(ShimError, match="cannot start a process that has failed to start"):
        await task.start()
    await task.kill("", 9, everyone=True)
    await task.init.wait()
    await task.delete()
    assert pod.told() == ["create c1", "exit c1 137", "delete c1 137"]


async def test_nothing_starts_in_a_container_whose_init_is_gone(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task, "e1")
    await add_exec(task, "e2")
    await task.start("e1")
    gate = pod.engine.hold("init_exited c1")
    pod.process().finish(0)
    await gate.reached.wait()
    assert state(task) is State.RUNNING
    with pytest.raises(FailedPreconditionError) as caught:
        await task.start("e2")
    assert str(caught.value) == "container c1 init process is not running: failed precondition"
    with pytest.raises(ShimError, match="cannot exec in a stopped state"):
        await add_exec(task, "e3")
    with pytest.raises(ShimError, match="cannot pause a stopped container"):
        await task.pause()
    with pytest.raises(ShimError, match="cannot delete a running process"):
        await task.delete()
    gate.open()
    await task.init.wait()
    assert task.exec_of("e2").state is State.CREATED
    assert pod.told()[-2:] == ["exit c1/e1 137", "exit c1 0"]


async def test_two_execs_that_are_being_started_when_the_init_dies(pod: Pod) -> None:
    task = await pod.running()
    gates = []
    starting = []
    for name in ("e1", "e2"):
        await add_exec(task, name)
        gates.append(pod.engine.hold(f"start c1/{name}"))
        starting.append(asyncio.create_task(task.start(name)))
        await gates[-1].reached.wait()
    pod.process().finish(0)
    await until(lambda: "init_exited c1" in pod.engine.calls)
    await quiesce()
    assert state(task) is State.RUNNING
    pod.told()
    gates[0].open()
    assert await starting[0] == 1002
    await task.exec_of("e1").wait()
    assert state(task) is State.RUNNING
    pod.engine.fail("start c1/e2", ShimError("OCI runtime exec failed: container is stopped"))
    gates[1].open()
    with pytest.raises(ShimError, match="container is stopped"):
        await starting[1]
    await task.init.wait()
    assert pod.told() == ["exec-started c1/e1", "exit c1/e1 137", "exit c1 0"]
    assert "kill c1/e1 9" in pod.engine.calls


async def test_a_failed_exec_start(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    waiting = asyncio.create_task(task.exec_of("e1").wait())
    await quiesce()
    pod.engine.fail("start c1/e1", ShimError("OCI runtime exec failed: executable file not found"))
    with pytest.raises(ShimError, match="executable file not found"):
        await task.start("e1")
    assert await waiting is None
    assert await task.exec_of("e1").wait() is None
    with pytest.raises(FailedPreconditionError, match="process not created: failed precondition"):
        await task.kill("e1", 9, everyone=True)
    with pytest.raises(ShimError, match="cannot start a process that has failed to start"):
        await task.start("e1")
    deleted = await task.exec_of("e1").delete()
    assert (deleted.pid, deleted.exit) == (0, None)
    assert pod.told()[2:] == ["exec-added c1/e1"]
    pod.process().finish(0)
    await task.init.wait()
    assert pod.told() == ["exit c1 0"]


async def test_a_second_start_changes_nothing(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    await task.start("e1")
    for exec_id in ("", "e1"):
        with pytest.raises(ShimError, match=r"^cannot start a running process$"):
            await task.start(exec_id)
    pod.process("c1/e1").finish(0)
    pod.process().finish(0)
    await task.init.wait()
    told = pod.told()
    assert told.count("exit c1/e1 0") == told.count("exit c1 0") == 1


async def test_two_starts_at_once(pod: Pod) -> None:
    task = await pod.created()
    results = await asyncio.gather(task.start(), task.start(), return_exceptions=True)
    assert results[0] == 1001
    assert str(results[1]) == "cannot start a running process"


async def test_fifty_execs_with_staggered_exits(pod: Pod) -> None:
    task = await pod.running()
    names = [f"e{number}" for number in range(50)]
    await asyncio.gather(*(add_exec(task, name) for name in names))
    gates = {name: pod.engine.hold(f"start c1/{name}") for name in names}
    starting = [asyncio.create_task(task.start(name)) for name in names]
    await asyncio.gather(*(gate.reached.wait() for gate in gates.values()))  # all at a time
    for name in reversed(names):
        gates[name].open()
    await asyncio.gather(*starting)
    for number, name in enumerate(names):
        pod.process(f"c1/{name}").finish(number)
    ends = await asyncio.gather(*(task.exec_of(name).wait() for name in names))
    assert [end.status for end in ends if end] == list(range(50))
    told = pod.told()
    for number, name in enumerate(names):
        assert told.count(f"exit c1/{name} {number}") == 1
        assert told.index(f"exec-started c1/{name}") < told.index(f"exit c1/{name} {number}")


# Pause and resume.


async def test_pause_and_resume(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    gate = pod.engine.hold("pause c1")
    pausing = asyncio.create_task(task.pause())
    await gate.reached.wait()
    assert state(task) is State.PAUSING
    assert task.state_of(task.process("e1")) is State.PAUSING
    gate.open()
    await pausing
    assert state(task) is State.PAUSED
    assert task.state_of(task.process("e1")) is State.PAUSED
    assert task.state_of(task.process("")) is State.PAUSED
    with pytest.raises(ShimError, match="cannot pause a paused container"):
        await task.pause()
    with pytest.raises(ShimError, match="cannot exec in a paused state"):
        await add_exec(task, "e2")
    await task.resume()
    assert state(task) is State.RUNNING
    assert task.state_of(task.process("e1")) is State.CREATED
    assert pod.told()[-2:] == ["paused c1", "resumed c1"]


async def test_a_pause_that_fails_leaves_it_running(pod: Pod) -> None:
    task = await pod.running()
    pod.engine.fail("pause c1", ShimError("OCI runtime pause failed: no freezer"))
    with pytest.raises(ShimError, match="no freezer"):
        await task.pause()
    assert state(task) is State.RUNNING
    await task.pause()
    pod.engine.fail("resume c1", ShimError("OCI runtime resume failed"))
    with pytest.raises(ShimError, match="resume failed"):
        await task.resume()
    assert state(task) is State.PAUSED
    await task.resume()


async def test_an_init_that_dies_frozen_is_thawed(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    await task.start("e1")
    await task.pause()
    pod.process().finish(137)
    await task.init.wait()
    calls = pod.engine.calls
    assert calls.index("resume c1") < calls.index("init_exited c1")
    assert not pod.container().frozen
    assert pod.told()[-3:] == ["paused c1", "exit c1/e1 137", "exit c1 137"]


async def test_an_init_that_dies_while_it_is_being_frozen_is_thawed(pod: Pod) -> None:
    task = await pod.running()
    gate = pod.engine.hold("pause c1")
    pausing = asyncio.create_task(task.pause())
    await gate.reached.wait()
    pod.process().finish(137)
    await quiesce()
    assert "init_exited c1" not in pod.engine.calls
    gate.open()
    await pausing
    await task.init.wait()
    assert not pod.container().frozen
    assert state(task) is State.STOPPED


@pytest.mark.logs_errors
async def test_an_init_that_can_not_be_thawed_is_told_all_the_same(pod: Pod) -> None:
    task = await pod.running()
    await task.pause()
    pod.engine.fail("resume c1", ShimError("no"))
    pod.process().finish(137)
    end = await task.init.wait()
    assert end is not None
    assert state(task) is State.STOPPED


@pytest.mark.logs_errors
async def test_execs_end_even_if_the_engine_fails_to_end_them(pod: Pod) -> None:
    task = await pod.running()
    for name in ("e1", "e2"):
        await add_exec(task, name)
    await task.start("e1")
    pod.engine.fail("init_exited c1", ShimError("no"))
    pod.process().finish(0)
    await task.init.wait()
    assert pod.told()[-2:] == ["exit c1/e1 137", "exit c1 0"]


@pytest.mark.logs_errors
async def test_a_process_that_the_engine_has_lost_ends_all_the_same(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    await task.start("e1")
    pod.process("c1/e1").lose(RuntimeError("no idea"))
    end = await task.exec_of("e1").wait()
    assert end is not None
    assert end.status == 255


@pytest.mark.logs_errors
@pytest.mark.parametrize(("status", "at"), [(-9, 1), (1 << 32, 1), (0, 1.5)])
async def test_a_process_whose_end_can_not_be_told_ends_all_the_same(
    pod: Pod, status: int, at: int
) -> None:
    task = await pod.running()
    pod.process().finish(status, at)
    async with asyncio.timeout(5):
        end = await task.init.wait()
    assert end is not None
    assert end.status == 255
    assert pod.told()[-1] == "exit c1 255"


# Out of memory.


@pytest.fixture
def patient(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that watches memory, and a task that waits for its last word."""
    pod.engine.sees_memory = True
    monkeypatch.setattr("podshim.task.task.OOM_GRACE", 3600.0)


@pytest.mark.usefixtures("patient")
async def test_every_kill_for_want_of_memory_is_told(pod: Pod) -> None:
    task = await pod.running()
    pod.container().oom.release()
    await until(lambda: len(pod.outbox) == 3)
    pod.container().oom.release()
    await until(lambda: len(pod.outbox) == 4)
    assert pod.told()[2:] == ["oom c1", "oom c1"]
    assert state(task) is State.RUNNING


@pytest.mark.usefixtures("patient")
async def test_the_last_kill_is_told_before_the_exit_that_it_caused(pod: Pod) -> None:
    task = await pod.running()
    pod.process().finish(137)
    await until(lambda: "init_exited c1" in pod.engine.calls)
    await quiesce()
    assert state(task) is State.RUNNING
    pod.container().oom.release()  # found only now, in the cgroup's last counters
    await until(lambda: len(pod.outbox) == 3)
    pod.container().oom_over = True
    pod.container().oom.release()
    await task.init.wait()
    assert pod.told()[2:] == ["oom c1", "exit c1 137"]


@pytest.mark.usefixtures("patient")
async def test_an_engine_that_says_there_was_no_kill_is_not_waited_for(pod: Pod) -> None:
    task = await pod.running()
    pod.container().oom_over = True
    pod.container().oom.release()
    await quiesce()
    pod.process().finish(137)
    await task.init.wait()


@pytest.mark.usefixtures("patient")
async def test_an_end_that_memory_did_not_cause_is_not_held_up(pod: Pod) -> None:
    task = await pod.running()
    pod.process().finish(1)
    await task.init.wait()
    assert pod.told()[2:] == ["exit c1 1"]


async def test_an_engine_that_stays_silent_is_waited_for_but_not_for_long(pod: Pod) -> None:
    pod.engine.sees_memory = True
    task = await pod.running()
    pod.process().finish(137)
    await task.init.wait()
    await quiesce()
    assert pod.registry._background.watchers == []
