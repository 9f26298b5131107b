"""The calls that need no state, what answers are packed as, and what the server offers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from podshim.api import cgroups_v1_pb2, runhcs_stats_pb2 as stats_pb, task_v2_pb2 as pb
from podshim.api.runhcs_options_pb2 import Options, ProcessDetails
from podshim.errors import Code, NotFoundError, ShimError
from podshim.task.runhcs.service import services
from runhcs.slot_support import argon, lcow, status_of, xenon

if TYPE_CHECKING:
    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim

NOT_FOUND, UNKNOWN = Code.NOT_FOUND, Code.UNKNOWN


async def test_what_a_shim_serves(shim: Shim) -> None:
    assert [service.name for service in services(shim.slot)] == [
        "containerd.task.v2.Task",
        "containerd.runhcs.v1.diag.ShimDiag",
        "ExtendedTask",
    ]


@pytest.mark.parametrize("is_sandbox", [False, True], ids=["task", "pod"])
async def test_a_connection_needs_no_task(make_shim: MakeShim, is_sandbox: bool) -> None:
    shim = await make_shim(is_sandbox=is_sandbox)
    for task_id in ("", "c1", "whatever/it is"):
        answer = await shim.task.connect(pb.ConnectRequest(id=task_id))
        assert answer == pb.ConnectResponse(shim_pid=os.getpid(), task_pid=os.getpid())


async def test_what_windows_can_t_is_refused_always(shim: Shim) -> None:
    for _ in range(2):
        for call in (
            shim.task.pause(pb.PauseRequest(id="c1")),
            shim.task.resume(pb.ResumeRequest(id="c9")),
            shim.task.checkpoint(pb.CheckpointTaskRequest(id="c1")),
        ):
            assert await status_of(call) == (Code.UNIMPLEMENTED, "not implemented")
        if not shim.slot.tasks:
            await shim.run(argon())


# Shutdown.


@pytest.mark.parametrize("now", [False, True])
async def test_the_first_shutdown_counts(shim: Shim, now: bool) -> None:
    for task_id in ("", "c2", "C1"):
        await shim.task.shutdown(pb.ShutdownRequest(id=task_id, now=now))
        assert not shim.slot.shutdown_requested.done()
    await shim.task.shutdown(pb.ShutdownRequest(id="c1", now=now))
    await shim.task.shutdown(pb.ShutdownRequest(id="c1", now=not now))
    assert shim.slot.shutdown_requested.result() is not now


async def test_a_shutdown_leaves_tasks_alone(shim: Shim) -> None:
    await shim.run(argon())
    await shim.task.shutdown(pb.ShutdownRequest(id="c1", now=True))
    assert (await shim.state()).status == 2
    assert shim.engine.containers


# Pids.


async def pids(shim: Shim) -> list[tuple[int, str]]:
    answer = await shim.task.pids(pb.PidsRequest(id="c1"))
    found = []
    for process in answer.processes:
        assert process.info.type_url == "containerd.runhcs.v1.ProcessDetails"
        details = ProcessDetails.FromString(process.info.value)
        assert details.process_id == process.pid
        found.append((process.pid, details.exec_id))
    return found


async def test_pids_tell_who_is_whose(shim: Shim) -> None:
    await shim.create(argon())
    assert await pids(shim) == []
    pid = await shim.start()
    await shim.exec("c1", "e1")
    await shim.exec("c1", "e2")
    exec_pid = await shim.start("c1", "e1")
    shim.container().details = [
        ProcessDetails(process_id=pid, image_name="ping.exe", user_time_100_ns=7),
        ProcessDetails(process_id=exec_pid),
        ProcessDetails(process_id=4242, exec_id="made up"),
        ProcessDetails(process_id=0),
    ]
    assert await pids(shim) == [(pid, "c1"), (exec_pid, "e1"), (4242, ""), (0, "")]
    answer = await shim.task.pids(pb.PidsRequest(id="c1"))
    details = ProcessDetails.FromString(answer.processes[0].info.value)
    assert (details.image_name, details.user_time_100_ns) == ("ping.exe", 7)


async def test_a_pid_that_is_used_again_is_not_that_of_the_dead_exec(shim: Shim) -> None:
    await shim.run(argon())
    await shim.exec("c1", "e1", "exit", "0")
    pid = await shim.start("c1", "e1")
    await shim.wait("c1", "e1")
    shim.container().details = [ProcessDetails(process_id=pid)]
    assert await pids(shim) == [(pid, "")]


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (NotFoundError("0xc037010e"), (NOT_FOUND, "failed to fetch pids: 0xc037010e: not found")),
        (ShimError("0x80004005"), (UNKNOWN, "0x80004005")),
    ],
)
async def test_pids_that_can_t_be_had(
    shim: Shim, error: ShimError, answer: tuple[Code, str]
) -> None:
    await shim.run(argon())
    shim.engine.fail("details c1", error)
    assert await status_of(pids(shim)) == answer


# Statistics.


async def stats(shim: Shim) -> stats_pb.Statistics:
    answer = await shim.task.stats(pb.StatsRequest(id="c1"))
    assert answer.stats.type_url == "containerd.runhcs.stats.v1.Statistics"
    return stats_pb.Statistics.FromString(answer.stats.value)


async def test_statistics_of_a_windows_container(shim: Shim) -> None:
    await shim.run(argon())
    found = await stats(shim)
    assert found.WhichOneof("container") == "windows"
    assert not found.HasField("vm")
    measured = stats_pb.Statistics(
        windows=stats_pb.WindowsContainerStatistics(
            timestamp=Timestamp(seconds=1),
            uptime_ns=100,
            memory=stats_pb.WindowsContainerMemoryStatistics(memory_usage_commit_bytes=5),
        )
    )
    shim.container().measured = measured
    assert await stats(shim) == measured


async def test_statistics_of_a_linux_container_and_its_vm(shim: Shim) -> None:
    await shim.run(lcow())
    linux = stats_pb.Statistics(linux=cgroups_v1_pb2.Metrics())
    shim.container().measured = linux
    assert (await stats(shim)).WhichOneof("container") == "linux"
    vm = stats_pb.VirtualMachineStatistics(
        processor=stats_pb.VirtualMachineProcessorStatistics(total_runtime_ns=9)
    )
    shim.vm().measured = vm
    assert (await stats(shim)).vm == vm


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (NotFoundError("0xc0370105"), (NOT_FOUND, "failed to fetch stats: 0xc0370105: not found")),
        (ShimError("0x80004005"), (UNKNOWN, "0x80004005")),
    ],
)
async def test_statistics_that_can_t_be_had(
    shim: Shim, error: ShimError, answer: tuple[Code, str]
) -> None:
    await shim.run(xenon())
    shim.engine.fail("statistics c1", error)
    assert await status_of(stats(shim)) == answer


async def test_a_container_that_has_ended_tells_nothing(shim: Shim) -> None:
    await shim.run(argon("exit", "0"))
    await shim.wait()
    ended = "the container of task 'c1' has ended: not found"
    assert await status_of(pids(shim)) == (NOT_FOUND, f"failed to fetch pids: {ended}")
    assert await status_of(stats(shim)) == (NOT_FOUND, f"failed to fetch stats: {ended}")


async def test_what_a_container_is_made_from(shim: Shim) -> None:
    options = Options(io_retry_timeout_in_sec=-3)
    await shim.create(argon(), options=options, stdin="i", stdout="o", terminal=True)
    request = shim.engine.requests[0]
    assert request.io_retry_timeout == 0.0
    assert not request.scale_cpu_limits
    assert (request.stdio.stdin, request.stdio.stdout, request.stdio.terminal) == ("i", "o", True)
    assert (await shim.state()).terminal
