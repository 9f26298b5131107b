"""A task, its execs and its operations, one after another."""

from __future__ import annotations

import asyncio
import os

import pytest

from podshim.engine import Exit, Stdio, TypedValue
from podshim.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    ShimError,
)
from podshim.task.lifecycle import State
from task.task_support import Pod, add_exec, decode, quiesce, state, until

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


async def test_a_task_that_is_dying_still_has_its_pid(pod: Pod) -> None:
    """After a restart containerd asks; an error or an empty list makes it remove the task."""
    task = await pod.running()
    gate = pod.engine.hold("init_exited c1")
    pod.process().finish(0)
    await gate.reached.wait()
    assert state(task) is State.RUNNING
    assert await task.pids() == [(1001, "")]
    assert "pids c1" not in pod.engine.calls
    gate.open()


async def test_a_task_that_dies_while_its_pids_are_listed_still_has_its_own(pod: Pod) -> None:
    task = await pod.running()
    listing = pod.engine.hold("pids c1")
    pod.engine.fail("pids c1", ShimError("container not running"))
    pids = asyncio.create_task(task.pids())
    await listing.reached.wait()
    pod.process().finish(0)
    await task.init.wait()
    listing.open()
    assert await pids == [(1001, "")]


async def test_a_zombie_is_not_in_its_cgroup_but_a_process_all_the_same(pod: Pod) -> None:
    task = await pod.running()
    pod.process().ended = Exit(0, 1)  # nobody has been told yet
    assert await task.pids() == [(1001, "")]


async def test_pids_that_can_not_be_listed_are_an_error(pod: Pod) -> None:
    task = await pod.running()
    pod.engine.fail("pids c1", ShimError("runc ps: no"))
    with pytest.raises(ShimError, match="runc ps: no"):
        await task.pids()


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
    pod.engine.sees_memory = True
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
