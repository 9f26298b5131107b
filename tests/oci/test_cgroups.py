"""Where a process's cgroup is, and reading it: from tables, plain files and the real kernel."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import example, given, strategies as st

from podshim.api import cgroups_v1_pb2, cgroups_v2_pb2
from podshim.engine import TypedValue
from podshim.engines.oci import cgroups
from podshim.engines.oci.cgrouppaths import Location, Mode, locate, parse_membership
from podshim.engines.oci.cgroups import Host, LegacyCgroup, UnifiedCgroup
from podshim.errors import DeadlineExceededError, NotFoundError

HYBRID = """\
23 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
"""
UNIFIED = """\
23 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""
V1_PATHS = """\
12:name=systemd:/pod/c1
11:cpu,cpuacct:/pod/c1
4:memory:/pod/c1
0::/pod/c1
"""


CASES = {
    "a hybrid host": (
        V1_PATHS,
        HYBRID,
        Location(
            Mode.LEGACY,
            {
                "name=systemd": "/sys/fs/cgroup/systemd/pod/c1",
                "cpu": "/sys/fs/cgroup/cpu,cpuacct/pod/c1",
                "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/pod/c1",
                "memory": "/sys/fs/cgroup/memory/pod/c1",
            },
        ),
    ),
    "a unified host": (
        "0::/kubepods.slice/pod:1/cri-x.scope\n",
        UNIFIED,
        Location(Mode.UNIFIED, {"": "/sys/fs/cgroup/kubepods.slice/pod:1/cri-x.scope"}),
    ),
    "the root cgroup": ("0::/\n", UNIFIED, Location(Mode.UNIFIED, {"": "/sys/fs/cgroup"})),
    "only v2 paths, only v1 mounts": ("0::/x\n", HYBRID.replace("cgroup2", "none"), None),
    "nothing mounted": (V1_PATHS, HYBRID.splitlines()[0], None),
    "no membership": ("", UNIFIED, None),
    "a container that sees its own part of the hierarchy": (
        "4:memory:/docker/abc/inner\n",
        "9 8 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        Location(Mode.LEGACY, {"memory": "/sys/fs/cgroup/memory/inner"}),
    ),
    "its top": (
        "4:memory:/docker/abc\n",
        "9 8 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        Location(Mode.LEGACY, {"memory": "/sys/fs/cgroup/memory"}),
    ),
    "a neighbour of a similar name outside of it": (
        "4:memory:/docker/abcd\n",
        "9 8 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        None,
    ),
    "a cgroup above the reader's namespace": ("0::/../other\n", UNIFIED, None),
    "a mount from above the reader's namespace": (
        "0::/x\n",
        "31 23 0:28 /.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        None,
    ),
    "a second mount elsewhere": (
        "4:memory:/x\n",
        (
            "8 1 0:32 / /mnt/memory rw - cgroup cgroup rw,memory\n"
            "9 1 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        ),
        Location(Mode.LEGACY, {"memory": "/sys/fs/cgroup/memory/x"}),
    ),
    "only a mount elsewhere": (
        "4:memory:/x\n",
        "8 1 0:32 / /mnt/m\\040y rw - cgroup cgroup rw,memory\n",
        Location(Mode.LEGACY, {"memory": "/mnt/m y/x"}),
    ),
    "v2 mounted over a hybrid tree": (
        V1_PATHS,
        HYBRID + "50 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        Location(Mode.UNIFIED, {"": "/sys/fs/cgroup/pod/c1"}),
    ),
    "a tmpfs over the folder above": (
        V1_PATHS,
        HYBRID + "50 23 0:50 / /sys/fs rw - tmpfs tmpfs rw\n",
        None,
    ),
    "a tmpfs over one controller": (
        V1_PATHS,
        HYBRID + "50 32 0:50 / /sys/fs/cgroup/cpu,cpuacct rw - tmpfs tmpfs rw\n",
        Location(
            Mode.LEGACY,
            {
                "name=systemd": "/sys/fs/cgroup/systemd/pod/c1",
                "memory": "/sys/fs/cgroup/memory/pod/c1",
            },
        ),
    ),
    "a root file system that was pivoted to": (
        "0::/x\n",
        "1 1 0:2 / / rw - rootfs rootfs rw\n28 1 254:0 / / rw - ext4 /dev/vda rw\n" + UNIFIED,
        Location(Mode.UNIFIED, {"": "/sys/fs/cgroup/x"}),
    ),
}


@pytest.mark.parametrize(("membership", "mountinfo", "expected"), CASES.values(), ids=CASES.keys())
def test_location(membership: str, mountinfo: str, expected: Location | None) -> None:
    assert locate(membership, mountinfo) == expected


def test_another_top_makes_another_mode() -> None:
    expected = Location(Mode.UNIFIED, {"": "/sys/fs/cgroup/unified/pod/c1"})
    assert locate(V1_PATHS, HYBRID, top="/sys/fs/cgroup/unified") == expected


def test_a_path_may_contain_colons() -> None:
    assert parse_membership("4:memory:/a:b:c\n0::/d::e\n") == {"memory": "/a:b:c", "": "/d::e"}


@given(membership=st.text(), mountinfo=st.text())
@example(membership="0::/x", mountinfo="1 2 0:0 / /a r - cgroup2 a r\n2 1 0:0 / /a r - x x r")
@example(membership="::/", mountinfo="1 1 0:0 / x r - cgroup2 a r")
def test_garbage_never_raises(membership: str, mountinfo: str) -> None:
    locate(membership, mountinfo)


SEGMENT = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=5)
PATH = st.lists(SEGMENT, max_size=4).map(lambda names: "/" + "/".join(names))


