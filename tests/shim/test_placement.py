"""OOM score, cgroup and core scheduling of a server."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from podshim.api.runc_options_pb2 import Options as RuncOptions
from podshim.api.runtime_options_pb2 import Options as RuntimeOptions
from podshim.shim import placement
from podshim.shim.placement import PlacementError, cgroup_folders, shim_cgroup
from podshim.wire import Any

if TYPE_CHECKING:
    from collections.abc import Iterator

V1 = """\
24 1 0:5 / /proc rw - proc proc rw
30 20 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw shared:10 master:2 - cgroup cgroup rw,memory
"""
HYBRID = V1 + "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
V2 = "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("mountinfo", "cgroup", "folders"),
    [
        (V2, "/shim", ["/sys/fs/cgroup/shim"]),
        (V2, "a/b", ["/sys/fs/cgroup/a/b"]),
        (V2, "/../../etc", ["/sys/fs/cgroup/etc"]),
        (V1, "/s", ["/sys/fs/cgroup/cpu,cpuacct/s", "/sys/fs/cgroup/memory/s"]),
        (HYBRID, "/s", ["/sys/fs/cgroup/cpu,cpuacct/s", "/sys/fs/cgroup/memory/s"]),
        ("", "/s", []),
        ("nonsense\n - cgroup\n", "/s", []),
    ],
)
def test_where_a_cgroup_may_be(mountinfo: str, cgroup: str, folders: list[str]) -> None:
    assert cgroup_folders(mountinfo, cgroup) == folders


def runc(cgroup: str) -> Any:
    return Any("containerd.runc.v1.Options", RuncOptions(shim_cgroup=cgroup).SerializeToString())


def generic(**fields: object) -> Any:
    message = RuntimeOptions(**fields)  # type: ignore[arg-type]  # a test's shorthand
    return Any("prefix/runtimeoptions.v1.Options", message.SerializeToString())


@pytest.mark.parametrize(
    ("options", "cgroup"),
    [
        (None, ""),
        (runc(""), ""),
        (runc("/shim"), "/shim"),
        (generic(), ""),
        (generic(config_body=b"BinaryName = 'crun'"), ""),
        (generic(config_body=b"BinaryName = \"crun\"\nShimCgroup = '/x'\n"), "/x"),
        (generic(config_body=b"# ShimCgroup\n"), ""),
        (Any("somebody.else.v1.Options", b"\xff"), ""),
    ],
)
def test_what_the_options_ask_for(options: Any | None, cgroup: str) -> None:
    assert shim_cgroup(options) == cgroup


def test_options_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "options.toml"
    path.write_text("ShimCgroup = '/file'\n")
    assert shim_cgroup(generic(config_path=str(path))) == "/file"
    assert shim_cgroup(generic(config_path=str(path), config_body=b"Root = '/x'")) == ""


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (Any("containerd.runc.v1.Options", b"\xff"), "containerd.runc.v1.Options"),
        (generic(config_body=b"ShimCgroup = "), "not TOML"),
        (generic(config_body=b"ShimCgroup = 3"), "ShimCgroup is not a string"),
        (generic(config_path="/none/such"), "open /none/such: No such file"),
        (generic(config_path="/dev/zero"), "larger than"),
    ],
)
def test_options_that_cant_be_read(options: Any, text: str) -> None:
    with pytest.raises(PlacementError, match=text):
        shim_cgroup(options)


@pytest.fixture
def child() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "1000"])
    yield process.pid
    process.kill()
    process.wait()


def test_the_score_is_the_parents_plus_one(child: int) -> None:
    parent = int(Path("/proc/self/oom_score_adj").read_text())
    placement.adjust_oom_score(child, os.getpid())
    score = Path(f"/proc/{child}/oom_score_adj")
    assert int(score.read_text()) == min(parent + 1, 1000)
    score.write_text("1000")
    placement.adjust_oom_score(child, child)
    assert score.read_text() == "1000\n"


def test_a_process_that_is_gone_has_no_score() -> None:
    with pytest.raises(PlacementError, match="failed to adjust OOM score for shim"):
        placement.adjust_oom_score(2**22 + 1, os.getpid())


def test_joins_a_cgroup_in_every_hierarchy_that_has_it(private_world: None, child: int) -> None:
    folders = cgroup_folders(Path("/proc/self/mountinfo").read_text(), f"/podshim-test-{child}")
    made = [Path(folder) for folder in folders if "/pids/" in folder or "/memory/" in folder]
    made = made or [Path(folder) for folder in folders[:1]]
    try:
        for folder in made:
            folder.mkdir()
        placement.join_cgroup(f"/podshim-test-{child}", child)
        for folder in made:
            assert (folder / "cgroup.procs").read_text().split() == [str(child)]
            (folder.parent / "cgroup.procs").write_text(str(child))
    finally:
        for folder in made:
            folder.rmdir()


def test_a_cgroup_that_is_nowhere(child: int) -> None:
    with pytest.raises(PlacementError, match="failed to load cgroup /no/such"):
        placement.join_cgroup("/no/such", child)


def test_core_scheduling_works_or_says_why() -> None:
    """In a process of its own: it would change this one."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setsid()
            placement.schedule_together()
            status = 0
        except PlacementError as error:
            status = 0 if str(error).startswith("enable sched core support: ") else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
