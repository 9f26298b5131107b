"""A guest to talk to: streams in memory, and an agent written after the protocol's description.

Nothing here uses what it helps to test: messages are taken apart and put together once more.
"""

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable
from typing import Any  # parsed JSON documents
from uuid import UUID

from podshim.engines.hcs.vm.guest.sockets import GuestListener, GuestStream

Document = dict[str, Any]

#: The types of requests, without their kind.
TYPES = {
    "Create": 0x00100101,
    "Start": 0x00100201,
    "ShutdownGraceful": 0x00100301,
    "ShutdownForced": 0x00100401,
    "ExecuteProcess": 0x00100501,
    "WaitForProcess": 0x00100601,
    "SignalProcess": 0x00100701,
    "ResizeConsole": 0x00100801,
    "GetProperties": 0x00100901,
    "ModifySettings": 0x00100A01,
    "NegotiateProtocol": 0x00100B01,
    "DumpStacks": 0x00100C01,
    "DeleteContainerState": 0x00100D01,
    "ModifyServiceSettings": 0x00200101,
}
NAMES = {number: name for name, number in TYPES.items()}
REQUEST, RESPONSE, NOTIFY = 0x10000000, 0x20000000, 0x30000000
CONTAINER_ENDED = 0x30100101


class Pipe:
    """One direction of a stream."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = False
        self.changed = asyncio.Event()

    def change(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Loop(GuestStream):
    """One end of a stream in memory."""

    def __init__(self, source: Pipe, target: Pipe) -> None:
        self._source, self._target = source, target
        self._closed = False
        self._written = 0

    @property
    def written(self) -> int:
        return self._written

    async def read(self, limit: int) -> bytes:
        while not self._source.data and not self._source.ended:
            if self._closed:
                raise OSError("closed here")
            await self._source.changed.wait()
        taken = bytes(self._source.data[:limit])
        del self._source.data[: len(taken)]
        return taken

    async def write(self, data: bytes) -> int:
        if self._closed or self._target.ended:
            raise OSError("closed")
        self._target.data += data
        self._written = len(data)
        self._target.change()
        return len(data)

    async def end_writing(self) -> None:
        self._target.ended = True
        self._target.change()

    def close(self) -> None:
        self._closed = True
        for pipe in (self._source, self._target):
            pipe.ended = True
            pipe.change()


def pair() -> tuple[Loop, Loop]:
    """Two ends of a stream."""
    one, other = Pipe(), Pipe()
    return Loop(one, other), Loop(other, one)


class Listener(GuestListener):
    """What waits for connections of one service."""

    def __init__(self, network: "Network", service: UUID) -> None:
        self._network, self._service = network, service
        self.waiting: asyncio.Queue[Loop | None] = asyncio.Queue()

    async def accept(self) -> GuestStream:
        stream = await self.waiting.get()
        if stream is None:
            raise OSError("the listener is closed")
        return stream

    def close(self) -> None:
        if self._network.listeners.pop(self._service, None) is not None:
            self.waiting.put_nowait(None)


class Network:
    """Hv-sockets of one VM, in memory."""

    def __init__(self) -> None:
        self.listeners: dict[UUID, Listener] = {}

    async def listen(self, service: UUID) -> Listener:
        if service in self.listeners:
            raise OSError(f"{service} is taken")
        listener = self.listeners[service] = Listener(self, service)
        return listener

    def connect(self, service: UUID | str) -> Loop:
        """Connect from the guest."""
        host, guest = pair()
        self.listeners[UUID(str(service))].waiting.put_nowait(host)
        return guest


def port_service(port: int) -> UUID:
    return UUID(f"{port:08x}-facb-11e6-bd58-64006a7986d3")


Answer = Document | None
Handler = Callable[[Document], "Answer | Awaitable[Answer]"]

WINDOWS = {
    "SendHostCreateMessage": True,
    "SendHostStartMessage": True,
    "RuntimeOsType": "Windows",
    "GuestDefinedCapabilities": {
        "NamespaceAddRequestSupported": True,
        "SignalProcessSupported": True,
        "DumpStacksSupported": True,
        "HostProcessContainerSupported": True,
    },
}
LINUX = {
    "RuntimeOsType": "linux",
    "GuestDefinedCapabilities": {
        "NamespaceAddRequestSupported": True,
        "SignalProcessSupported": True,
        "DumpStacksSupported": True,
        "DeleteContainerStateSupported": True,
    },
}


class FakeAgent:
    """A guest's agent.

    Requests are kept in `requests` as (name, document). `answers` has a handler, or a document,
    for names whose answer is not just success; a handler that gives None does not answer.
    """

    def __init__(self, stream: Loop, capabilities: Document | None = None) -> None:
        self.stream = stream
        self.requests: list[tuple[str, Document]] = []
        self.ids: list[int] = []
        self.answers: dict[str, Handler | Document] = {
            "NegotiateProtocol": {"Version": 4, "Capabilities": capabilities or WINDOWS}
        }
        self.seen = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            head = await self._take(16)
            if not head:
                return
            kind, size, number = struct.unpack("<IIQ", head)
            payload = await self._take(size - 16)
            assert kind & 0xF0000000 == REQUEST
            assert payload.endswith(b"\n")
            name = NAMES[kind & 0x0FFFFFFF]
            self.ids.append(number)
            self.requests.append((name, json.loads(payload)))
            self.seen.set()
            self.seen = asyncio.Event()
            task = asyncio.create_task(self._serve(name, number, json.loads(payload)))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = await self.stream.read(size - len(data))
            if not more:
                return b""
            data += more
        return data

    async def _serve(self, name: str, number: int, request: Document) -> None:
        wanted = self.answers.get(name, {})
        found = wanted(request) if callable(wanted) else wanted
        answer = await found if isinstance(found, Awaitable) else found
        if answer is not None:
            await self.respond(name, number, answer)

    async def respond(self, name: str, number: int, answer: Document) -> None:
        await self.send(RESPONSE | TYPES[name], number, json.dumps({"Result": 0, **answer}))

    async def end_container(self, container_id: str) -> None:
        document = {"ContainerId": container_id, "Type": "ForcedExit", "Operation": "None"}
        await self.send(CONTAINER_ENDED, 0, json.dumps(document))

    async def send(self, kind: int, number: int, text: str) -> None:
        payload = text.encode()
        await self.stream.write(struct.pack("<IIQ", kind, 16 + len(payload), number) + payload)

    async def wait_for(self, name: str, count: int = 1) -> Document:
        """Wait until a request has come so often; the last such."""
        while True:
            seen = self.seen
            found = [document for asked, document in self.requests if asked == name]
            if len(found) >= count:
                return found[count - 1]
            async with asyncio.timeout(10):
                await seen.wait()

    def named(self, name: str) -> list[Document]:
        """The requests of a name."""
        return [document for asked, document in self.requests if asked == name]

    async def close(self) -> None:
        self.stream.close()
        await asyncio.gather(self.task, return_exceptions=True)
