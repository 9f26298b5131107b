r"""The silo of a process-isolated container: the job object that its processes are in.

Theory of operation. The compute service names the job after the container, in the system's own name
space, where only the system account may open it. A shim that runs as that account can then measure
the container without asking the service, and must set what the service has no request for. Calls
here block, shortly.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from podshim.engines.hcs.hostprocess.figures import Figures, statistics
from podshim.engines.hcs.hostprocess.measuring import private_working_set_of
from podshim.errors import ShimError
from podshim.win32.namedjobs import open_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from podshim.api.runhcs_stats_pb2 import Statistics
    from podshim.engines.hcs.documents.limits import Affinity
    from podshim.win32.jobs import Job


@contextmanager
def silo(container_id: str) -> Iterator[Job]:
    """Have the silo of a container.

    Raises:
        OSError: There is none, or it is not for us.
    """
    job = open_job(f"\\Container_{container_id}")
    try:
        yield job
    finally:
        job.close()


def measure(container_id: str, started_at: float | None) -> Statistics:
    """Measure a container by its silo.

    Args:
        container_id: Which.
        started_at: When it was started, in s since the epoch; None if it was not.

    Raises:
        OSError: There is no silo, it is not for us, or it does not tell all.
    """
    with silo(container_id) as job:
        times, memory, io = job.accounting(), job.memory(), job.io()
        figures = Figures(
            user_time=times.TotalUserTime,
            kernel_time=times.TotalKernelTime,
            private_working_set=private_working_set_of(job),
            commit=memory.JobMemory,
            peak_commit=memory.PeakJobMemoryUsed,
            reads=io.Read.IoCount,
            read_bytes=io.Read.TotalSize,
            writes=io.Write.IoCount,
            write_bytes=io.Write.TotalSize,
        )
    started = 0 if started_at is None else int(started_at * 1e9)
    return statistics(figures, now=time.time_ns(), started=started)


def set_affinity(container_id: str, groups: Sequence[Affinity]) -> None:
    """Let a container run on these processors only.

    Raises:
        ShimError: It can't be set.
    """
    try:
        with silo(container_id) as job:
            job.bind_to_processors([(group.mask, group.group) for group in groups])
    except OSError as error:
        text = f"failed to set the CPU affinity of container {container_id}: {error}"
        raise ShimError(text) from error
