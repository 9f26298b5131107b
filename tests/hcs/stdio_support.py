"""Streams in memory with faults, for the tests of the relay."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podshim.transport.streams import DuplexStream
from podshim.win32.binding import (
    ERROR_BROKEN_PIPE,
    ERROR_FILE_NOT_FOUND,
    ERROR_INVALID_HANDLE,
    failure,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Channel:
    """Bytes under way in one direction, at most `room` of them."""

    def __init__(self, room: int = 1 << 16) -> None:
        self.room = room
        self.data = bytearray()
        self.ended = False
        self.reader_gone = False
        self._waiters: list[asyncio.Future[None]] = []

    def tell(self) -> None:
        """Wake all who wait in `until`."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        while not condition():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter


class MemoryStream(DuplexStream):
    """One end of a pipe in memory.

    Args:
        incoming: what it reads.
        outgoing: what it writes.
    """

    def __init__(self, incoming: Channel, outgoing: Channel) -> None:
        self.incoming = incoming
        self.outgoing = outgoing
        self.closed = False
        self.fail_after: int | None = None
        self.fail_code = ERROR_BROKEN_PIPE
        self._written = 0
        self._total = 0

    @property
    def written(self) -> int:
        return self._written

    async def read(self, limit: int) -> bytes:
        channel = self.incoming
        await channel.until(lambda: channel.data or channel.ended or self.closed)
        if self.closed:
            raise failure(ERROR_INVALID_HANDLE, "stream")
        data = bytes(channel.data[:limit])
        del channel.data[:limit]
        channel.tell()
        return data

    async def write(self, data: bytes) -> int:
        self._written = 0
        channel = self.outgoing
        while self._written < len(data):
            await channel.until(
                lambda: len(channel.data) < channel.room or channel.reader_gone or self.closed
            )
            if self.closed:
                raise failure(ERROR_INVALID_HANDLE, "stream")
            if channel.reader_gone:
                raise failure(ERROR_BROKEN_PIPE, "stream")
            count = channel.room - len(channel.data)
            if self.fail_after is not None:
                count = min(count, self.fail_after - self._total)
                if count <= 0:
                    raise failure(self.fail_code, "stream")
            piece = data[self._written : self._written + count]
            channel.data += piece
            self._written += len(piece)
            self._total += len(piece)
            channel.tell()
        return len(data)

    def close(self) -> None:
        self.closed = True
        self.incoming.reader_gone = True
        self.outgoing.ended = True
        self.incoming.tell()
        self.outgoing.tell()


def pair(room: int = 1 << 16) -> tuple[MemoryStream, MemoryStream]:
    """Two connected ends."""
    one, other = Channel(room), Channel(room)
    return MemoryStream(one, other), MemoryStream(other, one)


async def read_all(stream: MemoryStream) -> bytes:
    whole = b""
    while data := await stream.read(4096):
        whole += data
    return whole


class Pipes:
    """A machine's named pipes: `serve` makes one, `dial` connects to it."""

    def __init__(self) -> None:
        self.dialled: list[str] = []
        self.limits: list[float | None] = []
        self.clients: dict[str, list[MemoryStream]] = {}
        self.servers: dict[str, list[MemoryStream]] = {}
        self.present: set[str] = set()
        self.errors: dict[str, Exception] = {}

    def serve(self, *names: str) -> None:
        self.present.update(names)

    async def dial(self, path: str, *, timeout: float | None = 2.0) -> DuplexStream:  # noqa: ASYNC109 - as the real one
        self.dialled.append(path)
        self.limits.append(timeout)
        if path in self.errors:
            raise self.errors[path]
        if path not in self.present:
            raise failure(ERROR_FILE_NOT_FOUND, path)
        client, server = pair()
        self.clients.setdefault(path, []).append(client)
        self.servers.setdefault(path, []).append(server)
        return client
