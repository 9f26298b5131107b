"""Every call in every state of a process, init and exec, as clients see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from podshim.api import task_v2_pb2 as pb
from podshim.errors import Code, FailedPreconditionError, NotFoundError, ShimError
from runhcs.slot_support import ZERO_TIME, argon, begun, in_pod, status_of, until
from task.task_support import quiesce

if TYPE_CHECKING:
    from runhcs.slot_support import Shim

PRECONDITION, NOT_FOUND, UNKNOWN = Code.FAILED_PRECONDITION, Code.NOT_FOUND, Code.UNKNOWN
STDIO = {
    "stdin": "\\\\.\\pipe\\in",
    "stdout": "\\\\.\\pipe\\out",
    "stderr": "\\\\.\\pipe\\err",
}


def name(exec_id: str) -> str:
    """What texts call a process."""
    return f"exec: '{exec_id or 'c1'}' in task: 'c1'"


async def reach(shim: Shim, exec_id: str, state: str) -> None:
    """Bring the init, or an exec of a running one, into a state."""
    await shim.create(argon(), **STDIO)
    if exec_id:
        await shim.start()
        await shim.exec("c1", exec_id, **STDIO)
    if state != "created":
        await shim.start("c1", exec_id)
    if state == "exited":
        shim.process(f"c1/{exec_id}" if exec_id else "c1").finish(3)
        await shim.wait("c1", exec_id)


both = pytest.mark.parametrize("exec_id", ["", "e1"], ids=["init", "exec"])
states = pytest.mark.parametrize("state", ["created", "running", "exited"])


@both
@states
async def test_state_tells_all(shim: Shim, exec_id: str, state: str) -> None:
    await reach(shim, exec_id, state)
    answer = await shim.state("c1", exec_id)
    assert answer.id == "c1"
    assert answer.exec_id == (exec_id or "c1")
    assert answer.bundle == str(shim.folder / "c1")
    assert (answer.stdin, answer.stdout, answer.stderr) == tuple(STDIO.values())
    assert not answer.terminal
    assert (answer.pid == 0) is (state == "created")
    if state == "exited":
        assert (answer.status, answer.exit_status) == (3, 3)
        assert answer.exited_at.seconds > 1_600_000_000
    else:
        assert (answer.status, answer.exit_status) == (1 if state == "created" else 2, 255)
        assert (answer.exited_at.seconds, answer.exited_at.nanos) == (ZERO_TIME, 0)
        assert answer.HasField("exited_at")


@both
async def test_a_start_answers_the_pid(shim: Shim, exec_id: str) -> None:
    await reach(shim, exec_id, "created")
    pid = await shim.start("c1", exec_id)
    assert await shim.status("c1", exec_id) == f"RUNNING 255 pid {pid}"


@both
@pytest.mark.parametrize("state", ["running", "exited"])
async def test_a_second_start_is_refused(shim: Shim, exec_id: str, state: str) -> None:
    await reach(shim, exec_id, state)
    assert await status_of(shim.start("c1", exec_id)) == (
        PRECONDITION,
        f"{name(exec_id)} is in invalid state: '{state}' for start: failed precondition",
    )


@both
async def test_a_start_that_fails_ends_the_process(shim: Shim, exec_id: str) -> None:
    await reach(shim, exec_id, "created")
    call = f"start c1/{exec_id}" if exec_id else "start c1"
    shim.engine.fail(call, ShimError("hcs::System::CreateProcess: Access is denied."))
    answer = await status_of(shim.start("c1", exec_id))
    assert answer == (UNKNOWN, "hcs::System::CreateProcess: Access is denied.")
    assert await shim.status("c1", exec_id) == "STOPPED 1 pid 0"
    assert await shim.wait("c1", exec_id) == 1
    assert (await shim.delete("c1", exec_id)) == (0, 1)
    if exec_id:
        assert shim.told()[-2:] == ["exec-added c1/e1", "delete c1/e1 1"]
    else:
        assert shim.told() == ["create c1", "exit c1 1", "delete c1 1"]
        assert not shim.engine.containers


@both
async def test_a_kill_before_the_start_ends_the_process(shim: Shim, exec_id: str) -> None:
    await reach(shim, exec_id, "created")
    await shim.kill("c1", exec_id, signal=3)  # of whatever number
    assert await shim.status("c1", exec_id) == "STOPPED 1 pid 0"
    assert (await status_of(shim.start("c1", exec_id)))[0] is PRECONDITION
    assert await shim.wait("c1", exec_id) == 1
    assert not any("kill" in call for call in shim.engine.calls)


@both
async def test_a_kill_reaches_a_running_process(shim: Shim, exec_id: str) -> None:
    await reach(shim, exec_id, "running")
    process = shim.process(f"c1/{exec_id}" if exec_id else "c1")
    await shim.kill("c1", exec_id, signal=1)
    await shim.kill("c1", exec_id, signal=15)
    assert process.signals == [1, 15]
    assert await shim.wait("c1", exec_id) == 143


@both
async def test_a_signal_that_is_none_is_refused(shim: Shim, exec_id: str) -> None:
    await reach(shim, exec_id, "running")
    answer = await status_of(shim.kill("c1", exec_id, signal=7))
    assert answer == (PRECONDITION, "signal 7: invalid signal value: failed precondition")


@both
async def test_a_kill_of_what_has_exited_finds_nothing(shim: Shim, exec_id: str) -> None:
    await reach(shim, exec_id, "exited")
    answer = await status_of(shim.kill("c1", exec_id))
    assert answer == (NOT_FOUND, f"{name(exec_id)} not found: not found")


@both
async def test_a_kill_that_can_t_be_delivered_finds_nothing(shim: Shim, exec_id: str) -> None:
    await reach(shim, exec_id, "running")
    call = f"kill c1/{exec_id} 9" if exec_id else "kill c1 9"
    shim.engine.fail(call, NotFoundError("gone"))
    answer = await status_of(shim.kill("c1", exec_id))
    assert answer == (NOT_FOUND, f"{name(exec_id)} not found: not found")


@both
async def test_a_kill_s_failure_is_told(shim: Shim, exec_id: str) -> None:
    await reach(shim, exec_id, "running")
    call = f"kill c1/{exec_id} 9" if exec_id else "kill c1 9"
    shim.engine.fail(call, ShimError("hcs::Process::Kill: no"))
    assert await status_of(shim.kill("c1", exec_id)) == (UNKNOWN, "hcs::Process::Kill: no")


@both
@states
async def test_a_deletion(shim: Shim, exec_id: str, state: str) -> None:
    await reach(shim, exec_id, state)
    if state == "running":
        assert await status_of(shim.delete("c1", exec_id)) == (
            PRECONDITION,
            (
                f"exec: '{exec_id}' in task: 'c1' is in invalid state: 'running' for delete:"
                " failed precondition"
            ),
        )
        return
    pid = (await shim.state("c1", exec_id)).pid
    assert await shim.delete("c1", exec_id) == (pid, 0 if state == "created" else 3)
    if exec_id:
        answer = await status_of(shim.state("c1", exec_id))
        assert answer == (NOT_FOUND, "exec: 'e1' in task: 'c1' not found: not found")
    else:
        assert (await shim.state()).status == 3
        assert not shim.engine.containers


async def test_a_deletion_tells_when_the_process_ended(shim: Shim) -> None:
    await reach(shim, "", "exited")
    ended = (await shim.state()).exited_at
    answer = await shim.task.delete(pb.DeleteRequest(id="c1"))
    assert answer.exited_at == ended


async def test_a_refused_deletion_ends_no_exec(shim: Shim) -> None:
    await reach(shim, "e1", "running")
    assert (await status_of(shim.delete()))[0] is PRECONDITION
    await quiesce()
    assert (await shim.state("c1", "e1")).status == 2


@pytest.mark.parametrize("state", ["created", "running", "exited"])
async def test_the_end_of_the_init_is_that_of_its_execs(shim: Shim, state: str) -> None:
    await reach(shim, "e1", state)
    shim.process().finish(0)
    await shim.wait()
    status = {"created": "STOPPED 1", "running": "STOPPED 1", "exited": "STOPPED 3"}[state]
    assert (await shim.status("c1", "e1")).startswith(status)
    assert (await shim.delete())[1] == 0
    assert (await status_of(shim.state("c1", "e1")))[0] is NOT_FOUND
    assert not shim.engine.processes


async def test_a_container_that_ends_takes_what_waits_for_its_start(shim: Shim) -> None:
    await shim.create(argon())
    shim.process().finish(1)
    assert await shim.wait() == 1
    assert shim.told() == ["create c1", "exit c1 1"]


async def test_a_single_task_s_deletion_can_be_repeated(shim: Shim) -> None:
    await reach(shim, "", "exited")
    first = await shim.delete()
    assert await shim.delete() == first
    assert shim.told()[-2:] == ["delete c1 3", "delete c1 3"]


async def test_a_workload_is_forgotten_with_its_deletion(pod: Shim) -> None:
    await pod.run(in_pod(argon("exit", "4")), "w1")
    assert await pod.wait("w1") == 4
    await pod.delete("w1")
    answer = (NOT_FOUND, "task with id: 'w1' not found: not found")
    assert await status_of(pod.delete("w1")) == answer
    await pod.create(in_pod(argon()), "w1")


async def test_a_sandbox_s_deletion_can_be_repeated(pod: Shim) -> None:
    pod.process("p").finish(0)
    await pod.wait("p")
    await pod.delete("p")
    await pod.delete("p")
    assert pod.told() == ["exit p 0", "delete p 0", "delete p 0"]
    assert (await pod.state("p")).status == 3


async def test_a_pod_keeps_a_running_workload(pod: Shim) -> None:
    await pod.run(in_pod(argon()), "w1")
    with pytest.raises(FailedPreconditionError, match="cannot delete task with running exec"):
        pod.slot.pod().forget("w1")
    with pytest.raises(NotFoundError):
        pod.slot.pod().forget("w2")


@pytest.mark.logs_errors
@both
async def test_a_lost_process_has_an_unknown_status(
    shim: Shim, exec_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    await reach(shim, exec_id, "running")
    process = shim.process(f"c1/{exec_id}" if exec_id else "c1")
    process.immortal = True
    process.lose(OSError("the handle is invalid"))
    assert await shim.wait("c1", exec_id) == 0xFFFFFFFF
    assert "can't be known" in caplog.text


@both
async def test_a_terminal_is_resized_while_it_runs(shim: Shim, exec_id: str) -> None:
    await shim.create(argon(), terminal=not exec_id)
    if exec_id:
        await shim.start()
        await shim.exec("c1", "e1", terminal=True)
    process = shim.process(f"c1/{exec_id}" if exec_id else "c1")

    async def resize(width: int, height: int) -> None:
        request = pb.ResizePtyRequest(id="c1", exec_id=exec_id, width=width, height=height)
        await shim.task.resize_pty(request)

    await resize(80, 25)
    assert process.size == (0, 0)
    await shim.start("c1", exec_id)
    await resize(0x10050, 0xFFFF)
    assert process.size == (80, 65535)
    process.finish(0)
    await shim.wait("c1", exec_id)
    await resize(1, 1)
    assert process.size == (80, 65535)


@both
@states
async def test_without_a_terminal_nothing_is_resized(shim: Shim, exec_id: str, state: str) -> None:
    await reach(shim, exec_id, state)
    request = pb.ResizePtyRequest(id="c1", exec_id=exec_id, width=80, height=25)
    answer = await status_of(shim.task.resize_pty(request))
    assert answer == (PRECONDITION, f"{name(exec_id)} is not a tty: failed precondition")


@both
@states
@pytest.mark.parametrize("stdin", [True, False])
async def test_standard_input_can_be_closed_any_number_of_times(
    shim: Shim, exec_id: str, state: str, stdin: bool
) -> None:
    await reach(shim, exec_id, state)
    process = shim.engine.processes.get(f"c1/{exec_id}" if exec_id else "c1")
    for _ in range(2):
        await shim.task.close_io(pb.CloseIORequest(id="c1", exec_id=exec_id, stdin=stdin))
    assert process is None or process.stdin_closed == 2


async def test_state_answers_while_a_start_hangs(shim: Shim) -> None:
    await shim.create(argon())
    slow = shim.engine.hold("start c1")
    async with begun(shim.start()):
        await slow.reached.wait()
        assert await shim.status() == "CREATED 255 pid 0"
        slow.open()
    await until(lambda: shim.slot.task("c1").init.pid != 0)
