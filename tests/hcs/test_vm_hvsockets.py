"""Hv-sockets on asyncio, with ordinary sockets in their place, and the records of their driver."""

import asyncio
import queue
import socket
from collections.abc import Iterator
from uuid import UUID

import pytest

from podshim.engines.hcs.vm.guest.hvsockets import HvListener, HvStream
from podshim.win32 import addressinfo


class Connections:
    """What takes the place of accepting: connections come out of a queue."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[socket.socket | OSError] = queue.Queue()
        self.guests: list[socket.socket] = []

    def accept(self, _listener: socket.socket) -> socket.socket:
        came = self.waiting.get(timeout=30)
        if isinstance(came, OSError):
            raise came
        return came

    def connect(self) -> socket.socket:
        host, guest = socket.socketpair()
        self.guests.append(guest)
        self.waiting.put(host)
        return guest

    def end(self) -> None:
        self.waiting.put(OSError("closed"))
        for guest in self.guests:
            guest.close()


@pytest.fixture
def connections() -> Iterator[Connections]:
    made = Connections()
    yield made
    made.end()


async def test_a_guest_connects(connections: Connections) -> None:
    listener = HvListener(socket.socket(), connections.accept)
    waiting = asyncio.ensure_future(listener.accept())
    guest = connections.connect()
    stream = await waiting
    assert await stream.write(b"hello") == 5
    assert stream.written == 5
    assert await stream.write(b"") == 0
    assert guest.recv(100) == b"hello"
    guest.sendall(b"world")
    assert await stream.read(100) == b"world"
    await stream.end_writing()
    assert guest.recv(100) == b""
    guest.close()
    assert await stream.read(100) == b""
    stream.close()
    stream.close()
    listener.close()
    listener.close()


async def test_closing_a_listener_lets_go(connections: Connections) -> None:
    listener = HvListener(socket.socket(), connections.accept)
    waiting = asyncio.ensure_future(listener.accept())
    await asyncio.sleep(0)
    listener.close()
    with pytest.raises(OSError, match="the listener is closed"):
        await waiting
    with pytest.raises(OSError, match="the listener is closed"):
        await listener.accept()


async def test_a_listener_that_can_not_accept(connections: Connections) -> None:
    listener = HvListener(socket.socket(), connections.accept)
    connections.waiting.put(OSError("no more"))
    for _ in range(2):
        with pytest.raises(OSError, match="no more"):
            await listener.accept()
    listener.close()


async def test_a_connection_that_nobody_takes_is_closed(connections: Connections) -> None:
    listener = HvListener(socket.socket(), connections.accept)
    first = connections.connect()
    (await listener.accept()).close()
    assert first.recv(1) == b""
    listener.close()
    late = connections.connect()
    late.settimeout(10)
    assert await asyncio.to_thread(late.recv, 1) == b""


async def test_a_stream_that_is_closed() -> None:
    host, guest = socket.socketpair()
    stream = HvStream(host)
    stream.close()
    with pytest.raises(OSError, match=r".*"):
        await stream.write(b"x")
    guest.close()


def test_the_record_of_a_redirection() -> None:
    system = UUID("00112233-4455-6677-8899-aabbccddeeff")
    vm = UUID("11111111-2222-4333-8444-555555555555")
    record = addressinfo.record(system, vm)
    assert len(record) == 52
    assert record == system.bytes_le + vm.bytes_le + bytes(16) + b"\x01\0\0\0"
