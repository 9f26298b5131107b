"""Deletions, callers that go away, and what is left over: nothing."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from podshim.errors import (
    NotFoundError,
    ShimError,
    UnavailableError,
)
from podshim.task.lifecycle import State
from task.task_support import Pod, add_exec, quiesce, state, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


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


async def test_execs_do_not_wait_for_each_other_to_go(pod: Pod) -> None:
    """Each may wait for output that nobody reads; that is not to add up."""
    task = await pod.running()
    for name in ("e1", "e2"):
        await add_exec(task, name)
        await task.start(name)
    gates = [pod.engine.hold(f"free c1/{name}") for name in ("e1", "e2")]
    pod.engine.processes["c1"].finish(0)
    await task.init.wait()
    deletion = asyncio.create_task(task.delete())
    async with asyncio.timeout(20):
        await gates[1].reached.wait()
        assert gates[0].reached.is_set()
        gates[1].open()
        gates[0].open()
        await deletion
    assert pod.engine.processes == {}


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


async def test_an_operation_keeps_others_out_when_its_caller_is_gone(pod: Pod) -> None:
    task = await pod.running()
    gate = pod.engine.hold("update c1")
    updating = asyncio.create_task(task.update(b"{}"))
    await gate.reached.wait()
    updating.cancel()
    pausing = asyncio.create_task(task.pause())
    await quiesce()
    assert "pause c1" not in pod.engine.calls
    gate.open()
    await pausing
    assert state(task) is State.PAUSED


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
    assert pod.registry._background.watchers == ["watch of c1"]
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


async def test_a_kill_is_answered_before_the_deletion_that_it_leads_to(pod: Pod) -> None:
    """The daemon closes its connection after a deletion: what is open then has failed for it."""
    task = await pod.running()
    gate = pod.engine.hold("kill c1 9 all")
    kill = asyncio.create_task(task.kill("", 9, everyone=True))
    await gate.reached.wait()
    pod.process().finish(137)
    await task.init.wait()
    deletion = asyncio.create_task(task.delete())
    await until(lambda: task.deleting)
    await quiesce()
    assert not deletion.done()
    assert "delete c1" not in pod.engine.calls
    gate.open()
    with pytest.raises(NotFoundError):  # it had ended before the signal came
        await kill
    assert (await deletion).exit == task.init.exit
