"""A HostProcess container's limits, as a job object takes them. Pure.

A job limits processors in one of two ways: a share of all of them, in 1/10000, or a weight from 1
to 9. A number of processors becomes a share; a weight of containers, which goes up to 10000, is
brought down to the job's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from podshim.engines.hcs.documents import limits
from podshim.errors import ShimError

if TYPE_CHECKING:
    from podshim.engines.hcs.documents.limits import Affinity, Cpu
    from podshim.hcsspec.annotations import Annotations
    from podshim.hcsspec.reading import Member

_MB: Final = 1 << 20
_MOST_MEMORY: Final = (1 << 64) - 1
_MOST_WEIGHT: Final = 9


@dataclass(frozen=True, slots=True)
class JobLimits:
    """What a job is limited to; 0, None and empty mean no limit.

    Args:
        memory: Bytes that all processes may commit.
        rate: Share of all processors, in 1/10000.
        weight: From 1 to 9, in proportion to other jobs.
        affinity: The processors that it may use.
        iops: Operations of input and output a second.
        bandwidth: Their bytes a second.
    """

    memory: int = 0
    rate: int = 0
    weight: int = 0
    affinity: tuple[Affinity, ...] = ()
    iops: int = 0
    bandwidth: int = 0


def job_limits(
    resources: Member, annotations: Annotations, *, processors: int, build: int
) -> JobLimits:
    """The limits that a container's spec and annotations ask for.

    Args:
        resources: The spec's `windows.resources`.
        annotations: The container's.
        processors: How many the host has.
        build: The build of Windows.

    Raises:
        ShimError: A limit that can't be, or two that exclude each other.
        InvalidArgumentError: A member of another type than OCI's.
    """
    cpu = limits.cpu_of(resources, annotations)
    storage = limits.storage_qos(resources, annotations) or {}
    iops, bandwidth = storage.get("IopsMaximum", 0), storage.get("BandwidthMaximum", 0)
    return JobLimits(
        memory=memory_bytes(limits.memory_of(resources, annotations)),
        rate=_rate(cpu, processors),
        weight=job_weight(cpu.weight) if cpu.weight else 0,
        affinity=limits.affinity_of(resources["cpu"], build),
        iops=iops if isinstance(iops, int) else 0,
        bandwidth=bandwidth if isinstance(bandwidth, int) else 0,
    )


def memory_bytes(megabytes: int) -> int:
    """A memory limit in bytes.

    Raises:
        ShimError: It is larger than a job can be told.
    """
    size = megabytes * _MB
    if size >= _MOST_MEMORY:
        raise ShimError("memory limit specified exceeds the max size")
    return size


def rate_of_count(processors: int, count: int) -> int:
    """The share of a host's processors that a number of them is, in 1/10000; at least 1."""
    return max(1, count * limits.MOST_CPU // processors)


def job_weight(weight: int) -> int:
    """A container's weight, 1 to 10000, as a job's, 1 to 9.

    Raises:
        ShimError: It is not in this range.
    """
    if not 1 <= weight <= limits.MOST_CPU:
        raise ShimError(f"processor weight value of `{weight}` is invalid")
    return 1 + (_MOST_WEIGHT - 1) * weight // limits.MOST_CPU


def _rate(cpu: Cpu, processors: int) -> int:
    if cpu.count > 0:
        count = limits.clamped_count(cpu.count, processors, "HostProcess container")
        return rate_of_count(processors, count)
    if cpu.maximum and not 1 <= cpu.maximum <= limits.MOST_CPU:
        raise ShimError(f"processor rate of `{cpu.maximum}` is invalid")
    return cpu.maximum
