"""What happens at the same time: every order of it ends well."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from podshim.api import task_v2_pb2 as pb
from podshim.api.task_v2_ttrpc import TaskStub
from podshim.errors import Code, ShimError
from podshim.task.outbox import Outbox
from podshim.task.runhcs.slot import Slot
from podshim.task.runhcs.task import Limits
from podshim.ttrpc import StatusError
from runhcs.fake_windows import FakeWindows
from runhcs.slot_support import (
    AT_ONCE,
    NEVER,
    argon,
    begun,
    in_pod,
    status_of,
    until,
    xenon,
)
from task.task_support import quiesce

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim

PRECONDITION = Code.FAILED_PRECONDITION


async def lost(shim: Shim, call: Callable[[TaskStub], Awaitable[object]], begun_as: str) -> None:
    """Make a call, and lose its connection when the engine has been asked."""
    client = await shim.connect()
    pending = asyncio.ensure_future(call(TaskStub(client)))
    await until(lambda: begun_as in shim.engine.calls)
    client.close()
    await asyncio.wait([pending])
    assert pending.exception() is not None
    await until(lambda: shim.server.calls == 0)


async def test_a_creation_whose_client_goes_is_finished_and_kept(shim: Shim) -> None:
    slow = shim.engine.hold("create c1")
    request = shim.request(argon())
    await lost(shim, lambda task: task.create(request), "create c1")
    slow.open()
    await until(lambda: bool(shim.slot.tasks))
    assert await shim.status() == "CREATED 255 pid 0"
    assert shim.told() == ["create c1"]
    assert (await status_of(shim.create(argon())))[0] is Code.ALREADY_EXISTS
    await shim.delete()
    assert not shim.engine.containers


@pytest.mark.logs_errors
async def test_a_failure_that_nobody_hears_is_logged_and_leaves_nothing(
    shim: Shim, caplog: pytest.LogCaptureFixture
) -> None:
    slow = shim.engine.hold("create c1")
    shim.engine.fail("create c1", ShimError("no layers"))
    request = shim.request(xenon())
    await lost(shim, lambda task: task.create(request), "create c1")
    slow.open()
    await until(lambda: not shim.engine.vms)
    await until(lambda: "creation of c1: no layers" in caplog.text)
    assert not shim.slot.tasks


async def test_a_start_whose_client_goes_is_finished(shim: Shim) -> None:
    await shim.create(argon())
    slow = shim.engine.hold("start c1")
    await lost(shim, lambda task: task.start(pb.StartRequest(id="c1")), "start c1")
    slow.open()
    await until(lambda: len(shim.outbox) == 2)
    assert (await shim.state()).status == 2
    assert shim.told() == ["create c1", "start c1"]


async def test_a_deletion_whose_client_goes_is_finished(pod: Shim) -> None:
    await pod.create(in_pod(argon()), "w1")
    slow = pod.engine.hold("delete w1")
    await lost(pod, lambda task: task.delete(pb.DeleteRequest(id="w1")), "delete w1")
    slow.open()
    await until(lambda: len(pod.slot.tasks) == 1)
    assert pod.told() == ["create w1", "exit w1 0", "delete w1 0"]


async def test_a_sandbox_that_ends_takes_a_workload_in_the_making_along(pod: Shim) -> None:
    slow = pod.engine.hold("create w1")
    async with begun(status_of(pod.create(in_pod(argon()), "w1"))) as call:
        await slow.reached.wait()
        pod.process("p").finish(0)
        await pod.wait("p")
        slow.open()
        assert await call == (
            PRECONDITION,
            (
                "task with id: 'w1' cannot be created in pod: 'p' which is not running:"
                " failed precondition"
            ),
        )
    assert not pod.engine.containers
    assert not pod.engine.processes
    assert pod.told() == ["exit p 0"]


@pytest.mark.parametrize("exec_id", ["", "e1"])
async def test_a_kill_during_a_start_finds_the_process(shim: Shim, exec_id: str) -> None:
    name = "c1"
    await shim.create(argon())
    if exec_id:
        await shim.start()
        await shim.exec("c1", exec_id)
        name = f"c1/{exec_id}"
    slow = shim.engine.hold(f"start {name}")
    async with begun(shim.start("c1", exec_id)) as start:
        await slow.reached.wait()
        async with begun(shim.kill("c1", exec_id)) as kill:
            await quiesce()
            assert not kill.done()
            slow.open()
        pid = await start
    assert await shim.wait("c1", exec_id) == 137
    assert await shim.status("c1", exec_id) == f"STOPPED 137 pid {pid}"


@pytest.mark.parametrize("exec_id", ["", "e1"])
async def test_a_deletion_during_a_start_finds_it_running(shim: Shim, exec_id: str) -> None:
    name = "c1"
    await shim.create(argon())
    if exec_id:
        await shim.start()
        await shim.exec("c1", exec_id)
        name = f"c1/{exec_id}"
    slow = shim.engine.hold(f"start {name}")
    async with begun(shim.start("c1", exec_id)):
        await slow.reached.wait()
        async with begun(status_of(shim.delete("c1", exec_id))) as deletion:
            await quiesce()
            slow.open()
            code, text = await deletion
    assert code is PRECONDITION
    assert "'running' for delete" in text
    assert (await shim.state("c1", exec_id)).status == 2


async def test_a_kill_during_a_start_that_fails_finds_nothing(shim: Shim) -> None:
    await shim.create(argon())
    slow = shim.engine.hold("start c1")
    shim.engine.fail("start c1", ShimError("no"))
    async with begun(status_of(shim.start())) as start:
        await slow.reached.wait()
        async with begun(status_of(shim.kill())) as kill:
            await quiesce()
            slow.open()
            assert (await kill)[0] is Code.NOT_FOUND
        assert await start == (Code.UNKNOWN, "no")
    assert await shim.wait() == 1


async def test_two_starts_start_once(shim: Shim) -> None:
    await shim.create(argon())
    slow = shim.engine.hold("start c1")
    async with begun(shim.start()), begun(status_of(shim.start())) as second:
        await slow.reached.wait()
        slow.open()
        assert (await second)[0] is PRECONDITION
    assert shim.engine.calls.count("start c1") == 1


async def test_a_container_that_ends_during_its_start(shim: Shim) -> None:
    await shim.create(argon())
    slow = shim.engine.hold("start c1")
    async with begun(status_of(shim.start())) as start:
        await slow.reached.wait()
        shim.process().finish(1)
        await quiesce()
        assert await shim.status() == "CREATED 255 pid 0"
        slow.open()
        assert (await start)[0] is Code.UNKNOWN
    assert await shim.wait() == 1
    assert shim.told() == ["create c1", "exit c1 1"]


async def test_a_kill_and_a_deletion_at_once(shim: Shim) -> None:
    await shim.create(argon())
    async with begun(status_or_none(shim.kill())), begun(status_or_none(shim.delete())):
        pass
    assert await shim.wait() in {0, 1}
    assert shim.told()[1].startswith("exit c1 ")
    assert not shim.engine.containers


async def test_a_deletion_of_an_exec_that_goes_with_its_task(make_shim: MakeShim) -> None:
    shim = await make_shim(limits=Limits(NEVER, NEVER, AT_ONCE))
    await shim.run(argon())
    await shim.exec("c1", "e1")
    slow = shim.engine.hold("free c1/e1")
    async with begun(shim.kill("c1", "e1")):
        await slow.reached.wait()
        shim.process().finish(0)
        await shim.wait()
        gone = status_of(shim.delete("c1", "e1"))
        async with begun(shim.delete()) as task, begun(gone) as process:
            await until(lambda: shim.server.calls == 3)
            await quiesce()  # both wait for the kill
            slow.open()
            assert await task == (shim.slot.tasks[0].init.pid, 0)
            assert (await process)[0] is Code.NOT_FOUND
    assert shim.told()[-1] == "delete c1 0"


async def test_many_execs_live_at_once(shim: Shim) -> None:
    await shim.run(argon())
    names = [f"e{number}" for number in range(30)]

    async def live(name: str) -> None:
        await shim.exec("c1", name, "exit", "0")
        await shim.start("c1", name)
        await shim.wait("c1", name)
        await shim.delete("c1", name)

    await asyncio.gather(*map(live, names))
    told = shim.told()
    for name in names:
        mine = [line.split()[0] for line in told if line.split()[1] == f"c1/{name}"]
        assert mine == ["exec-added", "exec-started", "exit", "delete"]
    assert len(shim.engine.processes) == 1


@pytest.mark.parametrize("end", ["deletion", "kill", "failed start"])
async def test_nothing_stays_of_execs_that_never_ran(shim: Shim, end: str) -> None:
    await shim.run(argon())
    before = shim.slot._background.watchers
    for number in range(3):
        await shim.exec("c1", f"e{number}", "missing")
        if end == "kill":
            await shim.kill("c1", f"e{number}")
        elif end == "failed start":
            assert (await status_of(shim.start("c1", f"e{number}")))[0] is Code.UNKNOWN
        await shim.delete("c1", f"e{number}")
    await quiesce()
    assert shim.slot._background.watchers == before


@pytest.mark.parametrize("grace", [5.0, 0.0])
async def test_the_shim_s_end_waits_for_operations_a_while(
    make_shim: MakeShim, grace: float
) -> None:
    shim = await make_shim()
    slow = shim.engine.hold("create c1")
    async with begun(status_or_none(shim.create(argon()))) as creation:
        await slow.reached.wait()
        async with begun(shim.slot.close(grace)):
            if grace:
                await quiesce()
                assert not creation.done()
                slow.open()
        answer = await creation
    assert (
        answer is None
        if grace
        else answer
        == (
            Code.UNAVAILABLE,
            "creation of c1: the shim is going away: unavailable",
        )
    )
    assert bool(shim.slot.tasks) is bool(grace)


async def test_a_slot_without_tasks_closes_at_once() -> None:
    slot = Slot(FakeWindows(), Outbox(), task_id="c1", is_sandbox=False)
    assert slot.snapshot()[0] == "<Slot c1 empty>"
    await slot.close(0)


async def status_or_none(call: Awaitable[object]) -> tuple[Code, str] | None:
    try:
        await call
    except StatusError as error:
        return error.code, error.message
    return None
