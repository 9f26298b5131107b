"""What a wait waits for, how a task is taken down, and how long a deletion waits for that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from podshim.api import task_v2_pb2 as pb
from podshim.api.task_v2_ttrpc import TaskStub
from podshim.errors import Code, ShimError
from podshim.task.runhcs.task import Limits
from runhcs.slot_support import AT_ONCE, NEVER, argon, begun, in_pod, lcow, status_of, until, xenon
from task.task_support import quiesce

if TYPE_CHECKING:
    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim

TIMEOUT = (
    Code.UNKNOWN,
    "waiting for container resource cleanup: hcsshim: timeout waiting for notification",
)


async def test_the_init_s_wait_is_one_for_the_teardown(shim: Shim) -> None:
    await shim.run(argon())
    slow = shim.engine.hold("delete c1")
    async with begun(shim.wait()) as wait:
        shim.process().finish(5)
        await slow.reached.wait()
        assert await shim.status() == f"STOPPED 5 pid {(await shim.state()).pid}"
        await quiesce()
        assert not wait.done()
        assert "exit c1 5" not in shim.told()
        slow.open()
        assert await wait == 5
    assert shim.told() == ["exit c1 5"]


async def test_an_exec_s_wait_is_one_for_its_output(shim: Shim) -> None:
    await shim.run(argon())
    await shim.exec("c1", "e1")
    await shim.start("c1", "e1")
    slow = shim.engine.hold("free c1/e1")
    async with begun(shim.wait("c1", "e1")) as wait:
        shim.process("c1/e1").finish(5)
        await slow.reached.wait()
        assert (await shim.state("c1", "e1")).status == 3
        await quiesce()
        assert not wait.done()
        assert "exit c1/e1 5" not in shim.told()
        slow.open()
        assert await wait == 5
    assert shim.told() == ["exit c1/e1 5"]


async def test_an_exec_s_wait_is_not_one_for_the_teardown(shim: Shim) -> None:
    await shim.run(argon())
    await shim.exec("c1", "e1")
    await shim.start("c1", "e1")
    slow = shim.engine.hold("delete c1")
    shim.process().finish(0)
    await slow.reached.wait()
    assert await shim.wait("c1", "e1") == 1
    slow.open()
    await shim.wait()


async def test_a_wait_that_comes_late_is_answered(shim: Shim) -> None:
    await shim.run(argon("exit", "9"))
    for _ in range(2):
        answer = await shim.task.wait(pb.WaitRequest(id="c1"))
        assert answer.exit_status == 9
        assert answer.exited_at == (await shim.state()).exited_at


async def test_a_wait_that_is_given_up_changes_nothing(shim: Shim) -> None:
    await shim.run(argon())
    client = await shim.connect()
    wait = asyncio.ensure_future(TaskStub(client).wait(pb.WaitRequest(id="c1")))
    await until(lambda: shim.server.calls == 1)
    client.close()
    await asyncio.wait([wait])
    assert wait.exception() is not None
    await until(lambda: shim.server.calls == 0)
    shim.process().finish(0)
    assert await shim.wait() == 0


@pytest.mark.parametrize(
    ("spec", "order"),
    [
        (argon(), ["free c1", "init_exited c1", "delete c1"]),
        (xenon(), ["free c1", "init_exited c1", "delete c1", "close c1@vm"]),
        (lcow(), ["free c1", "init_exited c1", "delete c1", "close c1@vm"]),
    ],
)
@pytest.mark.parametrize("how", ["exit", "kill unstarted", "delete unstarted", "start fails"])
async def test_there_is_one_way_to_end(
    shim: Shim, spec: dict[str, object], order: list[str], how: str
) -> None:
    await shim.create(spec)
    shim.engine.calls.clear()
    if how == "kill unstarted":
        await shim.kill()
    elif how == "delete unstarted":
        await shim.delete()
    else:
        if how == "start fails":
            shim.engine.fail("start c1", ShimError("no"))
            await status_of(shim.start())
        else:
            await shim.start()
            shim.process().finish(0)
        shim.engine.calls.remove("start c1")
    await shim.wait()
    made = [call for call in shim.engine.calls if call != "kill c1 9"]
    assert made == order
    assert not shim.engine.containers
    assert not shim.engine.vms
    assert [line for line in shim.told() if line.startswith("exit")] == [
        {
            "exit": "exit c1 0",
            "kill unstarted": "exit c1 1",
            "delete unstarted": "exit c1 0",
            "start fails": "exit c1 1",
        }[how]
    ]


@pytest.mark.logs_errors
@pytest.mark.parametrize("failing", ["free c1", "init_exited c1", "delete c1", "close c1@vm"])
async def test_what_fails_of_a_teardown_stops_nothing(shim: Shim, failing: str) -> None:
    await shim.run(xenon())
    shim.engine.calls.clear()
    shim.engine.fail(failing, ShimError("HRESULT 0x80070005"))
    shim.process().finish(2)
    assert await shim.wait() == 2
    assert shim.engine.calls == ["free c1", "init_exited c1", "delete c1", "close c1@vm"]
    assert shim.told()[-1] == "exit c1 2"
    assert (await shim.delete())[1] == 2


async def test_execs_that_start_while_the_container_ends_end_with_it(shim: Shim) -> None:
    await shim.run(argon())
    await shim.exec("c1", "e1")
    slow = shim.engine.hold("start c1/e1")
    async with begun(status_of(shim.start("c1", "e1"))) as start:
        await slow.reached.wait()
        shim.process().finish(0)
        await until(lambda: "init_exited c1" in shim.engine.calls)
        slow.open()
        assert (await start)[0] is Code.UNKNOWN
    await shim.wait()
    assert await shim.status("c1", "e1") == "STOPPED 1 pid 0"
    assert shim.told() == ["create c1", "start c1", "exec-added c1/e1", "exit c1 0"]


async def test_an_exec_in_the_making_is_not_left_behind(shim: Shim) -> None:
    await shim.run(argon())
    slow = shim.engine.hold("exec c1/e1")
    async with begun(status_of(shim.exec("c1", "e1"))) as call:
        await slow.reached.wait()
        shim.process().finish(0)
        await until(lambda: "init_exited c1" in shim.engine.calls)
        await quiesce()
        assert "delete c1" not in shim.engine.calls
        slow.open()
        assert (await call)[0] is Code.FAILED_PRECONDITION
    await shim.wait()
    assert not shim.engine.processes
    assert shim.told() == ["create c1", "start c1", "exit c1 0"]


async def test_an_exec_that_does_not_end_with_its_container_is_given_up(
    make_shim: MakeShim,
) -> None:
    shim = await make_shim(limits=Limits(NEVER, NEVER, AT_ONCE))
    await shim.run(argon())
    await shim.exec("c1", "e1")
    await shim.start("c1", "e1")
    shim.process("c1/e1").immortal = True
    shim.process().finish(0)
    assert await shim.wait() == 0
    assert await shim.wait("c1", "e1") == 0xFFFFFFFF
    assert shim.told()[-2:] == [f"exit c1/e1 {0xFFFFFFFF}", "exit c1 0"]


async def test_output_that_does_not_drain_is_given_up(make_shim: MakeShim) -> None:
    shim = await make_shim(limits=Limits(NEVER, NEVER, AT_ONCE))
    await shim.run(argon())
    await shim.exec("c1", "e1", "exit", "4")
    slow = shim.engine.hold("free c1/e1")
    await shim.start("c1", "e1")
    await slow.reached.wait()
    shim.process().finish(0)
    assert await shim.wait() == 0
    assert await shim.wait("c1", "e1") == 4
    assert shim.told()[-2:] == ["exit c1/e1 4", "exit c1 0"]


# Deletions.


async def test_a_deletion_waits_for_the_teardown(shim: Shim) -> None:
    slow = shim.engine.hold("init_exited c1")
    await shim.run(argon("exit", "3"))
    await slow.reached.wait()
    async with begun(shim.delete()) as deletion:
        await until(lambda: shim.server.calls == 1)
        await quiesce()
        assert not deletion.done()
        slow.open()
    assert shim.told() == ["create c1", "start c1", "exit c1 3", "delete c1 3"]


async def test_a_deletion_does_not_wait_for_ever_and_can_be_repeated(make_shim: MakeShim) -> None:
    shim = await make_shim(limits=Limits(AT_ONCE, NEVER, NEVER))
    await shim.create(argon())
    slow = shim.engine.hold("init_exited c1")
    await shim.start()
    shim.process().finish(3)
    await slow.reached.wait()
    assert await status_of(shim.delete()) == TIMEOUT
    assert shim.told() == ["create c1", "start c1"]
    slow.open()
    await shim.wait()
    assert (await shim.delete())[1] == 3
    assert shim.told() == ["exit c1 3", "delete c1 3"]


async def test_a_workload_whose_deletion_took_too_long_is_still_known(
    make_shim: MakeShim,
) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True, limits=Limits(AT_ONCE, NEVER, NEVER))
    await shim.run(in_pod(argon(), "sandbox"), "p")
    await shim.create(in_pod(argon()), "w1")
    slow = shim.engine.hold("init_exited w1")
    assert await status_of(shim.delete("w1")) == TIMEOUT
    assert await shim.status("w1") == "STOPPED 0 pid 0"
    slow.open()
    await shim.wait("w1")
    await shim.delete("w1")
    assert (await status_of(shim.status("w1")))[0] is Code.NOT_FOUND


async def test_concurrent_deletions_share_their_result(pod: Shim) -> None:
    slow = pod.engine.hold("delete w1")
    await pod.run(in_pod(argon("exit", "3")), "w1")
    await slow.reached.wait()
    async with begun(pod.delete("w1")) as first, begun(pod.delete("w1")) as second:
        await until(lambda: pod.server.calls == 2)
        await quiesce()
        slow.open()
        assert await first == await second
    assert pod.told().count("delete w1 3") == 1


async def test_an_exec_is_deleted_without_waiting_for_its_output(shim: Shim) -> None:
    await shim.run(argon())
    await shim.exec("c1", "e1", "exit", "3")
    slow = shim.engine.hold("free c1/e1")
    pid = await shim.start("c1", "e1")
    await slow.reached.wait()
    assert await shim.delete("c1", "e1") == (pid, 3)
    assert shim.told()[-1] == "exec-started c1/e1"
    slow.open()
    await until(lambda: len(shim.outbox) == 2)
    assert shim.told() == ["exit c1/e1 3", "delete c1/e1 3"]
