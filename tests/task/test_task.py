"""A task under its operations and its ends, with every race brought about on purpose."""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from typing import TYPE_CHECKING

import pytest

from task.task_support import Pod, decode, quiesce, spec, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from podshim.task.task import Task

from podshim.engine import Stdio, TypedValue
from podshim.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ShimError,
    UnavailableError,
)
from podshim.task.lifecycle import State


def state(task: Task) -> State:
    """The state now; unlike the property, a type checker does not take it to stay."""
    return task.state


async def add_exec(task: Task, exec_id: str = "e1", *args: str) -> None:
    await task.exec(exec_id, spec(*args), Stdio())


# One life after another.


async def test_a_whole_life(pod: Pod) -> None:
    task = await pod.created()
    assert (task.state, task.init.pid) == (State.CREATED, 1001)
    assert await task.start() == 1001
    assert state(task) is State.RUNNING
    pod.process().finish(42)
    end = await task.init.wait()
    assert end is not None
    assert (end.status, task.state) == (42, State.STOPPED)
    deleted = await task.delete()
    assert (deleted.pid, deleted.exit) == (1001, end)
    assert pod.told() == ["create c1", "start c1", "exit c1 42", "delete c1 42"]
    assert len(pod.registry) == 0
    assert pod.engine.processes == {}
    assert pod.engine.containers == {}


async def test_what_the_events_tell(pod: Pod) -> None:
    stdio = Stdio(terminal=True, stdin="/i", stdout="/o", stderr="/e")
    request = pod.request("c1", stdio=stdio)
    task = await pod.registry.create(request)
    await task.start()
    await add_exec(task)
    await task.start("e1")
    pod.process("c1/e1").finish(3)
    await task.exec_of("e1").wait()
    pod.process().finish(0)
    end = await task.init.wait()
    await task.delete()
    events = pod.take()
    assert [event.topic for event in events] == [
        "/tasks/create",
        "/tasks/start",
        "/tasks/exec-added",
        "/tasks/exec-started",
        "/tasks/exit",
        "/tasks/exit",
        "/tasks/delete",
    ]
    assert [event.at for event in events] == sorted(event.at for event in events)
    created, started, added, exec_started, exec_exit, exit_, deleted = map(decode, events)
    assert (created.container_id, created.bundle, created.pid) == ("c1", request.bundle.path, 1001)
    assert (created.io.stdin, created.io.stdout, created.io.stderr) == ("/i", "/o", "/e")
    assert created.io.terminal
    assert (started.container_id, started.pid) == ("c1", 1001)
    assert (added.container_id, added.exec_id) == ("c1", "e1")
    assert (exec_started.container_id, exec_started.exec_id) == ("c1", "e1")
    assert exec_started.pid == exec_exit.pid == 1002
    assert (exec_exit.container_id, exec_exit.id, exec_exit.exit_status) == ("c1", "e1", 3)
    assert (exit_.container_id, exit_.id, exit_.exit_status) == ("c1", "c1", 0)
    assert end is not None
    assert exit_.exited_at.ToNanoseconds() == deleted.exited_at.ToNanoseconds() == end.at
    assert (deleted.container_id, deleted.id, deleted.pid) == ("c1", "", 1001)
    assert [event.message.type_name for event in events[:2]] == [
        "containerd.events.TaskCreate",
        "containerd.events.TaskStart",
    ]


async def test_a_process_that_ends_before_start_returns(pod: Pod) -> None:
    task = await pod.created("c1", "exit", "7")
    assert await task.start() == 1001
    end = await task.init.wait()
    assert end is not None
    assert end.status == 7
    assert pod.told() == ["create c1", "start c1", "exit c1 7"]


async def test_an_exec_that_ends_before_start_returns(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task, "e1", "exit", "5")
    assert await task.start("e1") == 1002
    await task.exec_of("e1").wait()
    assert pod.told()[2:] == ["exec-added c1/e1", "exec-started c1/e1", "exit c1/e1 5"]


