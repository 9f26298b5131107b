"""The v2 metrics message: every field from its file, and no content that hurts."""

import pytest
from hypothesis import given, strategies as st

from podshim.api import cgroups_v2_pb2 as pb
from podshim.engines.oci import metrics_v2
from podshim.engines.oci.cgroupfiles import page_size
from podshim.engines.oci.metrics_v2 import hugetlb_files, metrics

NO_LIMIT = 18446744073709551615

#: The keys of `memory.stat` that the message has, with a number each.
MEMORY_KEYS = [
    "anon",
    "file",
    "kernel_stack",
    "slab",
    "sock",
    "shmem",
    "file_mapped",
    "file_dirty",
    "file_writeback",
    "anon_thp",
    "inactive_anon",
    "active_anon",
    "inactive_file",
    "active_file",
    "unevictable",
    "slab_reclaimable",
    "slab_unreclaimable",
    "pgfault",
    "pgmajfault",
    "workingset_refault",
    "workingset_activate",
    "workingset_nodereclaim",
    "pgrefill",
    "pgscan",
    "pgsteal",
    "pgactivate",
    "pgdeactivate",
    "pglazyfree",
    "pglazyfreed",
    "thp_fault_alloc",
    "thp_collapse_alloc",
]
MEMORY_STAT = "kernel 3\npagetables 5\n" + "".join(
    f"{key} {1000 + number}\n" for number, key in enumerate(MEMORY_KEYS)
)

FILES = {
    "pids.current": "5\n",
    "pids.max": "1024\n",
    "cpu.stat": (
        "usage_usec 2000\nuser_usec 1500\nsystem_usec 500\ncore_sched.force_idle_usec 0\n"
        "nr_periods 12\nnr_throttled 3\nthrottled_usec 250\nnr_bursts 4\nburst_usec 70\n"
    ),
    "cpu.pressure": (
        "some avg10=0.12 avg60=3.45 avg300=67.89 total=1234\n"
        "full avg10=0.00 avg60=0.00 avg300=0.01 total=56\n"
    ),
    "memory.stat": MEMORY_STAT,
    "memory.events": "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n",
    "memory.pressure": "some avg10=1.00 avg60=2.00 avg300=3.00 total=4\n",
    "memory.current": "32735232\n",
    "memory.max": "67108864\n",
    "memory.peak": "62615552\n",
    "memory.swap.current": "4096\n",
    "memory.swap.max": "max\n",
    "memory.swap.peak": "8192\n",
    "io.stat": (
        "254:0 rbytes=180224 wbytes=4096 rios=3 wios=1 dbytes=0 dios=0\n"
        "7:0 \n"
        "8:16 rbytes=1 wbytes=2 rios=3 wios=4\n"
    ),
    "io.pressure": "full avg10=9.00 avg60=0.00 avg300=0.00 total=1\n",
    "rdma.current": "mlx4_0 hca_handle=2 hca_object=2000\n",
    "rdma.max": "mlx4_0 hca_handle=max hca_object=5000\n",
    "hugetlb.2MB.current": "4194304\n",
    "hugetlb.2MB.max": "max\n",
    "hugetlb.2MB.events": "max 9\n",
}


def full(**changes: str | None) -> pb.Metrics:
    """Make the message of the whole table, with some files changed or (None) taken away."""
    files: dict[str, str | None] = {**FILES, **changes}
    present = {name: text for name, text in files.items() if text is not None}
    return metrics(present, page_sizes=["1GB", "2MB"])


def test_processes() -> None:
    assert full().pids == pb.PidsStat(current=5, limit=1024)


def test_no_limit_is_the_largest_number_and_a_missing_file_0() -> None:
    assert full(**{"pids.max": "max\n"}).pids.limit == NO_LIMIT
    assert full(**{"pids.max": None}).pids.limit == 0
    assert full(**{"memory.max": "max"}).memory.usage_limit == NO_LIMIT
    assert full(**{"memory.max": None}).memory.usage_limit == 0


def test_cpu() -> None:
    assert full().cpu == pb.CPUStat(
        usage_usec=2000,
        user_usec=1500,
        system_usec=500,
        nr_periods=12,
        nr_throttled=3,
        throttled_usec=250,
        nr_bursts=4,
        burst_usec=70,
        psi=pb.PSIStats(
            some=pb.PSIData(avg10=0.12, avg60=3.45, avg300=67.89, total=1234),
            full=pb.PSIData(avg300=0.01, total=56),
        ),
    )


def test_memory_accounts() -> None:
    memory = full().memory
    found = [getattr(memory, key) for key in MEMORY_KEYS]
    assert found == [1000 + number for number in range(len(MEMORY_KEYS))]
    assert (memory.usage, memory.usage_limit, memory.max_usage) == (32735232, 67108864, 62615552)
    assert (memory.swap_usage, memory.swap_limit, memory.swap_max_usage) == (4096, NO_LIMIT, 8192)
    assert memory.psi == pb.PSIStats(some=pb.PSIData(avg10=1, avg60=2, avg300=3, total=4))


