"""The binary as containerd meets it: what `start` prints, and what process it leaves."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import stat
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from google.protobuf import any_pb2

from e2e.e2e_support import SHIM, House, options, until
from podshim.api import bootstrap_v1_pb2, types_pb2
from podshim.manager import (
    Containerd,
    Identity,
    Manager,
    ShimCommandError,
    container_spec,
    process_spec,
)
from podshim.manager.dialects import arguments, environment, pack, start_input
from support import census

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from podshim.manager import Shim

SPEC = container_spec(process_spec(["true"]))


@pytest_asyncio.fixture(loop_scope="session")
async def manager(private_world: None) -> AsyncIterator[Manager]:
    """A small containerd for one test; no container is made, so the runtime does not matter."""
    async with Manager(SHIM, namespace=f"e2e-server-{secrets.token_hex(4)}") as manager:
        yield manager


def command(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the binary somewhere that is no bundle."""
    return subprocess.run(
        [SHIM, *words], cwd="/", input=stdin, capture_output=True, timeout=60, check=False
    )


def start(shim: Shim, **values: str) -> subprocess.CompletedProcess[bytes]:
    """Run `start` by hand, its two outputs apart."""
    return subprocess.run(
        [shim.binary, *arguments(shim.question, "start", shim.bundle.path)],
        cwd=shim.bundle.path,
        env={**environment(shim.line, shim.question, os.environ), **values},
        input=start_input(shim.line, shim.question, shim.binary),
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_an_empty_namespace(private_world: None) -> None:
    """`start` without a namespace fails and says so."""
    done = command("-namespace", "", "-id", "x", "start")
    assert done.returncode != 0
    assert (done.stdout, b"namespace cannot be empty" in done.stderr) == (b"", True)


def test_the_version() -> None:
    """`-v` needs neither a namespace nor a bundle."""
    done = command("-v")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Version:" in done.stdout


@pytest.mark.parametrize("runtime", ["", "runc", "crun"])
def test_the_info(runtime: str) -> None:
    """`-info` prints a RuntimeInfo with a name, and echoes the options that it was given."""
    given = pack(options(runtime)) if runtime else None
    done = command("-info", stdin=given.SerializeToString() if given else b"")
    assert (done.returncode, done.stderr) == (0, b"")
    info = types_pb2.RuntimeInfo.FromString(done.stdout)
    assert info.name == "io.containerd.runoci.v1"
    assert info.options == (given or any_pb2.Any())


async def test_what_start_prints_and_leaves(manager: Manager) -> None:
    """`start` prints the answer alone, ends its output, and leaves address, pid and a socket.

    The address can be connected to at once; socket 0600 in a folder 0700; version 3 is served.
    """
    async with manager.shim("known", SPEC) as known:
        shim = manager.prepare("hand", SPEC)
        done = start(shim)
        assert (done.returncode, done.stderr) == (0, b"")
        result = bootstrap_v1_pb2.BootstrapResult.FromString(done.stdout)
        assert (result.version, result.protocol) == (3, "ttrpc")
        path = Path(result.address.removeprefix("unix://"))
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            creds = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid = int(Path(shim.bundle.file("shim.pid")).read_text())
        assert struct.unpack("3i", creds) == (pid, 0, 0)
        assert Path(shim.bundle.file("address")).read_text() == result.address
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        # Again, for the same bundle: the same answer from the same server.
        again = start(shim)
        assert again.stdout == done.stdout
        assert int(Path(shim.bundle.file("shim.pid")).read_text()) == pid
        await shim.start()
        assert (await shim.server()).shim_pid == pid
        assert shim.answer != known.answer
        await shim.close()


@pytest.mark.parametrize("line", list(Containerd))
async def test_every_containerd_is_answered_in_its_dialect(
    line: Containerd, private_world: None
) -> None:
    """The answer's version is one that is served, over v2 or v3 of the task service."""
    async with (
        Manager(SHIM, namespace="e2e-dialects", identity=Identity(line)) as manager,
        manager.shim("c", SPEC) as shim,
    ):
        assert shim.answer is not None
        assert (await shim.server()).shim_pid > 0
        for version in (2, 3):
            shim.calls.version = version
            assert (await shim.server()).shim_pid > 0


async def test_facts_of_a_server(manager: Manager) -> None:
    """A session of its own; descriptors that it knows; cwd `/`; a subreaper; OOM score + 1.

    It ignores SIGHUP, and outlives who started it.
    """
    async with manager.shim("facts", SPEC) as shim:
        assert shim.process is not None
        pid = shim.process.pid
        process = census.process(pid)
        assert process is not None
        assert process.session == pid == os.getpgid(pid)
        descriptors = census.descriptors(pid)
        assert descriptors[0] == descriptors[1] == "/dev/null"
        assert descriptors[2] == shim.bundle.file("panic.log")
        others = {text.partition(":")[0] for fd, text in descriptors.items() if fd > 2}
        assert others <= {"socket", "anon_inode", shim.bundle.file("log")}
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        score = int(Path("/proc/self/oom_score_adj").read_text())
        assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == min(score + 1, 1000)
        os.kill(pid, signal.SIGHUP)
        assert (await shim.server()).shim_pid == pid
        assert Path(f"/proc/{pid}/comm").read_text() == "containerd-shim\n"


async def test_long_names(private_world: None) -> None:
    """A namespace and an id of 76 characters each still give a socket path that fits."""
    async with (
        Manager(SHIM, namespace="n" * 76) as manager,
        manager.shim("i" * 76, SPEC) as shim,
    ):
        assert shim.answer is not None
        assert len(shim.answer.address.removeprefix("unix://")) <= 107


async def test_a_socket_folder_of_containerd_s_choice(private_world: None) -> None:
    """The newest containerd names the socket's folder; it is obeyed, and made for root alone."""
    folder = Path("/run/podshim-e2e-sockets")
    identity = Identity(socket_dir=str(folder))
    async with Manager(SHIM, namespace="e2e-folder", identity=identity) as manager:
        async with manager.shim("c", SPEC) as shim:
            assert shim.answer is not None
            assert Path(shim.answer.address.removeprefix("unix://")).parent == folder
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert await shim.wait_gone()
        assert list(folder.iterdir()) == []


async def test_a_stale_socket(manager: Manager) -> None:
    """A socket file that nobody listens on does not prevent a start."""
    shim = manager.prepare("stale", SPEC)
    first = await shim.start()
    await shim.kill()
    path = Path(first.address.removeprefix("unix://"))
    assert path.exists()
    assert shim.process is not None
    old = shim.process
    shim.process = None
    second = await shim.start()
    assert second == first
    assert (await shim.server()).shim_pid != old.pid
    old.close()
    await shim.close()


@pytest.fixture
def blocked_folder(private_world: None) -> Iterator[Path]:
    """A folder in which even root can't make a socket."""
    folder = Path("/run/podshim-e2e-blocked")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


async def test_a_socket_folder_that_can_not_be_written(blocked_folder: Path) -> None:
    """`start` fails with a readable reason and leaves no process and no file."""
    identity = Identity(socket_dir=str(blocked_folder))
    before = set(census.shims())
    async with Manager(SHIM, namespace="e2e-blocked", identity=identity) as manager:
        shim = manager.prepare("c", SPEC)
        files = set(os.listdir(shim.bundle.path))
        with pytest.raises(ShimCommandError, match="Read-only file system"):
            await shim.start()
        assert set(os.listdir(shim.bundle.path)) == files
        await shim.close()
    assert set(census.shims()) == before


async def test_a_cgroup_for_the_server(manager: Manager) -> None:
    """`ShimCgroup` is where the server runs; without that cgroup `start` fails, and says so."""
    name = f"podshim-e2e-{secrets.token_hex(4)}"
    group = Path("/sys/fs/cgroup/memory", name)
    before = set(census.shims())
    shim = manager.prepare("c", SPEC, options=options("runc", shim_cgroup=f"/{name}"))
    with pytest.raises(ShimCommandError, match=name):
        await shim.start()
    assert set(census.shims()) == before
    group.mkdir()
    try:
        await shim.start()
        assert shim.process is not None
        assert str(shim.process.pid) in (group / "cgroup.procs").read_text().split()
        await shim.close()
        assert await shim.wait_gone()
        await until(lambda: not (group / "cgroup.procs").read_text(), "it has left")
    finally:
        group.rmdir()


async def test_the_log_fifo(own_house: House) -> None:
    """What the server logs goes to the bundle's `log`; an absent or full reader hinders nobody."""
    house = own_house
    bundle = house.sandbox.bundle
    bundle.log.close()
    for _ in range(3):
        os.kill(house.server_pid, signal.SIGUSR1)
        assert (await house.pause.state()).pid == house.pause.pid
    # A reader that never reads: the pipe fills up.
    fd = os.open(bundle.file("log"), os.O_RDONLY | os.O_NONBLOCK)
    try:
        for _ in range(40):
            os.kill(house.server_pid, signal.SIGUSR1)
            assert (await house.pause.state()).pid == house.pause.pid
        async with house.running() as task:
            assert (await task.run("e", ["true"])).status == 0
        text = b""

        def reads() -> bool:
            nonlocal text
            try:
                while part := os.read(fd, 1 << 16):
                    text += part
            except BlockingIOError:
                pass
            os.kill(house.server_pid, signal.SIGUSR1)
            return b"log lines were dropped" in text

        await until(reads, "the log goes on, and tells what it has dropped")
    finally:
        os.close(fd)


async def test_sigusr1_tells_what_the_server_does(own_house: House) -> None:
    """SIGUSR1 writes threads, tasks and execs into panic.log, and the server goes on."""
    house = own_house
    async with house.running() as task:
        process = await task.exec("waits", ["sleep", "1000"])
        await process.start()
        os.kill(house.server_pid, signal.SIGUSR1)
        panic = Path(house.sandbox.bundle.file("panic.log"))
        await until(lambda: "END coroutine dump" in panic.read_text(), "the dump")
        text = panic.read_text()
        assert "Current thread" in text
        assert task.task_id in text
        assert "waits" in text
        assert (await task.run("e", ["true"])).status == 0
