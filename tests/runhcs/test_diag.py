"""Diagnosis: tasks, stacks, commands, shares, and what tasks tell beyond containerd's service."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from podshim.api import extended_task_pb2, runhcs_diag_pb2 as pb
from podshim.engine import Stdio
from podshim.errors import Code, ShimError
from podshim.task.runhcs import diag
from podshim.task.runhcs.host import HostCommand
from runhcs.slot_support import AT_ONCE, argon, in_pod, lcow, status_of, xenon

if TYPE_CHECKING:
    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim

UNKNOWN = Code.UNKNOWN
NOT_ISOLATED = (UNKNOWN, "task is not isolated")


async def test_the_shim_s_pid(shim: Shim) -> None:
    assert (await shim.diag.diag_pid(pb.PidRequest())).pid == os.getpid()


# Tasks.


async def listed(shim: Shim, *, execs: bool) -> list[tuple[str, list[str]]]:
    answer = await shim.diag.diag_tasks(pb.TasksRequest(execs=execs))
    return [
        (task.id, [f"{process.id} {process.state}" for process in task.execs])
        for task in answer.tasks
    ]


async def test_tasks_with_their_execs(pod: Shim) -> None:
    await pod.run(in_pod(argon()), "w1")
    for exec_id in ("e1", "e2", "e3"):
        await pod.exec("w1", exec_id, *(["exit", "0"] if exec_id == "e3" else []))
        if exec_id != "e1":
            await pod.start("w1", exec_id)
    await pod.wait("w1", "e3")
    assert await listed(pod, execs=False) == [("p", []), ("w1", [])]
    execs = ["e1 created", "e2 running", "e3 exited"]
    assert await listed(pod, execs=True) == [("p", []), ("w1", execs)]


async def test_a_pretended_sandbox_lists_its_init(host_pod: Shim) -> None:
    assert await listed(host_pod, execs=True) == [("p", ["p running"])]
    assert await listed(host_pod, execs=False) == [("p", [])]


async def test_a_single_task(shim: Shim) -> None:
    await shim.create(argon())
    assert await listed(shim, execs=True) == [("c1", [])]


# Stacks.


async def test_stacks_before_there_is_a_task(shim: Shim) -> None:
    answer = await shim.diag.diag_stacks(pb.StacksRequest())
    assert "<Slot c1 empty>" in answer.stacks
    assert "diag_stacks" in answer.stacks
    assert "thread MainThread:" in answer.stacks
    assert not answer.guest_stacks


async def test_stacks_tell_of_tasks_and_of_the_guest(shim: Shim) -> None:
    await shim.run(xenon())
    await shim.exec("c1", "e1")
    answer = await shim.diag.diag_stacks(pb.StacksRequest())
    assert "<ContainerTask c1 running" in answer.stacks
    assert "<AdditionalExec e1 created pid 0>" in answer.stacks
    assert "watch of c1 in c1" in answer.stacks
    assert answer.guest_stacks == "goroutine 1"


async def test_a_guest_that_fails_or_hangs_hides_no_stacks(
    shim: Shim, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shim.run(xenon())
    shim.engine.fail("stacks c1@vm", ShimError("the bridge is closed"))
    assert (await shim.diag.diag_stacks(pb.StacksRequest())).stacks
    monkeypatch.setattr(diag, "GUEST_STACKS_TIMEOUT", AT_ONCE)
    slow = shim.engine.hold("stacks c1@vm")
    answer = await shim.diag.diag_stacks(pb.StacksRequest())
    assert answer.stacks
    assert not answer.guest_stacks
    slow.open()


# Commands.


def command(*args: str, **fields: str | bool) -> pb.ExecProcessRequest:
    return pb.ExecProcessRequest(args=args, **fields)  # type: ignore[arg-type] # mixed fields


@pytest.mark.parametrize(
    ("code", "told"), [(0, 0), (3, 3), (0xC0000005, -1073741819), (0xFFFFFFFF, -1)]
)
async def test_a_command_on_the_host_tells_its_exit_code(shim: Shim, code: int, told: int) -> None:
    await shim.run(argon())
    shim.engine.exit_code = code
    request = command("hostname", "-x", workdir="C:\\w", stdout="o", terminal=True)
    assert (await shim.diag.diag_exec_in_host(request)).exit_code == told
    expected = HostCommand(("hostname", "-x"), "C:\\w", Stdio(terminal=True, stdout="o"))
    assert shim.engine.commands == [expected]


async def test_a_command_in_a_vm(make_shim: MakeShim) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.run(in_pod(xenon(), "sandbox"), "p")
    shim.vm("p").exit_code = 5
    assert (await shim.diag.diag_exec_in_host(command("dir"))).exit_code == 5
    assert [each.args for each in shim.vm("p").commands] == [("dir",)]
    assert not shim.engine.commands


async def test_commands_that_can_t_be_run(shim: Shim) -> None:
    request = command("x", terminal=True, stderr="e")
    text = "if using terminal, stderr must be empty: failed precondition"
    assert await status_of(shim.diag.diag_exec_in_host(request)) == (
        Code.FAILED_PRECONDITION,
        text,
    )
    await shim.run(argon())
    answer = await status_of(shim.diag.diag_exec_in_host(command()))
    assert answer == (UNKNOWN, "missing command")
    shim.engine.fail("run", ShimError("x: file not found"))
    answer = await status_of(shim.diag.diag_exec_in_host(command("x")))
    assert answer == (UNKNOWN, "x: file not found")


@pytest.mark.parametrize("words", [["x"], []])
async def test_a_pretended_sandbox_on_the_host_runs_no_commands(
    host_pod: Shim, words: list[str]
) -> None:
    assert await status_of(host_pod.diag.diag_exec_in_host(command(*words))) == NOT_ISOLATED


# Shares.


async def test_a_share_needs_a_vm(shim: Shim) -> None:
    await shim.run(argon())
    request = pb.ShareRequest(host_path="C:\\a", uvm_path="C:\\b", read_only=True)
    assert await status_of(shim.diag.diag_share(request)) == NOT_ISOLATED


async def test_a_share_in_a_vm(shim: Shim) -> None:
    await shim.run(lcow())
    await shim.diag.diag_share(pb.ShareRequest(host_path="C:\\a", uvm_path="/b", read_only=True))
    assert shim.vm().shares == [("C:\\a", "/b", True)]


# Processors.


async def processors(shim: Shim, task_id: str) -> int:
    request = extended_task_pb2.ComputeProcessorInfoRequest(id=task_id)
    return (await shim.extended.compute_processor_info(request)).count


async def test_processors_of_what_owns_a_vm(make_shim: MakeShim) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.run(in_pod(xenon(), "sandbox"), "p")
    await shim.run(in_pod(xenon()), "w1")
    assert await processors(shim, "p") == 4
    assert await status_of(processors(shim, "w1")) == (UNKNOWN, "not implemented")
    single = await make_shim()
    await single.create(lcow())
    assert await processors(single, "c1") == 4


async def test_there_are_none_without_a_vm(shim: Shim, host_pod: Shim) -> None:
    await shim.create(argon())
    assert await status_of(processors(shim, "c1")) == NOT_ISOLATED
    assert await status_of(processors(host_pod, "p")) == NOT_ISOLATED
