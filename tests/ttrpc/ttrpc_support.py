"""A small service of every kind, pairs of ends in memory, and bytes written by hand."""

from __future__ import annotations

import asyncio
import socket
import sys
import uuid
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue

from podshim.errors import Code, NotFoundError
from podshim.transport.address import PIPE
from podshim.transport.pipe_stream import PipeStream
from podshim.transport.pipe_transport import PipeTransport
from podshim.transport.pipes import dial, listen
from podshim.ttrpc import Client, Kind, MethodDescriptor, Server, Service, StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from google.protobuf.message import Message

    from podshim.ttrpc import CallContext, Peer
    from podshim.ttrpc.server_channel import ServerChannel

SERVICE = "podshim.test.Echo"

SAY = MethodDescriptor(SERVICE, "Say", Kind.UNARY, StringValue, StringValue)
BLOB = MethodDescriptor(SERVICE, "Blob", Kind.UNARY, BytesValue, BytesValue)
GROW = MethodDescriptor(SERVICE, "Grow", Kind.UNARY, Int64Value, BytesValue)
JOIN = MethodDescriptor(SERVICE, "Join", Kind.CLIENT_STREAM, StringValue, StringValue)
SPELL = MethodDescriptor(SERVICE, "Spell", Kind.SERVER_STREAM, StringValue, StringValue)
TALK = MethodDescriptor(SERVICE, "Talk", Kind.BIDI, StringValue, StringValue)

DEADLINE = 30.0

#: An end of a connection without ttrpc; a socket does not block.
Raw: TypeAlias = socket.socket | PipeStream


class Echo:
    """The service's behaviour, with the handles that tests turn."""

    def __init__(self) -> None:
        self.contexts: list[CallContext] = []
        self.release = asyncio.Event()
        self.waiting = 0
        self.cancelled = 0
        self.finished = 0

    async def hold(self) -> None:
        self.waiting += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.finished += 1

    async def say(self, request: StringValue, context: CallContext) -> StringValue | None:
        self.contexts.append(context)
        match request.value:
            case "hold":
                await self.hold()
            case "stubborn":
                try:
                    await self.hold()
                except asyncio.CancelledError:
                    await self.release.wait()
                    return StringValue(value="too late")
            case "none":
                return None
            case "missing":
                raise NotFoundError("task c1")
            case "status":
                raise StatusError(*context_status(context))
            case "bug":
                raise ZeroDivisionError("by zero")
            case "wrong":
                return BytesValue(value=b"x")  # type: ignore[return-value]  # the point of it
            case "quit":
                raise asyncio.CancelledError
        return StringValue(value=f"{request.value}!")

    async def blob(self, request: BytesValue, _context: CallContext) -> BytesValue:
        return BytesValue(value=request.value[:10])

    async def grow(self, request: Int64Value, _context: CallContext) -> BytesValue:
        return BytesValue(value=bytes(request.value))

    async def join(self, requests: AsyncIterator[StringValue], context: CallContext) -> StringValue:
        self.contexts.append(context)
        if "hold" in context.metadata:
            await self.hold()
        words = [request.value async for request in requests]
        if "fail" in words:
            raise NotFoundError("word")
        return StringValue(value=" ".join(words))

    async def spell(self, request: StringValue, context: CallContext) -> AsyncIterator[StringValue]:
        self.contexts.append(context)
        for letter in request.value:
            if letter == "!":
                raise NotFoundError("letter")
            if letter == "_":
                await self.hold()
            if letter == "~":
                with suppress(asyncio.CancelledError):
                    await self.hold()
            yield StringValue(value=letter)

    async def talk(
        self, requests: AsyncIterator[StringValue], context: CallContext
    ) -> AsyncIterator[StringValue]:
        self.contexts.append(context)
        async for request in requests:
            if request.value == "bye":
                return
            if request.value == "fail":
                raise NotFoundError("answer")
            yield StringValue(value=request.value.upper())

    def service(self) -> Service:
        return Service(
            SERVICE,
            {
                "Say": (SAY, self.say),
                "Blob": (BLOB, self.blob),
                "Grow": (GROW, self.grow),
                "Join": (JOIN, self.join),
                "Spell": (SPELL, self.spell),
                "Talk": (TALK, self.talk),
            },
        )


def context_status(context: CallContext) -> tuple[Code, str]:
    """The status that a caller asks for in its metadata."""
    return Code(int(context.metadata["code"][0])), context.metadata["text"][0]


