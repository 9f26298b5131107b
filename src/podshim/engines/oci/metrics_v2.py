"""`io.containerd.cgroups.v2.Metrics` from the contents of a unified cgroup's files (pure).

Theory of operation. `FILES` names what to read in the cgroup's folder; `metrics` takes the contents
by file name and gives the message. What is missing counts as 0, and `max` as the largest number;
the parts that only some kernels or settings have (pressure, `memory.events`, hugetlb) are left out
when their file is missing. Networks are not a cgroup's to know. The fields' sources are those of
containerd's own cgroups library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from podshim.api import cgroups_v2_pb2 as pb
from podshim.engines.oci.cgroupfiles import (
    MAX_U64,
    device_number,
    keyed,
    number,
    pairs,
    rdma,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

M = TypeVar("M", pb.CPUStat, pb.MemoryEvents, pb.MemoryStat)

#: Fields of `MemoryStat` that have a file of their own; the others are keys of `memory.stat`.
_MEMORY_FILES: Final = {
    "usage": "memory.current",
    "usage_limit": "memory.max",
    "max_usage": "memory.peak",
    "swap_usage": "memory.swap.current",
    "swap_limit": "memory.swap.max",
    "swap_max_usage": "memory.swap.peak",
}

#: What to read; `hugetlb_files` adds the rest.
FILES: Final[Sequence[str]] = (
    "pids.current",
    "pids.max",
    "cpu.stat",
    "cpu.pressure",
    "memory.stat",
    "memory.events",
    "memory.pressure",
    *_MEMORY_FILES.values(),
    "io.stat",
    "io.pressure",
    "rdma.current",
    "rdma.max",
)


def hugetlb_files(page_sizes: Sequence[str]) -> list[str]:
    """The hugetlb files for page sizes such as `2MB`."""
    return [
        f"hugetlb.{size}.{name}" for size in page_sizes for name in ("current", "max", "events")
    ]


def metrics(files: Mapping[str, str], *, page_sizes: Sequence[str] = ()) -> pb.Metrics:
    """Make the message; no content, however odd, raises.

    Args:
        files: Contents by file name, for those files that could be read.
        page_sizes: The host's huge page sizes, such as `2MB`.
    """
    message = pb.Metrics(
        pids=pb.PidsStat(current=_value(files, "pids.current"), limit=_value(files, "pids.max")),
        cpu=_keyed_message(pb.CPUStat(), files.get("cpu.stat")),
        memory=_memory(files),
        rdma=pb.RdmaStat(
            current=_rdma(files.get("rdma.current")), limit=_rdma(files.get("rdma.max"))
        ),
        io=pb.IOStat(usage=_io(files.get("io.stat", ""))),
        hugetlb=_hugetlb(files, page_sizes),
    )
    if (psi := _pressure(files.get("cpu.pressure"))) is not None:
        message.cpu.psi.CopyFrom(psi)
    if (psi := _pressure(files.get("memory.pressure"))) is not None:
        message.memory.psi.CopyFrom(psi)
    if (psi := _pressure(files.get("io.pressure"))) is not None:
        message.io.psi.CopyFrom(psi)
    if keyed(files.get("memory.events")):
        message.memory_events.CopyFrom(_keyed_message(pb.MemoryEvents(), files["memory.events"]))
    return message


def _value(files: Mapping[str, str], name: str) -> int:
    return number(files.get(name), unlimited=MAX_U64)


def _keyed_message(message: M, text: str | None) -> M:
    """Fill the fields that are keys of a file with lines of `key number`."""
    for key, value in keyed(text).items():
        field = message.DESCRIPTOR.fields_by_name.get(key)
        if field is not None and field.cpp_type == field.CPPTYPE_UINT64:
            setattr(message, key, value)
    return message


def _memory(files: Mapping[str, str]) -> pb.MemoryStat:
    stat = _keyed_message(pb.MemoryStat(), files.get("memory.stat"))
    for field, name in _MEMORY_FILES.items():
        setattr(stat, field, _value(files, name))
    return stat


def _rdma(text: str | None) -> Iterator[pb.RdmaEntry]:
    for device, handles, objects in rdma(text):
        yield pb.RdmaEntry(device=device, hca_handles=handles, hca_objects=objects)


def _io(text: str) -> Iterator[pb.IOEntry]:
    """Read lines of `major:minor rbytes=N wbytes=N rios=N wios=N ...`."""
    for line in text.splitlines():
        name, *fields = line.split() or [""]
        device = device_number(name)
        if device is None or not fields:
            continue
        values = pairs(fields)
        yield pb.IOEntry(
            major=device[0],
            minor=device[1],
            rbytes=number(values.get("rbytes")),
            wbytes=number(values.get("wbytes")),
            rios=number(values.get("rios")),
            wios=number(values.get("wios")),
        )


def _hugetlb(files: Mapping[str, str], page_sizes: Sequence[str]) -> Iterator[pb.HugeTlbStat]:
    for size in page_sizes:
        if f"hugetlb.{size}.current" in files or f"hugetlb.{size}.max" in files:
            yield pb.HugeTlbStat(
                current=_value(files, f"hugetlb.{size}.current"),
                max=_value(files, f"hugetlb.{size}.max"),
                pagesize=size,
                failcnt=keyed(files.get(f"hugetlb.{size}.events")).get("max", 0),
            )


def _pressure(text: str | None) -> pb.PSIStats | None:
    """Read lines of `some|full avg10=N avg60=N avg300=N total=N`; None without any."""
    stats = pb.PSIStats()
    for line in (text or "").splitlines():
        kind, *fields = line.split() or [""]
        values = pairs(fields)
        data = pb.PSIData(
            avg10=_share(values.get("avg10")),
            avg60=_share(values.get("avg60")),
            avg300=_share(values.get("avg300")),
            total=number(values.get("total")),
        )
        if kind == "some":
            stats.some.CopyFrom(data)
        elif kind == "full":
            stats.full.CopyFrom(data)
    return stats if stats.HasField("some") or stats.HasField("full") else None


def _share(text: str | None) -> float:
    """Read a share of time in percent, such as `12.50`; 0 for what is none."""
    whole, _, fraction = (text or "").partition(".")
    if not (whole + fraction).isdecimal() or len(whole) > 20 or len(fraction) > 20:
        return 0.0
    return float(f"{whole or 0}.{fraction or 0}")
