"""What HCS answers, as containerd is told."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, strategies

from podshim.api.runhcs_stats_pb2 import Statistics
from podshim.engines.hcs.documents import properties
from podshim.errors import InvalidArgumentError, ShimError

STATISTICS = {
    "Timestamp": "2024-05-06T07:08:09.1234567Z",
    "ContainerStartTime": "2024-05-06T07:00:00Z",
    "Uptime100ns": 1,
    "Processor": {"TotalRuntime100ns": 2, "RuntimeUser100ns": 3, "RuntimeKernel100ns": 4},
    "Memory": {
        "MemoryUsageCommitBytes": 5,
        "MemoryUsageCommitPeakBytes": 6,
        "MemoryUsagePrivateWorkingSetBytes": 7,
    },
    "Storage": {
        "ReadCountNormalized": 8,
        "ReadSizeBytes": 9,
        "WriteCountNormalized": 10,
        "WriteSizeBytes": (1 << 64) - 1,
    },
}


def test_statistics_of_a_windows_container() -> None:
    windows = properties.container_statistics({"Statistics": STATISTICS}).windows
    assert windows.timestamp.ToNanoseconds() == 1714979289123456700
    assert windows.container_start_time.ToJsonString() == "2024-05-06T07:00:00Z"
    assert windows.uptime_ns == 100
    processor, memory, storage = windows.processor, windows.memory, windows.storage
    assert [
        processor.total_runtime_ns, processor.runtime_user_ns, processor.runtime_kernel_ns,
    ] == [200, 300, 400]  # fmt: skip
    assert [
        memory.memory_usage_commit_bytes,
        memory.memory_usage_commit_peak_bytes,
        memory.memory_usage_private_working_set_bytes,
    ] == [5, 6, 7]
    assert [
        storage.read_count_normalized,
        storage.read_size_bytes,
        storage.write_count_normalized,
        storage.write_size_bytes,
    ] == [8, 9, 10, (1 << 64) - 1]


def test_only_parts_that_hcs_tells_are_there() -> None:
    windows = properties.container_statistics({"Statistics": {"Memory": {}}}).windows
    assert windows.HasField("memory")
    assert not windows.HasField("processor")
    assert not windows.HasField("storage")
    assert not windows.HasField("timestamp")


@pytest.mark.parametrize("answer", [{}, {"Statistics": None}, {"Statistics": {}}])
def test_without_statistics_the_message_is_empty(answer: Any) -> None:
    statistics = properties.container_statistics(answer)
    assert statistics.WhichOneof("container") == "windows"
    empty = Statistics()
    empty.windows.SetInParent()
    assert statistics == empty


def test_figures_that_are_too_large_stay_in_range() -> None:
    statistics = properties.container_statistics({"Statistics": {"Uptime100ns": (1 << 64) - 1}})
    assert statistics.windows.uptime_ns == (1 << 64) - 1


def test_statistics_of_a_linux_container() -> None:
    metrics = {"memory": {"usage": {"usage": 5}}, "pids": {"current": 2}, "unknown": [1]}
    linux = properties.container_statistics({"LCOWMetrics": metrics}).linux
    assert linux.memory.usage.usage == 5
    assert linux.pids.current == 2
    broken: list[Any] = [5, [], {"memory": 5}, {"pids": {"current": "x"}}]
    for wrong in broken:
        with pytest.raises(ShimError):
            properties.container_statistics({"LCOWMetrics": wrong})


def test_processes() -> None:
    created = "2024-05-06T07:08:09Z"
    entry = {
        "CreateTimestamp": created,
        "ImageName": "cmd.exe",
        "KernelTime100ns": 1,
        "MemoryCommitBytes": 2,
        "MemoryWorkingSetPrivateBytes": 3,
        "MemoryWorkingSetSharedBytes": 4,
        "ProcessId": 5,
        "UserTime100ns": 6,
    }
    first, second = properties.process_details({"ProcessList": [entry, {"ProcessId": 7}]})
    expected = Timestamp()
    expected.FromJsonString(created)
    assert first.created_at == expected
    assert first.image_name == "cmd.exe"
    # Microsoft's shim tells the kernel's time twice.
    assert (first.kernel_time_100_ns, first.user_time_100_ns) == (1, 6)
    assert [
        first.memory_commit_bytes,
        first.memory_working_set_private_bytes,
        first.memory_working_set_shared_bytes,
        first.process_id,
    ] == [2, 3, 4, 5]
    assert not first.exec_id
    assert second.process_id == 7
    assert not second.HasField("created_at")
    assert properties.process_details({}) == []


def test_memory_of_a_vm() -> None:
    machine = {
        "AvailableMemory": -1,
        "AvailableMemoryBuffer": 2,
        "ReservedMemory": 3,
        "AssignedMemory": 4,
        "SlpActive": True,
        "BalancingEnabled": True,
        "DmOperationInProgress": True,
    }
    answer = {"Memory": {"VirtualNodeCount": 2, "VirtualMachineMemory": machine}}
    found = properties.vm_memory(answer)
    assert found is not None
    assert found.virtual_node_count == 2
    memory = found.vm_memory
    assert [
        memory.available_memory,
        memory.available_memory_buffer,
        memory.reserved_memory,
        memory.assigned_memory,
    ] == [-1, 2, 3, 4]
    assert memory.slp_active
    assert memory.balancing_enabled
    assert memory.dm_operation_in_progress
    assert properties.vm_memory({}) is None
    none = properties.vm_memory({"Memory": {}})
    assert none is not None
    assert not none.HasField("vm_memory")


def test_processor_time_and_count() -> None:
    assert properties.total_runtime_ns({"Statistics": STATISTICS}) == 200
    assert properties.total_runtime_ns({}) is None
    topology = {"LogicalProcessorCount": 4, "LogicalProcessors": [{"LpIndex": 0}]}
    assert properties.processor_count({"Properties": [topology]}) == 4
    for wrong in ([], [topology, topology], None):
        with pytest.raises(ShimError) as caught:
            properties.processor_count({"Properties": wrong})
        assert str(caught.value) == "wrong number of service properties present"
    with pytest.raises(ShimError):
        properties.processor_count({"Properties": [{}]})


def test_queries() -> None:
    assert properties.query("ProcessList") == {"PropertyTypes": ["ProcessList"]}


@pytest.mark.parametrize(
    "statistics",
    [
        5,
        {"Processor": []},
        {"Uptime100ns": "1"},
        {"Uptime100ns": -1},
        {"Uptime100ns": 1.5},
        {"Timestamp": "yesterday"},
        {"Timestamp": 5},
        {"Storage": {"ReadSizeBytes": 1 << 64}},
    ],
)
def test_a_wrong_answer_names_its_member_and_blames_no_client(statistics: Any) -> None:
    with pytest.raises(ShimError, match=r"^answer of HCS: Statistics\S* must be ") as caught:
        properties.container_statistics({"Statistics": statistics})
    assert not isinstance(caught.value, InvalidArgumentError)


answers = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(max_size=3),
    lambda inner: (
        strategies.lists(inner, max_size=2)
        | strategies.dictionaries(
            strategies.sampled_from(
                ["Statistics", "Processor", "Memory", "Timestamp", "ProcessList", "LCOWMetrics"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(strategies.dictionaries(strategies.sampled_from(["Statistics", "Memory"]), answers))
def test_no_answer_breaks_a_reader(answer: Any) -> None:
    for read in (properties.container_statistics, properties.vm_memory):
        try:
            read(answer)
        except ShimError:
            continue
