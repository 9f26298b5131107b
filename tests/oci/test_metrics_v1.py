"""The v1 metrics message: every field from its file, and no content that hurts."""

import pytest
from hypothesis import given, strategies as st

from podshim.api import cgroups_v1_pb2 as pb
from podshim.engines.oci import metrics_v1
from podshim.engines.oci.metrics_v1 import device_names, hugetlb_files, metrics

MEMORY_STAT = """\
cache 14966784
rss 16457728
rss_huge 2097152
shmem 4096
mapped_file 958464
dirty 262144
writeback 8192
workingset_refault_anon 7
swap 0
pgpgin 136784
pgpgout 129123
pgfault 194177
pgmajfault 163
inactive_anon 16240640
active_anon 16384
inactive_file 1527808
active_file 13438976
unevictable 12288
hierarchical_memory_limit 20971520
hierarchical_memsw_limit 9223372036854771712
total_cache 101
total_rss 102
total_rss_huge 103
total_shmem 999
total_mapped_file 104
total_dirty 105
total_writeback 106
total_pgpgin 107
total_pgpgout 108
total_pgfault 109
total_pgmajfault 110
total_inactive_anon 111
total_active_anon 112
total_inactive_file 113
total_active_file 114
total_unevictable 115
"""

PARTITIONS = """\
major minor  #blocks  name

 254        0  268435456 vda
 254        1  268434432 vda1
 254        0          1 vda-again
   8       16    1048576 sdb
"""

FILES = {
    "pids.current": "5\n",
    "pids.max": "1024\n",
    "cpuacct.usage": "260292225191\n",
    "cpuacct.stat": "user 16327\nsystem 9701\n",
    "cpuacct.usage_percpu": "77728829520 182563395671 \n",
    "cpu.stat": "nr_periods 12\nnr_throttled 3\nthrottled_time 250000000\nnr_bursts 1\n",
    "memory.stat": MEMORY_STAT,
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 1\noom_kill 2\n",
    "memory.usage_in_bytes": "32735232\n",
    "memory.max_usage_in_bytes": "62615552\n",
    "memory.failcnt": "17\n",
    "memory.limit_in_bytes": "67108864\n",
    "memory.memsw.usage_in_bytes": "32735233\n",
    "memory.memsw.max_usage_in_bytes": "62615553\n",
    "memory.memsw.failcnt": "18\n",
    "memory.memsw.limit_in_bytes": "9223372036854771712\n",
    "memory.kmem.usage_in_bytes": "995328\n",
    "memory.kmem.max_usage_in_bytes": "3948544\n",
    "memory.kmem.failcnt": "19\n",
    "memory.kmem.limit_in_bytes": "9223372036854771712\n",
    "memory.kmem.tcp.usage_in_bytes": "11\n",
    "memory.kmem.tcp.max_usage_in_bytes": "12\n",
    "memory.kmem.tcp.failcnt": "13\n",
    "memory.kmem.tcp.limit_in_bytes": "14\n",
    "rdma.current": "mlx4_0 hca_handle=2 hca_object=2000\nocrdma1 hca_handle=3 hca_object=max\n",
    "rdma.max": "mlx4_0 hca_handle=max hca_object=5000\n",
    "hugetlb.2MB.usage_in_bytes": "4194304\n",
    "hugetlb.2MB.max_usage_in_bytes": "8388608\n",
    "hugetlb.2MB.failcnt": "1\n",
    "blkio.throttle.io_serviced": (
        "254:0 Read 10\n254:0 Write 20\n254:0 Sync 30\n254:0 Async 0\n254:0 Discard 0\n"
        "254:0 Total 30\nTotal 30\n"
    ),
    "blkio.throttle.io_service_bytes": "254:1 Read 40960\nTotal 40960\n",
}


def full(**changes: str | None) -> pb.Metrics:
    """Make the message of the whole table, with some files changed or (None) taken away."""
    files: dict[str, str | None] = {**FILES, **changes}
    present = {name: text for name, text in files.items() if text is not None}
    return metrics(present, page_sizes=["1GB", "2MB"], partitions=PARTITIONS)


