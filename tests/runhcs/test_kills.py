"""Signals to everyone in a task and in a pod, and to what is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from podshim.api import task_v2_pb2 as pb
from podshim.errors import Code, ShimError
from podshim.task.runhcs.task import Limits
from runhcs.slot_support import AT_ONCE, NEVER, argon, begun, in_pod, status_of, until, xenon
from task.task_support import quiesce

if TYPE_CHECKING:
    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim

PRECONDITION, NOT_FOUND, UNKNOWN = Code.FAILED_PRECONDITION, Code.NOT_FOUND, Code.UNKNOWN


def kills(shim: Shim) -> list[str]:
    return [call for call in shim.engine.calls if call.startswith("kill ")]


async def with_execs(shim: Shim, task_id: str = "c1") -> None:
    """A running task with one exec in each state."""
    for exec_id in ("e1", "e2", "e3"):
        await shim.exec(task_id, exec_id)
    await shim.start(task_id, "e2")
    await shim.start(task_id, "e3")
    shim.process(f"{task_id}/e3").finish(0)
    await shim.wait(task_id, "e3")


async def test_everyone_in_a_task_is_signalled_the_init_last(shim: Shim) -> None:
    await shim.run(argon())
    await with_execs(shim)
    await shim.kill(signal=1, everyone=True)
    assert kills(shim) == ["kill c1/e2 1", "kill c1 1"]
    assert await shim.status("c1", "e1") == "STOPPED 1 pid 0"


@pytest.mark.logs_errors
async def test_of_everyone_only_the_init_s_failure_is_told(shim: Shim) -> None:
    await shim.run(argon())
    await with_execs(shim)
    shim.engine.fail("kill c1/e2 1", ShimError("no"))
    await shim.kill(signal=1, everyone=True)
    shim.engine.fail("kill c1 1", ShimError("no either"))
    assert await status_of(shim.kill(signal=1, everyone=True)) == (UNKNOWN, "no either")


async def test_everyone_is_not_one_exec(shim: Shim) -> None:
    await shim.run(argon())
    await shim.exec("c1", "e1")
    answer = await status_of(shim.kill("c1", "e1", everyone=True))
    text = "cannot signal all for non-empty exec: 'e1': failed precondition"
    assert answer == (PRECONDITION, text)


async def test_everyone_in_a_pod_is_not_one_exec(pod: Shim) -> None:
    await pod.run(in_pod(argon()), "w1")
    await pod.exec("w1", "e1")
    for task_id in ("w1", "p"):
        answer = await status_of(pod.kill(task_id, "e1", everyone=True))
        text = "cannot signal all with non empty ExecID: 'e1': failed precondition"
        assert answer == (PRECONDITION, text)


async def test_an_exec_that_is_not_there_is_told_before_everyone(shim: Shim) -> None:
    await shim.run(argon())
    answer = await status_of(shim.kill("c1", "e9", everyone=True))
    assert answer == (NOT_FOUND, "exec: 'e9' in task: 'c1' not found: not found")


async def test_a_workload_of_a_pod_is_killed_alone(pod: Shim) -> None:
    await pod.run(in_pod(argon()), "w1")
    await pod.run(in_pod(argon()), "w2")
    await pod.kill("w1", everyone=True)
    assert kills(pod) == ["kill w1 9"]


async def test_the_sandbox_alone_is_killed_without_everyone(pod: Shim) -> None:
    await pod.run(in_pod(argon()), "w1")
    await pod.kill("p")
    assert kills(pod) == ["kill p 9"]


async def test_everyone_in_a_pod_is_signalled_at_once_the_sandbox_last(pod: Shim) -> None:
    for task_id in ("w1", "w2"):
        await pod.run(in_pod(argon()), task_id)
    await with_execs(pod, "w2")
    slow = pod.engine.hold("kill w1 9")
    async with begun(pod.kill("p", everyone=True)):
        await slow.reached.wait()
        await until(lambda: "kill w2 9" in kills(pod))
        await quiesce()
        assert "kill p 9" not in kills(pod)
        slow.open()
    assert kills(pod) == ["kill w1 9", "kill w2/e2 9", "kill w2 9", "kill p 9"]
    for task_id in ("w1", "w2", "p"):
        assert await pod.wait(task_id) == 137


async def test_of_a_pod_s_failures_the_first_is_told_and_all_are_signalled(pod: Shim) -> None:
    for task_id in ("w1", "w2", "w3"):
        await pod.run(in_pod(argon()), task_id)
    slow = pod.engine.hold("kill w1 9")
    pod.engine.fail("kill w1 9", ShimError("late"))
    pod.engine.fail("kill w2 9", ShimError("early"))
    async with begun(status_of(pod.kill("p", everyone=True))) as call:
        await slow.reached.wait()
        await until(lambda: "kill w3 9" in kills(pod))
        slow.open()
        assert await call == (UNKNOWN, "early")
    assert kills(pod)[-1] == "kill p 9"


@pytest.mark.logs_errors
async def test_an_engine_s_odd_failure_keeps_no_signal_from_the_sandbox(pod: Shim) -> None:
    await pod.run(in_pod(argon()), "w1")
    pod.engine.fail("kill w1 9", OSError("the handle is invalid"))
    answer = await status_of(pod.kill("p", everyone=True))
    assert answer == (UNKNOWN, "the handle is invalid")
    assert await pod.wait("p") == 137


async def test_a_workload_that_has_exited_is_a_failure_of_everyone(pod: Shim) -> None:
    await pod.run(in_pod(argon("exit", "0")), "w1")
    await pod.wait("w1")
    answer = await status_of(pod.kill("p", everyone=True))
    assert answer == (NOT_FOUND, "exec: 'w1' in task: 'w1' not found: not found")
    assert await pod.wait("p") == 137


async def test_a_signal_has_any_number_of_32_bits(shim: Shim) -> None:
    await shim.run(argon())
    await shim.task.kill(pb.KillRequest(id="c1", signal=0xFFFFFFFF))
    assert shim.process().signals == [0xFFFFFFFF]


# The watchdog.


@pytest.mark.parametrize("signal", [9, 15])
async def test_an_init_that_outlives_sigkill_loses_its_vm(make_shim: MakeShim, signal: int) -> None:
    shim = await make_shim(limits=Limits(NEVER, AT_ONCE, AT_ONCE))
    await shim.run(xenon())
    process = shim.process()
    process.immortal = True
    await shim.kill(signal=signal)
    if signal != 9:
        await quiesce()
        assert "close c1@vm" not in shim.engine.calls
        process.immortal = False
        process.finish(1)
        await shim.wait()
        return
    assert await shim.wait() == 0xFFFFFFFF
    assert "close c1@vm" in shim.engine.calls
    assert not shim.engine.containers


async def test_an_exec_s_sigkill_has_no_watchdog(make_shim: MakeShim) -> None:
    shim = await make_shim(limits=Limits(NEVER, AT_ONCE, NEVER))
    await shim.run(xenon())
    await shim.exec("c1", "e1")
    await shim.start("c1", "e1")
    shim.process("c1/e1").immortal = True
    await shim.kill("c1", "e1")
    await quiesce()
    assert "close c1@vm" not in shim.engine.calls
    shim.process("c1/e1").immortal = False
    shim.process("c1/e1").finish(0)


async def test_an_init_that_heeds_sigkill_keeps_its_vm_s_order(make_shim: MakeShim) -> None:
    shim = await make_shim(limits=Limits(NEVER, NEVER, NEVER))
    await shim.run(xenon())
    await shim.kill()
    assert await shim.wait() == 137
    assert shim.engine.calls.count("close c1@vm") == 1
    assert shim.engine.calls[-1] == "close c1@vm"