async def test_everything_is_done_before_a_waiter_comes_back(pod: Pod) -> None:
    task = await pod.running()
    seen: list[object] = []

    async def waiter() -> None:
        await task.init.wait()
        seen.append((task.state, pod.told()[-1:], task.bundle.read_exit() is not None))

    waiting = [asyncio.create_task(waiter()) for _ in range(10)]
    await quiesce()
    pod.process().finish(1)
    await asyncio.gather(*waiting)
    assert seen[0] == (State.STOPPED, ["exit c1 1"], True)
    assert len(seen) == 10


async def test_the_exit_is_on_disk_and_then_marked_deleted(pod: Pod) -> None:
    task = await pod.running()
    pod.process().finish(3)
    end = await task.init.wait()
    assert end is not None
    record = task.bundle.read_exit()
    assert record is not None
    assert (record.pid, record.status, record.at, record.deleted) == (1001, 3, end.at, False)
    await task.delete()
    record = task.bundle.read_exit()
    assert record is not None
    assert (record.status, record.deleted) == (3, True)


async def test_a_bundle_that_can_not_be_written_changes_nothing(
    pod: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    task = await pod.running()
    for name in os.listdir(task.bundle.path):
        os.unlink(task.bundle.file(name))
    os.rmdir(task.bundle.path)
    pod.process().finish(0)
    await task.init.wait()
    await task.delete()
    assert pod.told()[-2:] == ["exit c1 0", "delete c1 0"]
    assert "can't write down how c1 ended" in caplog.text


async def test_a_waiter_that_gives_up_leaves_nothing(pod: Pod) -> None:
    task = await pod.running()
    waiting = [asyncio.create_task(task.init.wait()) for _ in range(3)]
    await quiesce()
    waiting[0].cancel()
    await quiesce()
    pod.process().finish(9)
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1] == ends[2] == task.init.exit


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


# Execs.


async def test_an_exec_id_can_be_taken_once_and_again_after_its_deletion(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    for taken in ("e1", "c1"):
        with pytest.raises(AlreadyExistsError) as caught:
            await add_exec(task, taken)
        assert str(caught.value) == f"id {taken}: already exists"
    await task.exec_of("e1").delete()
    await add_exec(task)
    await task.start("e1")
    assert pod.told()[2:] == ["exec-added c1/e1", "exec-added c1/e1", "exec-started c1/e1"]


async def test_two_execs_of_one_id_at_once(pod: Pod) -> None:
    task = await pod.running()
    results = await asyncio.gather(add_exec(task), add_exec(task), return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], AlreadyExistsError)


async def test_an_exec_that_the_engine_refuses_leaves_nothing(pod: Pod) -> None:
    task = await pod.running()
    pod.engine.fail("exec c1/e1", InvalidArgumentError("process.args must not be empty"))
    with pytest.raises(InvalidArgumentError):
        await add_exec(task)
    assert task.execs == {}
    assert pod.told() == ["create c1", "start c1"]


async def test_an_unknown_exec(pod: Pod) -> None:
    task = await pod.running()
    for call in (task.start("e9"), task.kill("e9", 9, everyone=False)):
        with pytest.raises(NotFoundError) as caught:
            await call
        assert str(caught.value) == "process does not exist e9: not found"
    with pytest.raises(NotFoundError, match="process does not exist e9"):
        task.process("e9")