@pytest.mark.parametrize("part", ["cpu", "memory", "memory_events", "io", "rdma", "pids"])
def test_every_field_has_a_value_in_the_table(part: str) -> None:
    """So that the tests here would notice a field that nobody fills."""
    message = getattr(full(), part)
    filled = {field.name for field, _ in message.ListFields()}
    assert filled == {field.name for field in message.DESCRIPTOR.fields}


def test_a_key_of_the_kernel_can_t_set_what_is_no_key_of_the_message() -> None:
    stat = "usage 1\npsi 2\nusage_limit 3\nDESCRIPTOR 4\n"
    assert full(**{"memory.stat": stat}).memory.usage == 32735232


def test_memory_events() -> None:
    expected = pb.MemoryEvents(low=1, high=2, max=3, oom=4, oom_kill=5, oom_group_kill=6)
    assert full().memory_events == expected


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_empty_memory_events_are_left_out(content: str | None) -> None:
    assert not full(**{"memory.events": content}).HasField("memory_events")


def test_block_devices() -> None:
    assert list(full().io.usage) == [
        pb.IOEntry(major=254, minor=0, rbytes=180224, wbytes=4096, rios=3, wios=1),
        pb.IOEntry(major=8, minor=16, rbytes=1, wbytes=2, rios=3, wios=4),
    ]
    assert full().io.psi == pb.PSIStats(full=pb.PSIData(avg10=9, total=1))


@pytest.mark.parametrize("content", [None, "", "nothing known\n"])
def test_pressure_that_is_not_measured_is_left_out(content: str | None) -> None:
    gone = full(**{f"{name}.pressure": content for name in ("cpu", "memory", "io")})
    assert not gone.cpu.HasField("psi")
    assert not gone.memory.HasField("psi")
    assert not gone.io.HasField("psi")


@pytest.mark.parametrize("share", ["nan", "inf", "-1", "1e5", "x", "", ".", "1" * 400])
def test_a_share_that_is_none_is_0(share: str) -> None:
    text = f"some avg10={share} avg60=1.5 avg300=0.00 total=3\n"
    expected = pb.PSIData(avg60=1.5, total=3)
    assert full(**{"cpu.pressure": text}).cpu.psi.some == expected


def test_rdma() -> None:
    assert full().rdma == pb.RdmaStat(
        current=[pb.RdmaEntry(device="mlx4_0", hca_handles=2, hca_objects=2000)],
        limit=[pb.RdmaEntry(device="mlx4_0", hca_handles=4294967295, hca_objects=5000)],
    )


def test_hugetlb_of_those_page_sizes_that_have_files() -> None:
    expected = pb.HugeTlbStat(current=4194304, max=NO_LIMIT, pagesize="2MB", failcnt=9)
    assert list(full().hugetlb) == [expected]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("hugepages-64kB", "64KB"),
        ("hugepages-2048kB", "2MB"),
        ("hugepages-1048576kB", "1GB"),
        ("hugepages-16777216kB", "16GB"),
        ("hugepages-2048KB", None),
        ("hugepages-kB", None),
        ("hugepages-xkB", None),
        ("2048kB", None),
        ("", None),
    ],
)
def test_names_of_page_sizes(folder: str, name: str | None) -> None:
    assert page_size(folder) == name


def test_without_any_file_all_parts_are_empty() -> None:
    assert metrics({}, page_sizes=["2MB"]) == pb.Metrics(
        pids=pb.PidsStat(),
        cpu=pb.CPUStat(),
        memory=pb.MemoryStat(),
        io=pb.IOStat(),
        rdma=pb.RdmaStat(),
    )


def test_every_file_of_the_table_is_one_that_is_read() -> None:
    assert FILES.keys() == set(metrics_v2.FILES) | set(hugetlb_files(["2MB"]))


@pytest.mark.parametrize("wrong", ["-1", "x", "", "1.5", "18446744073709551616", "9" * 5000])
def test_a_wrong_number_is_0(wrong: str) -> None:
    message = full(
        **{
            "memory.current": wrong,
            "cpu.stat": f"usage_usec {wrong}\nuser_usec 4\n",
            "io.stat": f"8:16 rbytes={wrong} wbytes=2\n",
        }
    )
    assert message.memory.usage == 0
    assert (message.cpu.usage_usec, message.cpu.user_usec) == (0, 4)
    assert list(message.io.usage) == [pb.IOEntry(major=8, minor=16, wbytes=2)]


WORD = st.sampled_from(
    ["anon", "some", "full", "max", "8:16", "avg10=1.5", "rbytes=7", "hca_object=max", "=", "-7"]
)
CONTENT = st.one_of(
    st.text(max_size=200),
    st.lists(st.lists(WORD | st.text(max_size=5), max_size=5).map(" ".join)).map("\n".join),
)
NAMES = [*metrics_v2.FILES, *hugetlb_files(["2MB"])]


@given(files=st.dictionaries(st.sampled_from(NAMES), CONTENT))
def test_garbage_never_raises(files: dict[str, str]) -> None:
    message = metrics(files, page_sizes=["2MB"])
    assert pb.Metrics.FromString(message.SerializeToString()) == message