@asynccontextmanager
async def raw_connection(server: Server, peer: Peer | None = None) -> AsyncIterator[Raw]:
    """A connection to a server whose other end is bare."""
    theirs = await _connect(lambda: server.protocol(peer))
    with theirs:
        yield theirs


@asynccontextmanager
async def raw_server(
    make: Callable[[], Client] = Client,
) -> AsyncIterator[tuple[Client, Raw]]:
    """A client whose server is bare."""
    made: list[Client] = []

    def protocol() -> Client:
        made.append(make())
        return made[0]

    with await _connect(protocol) as theirs:
        async with made[0] as client:
            yield client, theirs


@asynccontextmanager
async def pair(
    server: Server,
    make: Callable[[], Client] = Client,
    peer: Peer | None = None,
) -> AsyncIterator[Client]:
    """A client connected to a server; both are left as they are found."""
    theirs = await _connect(lambda: server.protocol(peer))
    if isinstance(theirs, PipeStream):
        client = make()
        PipeTransport(theirs.detach(), client)
    else:
        _, client = await asyncio.get_running_loop().create_connection(make, sock=theirs)
    async with client:
        yield client


async def _connect(make: Callable[[], asyncio.Protocol]) -> Raw:
    """Make a connection with a protocol at one end: of sockets, or on Windows of a pipe."""
    if sys.platform == "win32":
        with listen(f"{PIPE}podshim-ttrpc-{uuid.uuid4()}") as listener:
            theirs = await dial(listener.address)
            PipeTransport(await listener.accept_pipe(), make())
        return theirs
    ours, bare = socket.socketpair()
    bare.settimeout(0)
    await asyncio.get_running_loop().connect_accepted_socket(make, ours)
    return bare


def word(value: str) -> StringValue:
    """A message."""
    return StringValue(value=value)


def channel_of(server: Server) -> ServerChannel:
    """The server's only connection."""
    (channel,) = server._roster.channels
    return channel


async def send(sock: Raw, data: bytes) -> None:
    """Write all of it to a bare end."""
    async with asyncio.timeout(DEADLINE):
        if isinstance(sock, PipeStream):
            await sock.write(data)
        else:
            await asyncio.get_running_loop().sock_sendall(sock, data)


async def receive(sock: Raw, size: int) -> bytes:
    """Read at most so many bytes of a bare end."""
    async with asyncio.timeout(DEADLINE):
        if isinstance(sock, PipeStream):
            return await sock.read(size)
        return await asyncio.get_running_loop().sock_recv(sock, size)


def send_some(sock: Raw, data: bytes) -> int | None:
    """Send what the kernel takes; None if that is nothing. Pipes have no such call."""
    assert isinstance(sock, socket.socket)
    try:
        return sock.send(data)
    except BlockingIOError:
        return None


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, and fail if it does not in a long while."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - any condition, at some cost
            await asyncio.sleep(0.001)


async def receive_exactly(sock: Raw, size: int) -> bytes:
    """Read so many bytes of a bare end."""
    data = b""
    async with asyncio.timeout(DEADLINE):
        while len(data) < size:
            part = await receive(sock, size - len(data))
            assert part, f"the connection ended after {data!r}"
            data += part
    return data


async def receive_frame(sock: Raw) -> tuple[int, int, int, bytes]:
    """Read one frame: stream id, type, flags, payload. Written by the layout, not our codec."""
    header = await receive_exactly(sock, 10)
    length = int.from_bytes(header[:4], "big")
    payload = await receive_exactly(sock, length)
    return int.from_bytes(header[4:8], "big"), header[8], header[9], payload


def frame(stream_id: int, kind: int, flags: int = 0, payload: bytes = b"") -> bytes:
    """One frame. Written by the layout, not our codec."""
    return (
        len(payload).to_bytes(4, "big")
        + stream_id.to_bytes(4, "big")
        + bytes([kind, flags])
        + payload
    )


def field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field of fewer than 128 bytes."""
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def status(code: int, text: str) -> bytes:
    """The payload of a Response that carries an error."""
    return field(1, bytes([0x08, code]) + field(2, text.encode()))


def request(method: str, payload: bytes | None = None, *, service: str = SERVICE) -> bytes:
    """The payload of a Request."""
    content = field(1, service.encode()) + field(2, method.encode())
    return content if payload is None else content + field(3, payload)


def string(value: str) -> bytes:
    """A StringValue."""
    return field(1, value.encode())


def unmarshal_error(message: type[Message], data: bytes = b"\xff") -> str:
    """What protobuf, in whatever version, says of bytes that are no message."""
    with pytest.raises(DecodeError) as caught:
        message.FromString(data)
    return str(caught.value)
