"""Measuring a job: its accounting, and a walk over its processes. Blocks, shortly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from podshim.engines.hcs.hostprocess.figures import Figures
from podshim.win32.running import (
    PROCESS_QUERY_LIMITED_INFORMATION,
    open_process,
    private_working_set,
)

if TYPE_CHECKING:
    from podshim.engines.hcs.hostprocess.shortcomings import Shortcomings
    from podshim.win32.jobs import Job


def measure(job: Job, shortcomings: Shortcomings) -> Figures:
    """What a job has used until now.

    Args:
        job: The job.
        shortcomings: What its container does without.

    Raises:
        OSError: The job does not tell, or is closed.
    """
    times = job.accounting()
    found = Figures(
        user_time=times.TotalUserTime,
        kernel_time=times.TotalKernelTime,
        private_working_set=private_working_set_of(job),
    )
    with shortcomings.allowed("figures of memory"):
        memory = job.memory()
        found = replace(found, commit=memory.JobMemory, peak_commit=memory.PeakJobMemoryUsed)
    with shortcomings.allowed("figures of input and output"):
        io = job.io()
        found = replace(
            found,
            reads=io.Read.IoCount,
            read_bytes=io.Read.TotalSize,
            writes=io.Write.IoCount,
            write_bytes=io.Write.TotalSize,
        )
    return found  # noqa: RET504 - either block may be left before its assignment


def private_working_set_of(job: Job) -> int:
    """Bytes of memory that are resident and each one process's alone, of all processes together.

    Raises:
        OSError: The job does not tell its processes.
    """
    return sum(_private(job, pid) for pid in job.pids())


def _private(job: Job, pid: int) -> int:
    """A process's own resident memory; 0 for one that has ended, or is another's by now."""
    try:
        with open_process(pid, PROCESS_QUERY_LIMITED_INFORMATION) as process:
            return private_working_set(process) if job.holds(process) else 0
    except OSError:
        return 0