def test_processes() -> None:
    assert full().pids == pb.PidsStat(current=5, limit=1024)


def test_no_limit_of_processes_is_told_as_0() -> None:
    assert full(**{"pids.max": "max\n"}).pids == pb.PidsStat(current=5)


def test_cpu_time_is_in_nanoseconds() -> None:
    assert full().cpu.usage == pb.CPUUsage(
        total=260292225191,
        user=163_270_000_000,
        kernel=97_010_000_000,
        per_cpu=[77728829520, 182563395671],
    )


def test_throttling() -> None:
    expected = pb.Throttle(periods=12, throttled_periods=3, throttled_time=250000000)
    assert full().cpu.throttling == expected


def test_memory_accounts() -> None:
    assert full().memory == pb.MemoryStat(
        cache=14966784,
        rss=16457728,
        rss_huge=2097152,
        mapped_file=958464,
        dirty=262144,
        writeback=8192,
        pg_pg_in=136784,
        pg_pg_out=129123,
        pg_fault=194177,
        pg_maj_fault=163,
        inactive_anon=16240640,
        active_anon=16384,
        inactive_file=1527808,
        active_file=13438976,
        unevictable=12288,
        hierarchical_memory_limit=20971520,
        hierarchical_swap_limit=9223372036854771712,
        total_cache=101,
        total_rss=102,
        total_rss_huge=103,
        total_mapped_file=104,
        total_dirty=105,
        total_writeback=106,
        total_pg_pg_in=107,
        total_pg_pg_out=108,
        total_pg_fault=109,
        total_pg_maj_fault=110,
        total_inactive_anon=111,
        total_active_anon=112,
        total_inactive_file=113,
        total_active_file=114,
        total_unevictable=115,
        usage=pb.MemoryEntry(limit=67108864, usage=32735232, max=62615552, failcnt=17),
        swap=pb.MemoryEntry(limit=9223372036854771712, usage=32735233, max=62615553, failcnt=18),
        kernel=pb.MemoryEntry(limit=9223372036854771712, usage=995328, max=3948544, failcnt=19),
        kernel_tcp=pb.MemoryEntry(limit=14, usage=11, max=12, failcnt=13),
    )


def test_every_memory_field_has_a_value_in_the_table() -> None:
    """So that the test above would notice a field that nobody fills."""
    filled = {field.name for field, _ in full().memory.ListFields()}
    assert filled == {field.name for field in pb.MemoryStat.DESCRIPTOR.fields}


def test_the_kills_for_lack_of_memory() -> None:
    assert full().memory_oom_control == pb.MemoryOomControl(under_oom=1, oom_kill=2)


def test_hugetlb_of_those_page_sizes_that_have_files() -> None:
    expected = pb.HugetlbStat(usage=4194304, max=8388608, failcnt=1, pagesize="2MB")
    assert list(full().hugetlb) == [expected]


def test_rdma_without_a_limit_is_the_largest_number() -> None:
    assert full().rdma == pb.RdmaStat(
        current=[
            pb.RdmaEntry(device="mlx4_0", hca_handles=2, hca_objects=2000),
            pb.RdmaEntry(device="ocrdma1", hca_handles=3, hca_objects=4294967295),
        ],
        limit=[pb.RdmaEntry(device="mlx4_0", hca_handles=4294967295, hca_objects=5000)],
    )


def test_block_devices_by_throttling_when_cfq_keeps_no_account() -> None:
    blkio = full(**{"blkio.io_serviced_recursive": "Total 0\n"}).blkio
    assert [(entry.op, entry.value) for entry in blkio.io_serviced_recursive] == [
        ("Read", 10),
        ("Write", 20),
        ("Sync", 30),
        ("Async", 0),
        ("Discard", 0),
        ("Total", 30),
    ]
    assert list(blkio.io_service_bytes_recursive) == [
        pb.BlkIOEntry(op="Read", device="/dev/vda1", major=254, minor=1, value=40960)
    ]


