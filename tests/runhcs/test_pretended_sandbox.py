"""The sandbox without a container: its exact statuses, alone and in a VM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from podshim.api import runhcs_stats_pb2 as stats_pb, task_v2_pb2 as pb
from podshim.api.runhcs_options_pb2 import ProcessDetails
from podshim.errors import Code, ShimError
from runhcs.slot_support import (
    ZERO_TIME,
    argon,
    begun,
    host_process,
    in_pod,
    status_of,
    until,
    xenon,
)
from task.task_support import quiesce

if TYPE_CHECKING:
    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim, Spec

PRECONDITION, NOT_FOUND = Code.FAILED_PRECONDITION, Code.NOT_FOUND
ON_HOST = host_process(in_pod(argon(), "sandbox"))
IN_VM = in_pod(xenon(windows={"hyperv": {}, "network": {"networkNamespace": "ns-1"}}), "sandbox")

both = pytest.mark.parametrize("spec", [ON_HOST, IN_VM], ids=["host", "vm"])


async def created(make_shim: MakeShim, spec: Spec) -> Shim:
    shim = await make_shim(task_id="p", is_sandbox=True)
    assert await shim.create(spec, "p", stdout="\\\\.\\pipe\\out") == 0
    return shim


@both
async def test_it_is_created_started_and_killed(make_shim: MakeShim, spec: Spec) -> None:
    shim = await created(make_shim, spec)
    answer = await shim.state("p")
    assert await shim.status("p") == "CREATED 255 pid 0"
    assert (answer.exec_id, answer.exited_at.seconds) == ("p", ZERO_TIME)
    assert (answer.stdin, answer.stdout, answer.stderr, answer.terminal) == ("", "", "", False)
    assert await shim.start("p") == 1
    assert await shim.status("p") == "RUNNING 255 pid 1"
    answer_of_start = await status_of(shim.start("p"))
    text = "exec: 'p' in task: 'p' is in invalid state: 'running' for start: failed precondition"
    assert answer_of_start == (PRECONDITION, text)
    await shim.kill("p")
    assert await shim.status("p") == "STOPPED 0 pid 1"
    assert await shim.wait("p") == 0
    assert await shim.delete("p") == (1, 0)
    assert shim.told() == ["create p", "start p", "exit p 0", "delete p 0"]


@pytest.mark.parametrize("signal", [0, 3, 9, 15, 4711])
@pytest.mark.parametrize("everyone", [False, True])
async def test_any_signal_ends_it_well(host_pod: Shim, signal: int, everyone: bool) -> None:
    await host_pod.kill("p", signal=signal, everyone=everyone)
    assert await host_pod.status("p") == "STOPPED 0 pid 1"


@both
async def test_killed_before_its_start_it_ends_badly(make_shim: MakeShim, spec: Spec) -> None:
    shim = await created(make_shim, spec)
    await shim.kill("p")
    assert await shim.status("p") == "STOPPED 1 pid 0"
    await shim.wait("p")
    assert shim.told() == ["create p", "exit p 1"]


async def test_what_has_exited_can_t_be_killed(host_pod: Shim) -> None:
    await host_pod.kill("p")
    answer = await status_of(host_pod.kill("p"))
    assert answer == (NOT_FOUND, "exec: 'p' in task: 'p' not found: not found")


@both
async def test_deleted_before_its_start_it_ends_badly(make_shim: MakeShim, spec: Spec) -> None:
    shim = await created(make_shim, spec)
    assert await shim.delete("p") == (0, 1)
    await shim.wait("p")
    assert shim.told() == ["create p", "exit p 1", "delete p 1"]


async def test_running_it_is_not_deleted(host_pod: Shim) -> None:
    text = "exec: '' in task: 'p' is in invalid state: 'running' for delete: failed precondition"
    assert await status_of(host_pod.delete("p")) == (PRECONDITION, text)


async def test_its_deletion_can_be_repeated(host_pod: Shim) -> None:
    await host_pod.kill("p")
    assert await host_pod.delete("p") == (1, 0)
    assert await host_pod.delete("p") == (1, 0)
    assert host_pod.told() == ["exit p 0", "delete p 0", "delete p 0"]


async def test_its_deletion_does_not_wait_for_its_vm(make_shim: MakeShim) -> None:
    shim = await created(make_shim, IN_VM)
    slow = shim.engine.hold("close p@vm")
    assert await shim.delete("p") == (0, 1)
    await slow.reached.wait()
    assert shim.told() == ["create p"]
    async with begun(shim.wait("p")) as wait:
        await quiesce()
        assert not wait.done()
        slow.open()
    assert shim.told() == ["exit p 1", "delete p 1"]


@pytest.mark.parametrize("state", ["created", "running", "exited"])
async def test_it_has_no_terminal_and_no_input(make_shim: MakeShim, state: str) -> None:
    shim = await created(make_shim, ON_HOST)
    if state != "created":
        await shim.start("p")
    if state == "exited":
        await shim.kill("p")
    answer = await status_of(shim.task.resize_pty(pb.ResizePtyRequest(id="p", width=1, height=1)))
    text = "exec: 'p' in task: 'p' is not a tty: failed precondition"
    assert answer == (PRECONDITION, text)
    await shim.task.close_io(pb.CloseIORequest(id="p", stdin=True))


async def test_it_is_its_own_only_process(make_shim: MakeShim) -> None:
    shim = await created(make_shim, ON_HOST)
    for pid in (0, 1):
        answer = await shim.task.pids(pb.PidsRequest(id="p"))
        assert [process.pid for process in answer.processes] == [pid]
        details = ProcessDetails.FromString(answer.processes[0].info.value)
        assert details == ProcessDetails(process_id=pid, exec_id="p")
        if not pid:
            await shim.start("p")


@both
async def test_its_statistics_are_those_of_its_vm(make_shim: MakeShim, spec: Spec) -> None:
    shim = await created(make_shim, spec)
    measured = stats_pb.VirtualMachineStatistics(
        memory=stats_pb.VirtualMachineMemoryStatistics(working_set_bytes=5)
    )
    if shim.engine.vms:
        shim.vm("p").measured = measured
    answer = await shim.task.stats(pb.StatsRequest(id="p"))
    assert answer.stats.type_url == "containerd.runhcs.stats.v1.Statistics"
    found = stats_pb.Statistics.FromString(answer.stats.value)
    assert found == stats_pb.Statistics(vm=measured if shim.engine.vms else None)
    assert found.WhichOneof("container") is None


async def test_its_end_is_that_of_its_vm(make_shim: MakeShim) -> None:
    shim = await created(make_shim, IN_VM)
    await shim.start("p")
    assert shim.vm("p").networks == ["ns-1"]
    await shim.kill("p")
    await shim.wait("p")
    assert shim.engine.calls[-2:] == ["unnetwork p@vm", "close p@vm"]
    assert not shim.engine.vms


@pytest.mark.logs_errors
async def test_a_network_that_stays_does_not_keep_the_vm(make_shim: MakeShim) -> None:
    shim = await created(make_shim, IN_VM)
    shim.engine.fail("unnetwork p@vm", ShimError("no"))
    await shim.kill("p")
    await shim.wait("p")
    assert not shim.engine.vms


async def test_its_vm_s_end_is_its_own(make_shim: MakeShim) -> None:
    shim = await created(make_shim, IN_VM)
    await shim.start("p")
    shim.vm("p").crash()
    assert await shim.wait("p") == 1
    assert shim.told() == ["create p", "start p", "exit p 1"]


async def test_workloads_die_with_their_vm(make_shim: MakeShim) -> None:
    shim = await created(make_shim, IN_VM)
    await shim.start("p")
    await shim.run(in_pod(xenon()), "w1")
    await shim.exec("w1", "e1")
    await shim.create(in_pod(xenon()), "w2")
    await shim.kill("p")
    assert await shim.wait("p") == 0
    assert await shim.wait("w1") == 1
    assert await shim.wait("w2") == 1
    await until(lambda: not shim.engine.containers)
    assert not shim.engine.processes
