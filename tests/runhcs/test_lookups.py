"""What each call answers when what it names is not there: both kinds of shim, over a connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from podshim.api import extended_task_pb2, runhcs_diag_pb2 as diag_pb, task_v2_pb2 as pb
from podshim.errors import Code
from podshim.task.runhcs.update import WINDOWS_RESOURCES
from runhcs.slot_support import argon, exec_request, host_process, in_pod, status_of

if TYPE_CHECKING:
    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim

Call = Callable[["Shim", str, str], Awaitable[object]]

RESOURCES = AnyMessage(type_url=WINDOWS_RESOURCES, value=b"{}")

#: Every call that finds an init or an exec by its ids.
OF_EXECS: dict[str, Call] = {
    "State": lambda shim, i, e: shim.task.state(pb.StateRequest(id=i, exec_id=e)),
    "Start": lambda shim, i, e: shim.task.start(pb.StartRequest(id=i, exec_id=e)),
    "Delete": lambda shim, i, e: shim.task.delete(pb.DeleteRequest(id=i, exec_id=e)),
    "Kill": lambda shim, i, e: shim.task.kill(pb.KillRequest(id=i, exec_id=e, signal=9)),
    "ResizePty": lambda shim, i, e: shim.task.resize_pty(pb.ResizePtyRequest(id=i, exec_id=e)),
    "CloseIO": lambda shim, i, e: shim.task.close_io(pb.CloseIORequest(id=i, exec_id=e)),
    "Wait": lambda shim, i, e: shim.task.wait(pb.WaitRequest(id=i, exec_id=e)),
}
#: Every call that finds a task by its id.
OF_TASKS: dict[str, Call] = {
    **OF_EXECS,
    "Pids": lambda shim, i, _: shim.task.pids(pb.PidsRequest(id=i)),
    "Exec": lambda shim, i, _: shim.task.exec(exec_request(i, "e1")),
    "Update": lambda shim, i, _: shim.task.update(pb.UpdateTaskRequest(id=i, resources=RESOURCES)),
    "Stats": lambda shim, i, _: shim.task.stats(pb.StatsRequest(id=i)),
    "ComputeProcessorInfo": lambda shim, i, _: shim.extended.compute_processor_info(
        extended_task_pb2.ComputeProcessorInfoRequest(id=i)
    ),
}
#: Every call that is about the task that the shim was started for.
OF_SHIM: dict[str, Call] = {
    "DiagTasks": lambda shim, *_: shim.diag.diag_tasks(diag_pb.TasksRequest()),
    "DiagExecInHost": lambda shim, *_: shim.diag.diag_exec_in_host(
        diag_pb.ExecProcessRequest(args=["hostname"])
    ),
    "DiagShare": lambda shim, *_: shim.diag.diag_share(
        diag_pb.ShareRequest(host_path="C:\\a", uvm_path="C:\\b")
    ),
}


def not_found(task: str) -> tuple[Code, str]:
    return Code.NOT_FOUND, f"task with id: '{task}' not found: not found"


def expected(call: str, task: str, *, pod_missing: bool) -> tuple[Code, str]:
    if call == "Kill" and pod_missing:
        text = (
            "task with id: 'p' must be created first: failed precondition:"
            f" task with id: '{task}' not found: not found"
        )
        return Code.NOT_FOUND, text
    return not_found(task)


@pytest.mark.parametrize("name", OF_TASKS)
@pytest.mark.parametrize("is_sandbox", [False, True], ids=["task", "pod"])
async def test_nothing_is_found_before_the_first_creation(
    make_shim: MakeShim, name: str, is_sandbox: bool
) -> None:
    shim = await make_shim(task_id="p", is_sandbox=is_sandbox)
    for task in ("p", "other"):
        answer = await status_of(OF_TASKS[name](shim, task, ""))
        assert answer == expected(name, task, pod_missing=is_sandbox)


@pytest.mark.parametrize("name", OF_SHIM)
@pytest.mark.parametrize("is_sandbox", [False, True], ids=["task", "pod"])
async def test_there_is_nothing_to_diagnose_before_the_first_creation(
    make_shim: MakeShim, name: str, is_sandbox: bool
) -> None:
    shim = await make_shim(task_id="p", is_sandbox=is_sandbox)
    assert await status_of(OF_SHIM[name](shim, "", "")) == not_found("p")


@pytest.mark.parametrize("name", OF_TASKS)
async def test_a_task_shim_knows_no_other_task(shim: Shim, name: str) -> None:
    await shim.run(argon())
    assert await status_of(OF_TASKS[name](shim, "c2", "")) == not_found("c2")


@pytest.mark.parametrize("name", OF_TASKS)
async def test_a_pod_does_not_know_workloads_that_it_has_not(pod: Shim, name: str) -> None:
    assert await status_of(OF_TASKS[name](pod, "c2", "")) == not_found("c2")


@pytest.mark.parametrize("name", OF_EXECS)
async def test_a_task_does_not_know_execs_that_it_has_not(shim: Shim, name: str) -> None:
    await shim.run(argon())
    answer = await status_of(OF_EXECS[name](shim, "c1", "e9"))
    assert answer == (Code.NOT_FOUND, "exec: 'e9' in task: 'c1' not found: not found")


@pytest.mark.parametrize("name", OF_EXECS)
async def test_a_pretended_sandbox_has_no_execs(host_pod: Shim, name: str) -> None:
    answer = await status_of(OF_EXECS[name](host_pod, "p", "e9"))
    assert answer == (Code.NOT_FOUND, "exec: 'e9' in task: 'p' not found: not found")


async def test_a_pod_finds_its_sandbox_and_its_workloads(pod: Shim) -> None:
    await pod.create(in_pod(argon()), "w1")
    assert (await pod.state("p")).id == "p"
    assert (await pod.state("w1")).id == "w1"


async def test_a_creation_that_failed_leaves_the_slot_empty(shim: Shim) -> None:
    spec = argon()
    spec["annotations"] = {"io.kubernetes.cri.sandbox-id": "p"}
    await status_of(shim.create(spec))
    assert await status_of(shim.status()) == not_found("c1")
    await shim.create(argon())
    assert await shim.status() == "CREATED 255 pid 0"


async def test_a_host_process_sandbox_is_one_of_a_pod(host_pod: Shim) -> None:
    await host_pod.create(host_process(in_pod(argon())), "w1")
    assert [task.id for task in host_pod.slot.pod().tasks] == ["p", "w1"]