@pytest.mark.parametrize(
    ("file", "field"),
    [
        ("blkio.sectors_recursive", "sectors_recursive"),
        ("blkio.io_service_bytes_recursive", "io_service_bytes_recursive"),
        ("blkio.io_serviced_recursive", "io_serviced_recursive"),
        ("blkio.io_queued_recursive", "io_queued_recursive"),
        ("blkio.io_service_time_recursive", "io_service_time_recursive"),
        ("blkio.io_wait_time_recursive", "io_wait_time_recursive"),
        ("blkio.io_merged_recursive", "io_merged_recursive"),
        ("blkio.time_recursive", "io_time_recursive"),
    ],
)
def test_block_devices_by_cfq(file: str, field: str) -> None:
    blkio = full(**{file: "8:16 1234\n"}).blkio
    entry = pb.BlkIOEntry(device="/dev/sdb", major=8, minor=16, value=1234)
    assert blkio == pb.BlkIOStat(**{field: [entry]})  # and nothing of the throttle files


def test_the_first_name_of_a_device_counts() -> None:
    assert device_names(PARTITIONS) == {
        (254, 0): "/dev/vda",
        (254, 1): "/dev/vda1",
        (8, 16): "/dev/sdb",
    }


def test_without_any_file_there_is_only_an_empty_cpu_part() -> None:
    expected = pb.Metrics(cpu=pb.CPUStat(usage=pb.CPUUsage(), throttling=pb.Throttle()))
    assert metrics({}, page_sizes=["2MB"]) == expected


@pytest.mark.parametrize(
    ("missing", "part"),
    [
        ("pids.current", "pids"),
        ("memory.stat", "memory"),
        ("memory.oom_control", "memory_oom_control"),
    ],
)
def test_a_missing_file_leaves_its_part_out(missing: str, part: str) -> None:
    assert full().HasField(part)
    assert not full(**{missing: None}).HasField(part)


def test_without_swap_accounting_its_numbers_are_0() -> None:
    gone = {name: None for name in FILES if "memsw" in name}
    assert full(**gone).memory.swap == pb.MemoryEntry()


def test_every_file_of_the_table_is_one_that_is_read() -> None:
    read = {name for names in metrics_v1.FILES.values() for name in names}
    assert FILES.keys() <= read | set(hugetlb_files(["2MB"]))


def test_a_file_belongs_to_one_controller() -> None:
    read = [name for names in metrics_v1.FILES.values() for name in names]
    assert len(read) == len(set(read))


@pytest.mark.parametrize(
    "wrong", ["-1", "x", "", "0x10", "1_000", "1.5", "18446744073709551616", "9" * 5000, "²"]
)
def test_a_wrong_number_is_0(wrong: str) -> None:
    message = full(
        **{
            "cpuacct.usage": f"{wrong}\n",
            "cpuacct.usage_percpu": f"{wrong} 7\n",
            "memory.stat": f"rss {wrong}\ncache 9\n",
            "blkio.throttle.io_serviced": f"8:16 Read {wrong}\n",
        }
    )
    assert message.cpu.usage.total == 0
    assert message.cpu.usage.per_cpu[-1] == 7
    assert (message.memory.rss, message.memory.cache) == (0, 9)
    assert sum(entry.value for entry in message.blkio.io_serviced_recursive) == 0


def test_ticks_beyond_64_bits_of_nanoseconds_are_0() -> None:
    assert full(**{"cpuacct.stat": f"user {2**63}\nsystem 1\n"}).cpu.usage.user == 0


# Lines that look like the real thing, more or less, besides plain garbage.
WORD = st.sampled_from(
    ["rss", "some", "max", "8:16", "Total", "Read", "hca_handle=max", "-7", "=", ":", "1" * 30]
)
CONTENT = st.one_of(
    st.text(max_size=200),
    st.lists(st.lists(WORD | st.text(max_size=5), max_size=5).map(" ".join)).map("\n".join),
)
NAMES = [name for names in metrics_v1.FILES.values() for name in names] + hugetlb_files(["2MB"])


@given(
    files=st.dictionaries(st.sampled_from(NAMES), CONTENT),
    partitions=CONTENT,
)
def test_garbage_never_raises(files: dict[str, str], partitions: str) -> None:
    message = metrics(files, page_sizes=["2MB"], partitions=partitions)
    assert pb.Metrics.FromString(message.SerializeToString()) == message
