"""`io.containerd.cgroups.v1.Metrics` from the contents of a legacy cgroup's files (pure).

Theory of operation. `FILES` names what to read in each controller's folder; `metrics` takes the
contents by file name and gives the message. A file that is missing (its controller is not mounted,
the kernel is built without it) leaves its part of the message out, or 0. Networks and the counts
of tasks by state (`network`, `cgroup_stats`) are not a cgroup's to know and stay empty. The fields'
sources are those of containerd's own cgroups library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podshim.api import cgroups_v1_pb2 as pb
from podshim.engines.oci.cgroupfiles import device_number, keyed, number, rdma

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: The kernel tells CPU time in ticks of USER_HZ, which is 100 on every architecture of today.
_NS_PER_TICK: Final = 10_000_000

_MEMORY_MODULES: Final = {
    "usage": "memory",
    "swap": "memory.memsw",
    "kernel": "memory.kmem",
    "kernel_tcp": "memory.kmem.tcp",
}
_MEMORY_VALUES: Final = {
    "usage": "usage_in_bytes",
    "max": "max_usage_in_bytes",
    "failcnt": "failcnt",
    "limit": "limit_in_bytes",
}
#: Keys of `memory.stat` for the fields that are named otherwise.
_MEMORY_KEYS: Final = {
    "pg_pg_in": "pgpgin",
    "pg_pg_out": "pgpgout",
    "pg_fault": "pgfault",
    "pg_maj_fault": "pgmajfault",
    "total_pg_pg_in": "total_pgpgin",
    "total_pg_pg_out": "total_pgpgout",
    "total_pg_fault": "total_pgfault",
    "total_pg_maj_fault": "total_pgmajfault",
    "hierarchical_swap_limit": "hierarchical_memsw_limit",
}
#: CFQ's accounts, which newer kernels don't keep.
_BLKIO: Final = {
    "sectors_recursive": "blkio.sectors_recursive",
    "io_service_bytes_recursive": "blkio.io_service_bytes_recursive",
    "io_serviced_recursive": "blkio.io_serviced_recursive",
    "io_queued_recursive": "blkio.io_queued_recursive",
    "io_service_time_recursive": "blkio.io_service_time_recursive",
    "io_wait_time_recursive": "blkio.io_wait_time_recursive",
    "io_merged_recursive": "blkio.io_merged_recursive",
    "io_time_recursive": "blkio.time_recursive",
}
#: What stands in for them when none of them has a line.
_BLKIO_THROTTLE: Final = {
    "io_serviced_recursive": "blkio.throttle.io_serviced",
    "io_service_bytes_recursive": "blkio.throttle.io_service_bytes",
}
_HUGETLB: Final = {"usage": "usage_in_bytes", "max": "max_usage_in_bytes", "failcnt": "failcnt"}

#: What to read, by controller; `hugetlb_files` adds one controller's.
FILES: Final[Mapping[str, Sequence[str]]] = {
    "pids": ("pids.current", "pids.max"),
    "cpu": ("cpu.stat",),
    "cpuacct": ("cpuacct.usage", "cpuacct.stat", "cpuacct.usage_percpu"),
    "memory": (
        "memory.stat",
        "memory.oom_control",
        *(
            f"{module}.{value}"
            for module in _MEMORY_MODULES.values()
            for value in _MEMORY_VALUES.values()
        ),
    ),
    "blkio": (*_BLKIO.values(), *_BLKIO_THROTTLE.values()),
    "rdma": ("rdma.current", "rdma.max"),
}


def hugetlb_files(page_sizes: Sequence[str]) -> list[str]:
    """The hugetlb controller's files for page sizes such as `2MB`."""
    return [f"hugetlb.{size}.{name}" for size in page_sizes for name in _HUGETLB.values()]


def metrics(
    files: Mapping[str, str], *, page_sizes: Sequence[str] = (), partitions: str = ""
) -> pb.Metrics:
    """Make the message; no content, however odd, raises.

    Args:
        files: Contents by file name, for those files that could be read.
        page_sizes: The host's huge page sizes, such as `2MB`.
        partitions: The content of `/proc/partitions`, for the names of block devices.
    """
    message = pb.Metrics(
        hugetlb=_hugetlb(files, page_sizes),
        cpu=pb.CPUStat(usage=_cpu_usage(files), throttling=_throttling(files)),
    )
    if "pids.current" in files:
        message.pids.current = number(files["pids.current"])
        message.pids.limit = number(files.get("pids.max"))
    if "memory.stat" in files:
        message.memory.CopyFrom(_memory(files))
    if "memory.oom_control" in files:
        oom = keyed(files["memory.oom_control"])
        message.memory_oom_control.oom_kill_disable = oom.get("oom_kill_disable", 0)
        message.memory_oom_control.under_oom = oom.get("under_oom", 0)
        message.memory_oom_control.oom_kill = oom.get("oom_kill", 0)
    if any(name.startswith("blkio.") for name in files):
        message.blkio.CopyFrom(_blkio(files, device_names(partitions)))
    if "rdma.current" in files or "rdma.max" in files:
        message.rdma.current.extend(_rdma(files.get("rdma.current")))
        message.rdma.limit.extend(_rdma(files.get("rdma.max")))
    return message


