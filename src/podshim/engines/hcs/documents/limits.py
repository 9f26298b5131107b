"""What a container may use: processors, memory, storage; from annotations and from the spec.

Theory of operation. Each limit has an annotation, which counts unless it is 0, and a member of the
spec's `windows.resources`, which counts otherwise. Of the three ways to limit processors (how many,
how much of them, how much in proportion to others) HCS takes one; two are refused. Which processors
(affinity) is no part of HCS' documents: it is set on the container's job, after its creation.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import Json, present
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec import builds, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.hcsspec.annotations import Annotation, Annotations
    from podshim.hcsspec.reading import Member

_log = logging.getLogger(__name__)

#: HCS' unit of a share of processors: 1/100 of a percent.
MOST_CPU = 10_000
_MOST_INT32 = (1 << 31) - 1
_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Cpu:
    """A limit of processors; at most one is not 0.

    Args:
        count: How many.
        maximum: At most so much of all, in 1/10000.
        weight: So much in proportion to others, up to 10000.
    """

    count: int = 0
    maximum: int = 0
    weight: int = 0

    def document(self) -> Json:
        """HCS' `Processor` object."""
        return present({"Count": self.count, "Maximum": self.maximum, "Weight": self.weight})


@dataclass(frozen=True, slots=True)
class Affinity:
    """Processors that a container may run on.

    Args:
        mask: A bit for each processor of the group, not 0.
        group: The number of the processor group.
    """

    mask: int
    group: int


def cpu_of(resources: Member, annotations: Annotations) -> Cpu:
    """The processor limit of a container, not yet fitted to a machine.

    Args:
        resources: The spec's `windows.resources`.
        annotations: The container's.

    Raises:
        ShimError: More than one limit.
        InvalidArgumentError: A member of another type than OCI's.
    """
    cpu = resources["cpu"]
    limit = Cpu(
        _number(annotations, table.CONTAINER_PROCESSOR_COUNT, cpu["count"].unsigned(64)),
        _number(annotations, table.CONTAINER_PROCESSOR_LIMIT, cpu["maximum"].unsigned(16)),
        _number(annotations, table.CONTAINER_PROCESSOR_WEIGHT, cpu["shares"].unsigned(16)),
    )
    if sum(value > 0 for value in (limit.count, limit.maximum, limit.weight)) > 1:
        raise ShimError(
            f"invalid spec - Windows Container CPU Count: '{limit.count}', Limit:"
            f" '{limit.maximum}', and Weight: '{limit.weight}' are mutually exclusive"
        )
    return limit


def clamped_count(count: int, available: int, what: str) -> int:
    """A number of processors that a machine has; a larger one is reduced, with a warning.

    Args:
        count: How many are wanted; 0 for no limit.
        available: How many there are.
        what: Whose limit it is, for the warning.
    """
    if count <= available:
        return count
    _log.warning("%s: %d processors are wanted, of %d that there are", what, count, available)
    return available


def scaled_maximum(maximum: int, host_processors: int, vm_processors: int) -> int:
    """A share of the host's processors as a share of a VM's, from 1 to 10000."""
    return min(max(maximum * host_processors // vm_processors, 1), MOST_CPU)


def memory_of(resources: Member, annotations: Annotations) -> int:
    """The memory limit of a container in MB, 0 for none.

    Raises:
        InvalidArgumentError: A member of another type than OCI's.
    """
    return annotations.get(table.CONTAINER_MEMORY) or megabytes(resources["memory"])


def megabytes(memory: Member) -> int:
    """What a spec's `memory` object says, in whole MB; 0 for nothing.

    Raises:
        InvalidArgumentError: A member of another type than OCI's.
    """
    return (memory["limit"].unsigned(64) or 0) // _MB


def storage_qos(resources: Member, annotations: Annotations) -> Json | None:
    """HCS' `QoS` object of a container's storage; None for no limit.

    Raises:
        InvalidArgumentError: A member of another type than OCI's.
    """
    storage = resources["storage"]
    bandwidth = _number(annotations, table.CONTAINER_BANDWIDTH, storage["bps"].unsigned(64))
    iops = _number(annotations, table.CONTAINER_IOPS, storage["iops"].unsigned(64))
    if bandwidth <= 0 and iops <= 0:
        return None
    return present({"IopsMaximum": iops, "BandwidthMaximum": bandwidth})


def affinity_of(cpu: Member, build: int) -> tuple[Affinity, ...]:
    """The processors that a spec's `cpu` object allows; empty for all.

    Args:
        cpu: The object, of a spec or of an update.
        build: The build of Windows.

    Raises:
        InvalidArgumentError: A mask without processors, or a member of another type than OCI's.
        ShimError: This Windows has one processor group for each container, and others are wanted.
    """
    wanted: Sequence[Member] = cpu["affinity"].objects()
    found = tuple(
        Affinity(entry["mask"].unsigned(64) or 0, entry["group"].unsigned(32) or 0)
        for entry in wanted
    )
    for entry in found:
        if not entry.mask:
            raise InvalidArgumentError("a CPU affinity mask must not be 0")
        if entry.group >= 1 << 16:
            raise InvalidArgumentError(f"there is no processor group {entry.group}")
    if build < builds.WS2022 and (len(found) > 1 or any(entry.group for entry in found)):
        raise ShimError(
            f"CPU affinity for several processor groups is not supported on this build ({build})"
        )
    return found


def _number(annotations: Annotations, row: Annotation[int], specified: int | None) -> int:
    """The annotation unless it is 0, else what the spec says, as HCS' 32 bits hold it."""
    return annotations.get(row) or min(specified or 0, _MOST_INT32)
