"""A VM that ends under its tasks: its own, and those of a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from podshim.api import runhcs_stats_pb2 as stats_pb, task_v2_pb2 as pb
from podshim.errors import ShimError
from podshim.task.runhcs.task import Limits
from runhcs.slot_support import AT_ONCE, NEVER, in_pod, lcow, xenon

if TYPE_CHECKING:
    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim


@pytest.mark.parametrize("started", [True, False])
async def test_a_vm_s_end_is_that_of_its_task(shim: Shim, started: bool) -> None:
    await shim.create(xenon())
    if started:
        await shim.start()
        await shim.exec("c1", "e1")
        await shim.start("c1", "e1")
        await shim.exec("c1", "e2")
    shim.vm().crash()
    assert await shim.wait() == 1
    told = shim.told()
    assert told[-1] == "exit c1 1"
    if started:
        assert "exit c1/e1 1" in told
        assert await shim.status("c1", "e2") == "STOPPED 1 pid 0"
    assert not shim.engine.containers
    assert not shim.engine.processes


async def test_what_does_not_end_with_its_vm_is_given_up(make_shim: MakeShim) -> None:
    shim = await make_shim(limits=Limits(NEVER, NEVER, AT_ONCE))
    await shim.run(xenon())
    shim.process().immortal = True
    shim.vm().crash()
    assert await shim.wait() == 0xFFFFFFFF
    assert shim.told()[-1] == f"exit c1 {0xFFFFFFFF}"


@pytest.mark.logs_errors
async def test_an_end_that_can_t_be_forced_is_logged(make_shim: MakeShim) -> None:
    shim = await make_shim(limits=Limits(NEVER, NEVER, AT_ONCE))
    await shim.run(xenon())
    shim.process().immortal = True
    shim.engine.fail("terminate c1", ShimError("no"))
    shim.vm().crash()
    assert await shim.wait() == 0xFFFFFFFF


async def test_a_workload_s_end_leaves_the_pod_s_vm(make_shim: MakeShim) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.run(in_pod(lcow(), "sandbox"), "p")
    await shim.run(in_pod(lcow("exit", "0")), "w1")
    assert await shim.wait("w1") == 0
    assert shim.slot._background.watchers == [
        "teardown of p",
        "watch of p in p",
        "watch of the VM of p",
    ]
    assert "p@vm" in shim.engine.vms
    assert await shim.status("p") == f"RUNNING 255 pid {shim.slot.task('p').init.pid}"


async def test_only_the_owner_tells_the_vm_s_statistics(make_shim: MakeShim) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.run(in_pod(lcow(), "sandbox"), "p")
    await shim.run(in_pod(lcow()), "w1")
    shim.vm("p").measured = stats_pb.VirtualMachineStatistics()

    async def has_vm(task_id: str) -> bool:
        answer = await shim.task.stats(pb.StatsRequest(id=task_id))
        return stats_pb.Statistics.FromString(answer.stats.value).HasField("vm")

    assert await has_vm("p")
    assert not await has_vm("w1")
    shim.vm("p").measured = None
    assert not await has_vm("p")
