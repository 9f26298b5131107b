"""Ids, creations whose callers go away, and when the shim may go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from podshim.bundle import Bundle, ExitRecord
from podshim.engine import CreateRequest
from podshim.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    ShimError,
    UnavailableError,
)
from task.task_support import Pod, quiesce, until

if TYPE_CHECKING:
    from pathlib import Path


async def abandoned(pod: Pod, task_id: str = "c1", checkpoint: str = "") -> asyncio.Event:
    """Begin a creation whose caller is gone before the engine has answered."""
    gate = pod.engine.hold(f"create {task_id}")
    request = pod.request(task_id, checkpoint=checkpoint)
    creating = asyncio.create_task(pod.registry.create(request))
    await gate.reached.wait()
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    done = asyncio.Event()

    async def go_on() -> None:
        gate.open()
        await until(lambda: not pod.registry._background.operations)
        done.set()

    pod.registry._background.watch(go_on(), "test")
    return done


async def test_a_task_is_found_by_its_id(pod: Pod) -> None:
    task = await pod.created()
    assert pod.registry.get("c1") is pod.registry.find("c1") is task
    assert list(pod.registry) == [task]
    assert pod.registry.find("c2") is None
    with pytest.raises(NotFoundError) as caught:
        pod.registry.get("c2")
    assert str(caught.value) == "container not created: not found"


async def test_an_id_is_taken_once(pod: Pod) -> None:
    await pod.created()
    with pytest.raises(AlreadyExistsError) as caught:
        await pod.created()
    assert str(caught.value) == "task c1: already exists"
    assert pod.engine.calls == ["create c1"]


async def test_a_task_in_the_making_has_its_id_but_is_not_found(pod: Pod) -> None:
    gate = pod.engine.hold("create c1")
    creating = asyncio.create_task(pod.created())
    await gate.reached.wait()
    with pytest.raises(NotFoundError, match="container not created"):
        pod.registry.get("c1")
    with pytest.raises(AlreadyExistsError):
        await pod.created()
    assert len(pod.registry) == 1
    assert "creation of c1" in pod.registry.snapshot()
    gate.open()
    assert pod.registry.find("c1") is None
    task = await creating
    assert pod.registry.get("c1") is task


async def test_a_creation_that_fails_leaves_nothing(pod: Pod) -> None:
    pod.engine.fail("create c1", ShimError('OCI runtime create failed: exec: "no-runc"'))
    with pytest.raises(ShimError, match='"no-runc"'):
        await pod.created()
    assert len(pod.registry) == 0
    assert pod.told() == []
    assert pod.registry._background.watchers == []
    await pod.created()


async def test_the_end_of_an_earlier_container_in_the_same_folder_is_forgotten(pod: Pod) -> None:
    """`delete` would take it for this one's, and leave this one's processes and mounts."""
    request = pod.request()
    request.bundle.write_exit(ExitRecord(7, 0, 1, deleted=True))
    await pod.registry.create(request)
    assert request.bundle.read_exit() is None


@pytest.mark.parametrize("task_id", ["", "x" * 200, "a/b", "..", "-a"])
async def test_an_id_must_be_one(pod: Pod, tmp_path: Path, task_id: str) -> None:
    with pytest.raises(InvalidArgumentError):
        await pod.registry.create(CreateRequest(task_id, Bundle(str(tmp_path))))
    assert pod.engine.calls == []
    assert len(pod.registry) == 0


async def test_a_bundle_must_be_a_folder(pod: Pod, tmp_path: Path) -> None:
    missing, file = tmp_path / "missing", tmp_path / "file"
    file.write_text("")
    with pytest.raises(NotFoundError) as caught:
        await pod.registry.create(CreateRequest("c1", Bundle(str(missing))))
    assert str(caught.value) == f"stat {missing}: No such file or directory: not found"
    with pytest.raises(InvalidArgumentError, match="is not a directory"):
        await pod.registry.create(CreateRequest("c1", Bundle(str(file))))
    with pytest.raises(NotFoundError):
        await pod.registry.create(CreateRequest("c1", Bundle(str(file / "below"))))
    with pytest.raises(InvalidArgumentError, match="File name too long"):
        await pod.registry.create(CreateRequest("c1", Bundle("/" + "x" * 5000)))
    assert pod.engine.calls == []


async def test_a_creation_whose_caller_is_gone_is_finished_and_undone(pod: Pod) -> None:
    done = await abandoned(pod)
    with pytest.raises(AlreadyExistsError):
        await pod.created()
    await done.wait()
    assert pod.engine.calls == ["create c1", "kill c1 9", "free c1", "delete c1"]
    assert len(pod.registry) == 0
    assert pod.told() == []
    await pod.created()


async def test_a_creation_from_a_checkpoint_is_undone_too(pod: Pod) -> None:
    done = await abandoned(pod, checkpoint="/images/1")
    await done.wait()
    assert pod.engine.calls == ["create c1", "free c1", "delete c1"]


@pytest.mark.logs_errors
async def test_what_can_not_be_undone_does_not_keep_the_id(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podshim.task.registry.END_TIMEOUT", 0.0)
    pod.engine.fail("kill c1 9", ShimError("no"))
    pod.engine.fail("delete c1", ShimError("device or resource busy"))
    done = await abandoned(pod)
    await done.wait()
    assert len(pod.registry) == 0


async def test_a_task_that_comes_just_as_its_caller_goes_is_taken_back(pod: Pod) -> None:
    creating = asyncio.create_task(pod.created())
    await asyncio.sleep(0)  # the engine answers in the very turn in which the caller goes
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    pod.registry.shutdown()
    await pod.registry.finished.wait()
    assert pod.engine.containers == {}
    assert pod.told() == ["create c1", "exit c1 137", "delete c1 0"]


# When the shim may go.


async def test_without_tasks_it_goes_at_once(pod: Pod) -> None:
    assert not pod.registry.finished.is_set()
    pod.registry.shutdown()
    assert pod.registry.finished.is_set()
    with pytest.raises(UnavailableError, match="the shim is shutting down: unavailable"):
        await pod.created()


async def test_with_a_task_it_stays_and_forgets_that_it_was_told(pod: Pod) -> None:
    task = await pod.running("c1", "exit", "0")
    await task.init.wait()
    pod.registry.shutdown()
    await task.delete()
    assert not pod.registry.finished.is_set()
    pod.registry.shutdown()
    assert pod.registry.finished.is_set()


async def test_the_last_container_of_a_pod_lets_it_go(pod: Pod) -> None:
    sandbox = await pod.running("sandbox", "exit", "0")
    work = await pod.running("work", "exit", "0")
    for task in (sandbox, work):
        await task.init.wait()
    await sandbox.delete()
    pod.registry.shutdown()
    assert not pod.registry.finished.is_set()
    await work.delete()
    pod.registry.shutdown()
    assert pod.registry.finished.is_set()


async def test_told_while_the_last_task_is_being_deleted_it_goes_when_that_is_done(
    pod: Pod,
) -> None:
    task = await pod.running("c1", "exit", "0")
    await task.init.wait()
    gate = pod.engine.hold("delete c1")
    deleting = asyncio.create_task(task.delete())
    await gate.reached.wait()
    deleting.cancel()  # the client's deadline has passed
    pod.registry.shutdown()
    await quiesce()
    assert not pod.registry.finished.is_set()
    assert "told to go" in repr(pod.registry)
    gate.open()
    await pod.registry.finished.wait()
    assert pod.told()[-1:] == ["delete c1 0"]


@pytest.mark.logs_errors
async def test_told_during_a_deletion_that_fails_it_goes_after_the_next(pod: Pod) -> None:
    task = await pod.running("c1", "exit", "0")
    await task.init.wait()
    gate = pod.engine.hold("delete c1")
    pod.engine.fail("delete c1", ShimError("busy"))
    deleting = asyncio.create_task(task.delete())
    await gate.reached.wait()
    deleting.cancel()
    pod.registry.shutdown()
    await quiesce()
    gate.open()
    await until(lambda: not task.deleting)
    assert not pod.registry.finished.is_set()
    await task.delete()
    assert pod.registry.finished.is_set()


async def test_told_while_a_creation_is_being_undone_it_goes_when_that_is_done(pod: Pod) -> None:
    done = await abandoned(pod)
    pod.registry.shutdown()
    assert not pod.registry.finished.is_set()
    await done.wait()
    assert pod.registry.finished.is_set()


async def test_told_before_it_knows_that_the_creator_is_gone(pod: Pod) -> None:
    gate = pod.engine.hold("create c1")
    creating = asyncio.create_task(pod.created())
    await gate.reached.wait()
    pod.registry.shutdown()
    assert not pod.registry.finished.is_set()
    creating.cancel()  # the daemon's connection ends after its Shutdown
    await quiesce()
    gate.open()
    await pod.registry.finished.wait()
    assert pod.engine.containers == {}


async def test_told_during_a_creation_that_fails_it_goes(pod: Pod) -> None:
    gate = pod.engine.hold("create c1")
    pod.engine.fail("create c1", ShimError("no"))
    creating = asyncio.create_task(pod.created())
    await gate.reached.wait()
    pod.registry.shutdown()
    gate.open()
    with pytest.raises(ShimError):
        await creating
    assert pod.registry.finished.is_set()


async def test_a_new_task_takes_the_order_back(pod: Pod) -> None:
    old = await pod.running("old", "exit", "0")
    await old.init.wait()
    gate = pod.engine.hold("delete old")
    deleting = asyncio.create_task(old.delete())
    await gate.reached.wait()
    pod.registry.shutdown()
    new = await pod.created("new")
    gate.open()
    await deleting
    assert not pod.registry.finished.is_set()
    await new.delete()
    assert not pod.registry.finished.is_set()
    pod.registry.shutdown()
    assert pod.registry.finished.is_set()


async def test_closing_leaves_containers_alone(pod: Pod) -> None:
    task = await pod.running()
    waiting = asyncio.create_task(task.init.wait())
    await quiesce()
    await pod.registry.close()
    assert pod.process().alive
    assert pod.engine.calls == ["create c1", "start c1"]
    assert pod.registry._background.watchers == []
    assert pod.registry.finished.is_set()
    waiting.cancel()


async def test_closing_lets_operations_end(pod: Pod) -> None:
    task = await pod.running()
    gate = pod.engine.hold("update c1")
    updating = asyncio.create_task(task.update(b"{}"))
    await gate.reached.wait()
    closing = asyncio.create_task(pod.registry.close())
    await quiesce()
    assert not closing.done()
    gate.open()
    await closing
    await updating
    assert pod.container().resources == b"{}"


async def test_a_shim_told_to_go_stays_for_a_container_on_its_way(pod: Pod) -> None:
    pod.registry.expect("c2")
    pod.registry.shutdown()
    assert not pod.registry.finished.is_set()
    task = await pod.created("c2")
    assert not pod.registry.finished.is_set()
    await task.delete()
    assert not pod.registry.finished.is_set()
    pod.registry.shutdown()
    assert pod.registry.finished.is_set()


async def test_it_goes_when_that_container_can_not_be_made(pod: Pod) -> None:
    pod.registry.expect("c2")
    pod.registry.shutdown()
    pod.engine.fail("create c2", ShimError("no such binary"))
    with pytest.raises(ShimError, match="no such binary"):
        await pod.created("c2")
    assert pod.registry.finished.is_set()


async def test_it_goes_when_that_container_itself_tells_it_to(pod: Pod) -> None:
    pod.registry.expect("c2")
    pod.registry.expect("c3")
    pod.registry.shutdown("c2")
    assert not pod.registry.finished.is_set()
    pod.registry.shutdown("c3")
    assert pod.registry.finished.is_set()


async def test_it_goes_when_that_container_does_not_come(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podshim.task.registry.EXPECTATION", 0.01)
    pod.registry.expect("c2")
    pod.registry.shutdown()
    pod.registry.expect("c2")
    assert not pod.registry.finished.is_set()
    async with asyncio.timeout(60):
        await pod.registry.finished.wait()


async def test_a_shim_that_goes_expects_nobody(pod: Pod) -> None:
    pod.registry.shutdown()
    with pytest.raises(UnavailableError):
        pod.registry.expect("c2")
