"""Terminals of real containers."""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
import tempfile
from pathlib import Path

import pytest

from oci.oci_support import Holdings, Workshop, settled
from podshim.engine import Stdio
from podshim.engines.oci import console
from podshim.engines.oci.console import ConsoleSocket
from podshim.errors import DeadlineExceededError, ShimError


def open_terminals() -> int:
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            continue
    return sum("ptmx" in link or "/dev/pts" in link for link in links)


@pytest.fixture(autouse=True)
def runtime_dir(private_world: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for the sockets in the tests' own /run, where nobody else makes any."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", tempfile.mkdtemp(dir="/run"))


def console_folders() -> list[str]:
    return os.listdir(os.environ["XDG_RUNTIME_DIR"])


async def test_a_terminal_takes_input_and_size(shop: Workshop) -> None:
    before = open_terminals()
    box = await shop.shell(
        "stty -echo; echo ready; read x; echo got $x; stty size; read y; exit 7",
        stdin=True,
        terminal=True,
    )
    assert box.fifos is not None
    assert box.fifos.stdin is not None
    assert console_folders() == []
    await box.container.init.start()
    await box.fifos.stdout.read_until(b"ready\r\n")
    await box.container.init.resize(123, 45)
    await box.fifos.stdin.write(b"hello\n")
    assert await box.fifos.stdout.read_until(b"45 123\r\n") == b"got hello\r\n45 123\r\n"
    await box.fifos.stdin.write(b"\n")
    assert (await box.container.init.wait()).status == 7
    assert await box.fifos.stdout.read_all() == b""
    assert open_terminals() == before
    await box.container.init.resize(1, 1)
    await box.remove()


async def test_large_terminal_output_is_complete(shop: Workshop) -> None:
    box = await shop.shell("stty -opost; yes 0123456789abcde | head -c 1048576", terminal=True)
    assert box.fifos is not None
    reading = asyncio.create_task(box.fifos.stdout.read_all())
    assert (await box.run()).status == 0
    assert await reading == b"0123456789abcde\n" * 65536
    await box.remove()


async def test_the_last_output_of_a_terminal_is_never_lost(shop: Workshop) -> None:
    box = await shop.box("/bin/sleep", "600")
    await box.container.init.start()
    process = box.request.bundle.config()["process"]
    assert isinstance(process, dict)
    process["args"] = ["/bin/sh", "-c", "echo last words"]
    for number in range(20):
        fifos = shop.streams(terminal=True)
        exec_ = await box.container.exec(f"e{number}", json.dumps(process).encode(), fifos.stdio)
        await exec_.start()
        assert (await exec_.wait()).status == 0
        assert await fifos.stdout.read_all() == b"last words\r\n"
        await exec_.delete()
    await box.container.kill(9, everyone=True)
    await box.container.init.wait()
    await box.remove()


async def test_closing_the_input_hangs_up(shop: Workshop) -> None:
    box = await shop.shell(
        "trap 'exit 9' HUP; echo ready; while :; do read x; done", terminal=True, stdin=True
    )
    assert box.fifos is not None
    assert box.fifos.stdin is not None
    await box.container.init.start()
    await box.fifos.stdout.read_until(b"ready\r\n")
    box.fifos.stdin.detach()
    await box.container.init.close_stdin()
    assert (await box.container.init.wait()).status == 9
    await box.remove()


async def test_a_terminal_without_any_stream(shop: Workshop) -> None:
    spec = shop.spec("/bin/sh", "-c", "yes | head -c 1000000; exit 5", terminal=True)
    box = await shop.create(shop.request(spec, Stdio(terminal=True)))
    assert (await box.run()).status == 5
    await box.remove()


async def test_a_reader_may_leave_and_come_back(shop: Workshop) -> None:
    box = await shop.shell("echo one; read x; echo two; exit 0", stdin=True, terminal=True)
    assert box.fifos is not None
    assert box.fifos.stdin is not None
    await box.container.init.start()
    await box.fifos.stdout.read_until(b"one\r\n")
    box.fifos.stdout.detach()
    await box.fifos.stdin.write(b"\n")
    assert (await box.container.init.wait()).status == 0
    box.fifos.stdout.attach()
    assert (await box.fifos.stdout.read_all()).endswith(b"two\r\n")
    await box.remove()


async def test_a_created_terminal_is_removed_at_once(shop: Workshop) -> None:
    before = open_terminals()
    box = await shop.shell("echo never", terminal=True)
    async with asyncio.timeout(5):
        await box.remove()
    assert open_terminals() == before


async def test_a_failed_create_leaves_no_socket(shop: Workshop) -> None:
    before = Holdings.now()
    with pytest.raises(ShimError, match="OCI runtime create failed: "):
        await shop.box("/no/such/program", terminal=True)
    shop.fifos[-1].close()
    assert console_folders() == []
    await settled(before)


async def send(path: str, count: int, what: int) -> None:
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    fds = array.array("i", [what] * count)
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if count else []
    client.sendmsg([b"/dev/pts/0"], control)
    client.close()


@pytest.mark.parametrize("count", [0, 2])
async def test_the_socket_takes_one_terminal_only(count: int) -> None:
    listener = ConsoleSocket()
    assert Path(listener.path).parent.stat().st_mode & 0o777 == 0o700
    master, slave = os.openpty()
    before = Holdings.now()
    await send(listener.path, count, master)
    with pytest.raises(ShimError, match="recvfd: expected one terminal"):
        await listener.receive()
    await settled(before)
    os.close(master)
    os.close(slave)
    listener.close()
    assert not Path(listener.path).parent.exists()


async def test_the_socket_takes_no_other_file() -> None:
    listener = ConsoleSocket()
    with open("/dev/null", "rb") as null:
        await send(listener.path, 1, null.fileno())
    with pytest.raises(ShimError, match="recvfd"):
        await listener.receive()
    listener.close()


async def test_the_socket_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "RECEIVE_LIMIT", 0.01)
    listener = ConsoleSocket()
    with pytest.raises(DeadlineExceededError, match="sent no terminal"):
        await listener.receive()
    listener.close()
