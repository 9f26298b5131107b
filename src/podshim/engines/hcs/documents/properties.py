"""What HCS answers when asked about a system, and what containerd is told of it.

Theory of operation. A query names kinds of properties; the answer is one object with a member for
each. Answers come from outside: a missing member counts as empty, one of another type fails the
call with its path, and nothing is invented for what HCS does not tell. HCS counts time in units of
100 ns, containerd's messages in ns.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from podshim.api.cgroups_v1_pb2 import Metrics
from podshim.api.runhcs_options_pb2 import ProcessDetails
from podshim.api.runhcs_stats_pb2 import (
    Statistics,
    VirtualMachineMemoryStatistics,
    WindowsContainerStatistics,
)
from podshim.engines.hcs.documents.jsontext import dumps
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.message import Message

PROCESS_LIST = "ProcessList"
STATISTICS = "Statistics"
MEMORY = "Memory"
PROCESSOR_TOPOLOGY = "ProcessorTopology"
CREDENTIAL_GUARD = "ContainerCredentialGuard"

_DOCUMENT = "answer of HCS"
_NS = 100
_MOST_UINT64 = (1 << 64) - 1


def query(*kinds: str) -> dict[str, object]:
    """A query for kinds of properties, of either schema."""
    return {"PropertyTypes": list(kinds)}


def process_details(answer: Mapping[str, object]) -> list[ProcessDetails]:
    """The processes of a container, from its `ProcessList`.

    Raises:
        ShimError: The answer is not what it should be.
    """
    with _answers():
        return [_process(entry) for entry in _member(answer, PROCESS_LIST).objects()]


def container_statistics(answer: Mapping[str, object]) -> Statistics:
    """A container's figures, from its `Statistics` or, of a Linux container, `LCOWMetrics`.

    Raises:
        ShimError: The answer is not what it should be.
    """
    statistics = Statistics()
    with _answers():
        metrics = _member(answer, "LCOWMetrics")
        if metrics.present:
            statistics.linux.CopyFrom(_linux(metrics))
        else:
            statistics.windows.CopyFrom(_windows(_member(answer, STATISTICS)))
    return statistics


def vm_memory(answer: Mapping[str, object]) -> VirtualMachineMemoryStatistics | None:
    """A VM's memory figures, from its `Memory`; None if HCS does not tell.

    Raises:
        ShimError: The answer is not what it should be.
    """
    with _answers():
        memory = _member(answer, MEMORY)
        if not memory.present:
            return None
        found = VirtualMachineMemoryStatistics(
            virtual_node_count=memory["VirtualNodeCount"].unsigned(32) or 0
        )
        machine = memory["VirtualMachineMemory"]
        if machine.present:
            target = found.vm_memory
            target.SetInParent()
            target.available_memory = machine["AvailableMemory"].signed(32) or 0
            target.available_memory_buffer = machine["AvailableMemoryBuffer"].signed(32) or 0
            target.reserved_memory = machine["ReservedMemory"].unsigned(64) or 0
            target.assigned_memory = machine["AssignedMemory"].unsigned(64) or 0
            target.slp_active = machine["SlpActive"].flag()
            target.balancing_enabled = machine["BalancingEnabled"].flag()
            target.dm_operation_in_progress = machine["DmOperationInProgress"].flag()
        return found


def total_runtime_ns(answer: Mapping[str, object]) -> int | None:
    """The processor time of a system, from its `Statistics`; None if HCS does not tell.

    Raises:
        ShimError: The answer is not what it should be.
    """
    with _answers():
        processor = _member(answer, STATISTICS)["Processor"]
        return _ns(processor["TotalRuntime100ns"]) if processor.present else None


def processor_count(answer: Mapping[str, object]) -> int:
    """The host's logical processors, from the service's `ProcessorTopology`.

    Raises:
        ShimError: The answer is not what it should be.
    """
    with _answers():
        found = Member(answer, document=_DOCUMENT)["Properties"].objects()
        if len(found) != 1:
            raise ShimError("wrong number of service properties present")
        count = found[0]["LogicalProcessorCount"].unsigned(32)
    if not count:
        raise ShimError("HCS tells no number of processors")
    return count


@contextmanager
def _answers() -> Iterator[None]:
    """Make what is wrong in an answer an error that blames no client."""
    try:
        yield
    except InvalidArgumentError as error:
        raise ShimError(error.detail) from None


def _member(answer: Mapping[str, object], name: str) -> Member:
    return Member(answer, document=_DOCUMENT)[name]


def _process(entry: Member) -> ProcessDetails:
    details = ProcessDetails(
        image_name=entry["ImageName"].text(),
        kernel_time_100_ns=entry["KernelTime100ns"].unsigned(64) or 0,
        memory_commit_bytes=entry["MemoryCommitBytes"].unsigned(64) or 0,
        memory_working_set_private_bytes=entry["MemoryWorkingSetPrivateBytes"].unsigned(64) or 0,
        memory_working_set_shared_bytes=entry["MemoryWorkingSetSharedBytes"].unsigned(64) or 0,
        process_id=entry["ProcessId"].unsigned(32) or 0,
        user_time_100_ns=entry["UserTime100ns"].unsigned(64) or 0,
    )
    created = _time(entry["CreateTimestamp"])
    if created is not None:
        details.created_at.CopyFrom(created)
    return details


def _windows(statistics: Member) -> WindowsContainerStatistics:
    found = WindowsContainerStatistics(uptime_ns=_ns(statistics["Uptime100ns"]))
    taken, started = _time(statistics["Timestamp"]), _time(statistics["ContainerStartTime"])
    if taken is not None:
        found.timestamp.CopyFrom(taken)
    if started is not None:
        found.container_start_time.CopyFrom(started)
    processor, memory = statistics["Processor"], statistics["Memory"]
    storage = statistics["Storage"]
    if processor.present:
        found.processor.SetInParent()
        found.processor.total_runtime_ns = _ns(processor["TotalRuntime100ns"])
        found.processor.runtime_user_ns = _ns(processor["RuntimeUser100ns"])
        found.processor.runtime_kernel_ns = _ns(processor["RuntimeKernel100ns"])
    if memory.present:
        _set(
            found.memory,
            memory,
            memory_usage_commit_bytes="MemoryUsageCommitBytes",
            memory_usage_commit_peak_bytes="MemoryUsageCommitPeakBytes",
            memory_usage_private_working_set_bytes="MemoryUsagePrivateWorkingSetBytes",
        )
    if storage.present:
        _set(
            found.storage,
            storage,
            read_count_normalized="ReadCountNormalized",
            read_size_bytes="ReadSizeBytes",
            write_count_normalized="WriteCountNormalized",
            write_size_bytes="WriteSizeBytes",
        )
    return found


def _linux(metrics: Member) -> Metrics:
    if not isinstance(metrics.value, dict):
        raise metrics.wrong("an object")
    text = dumps(metrics.value)  # without halves of surrogate pairs, over which protobuf crashes
    try:
        return json_format.Parse(text, Metrics(), ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise ShimError(f"the guest's metrics are not what they should be: {error}") from None


def _set(message: Message, source: Member, **members: str) -> None:
    """Fill 64-bit numbers of a message from members of an answer."""
    message.SetInParent()
    for name, member in members.items():
        setattr(message, name, source[member].unsigned(64) or 0)


def _ns(member: Member) -> int:
    return min((member.unsigned(64) or 0) * _NS, _MOST_UINT64)


def _time(member: Member) -> Timestamp | None:
    text = member.text()
    if not text:
        return None
    time = Timestamp()
    try:
        time.FromJsonString(text)
    except ValueError:
        raise member.wrong("a time (RFC 3339)") from None
    return time
