"""What containerd is told of a job's processes and of what they use. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from google.protobuf.timestamp_pb2 import Timestamp

from podshim.api.runhcs_options_pb2 import ProcessDetails
from podshim.api.runhcs_stats_pb2 import Statistics

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from podshim.win32.systemprocesses import SystemProcess

#: From 1601, when Windows' time begins, to 1970, in units of 100 ns.
_EPOCH: Final = 116_444_736_000_000_000
_NS: Final = 100


@dataclass(frozen=True, slots=True)
class Figures:
    """What a job has used; None is what this Windows does not tell.

    Args:
        user_time: In 100 ns.
        kernel_time: In 100 ns.
        private_working_set: Bytes.
        commit: Bytes.
        peak_commit: Bytes.
        reads: Operations.
        read_bytes: Their bytes.
        writes: Operations.
        write_bytes: Their bytes.
    """

    user_time: int
    kernel_time: int
    private_working_set: int
    commit: int | None = None
    peak_commit: int | None = None
    reads: int | None = None
    read_bytes: int | None = None
    writes: int | None = None
    write_bytes: int | None = None


def statistics(figures: Figures, *, now: int, started: int) -> Statistics:
    """A container's figures.

    Args:
        figures: What its job tells.
        now: When it told, in ns since the epoch.
        started: When the container was started, likewise; 0 if it was not.
    """
    message = Statistics()
    windows = message.windows
    windows.timestamp.CopyFrom(_time(now))
    if started:
        windows.container_start_time.CopyFrom(_time(started))
        windows.uptime_ns = max(0, now - started) // _NS * _NS
    windows.processor.runtime_user_ns = figures.user_time * _NS
    windows.processor.runtime_kernel_ns = figures.kernel_time * _NS
    windows.processor.total_runtime_ns = (figures.user_time + figures.kernel_time) * _NS
    windows.memory.memory_usage_private_working_set_bytes = figures.private_working_set
    windows.memory.memory_usage_commit_bytes = figures.commit or 0
    windows.memory.memory_usage_commit_peak_bytes = figures.peak_commit or 0
    if figures.reads is not None:
        windows.storage.read_count_normalized = figures.reads
        windows.storage.read_size_bytes = figures.read_bytes or 0
        windows.storage.write_count_normalized = figures.writes or 0
        windows.storage.write_size_bytes = figures.write_bytes or 0
    return message


def details(processes: Iterable[SystemProcess], pids: Collection[int]) -> list[ProcessDetails]:
    """What is told of those processes of the system that are in a job."""
    wanted = set(pids)
    return [_details(process) for process in processes if process.pid in wanted]


def _details(process: SystemProcess) -> ProcessDetails:
    return ProcessDetails(
        image_name=process.image,
        created_at=_time((process.created - _EPOCH) * _NS),
        kernel_time_100_ns=process.kernel_time,
        user_time_100_ns=process.user_time,
        memory_commit_bytes=process.commit,
        memory_working_set_private_bytes=process.private_working_set,
        memory_working_set_shared_bytes=max(0, process.working_set - process.private_working_set),
        process_id=process.pid,
    )


def _time(ns: int) -> Timestamp:
    return Timestamp(seconds=ns // 10**9, nanos=ns % 10**9)