@given(root=PATH, below=PATH)
def test_a_folder_never_leaves_its_mount(root: str, below: str) -> None:
    path = os.path.normpath(f"{root}/{below}").replace("//", "/")
    mountinfo = f"9 8 0:32 {root} /mnt rw - cgroup cgroup rw,memory\n"
    location = locate(f"4:memory:{path}\n", mountinfo)
    assert location is not None
    assert location.folders["memory"] == os.path.normpath(f"/mnt{below}")


# Plain files in the kernel's place.


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Make a host without anything."""
    cgroups.page_sizes.cache_clear()
    for name in ("proc/self", "cgroup", "hugepages/hugepages-2048kB"):
        (tmp_path / name).mkdir(parents=True)
    return Host(f"{tmp_path}/proc", f"{tmp_path}/cgroup", f"{tmp_path}/hugepages")


def add_process(host: Host, membership: str, *, flags: int = 0x400100) -> int:
    """Give the host a process 7 with an awkward name."""
    folder = Path(host.proc, "7")
    folder.mkdir()
    (folder / "cgroup").write_text(membership)
    (folder / "stat").write_text(f"7 (a) R 1 (b) S 1 7 7 0 -1 {flags} 1 2 3\n")
    return 7


def put(host: Host, name: str, text: str) -> Path:
    """Write a file below the host's cgroup folder."""
    path = Path(host.cgroup, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def mount(host: Host, kind: str, name: str = "", options: str = "rw") -> Path:
    """Let the host's mountinfo tell of one more mount."""
    folder = Path(host.cgroup, name)
    folder.mkdir(exist_ok=True)
    with Path(host.proc, "self", "mountinfo").open("a") as file:
        file.write(f"5{name} 1 0:32 / {folder} rw - {kind} {kind} {options}\n")
    return folder


async def test_a_legacy_cgroup_is_found_and_measured(host: Host) -> None:
    pid = add_process(host, "4:memory:/pod/c1\n3:pids:/pod/c1\n2:hugetlb:/pod/c1\n")
    for controller in ("memory", "pids", "hugetlb"):
        mount(host, "cgroup", controller, f"rw,{controller}")
    put(host, "pids/pod/c1/pids.current", "3\n")
    put(host, "memory/pod/c1/memory.stat", "rss 4096\n")
    put(host, "hugetlb/pod/c1/hugetlb.2MB.failcnt", "6\n")

    cgroup = await cgroups.load(pid, host)
    assert cgroup.mode is Mode.LEGACY
    assert cgroup.memory_folder == f"{host.cgroup}/memory/pod/c1"
    await cgroup.enable_controllers()
    value = await cgroup.stats()
    assert value.type_url == "io.containerd.cgroups.v1.Metrics"
    message = cgroups_v1_pb2.Metrics.FromString(value.value)
    assert (message.pids.current, message.memory.rss, message.hugetlb[0].failcnt) == (3, 4096, 6)


async def test_a_unified_cgroup_is_found_and_measured(host: Host) -> None:
    pid = add_process(host, "0::/pod/c1\n")
    mount(host, "cgroup2")
    put(host, "pod/c1/pids.current", "3\n")
    put(host, "pod/c1/hugetlb.2MB.current", "2097152\n")

    cgroup = await cgroups.load(pid, host)
    assert cgroup.mode is Mode.UNIFIED
    assert cgroup.memory_folder == f"{host.cgroup}/pod/c1"
    value = await cgroup.stats()
    assert value.type_url == "io.containerd.cgroups.v2.Metrics"
    message = cgroups_v2_pb2.Metrics.FromString(value.value)
    assert (message.pids.current, message.hugetlb[0].current) == (3, 2097152)


async def test_no_cgroup_file_system(host: Host) -> None:
    with pytest.raises(NotFoundError, match=r"^cgroup does not exist: not found$"):
        await cgroups.load(add_process(host, "0::/\n"), host)


async def test_a_process_that_is_gone(host: Host) -> None:
    mount(host, "cgroup2")
    with pytest.raises(NotFoundError, match="process 7, which has ended: not found"):
        await cgroups.load(7, host)


async def test_an_ending_process_is_not_believed(host: Host) -> None:
    """On v1 the kernel says `/` for it: its statistics would be those of the whole machine."""
    mount(host, "cgroup", "memory", "rw,memory")
    pid = add_process(host, "4:memory:/\n", flags=0x40010C)
    with pytest.raises(NotFoundError, match="process 7, which has ended: not found"):
        await cgroups.load(pid, host)


@pytest.mark.parametrize("kind", ["legacy", "unified"])
async def test_a_cgroup_that_is_gone(host: Host, kind: str) -> None:
    gone = f"{host.cgroup}/gone"
    cgroup = (
        UnifiedCgroup(gone, host)
        if kind == "unified"
        else LegacyCgroup({"memory": gone, "pids": f"{gone}/too"}, host)
    )
    with pytest.raises(NotFoundError, match=r"^cgroup does not exist: not found$"):
        await cgroup.stats()


async def test_a_file_that_can_t_be_read_is_an_error(host: Host) -> None:
    put(host, "pids.max/file", "")
    with pytest.raises(IsADirectoryError):
        await UnifiedCgroup(host.cgroup, host).stats()


async def test_a_file_that_never_ends_is_an_error(host: Host) -> None:
    os.symlink("/dev/zero", f"{host.cgroup}/pids.max")
    with pytest.raises(OSError, match="File too large"):
        await UnifiedCgroup(host.cgroup, host).stats()


async def test_every_ancestor_is_told_to_hand_down_what_it_does_not_yet(host: Host) -> None:
    put(host, "cgroup.controllers", "cpu memory\n")
    controls = [
        put(host, "cgroup.subtree_control", "cpu memory\n"),
        put(host, "pod/cgroup.subtree_control", "cpu\n"),
        put(host, "pod/c1/cgroup.subtree_control", ""),
    ]
    await UnifiedCgroup(f"{host.cgroup}/pod/c1", host).enable_controllers()
    assert [path.read_text() for path in controls] == ["cpu memory\n", "+memory", ""]


@pytest.mark.parametrize("place", ["", "/pod"])
async def test_a_refusal_to_hand_down_hurts_nobody(host: Host, place: str) -> None:
    controllers = put(host, "cgroup.controllers", "cpu memory\n")
    await UnifiedCgroup(f"{host.cgroup}{place}", host).enable_controllers()
    assert os.listdir(host.cgroup) == [controllers.name]


# The real kernel.

Lacking = Callable[[str], NoReturn]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that waits to be killed."""
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def move_out(group: Path) -> None:
    """Move a cgroup's processes back up, and remove it."""
    for pid in (group / "cgroup.procs").read_text().split():
        (group.parent / "cgroup.procs").write_text(pid)
    group.rmdir()


@pytest.fixture
def v1_groups(
    private_world: None, lacking: Lacking, sleeper: subprocess.Popen[bytes]
) -> Iterator[list[Path]]:
    """Put the sleeper in cgroups of its own, where the machine has v1 controllers."""
    tops = [Path("/sys/fs/cgroup", name) for name in ("memory", "cpu", "cpuacct", "pids", "blkio")]
    if not all((top / "cgroup.procs").exists() for top in tops):
        lacking("cgroup v1 with each controller in a folder of its own")
    with ExitStack() as stack:
        groups = []
        for top in tops:
            group = top / f"podshim-test-{os.getpid()}"
            group.mkdir()
            stack.callback(move_out, group)
            (group / "cgroup.procs").write_text(str(sleeper.pid))
            groups.append(group)
        yield groups


async def test_real_v1(v1_groups: list[Path], sleeper: subprocess.Popen[bytes]) -> None:
    (v1_groups[0] / "memory.limit_in_bytes").write_text(str(256 << 20))
    cgroup = await cgroups.load(sleeper.pid)
    assert isinstance(cgroup, LegacyCgroup)
    assert set(map(str, v1_groups)) <= set(cgroup.folders.values())
    assert cgroup.memory_folder == str(v1_groups[0])

    message = cgroups_v1_pb2.Metrics.FromString((await cgroup.stats()).value)
    assert message.pids.current == 1
    assert message.memory.usage.limit == 256 << 20
    assert len(message.cpu.usage.per_cpu) == os.cpu_count()
    assert message.HasField("blkio")
    assert message.HasField("memory_oom_control")


async def test_real_v1_after_the_end(
    v1_groups: list[Path], sleeper: subprocess.Popen[bytes]
) -> None:
    cgroup = await cgroups.load(sleeper.pid)
    sleeper.kill()
    await asyncio.to_thread(os.waitid, os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    # It is a zombie now, of which the kernel says that it is in `/`.
    with pytest.raises(NotFoundError):
        await cgroups.load(sleeper.pid)
    message = cgroups_v1_pb2.Metrics.FromString((await cgroup.stats()).value)
    assert message.HasField("memory_oom_control")  # what CRI looks at after an exit


@pytest.fixture
def v2_top(private_world: None, lacking: Lacking, tmp_path: Path) -> Iterator[Path]:
    """Mount the unified hierarchy in the tests' own mount namespace."""
    top = tmp_path / "unified"
    top.mkdir()
    done = subprocess.run(
        ["mount", "-t", "cgroup2", "none", str(top)], capture_output=True, check=False
    )
    if done.returncode:
        lacking(f"cgroup v2: {done.stderr.decode()}")
    yield top
    subprocess.run(["umount", str(top)], check=True)


async def test_real_v2(v2_top: Path, sleeper: subprocess.Popen[bytes]) -> None:
    host = Host(cgroup=str(v2_top))
    group = v2_top / f"podshim-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(sleeper.pid))
        cgroup = await cgroups.load(sleeper.pid, host)
        assert cgroup == UnifiedCgroup(str(group), host)
        value = await cgroup.stats()
        message = cgroups_v2_pb2.Metrics.FromString(value.value)
        assert message.HasField("cpu")
        assert (group / "cpu.pressure").exists() == message.cpu.HasField("psi")
    finally:
        move_out(group)
    with pytest.raises(NotFoundError, match="cgroup does not exist"):
        await cgroup.stats()


async def test_real_v2_controllers(v2_top: Path, lacking: Lacking) -> None:
    available = (v2_top / "cgroup.controllers").read_text().split()
    control = v2_top / "cgroup.subtree_control"
    enabled = control.read_text().split()
    if not available:
        lacking("a controller of cgroup v2")
    group = v2_top / f"podshim-test-{os.getpid()}"
    (group / "c1").mkdir(parents=True)
    try:
        cgroup = UnifiedCgroup(str(group / "c1"), Host(cgroup=str(v2_top)))
        await cgroup.enable_controllers()
        assert set((group / "c1" / "cgroup.controllers").read_text().split()) == set(available)
        assert (group / "c1" / "cgroup.subtree_control").read_text().split() == []
    finally:
        (group / "c1").rmdir()
        group.rmdir()
        for name in set(available) - set(enabled):
            control.write_text(f"-{name}")


@pytest.mark.parametrize(
    ("membership", "mounts", "module"),
    [("0::/x\n", UNIFIED, "metrics_v2"), (V1_PATHS, HYBRID, "metrics_v1")],
)
def test_what_measures_is_there_before_it_is_asked_for(
    tmp_path: Path, membership: str, mounts: str, module: str
) -> None:
    """A shim outlives upgrades: what it imports late may be of another version."""
    for folder, name, text in (
        ("7", "cgroup", membership),
        ("7", "stat", "7 (x) S 1 1 1 0 -1 0 0"),
        ("self", "mountinfo", mounts),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(text)
    program = (
        "import sys; from podshim.engines.oci.cgroups import Host, find;"
        "find(7, Host(sys.argv[1]));"
        "print(*(name for name in sys.modules if 'metrics_v' in name))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    assert done.stdout.decode() == f"podshim.engines.oci.{module}\n"


async def test_statistics_that_hang_do_not_become_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    class Hanging(UnifiedCgroup):
        def measure(self) -> TypedValue:
            go.wait(20)
            return TypedValue("x", b"")

    cgroup = Hanging("/none")
    before = threading.active_count()
    monkeypatch.setattr(cgroups, "LIMIT", 0.01)
    for _ in range(3):
        with pytest.raises(DeadlineExceededError, match="reading the cgroup's statistics"):
            await cgroup.stats()
    assert threading.active_count() <= before + 1
    go.set()
    monkeypatch.setattr(cgroups, "LIMIT", 20)
    assert (await cgroup.stats()).type_url == "x"
