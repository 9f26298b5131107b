"""What `ps`, `ls` and /proc show of a shim's server."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import census
from support.box import Box
from support.waiting import eventually

pytestmark = pytest.mark.ours


@pytest.fixture
def server(box: Box) -> Iterator[int]:
    """The server process of a running container."""
    sockets = set(census.sockets())
    init = box.detach("task")
    yield census.processes()[init].parent
    box.remove("task")
    eventually(lambda: set(census.sockets()) == sockets, "its socket is gone, as it is itself")


def test_it_is_on_its_own(server: int) -> None:
    process = census.processes()[server]
    assert process.session == server
    assert os.getpgid(server) == server
    assert process.parent == 1, "the helper is gone"


def test_its_standard_streams_are_not_the_helpers(server: int, box: Box) -> None:
    streams = census.descriptors(server)
    assert streams[0] == streams[1] == "/dev/null"
    assert streams[2] in {str(box.bundle("task") / name) for name in ("panic.log", "log")}


def test_its_folder_keeps_nothing_busy(server: int, box: Box) -> None:
    assert os.readlink(f"/proc/{server}/cwd") == "/"


def test_it_inherits_nothing(server: int, box: Box) -> None:
    known = re.compile(
        r"/dev/null|socket:\[\d+\]|pipe:\[\d+\]|anon_inode:.*"
        f"|{re.escape(str(box.bundle('task')))}/(log|panic.log|address|shim.pid)"
        r"|/sys/fs/cgroup/.*"
    )
    assert [
        target for target in census.descriptors(server).values() if not known.fullmatch(target)
    ] == []
    daemon = set(census.descriptors(box.containerd.pid).values())
    shared = {t for t in census.descriptors(server).values() if t in daemon and "[" in t}
    assert {target for target in shared if target.startswith(("pipe", "socket"))} == set()


def test_it_is_killed_rather_than_the_daemon_not_before_its_containers(
    server: int, box: Box
) -> None:
    def score(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    assert score(server) == score(box.containerd.pid) + 1


def test_its_socket_is_for_root_alone(server: int) -> None:
    (socket,) = census.sockets()[-1:]
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(socket.parent.stat().st_mode) & 0o077 == 0


def test_its_bundle_tells_where_it_is(server: int, box: Box) -> None:
    bundle = box.bundle("task")
    assert int((bundle / "shim.pid").read_text()) == server
    address = (bundle / "address").read_text()
    assert Path(address.removeprefix("unix://")) in census.sockets()


def test_it_reaps_all_its_children(server: int, box: Box) -> None:
    for _ in range(3):
        assert box.exec("task", "true").returncode == 0
    assert census.zombies(server) == []