def _hugetlb(files: Mapping[str, str], page_sizes: Sequence[str]) -> Iterator[pb.HugetlbStat]:
    for size in page_sizes:
        values = {
            field: number(files[f"hugetlb.{size}.{name}"])
            for field, name in _HUGETLB.items()
            if f"hugetlb.{size}.{name}" in files
        }
        if values:
            yield pb.HugetlbStat(
                usage=values.get("usage", 0),
                max=values.get("max", 0),
                failcnt=values.get("failcnt", 0),
                pagesize=size,
            )


def _cpu_usage(files: Mapping[str, str]) -> pb.CPUUsage:
    ticks = keyed(files.get("cpuacct.stat"))
    return pb.CPUUsage(
        total=number(files.get("cpuacct.usage")),
        kernel=_nanoseconds(ticks.get("system", 0)),
        user=_nanoseconds(ticks.get("user", 0)),
        per_cpu=[number(item) for item in files.get("cpuacct.usage_percpu", "").split()],
    )


def _nanoseconds(ticks: int) -> int:
    return number(str(ticks * _NS_PER_TICK))


def _throttling(files: Mapping[str, str]) -> pb.Throttle:
    values = keyed(files.get("cpu.stat"))
    return pb.Throttle(
        periods=values.get("nr_periods", 0),
        throttled_periods=values.get("nr_throttled", 0),
        throttled_time=values.get("throttled_time", 0),
    )


def _memory(files: Mapping[str, str]) -> pb.MemoryStat:
    values = keyed(files["memory.stat"])
    stat = pb.MemoryStat()
    for field in pb.MemoryStat.DESCRIPTOR.fields:
        if field.name in _MEMORY_MODULES:
            entry = _memory_entry(files, _MEMORY_MODULES[field.name])
            getattr(stat, field.name).CopyFrom(entry)
        else:
            setattr(stat, field.name, values.get(_MEMORY_KEYS.get(field.name, field.name), 0))
    return stat


def _memory_entry(files: Mapping[str, str], module: str) -> pb.MemoryEntry:
    entry = pb.MemoryEntry()
    for field, name in _MEMORY_VALUES.items():
        setattr(entry, field, number(files.get(f"{module}.{name}")))
    return entry


def _rdma(text: str | None) -> Iterator[pb.RdmaEntry]:
    for device, handles, objects in rdma(text):
        yield pb.RdmaEntry(device=device, hca_handles=handles, hca_objects=objects)


def device_names(partitions: str) -> dict[tuple[int, int], str]:
    """Read `/proc/partitions`: the path of each block device by major and minor number."""
    names: dict[tuple[int, int], str] = {}
    for line in partitions.splitlines():
        fields = line.split()
        if len(fields) == 4 and (device := device_number(":".join(fields[:2]))):
            names.setdefault(device, f"/dev/{fields[3]}")
    return names


def _blkio(files: Mapping[str, str], names: Mapping[tuple[int, int], str]) -> pb.BlkIOStat:
    for sources in (_BLKIO, _BLKIO_THROTTLE):
        stat = pb.BlkIOStat()
        found = False
        for field, file in sources.items():
            entries = list(_blkio_entries(files.get(file, ""), names))
            getattr(stat, field).extend(entries)
            found = found or bool(entries)
        if found:
            return stat
    return pb.BlkIOStat()


def _blkio_entries(text: str, names: Mapping[tuple[int, int], str]) -> Iterator[pb.BlkIOEntry]:
    """Read lines of `major:minor [operation] number`; the sum, `Total number`, is none."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) not in {2, 3} or (device := device_number(fields[0])) is None:
            continue
        yield pb.BlkIOEntry(
            op=fields[1] if len(fields) == 3 else "",
            device=names.get(device, ""),
            major=device[0],
            minor=device[1],
            value=number(fields[-1]),
        )