async def test_a_running_exec_can_not_be_deleted(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    await task.start("e1")
    with pytest.raises(ShimError, match=r"^cannot delete a running process$"):
        await task.exec_of("e1").delete()
    assert task.exec_of("e1").state is State.RUNNING


async def test_deletions_of_one_exec_share_their_result(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task, "e1", "exit", "4")
    await task.start("e1")
    await task.exec_of("e1").wait()
    gate = pod.engine.hold("free c1/e1")
    process = task.exec_of("e1")
    deletions = [asyncio.create_task(process.delete()) for _ in range(3)]
    await gate.reached.wait()
    gate.open()
    results = await asyncio.gather(*deletions)
    assert {result.exit.status for result in results if result.exit} == {4}
    with pytest.raises(NotFoundError, match="cannot delete a deleted process: not found"):
        await process.delete()
    with pytest.raises(NotFoundError, match="process does not exist"):
        task.exec_of("e1")


async def test_a_deletion_of_an_exec_can_be_tried_again(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    pod.engine.fail("free c1/e1", ShimError("busy"))
    with pytest.raises(ShimError, match="busy"):
        await task.exec_of("e1").delete()
    await task.exec_of("e1").delete()
    assert task.execs == {}


async def test_a_waiter_for_an_exec_that_is_deleted_unstarted_comes_back(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    waiting = asyncio.create_task(task.exec_of("e1").wait())
    await quiesce()
    await task.exec_of("e1").delete()
    assert await waiting is None


# Signals, sizes, input, pids, measures.


async def test_signals_go_where_they_are_sent(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    await task.start("e1")
    await task.kill("", 10, everyone=False)
    await task.kill("e1", 12, everyone=True)
    assert pod.process().signals == [10]
    assert pod.process("c1/e1").signals == [12]
    await task.kill("", 9, everyone=True)
    await task.init.wait()
    assert pod.told()[-2:] == ["exit c1/e1 137", "exit c1 137"]
    for exec_id in ("", "e1"):
        with pytest.raises(NotFoundError) as caught:
            await task.kill(exec_id, 9, everyone=False)
        assert str(caught.value) == "process already finished: not found"


@pytest.mark.parametrize("number", [128, 4294967295])
async def test_no_such_signal(pod: Pod, number: int) -> None:
    task = await pod.running()
    with pytest.raises(InvalidArgumentError, match=f"unknown signal {number}"):
        await task.kill("", number, everyone=False)


async def test_a_signal_reaches_a_container_that_is_busy(pod: Pod) -> None:
    task = await pod.running()
    gate = pod.engine.hold("update c1")
    updating = asyncio.create_task(task.update(b"{}"))
    await gate.reached.wait()
    assert (await task.stats()).type_name == "io.containerd.cgroups.v2.Metrics"
    assert await task.pids() == [(1001, "")]
    await task.kill("", 9, everyone=False)
    await task.init.wait()
    gate.open()
    await updating


async def test_sizes_and_input(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    process = pod.process("c1/e1")
    await task.process("e1").resize(80, 25)
    assert process.size == (80, 25)
    await task.start("e1")
    await task.process("e1").close_stdin()
    await task.process("e1").close_stdin()
    assert process.stdin_closed == 2
    process.finish(0)
    await task.process("e1").wait()
    with pytest.raises(ShimError, match="cannot resize a stopped container"):
        await task.process("e1").resize(1, 1)
    pod.process().finish(0)
    await task.init.wait()
    await task.process("").resize(1, 1)
    assert pod.process().size == (0, 0)


async def test_pids_name_the_execs(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    await task.start("e1")
    assert await task.pids() == [(1001, ""), (1002, "e1")]
    pod.process("c1/e1").finish(0)
    await task.exec_of("e1").wait()
    assert await task.pids() == [(1001, "")]


async def test_a_stopped_task_still_has_its_pid(pod: Pod) -> None:
    task = await pod.running()
    pod.process().finish(0)
    await task.init.wait()
    assert await task.pids() == [(1001, "")]
    assert "pids c1" not in pod.engine.calls


async def test_update_and_checkpoint(pod: Pod) -> None:
    task = await pod.running()
    await task.update(b'{"memory":{}}')
    assert pod.container().resources == b'{"memory":{}}'
    options = TypedValue("containerd.runc.v1.CheckpointOptions", b"")
    await task.checkpoint("/images/1", options)
    assert pod.container().checkpoints == [("/images/1", options)]
    (event,) = [event for event in pod.take() if event.topic == "/tasks/checkpointed"]
    assert decode(event).checkpoint == "/images/1"
    pod.process().finish(0)
    await task.init.wait()
    with pytest.raises(ShimError, match="cannot update a stopped container"):
        await task.update(b"{}")
    with pytest.raises(ShimError, match="cannot checkpoint a stopped container"):
        await task.checkpoint("/images/2", None)


async def test_an_init_that_ends_by_its_checkpoint(pod: Pod) -> None:
    task = await pod.running()
    gate = pod.engine.hold("checkpoint c1")
    checkpointing = asyncio.create_task(task.checkpoint("/images/1", None))
    await gate.reached.wait()
    pod.process().finish(0)
    await task.init.wait()
    gate.open()
    await checkpointing
    await task.delete()
    assert pod.told()[2:] == ["exit c1 0", "checkpointed c1", "delete c1 0"]


async def test_a_task_from_a_checkpoint(pod: Pod) -> None:
    task = await pod.created("c1", checkpoint="/images/1")
    assert (task.state, task.init.pid) == (State.CREATED_FROM_CHECKPOINT, 0)
    with pytest.raises(ShimError, match="cannot exec in a created state"):
        await add_exec(task)
    with pytest.raises(NotFoundError, match="no such container"):
        await task.kill("", 9, everyone=False)
    assert await task.start() == 1001
    pod.container().oom.release()
    await until(lambda: len(pod.outbox) == 3)
    pod.process().finish(0)
    await task.init.wait()
    await task.delete()
    assert pod.told() == ["create c1", "start c1", "oom c1", "exit c1 0", "delete c1 0"]


# Out of memory.


async def test_every_kill_for_want_of_memory_is_told(pod: Pod) -> None:
    task = await pod.running()
    pod.container().oom.release()
    await until(lambda: len(pod.outbox) == 3)
    pod.container().oom.release()
    await until(lambda: len(pod.outbox) == 4)
    assert pod.told()[2:] == ["oom c1", "oom c1"]
    assert state(task) is State.RUNNING


async def test_the_last_kill_is_told_before_the_exit_that_it_caused(pod: Pod) -> None:
    task = await pod.running()
    gate = pod.engine.hold("init_exited c1")
    pod.process().finish(137)
    await gate.reached.wait()
    pod.container().oom.release()  # found only now, in the cgroup's last counters
    gate.open()
    await task.init.wait()
    assert pod.told()[2:] == ["oom c1", "exit c1 137"]


async def test_an_engine_that_says_there_was_no_kill_is_not_waited_for(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podshim.task.task.OOM_GRACE", 3600.0)
    task = await pod.running()
    pod.container().oom_over = True
    pod.container().oom.release()
    await quiesce()
    pod.process().finish(137)
    await task.init.wait()


# Deletion.


async def test_a_running_task_can_not_be_deleted(pod: Pod) -> None:
    task = await pod.running()
    with pytest.raises(ShimError, match=r"^cannot delete a running process$") as caught:
        await task.delete()
    assert type(caught.value) is ShimError
    await task.pause()
    with pytest.raises(ShimError, match=r"^cannot delete a paused process$"):
        await task.delete()
    assert pod.registry.find("c1") is task


async def test_a_created_task_is_killed_first(pod: Pod) -> None:
    task = await pod.created()
    waiting = asyncio.create_task(task.init.wait())
    await quiesce()
    deleted = await task.delete()
    assert (deleted.pid, deleted.exit) == (1001, None)
    end = await waiting
    assert end is not None
    assert end.status == 137
    assert pod.engine.calls[1:] == ["kill c1 9", "init_exited c1", "free c1", "delete c1"]
    assert pod.told() == ["create c1", "exit c1 137", "delete c1 0"]


async def test_a_created_task_with_a_running_exec(pod: Pod) -> None:
    task = await pod.created()
    await add_exec(task)
    await task.start("e1")
    await task.delete()
    assert pod.told()[3:] == ["exit c1/e1 137", "exit c1 137", "delete c1 0"]


@pytest.mark.logs_errors
async def test_a_created_task_that_can_not_be_killed_is_removed_by_force(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podshim.task.task.END_TIMEOUT", 0.0)
    task = await pod.created()
    await add_exec(task)
    await task.start("e1")
    pod.engine.fail("kill c1 9", ShimError("no"))
    waiting = [asyncio.create_task(task.process(name).wait()) for name in ("", "e1")]
    await quiesce()
    await task.delete()
    assert pod.told()[3:] == ["exit c1/e1 137", "exit c1 137", "delete c1 0"]
    assert [end.status for end in await asyncio.gather(*waiting) if end] == [137, 137]
    pod.engine.violations.clear()  # it could not keep its promises: nothing had died


async def test_a_task_from_a_checkpoint_that_never_ran_has_no_exit(pod: Pod) -> None:
    task = await pod.created("c1", checkpoint="/images/1")
    waiting = asyncio.create_task(task.init.wait())
    await quiesce()
    await task.delete()
    assert await waiting is None
    assert pod.told() == ["create c1", "delete c1 0"]
    assert pod.registry._background.watchers == []


async def test_deletions_at_once_share_their_result(pod: Pod) -> None:
    task = await pod.running()
    pod.process().finish(6)
    await task.init.wait()
    gate = pod.engine.hold("delete c1")
    deletions = [asyncio.create_task(task.delete()) for _ in range(3)]
    await gate.reached.wait()
    await quiesce()
    assert state(task) is State.STOPPED
    gate.open()
    results = await asyncio.gather(*deletions)
    assert {result.exit.status for result in results if result.exit} == {6}
    assert pod.engine.calls.count("delete c1") == 1
    assert pod.told().count("delete c1 6") == 1


async def test_a_deletion_that_fails_can_be_tried_again(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    pod.process().finish(0)
    await task.init.wait()
    pod.engine.fail("delete c1", ShimError("failed rootfs umount: device or resource busy"))
    with pytest.raises(ShimError, match="failed rootfs umount"):
        await task.delete()
    assert state(task) is State.STOPPED
    assert not task.deleting
    assert pod.registry.find("c1") is task
    await task.delete()
    assert pod.engine.calls.count("free c1") == 1
    assert pod.told()[-1:] == ["delete c1 0"]


async def test_execs_go_with_their_container(pod: Pod) -> None:
    task = await pod.running()
    for name in ("e1", "e2", "e3"):
        await add_exec(task, name)
    await task.start("e1")
    pod.engine.fail("start c1/e2", ShimError("no"))
    with pytest.raises(ShimError):
        await task.start("e2")
    waiting = asyncio.create_task(task.exec_of("e3").wait())
    await quiesce()
    pod.process().finish(0)
    await task.init.wait()
    await task.delete()
    assert await waiting is None
    assert pod.engine.processes == {}
    calls = pod.engine.calls
    for name in ("e1", "e2", "e3"):
        assert calls.index(f"free c1/{name}") < calls.index("free c1") < calls.index("delete c1")


@pytest.mark.logs_errors
async def test_an_exec_that_can_not_be_freed_does_not_keep_the_container(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    pod.process().finish(0)
    await task.init.wait()
    pod.engine.fail("free c1/e1", ShimError("no"))
    await task.delete()
    assert len(pod.registry) == 0
    pod.engine.violations.clear()


# Callers that go away.


@pytest.mark.parametrize("operation", ["start", "pause", "update", "delete"])
async def test_an_operation_outlives_its_caller(pod: Pod, operation: str) -> None:
    task = await pod.created()
    if operation != "start":
        await task.start()
    if operation == "delete":
        pod.process().finish(0)
        await task.init.wait()
    gate = pod.engine.hold(f"{operation} c1")
    calls: dict[str, Callable[[], Coroutine[object, object, object]]] = {
        "start": task.start,
        "pause": task.pause,
        "update": lambda: task.update(b"{}"),
        "delete": task.delete,
    }
    caller = asyncio.create_task(calls[operation]())
    await gate.reached.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gate.open()
    await until(lambda: not pod.registry._background.operations)
    assert {
        "start": lambda: state(task) is State.RUNNING,
        "pause": lambda: state(task) is State.PAUSED,
        "update": lambda: pod.container().resources == b"{}",
        "delete": lambda: len(pod.registry) == 0,
    }[operation]()


async def test_an_operation_that_has_not_begun_never_does(pod: Pod) -> None:
    task = await pod.running()
    gate = pod.engine.hold("update c1")
    updating = asyncio.create_task(task.update(b"{}"))
    await gate.reached.wait()
    pausing = asyncio.create_task(task.pause())
    await quiesce()
    pausing.cancel()
    gate.open()
    await updating
    with pytest.raises(asyncio.CancelledError):
        await pausing
    await quiesce()
    assert state(task) is State.RUNNING
    await task.pause()


@pytest.mark.logs_errors
async def test_a_failure_that_nobody_hears_is_logged(
    pod: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    task = await pod.running()
    gate = pod.engine.hold("pause c1")
    pod.engine.fail("pause c1", ShimError("OCI runtime pause failed"))
    pausing = asyncio.create_task(task.pause())
    await gate.reached.wait()
    pausing.cancel()
    await quiesce()
    gate.open()
    await until(lambda: not pod.registry._background.operations)
    assert "pause of c1: OCI runtime pause failed" in caplog.text
    assert state(task) is State.RUNNING


async def test_an_operation_cut_short_by_the_shims_end(pod: Pod) -> None:
    task = await pod.running()
    gate = pod.engine.hold("update c1")
    updating = asyncio.create_task(task.update(b"{}"))
    await gate.reached.wait()
    await pod.registry.close(grace=0.0)
    with pytest.raises(UnavailableError, match="update of c1: the shim is going away"):
        await updating
    assert pod.process().alive


# What is left over.


async def test_execs_leave_nothing_behind(pod: Pod) -> None:
    task = await pod.running()

    async def cycle(number: int) -> weakref.ref[object]:
        name = f"e{number}"
        await add_exec(task, name, "exit", "0")
        process = task.exec_of(name)
        await task.start(name)
        await process.wait()
        await process.delete()
        pod.take()
        return weakref.ref(process)

    gone = [await cycle(number) for number in range(200)]
    await quiesce()
    gc.collect()
    assert [ref for ref in gone if ref() is not None] == []
    assert task.execs == {}
    assert len(task._roster) == 0
    assert pod.registry._background.watchers == ["memory watch of c1", "watch of c1"]
    assert pod.registry._background.operations == []
    assert pod.registry._background._abandoned == set()


async def test_tasks_leave_nothing_behind(pod: Pod) -> None:
    gone = []
    for _ in range(50):
        task = await pod.running("c1", "exit", "0")
        await task.init.wait()
        await task.delete()
        gone.append(weakref.ref(task))
        del task
        pod.take()
    await quiesce()
    gc.collect()
    assert [ref for ref in gone if ref() is not None] == []
    assert pod.registry._background.watchers == []


async def test_it_describes_itself(pod: Pod) -> None:
    task = await pod.running()
    await add_exec(task)
    gate = pod.engine.hold("update c1")
    updating = asyncio.create_task(task.update(b"{}"))
    await gate.reached.wait()
    assert pod.registry.snapshot() == [
        "<Registry 1 tasks, 0 in the making>",
        "Outbox(3 of 8192 waiting, 0 evicted)",
        "<Task c1 running pid 1001, 0 of 1 execs run> busy",
        "  <Exec e1 created pid 0>",
        "operation: update of c1",
    ]
    gate.open()
    await updating
