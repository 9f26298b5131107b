"""Real Unix sockets: permissions, peers, connecting, accepting when the kernel can't."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import socket
import stat
import tempfile
from typing import TYPE_CHECKING

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from podshim.transport import unix
from podshim.transport.address import AddressError, UnixAddress
from podshim.ttrpc import ConnectionLost, Kind, MethodDescriptor, Server, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from podshim.ttrpc import CallContext, Peer

SAY = MethodDescriptor("test.Echo", "Say", Kind.UNARY, StringValue, StringValue)
DEADLINE = 30.0

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


class Echo:
    def __init__(self) -> None:
        self.peers: list[Peer | None] = []
        self.server = Server([Service("test.Echo", {"Say": (SAY, self.say)})])

    async def say(self, request: StringValue, context: CallContext) -> StringValue:
        self.peers.append(context.peer)
        return request


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s" / "shim")


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - any condition, at some cost
            await asyncio.sleep(0.001)


def say(value: str) -> StringValue:
    return StringValue(value=value)


async def test_a_call(path: str, echo: Echo) -> None:
    async with (
        await unix.serve(unix.listen(path), echo.server, same_user=True) as listener,
        await unix.connect(f"unix://{path}", timeout=DEADLINE) as client,
    ):
        assert await client.call(SAY, say("hi")) == say("hi")
    assert not listener.is_serving
    (peer,) = echo.peers
    assert peer is not None
    assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.geteuid(), os.getegid())
    assert await echo.server.shutdown(DEADLINE)


async def test_connections_outlive_their_listener(path: str, echo: Echo) -> None:
    listener = await unix.serve(unix.listen(path), echo.server, same_user=True)
    async with await unix.connect(UnixAddress(path), timeout=DEADLINE) as client:
        await client.call(SAY, say("hi"))
        listener.close()
        listener.close()
        await listener.wait_closed()
        assert await client.call(SAY, say("there")) == say("there")
        with pytest.raises(ConnectionRefusedError, match=f"unix://{path}"):
            await unix.connect(f"unix://{path}", timeout=DEADLINE)
    assert await echo.server.shutdown(DEADLINE)


async def test_an_abstract_socket_can_be_reached(echo: Echo) -> None:
    name = f"podshim-test-{os.getpid()}"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind("\0" + name)
    sock.listen()
    async with (
        await unix.serve(sock, echo.server, same_user=True),
        await unix.connect(name, timeout=DEADLINE) as client,
    ):
        assert await client.call(SAY, say("hi")) == say("hi")
    assert await echo.server.shutdown(DEADLINE)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_socket_is_for_its_owner_alone(path: str, umask: int) -> None:
    before = os.umask(umask)
    try:
        sock = unix.listen(path)
    finally:
        os.umask(before)
    with sock:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        assert sock.getblocking() is False
        assert not os.get_inheritable(sock.fileno())


def test_the_file_is_never_more_open(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    bind = socket.socket.bind

    class Watched(socket.socket):
        def bind(self, address: object) -> None:
            bind(self, address)  # type: ignore[arg-type]  # passed on as it is
            modes.append(stat.S_IMODE(os.stat(path).st_mode))

    monkeypatch.setattr(socket, "socket", Watched)
    before = os.umask(0)
    try:
        unix.listen(path).close()
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_listening_where_something_is(path: str) -> None:
    with unix.listen(path):
        with pytest.raises(OSError, match="Address already in use") as caught:
            unix.listen(path)
        assert caught.value.errno == errno.EADDRINUSE
        assert stat.S_ISSOCK(os.stat(path).st_mode)


def test_listening_at_impossible_places(tmp_path: Path) -> None:
    with pytest.raises(AddressError, match="too long"):
        unix.listen(str(tmp_path / ("x" * 108)))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        unix.listen(str(tmp_path / "file" / "sock"))


def test_a_listen_that_fails_leaves_nothing_behind(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(socket.socket):
        def listen(self, backlog: int = 0, /) -> None:
            raise OSError(errno.ENOBUFS, f"no room for {backlog}")

    monkeypatch.setattr(socket, "socket", Broken)
    with pytest.raises(OSError, match="no room"):
        unix.listen(path)
    assert not os.path.exists(path)


async def test_connecting_to_nothing(path: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"unix://{path}"):
        await unix.connect(f"unix://{path}", timeout=DEADLINE)
    with pytest.raises(AddressError):
        await unix.connect("vsock://1:2", timeout=DEADLINE)


async def test_a_full_backlog_is_waited_for(path: str, echo: Echo) -> None:
    with unix.listen(path, backlog=0) as sock:
        first = await unix.connect(f"unix://{path}", timeout=DEADLINE)
        with pytest.raises(TimeoutError, match=r"no answer within 0.02 s$"):
            await unix.connect(f"unix://{path}", timeout=0.02)
        second = asyncio.create_task(unix.connect(f"unix://{path}", timeout=DEADLINE))
        await asyncio.sleep(0)
        async with await unix.serve(sock, echo.server, same_user=True), first, await second:
            assert await first.call(SAY, say("a")) == say("a")
            assert await second.result().call(SAY, say("b")) == say("b")
    assert await echo.server.shutdown(DEADLINE)


async def knock_as(path: str, uid: int, gid: int) -> bytes:
    """Connect as another user, from a process of its own, and say what came of it.

    The child does nothing but system calls, and leaves through `_exit`.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        outcome = b"failed"
        signal.alarm(int(DEADLINE))
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.connect(path)
                sock.sendall(b"\0\0\0\x10\0\0\0\1\1\0\x0a\x09test.Echo\x12\x03Say")
                outcome = b"read %d bytes" % len(sock.recv(100))
        except (ConnectionResetError, BrokenPipeError):
            outcome = b"refused"
        finally:
            os.write(write, outcome)
            os._exit(0)
    os.close(write)
    try:
        outcome = await asyncio.to_thread(os.read, read, 100)
        await asyncio.to_thread(os.waitpid, child, 0)
    finally:
        os.close(read)
    return outcome


@pytest.fixture
def open_path() -> Iterator[str]:
    """A place for a socket that other users reach, as pytest's own folders are not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        yield os.path.join(folder, "shim")


@needs_root
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(("uid", "gid"), [(65534, 65534), (65534, 0), (0, 65534)])
async def test_another_user_is_turned_away(
    open_path: str, echo: Echo, caplog: pytest.LogCaptureFixture, uid: int, gid: int
) -> None:
    sock = unix.listen(open_path)
    os.chmod(open_path, 0o666)  # so that only the kernel's word stands between them
    async with await unix.serve(sock, echo.server, same_user=True):
        assert await knock_as(open_path, uid, gid) in {b"read 0 bytes", b"refused"}
        async with await unix.connect(f"unix://{open_path}", timeout=DEADLINE) as client:
            assert await client.call(SAY, say("hi")) == say("hi")
    assert len(echo.peers) == 1
    assert f"refusing connection of uid {uid}, gid {gid}" in caplog.text
    assert await echo.server.shutdown(DEADLINE)


@needs_root
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_another_user_is_welcome_where_that_is_asked_for(open_path: str) -> None:
    sock = unix.listen(open_path)
    os.chmod(open_path, 0o666)
    peers = []

    class Watched(Server):
        def protocol(self, peer: Peer | None = None) -> asyncio.Protocol:
            peers.append(peer)
            return super().protocol(peer)

    server = Watched([])
    async with await unix.serve(sock, server, same_user=False):
        # An answer: there is no such service.
        assert await knock_as(open_path, 65534, 65534) == b"read 33 bytes"
    assert await server.shutdown(DEADLINE)
    (peer,) = peers
    assert peer is not None
    assert (peer.uid, peer.gid) == (65534, 65534)


class Scarce(socket.socket):
    """A listening socket whose `accept` fails a few times first."""

    failures: list[int]
    attempts = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.attempts += 1
        if self.failures:
            number = self.failures.pop(0)
            raise OSError(number, os.strerror(number))
        return super().accept()


async def test_accepting_goes_on_when_descriptors_are_back(
    path: str, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    with unix.listen(path) as plain:
        sock = Scarce(fileno=plain.detach())
    sock.failures = [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ECONNABORTED]
    async with (
        await unix.serve(sock, echo.server, same_user=True) as listener,
        await unix.connect(f"unix://{path}", timeout=DEADLINE) as client,
    ):
        assert await client.call(SAY, say("hi")) == say("hi")
        assert listener.is_serving
        # One attempt for each failure, one that worked, and one that found nothing more.
        assert 5 <= sock.attempts <= 6
    pauses = [record.getMessage() for record in caplog.records]
    assert len(pauses) == 3
    for pause, message in zip(("0.001", "0.002", "0.004"), pauses, strict=True):
        assert f"trying again in {pause} s" in message
    assert await echo.server.shutdown(DEADLINE)


async def test_nothing_spins_in_a_pause(
    path: str, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix, "_LONGEST", DEADLINE)
    monkeypatch.setattr(unix, "_SHORTEST", DEADLINE)
    with unix.listen(path) as plain:
        sock = Scarce(fileno=plain.detach())
    sock.failures = [errno.EMFILE] * 100
    async with (
        await unix.serve(sock, echo.server, same_user=True),
        await unix.connect(f"unix://{path}", timeout=DEADLINE),
    ):
        await eventually(lambda: sock.attempts > 0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert sock.attempts == 1


async def test_a_listener_closed_in_a_pause(path: str, echo: Echo) -> None:
    with unix.listen(path) as plain:
        sock = Scarce(fileno=plain.detach())
    sock.failures = [errno.EMFILE] * 100
    listener = await unix.serve(sock, echo.server, same_user=True)
    async with await unix.connect(f"unix://{path}", timeout=DEADLINE) as client:
        await eventually(lambda: listener._timer is not None)
        listener.close()
        await listener.wait_closed()
        await client.closed
        with pytest.raises(ConnectionLost):
            await client.call(SAY, say("hi"))
    assert sock.fileno() == -1


async def test_a_socket_that_is_of_no_use_ends_the_listener(
    path: str, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    with unix.listen(path) as plain:
        sock = Scarce(fileno=plain.detach())
    sock.failures = [errno.EINVAL]
    listener = await unix.serve(sock, echo.server, same_user=True)
    async with await unix.connect(f"unix://{path}", timeout=DEADLINE) as client:
        async with asyncio.timeout(DEADLINE):
            await listener.wait_closed()
        await client.closed
    assert not listener.is_serving
    assert "accept failed, serving no new connections" in caplog.text


async def test_no_descriptor_is_left(path: str, echo: Echo) -> None:
    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    async with await unix.serve(unix.listen(path), echo.server, same_user=True):
        for _ in range(50):
            async with await unix.connect(f"unix://{path}", timeout=DEADLINE) as client:
                await client.call(SAY, say("hi"))
        with pytest.raises(OSError, match="No such file"):
            await unix.connect("unix:///nonexistent/x", timeout=DEADLINE)
    assert await echo.server.shutdown(DEADLINE)
    assert descriptors() == before


async def test_a_peer_that_the_kernel_does_not_know_is_turned_away(
    path: str, echo: Echo, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_sock: socket.socket) -> Peer:
        raise OSError(errno.ENOTCONN, "not connected")

    async with await unix.serve(unix.listen(path), echo.server, same_user=False):
        with monkeypatch.context() as patch:
            patch.setattr(unix, "peer_of", unknown)
            async with await unix.connect(f"unix://{path}", timeout=DEADLINE) as client:
                await client.closed
        async with await unix.connect(f"unix://{path}", timeout=DEADLINE) as client:
            assert await client.call(SAY, say("hi")) == say("hi")
    assert "refusing connection of an unknown peer" in caplog.text


async def test_a_connection_that_can_not_be_handed_over_is_closed(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Server):
        def protocol(self, peer: Peer | None = None) -> asyncio.Protocol:
            raise RuntimeError(f"no room for {peer}")

    async with await unix.serve(unix.listen(path), Broken([]), same_user=True) as listener:
        async with await unix.connect(f"unix://{path}", timeout=DEADLINE) as client:
            await client.closed
        assert listener.is_serving
    assert "no room for Peer(" in caplog.text


async def test_many_connections_at_once(path: str, echo: Echo) -> None:
    count = 40
    with unix.listen(path, backlog=count) as sock:
        connecting = [unix.connect(f"unix://{path}", timeout=DEADLINE) for _ in range(count)]
        clients = await asyncio.gather(*connecting)
        async with await unix.serve(sock, echo.server, same_user=True):
            answers = [client.call(SAY, say("hi")) for client in clients]
            assert await asyncio.gather(*answers) == [say("hi")] * count
            assert echo.server.connections == count
    for client in clients:
        client.close()
        await client.closed
    assert await echo.server.shutdown(DEADLINE)


def test_listening_beside_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    unix.listen("here").close()
    assert stat.S_ISSOCK((tmp_path / "here").stat().st_mode)
