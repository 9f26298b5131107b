"""What cases of the engine share: the real library's binding over the stand-in, and ids."""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

assert sys.platform == "win32"

# ruff: noqa: E402 - after the line that tells where this runs

from podshim.engine import Stdio
from podshim.engines.hcs.computecore import ComputeCoreDll
from podshim.engines.hcs.hostservice import Service
from podshim.engines.hcs.system import Hcs, HcsProcess, System
from podshim.engines.hcs.timeouts import Timeouts
from podshim.transport.pipes import PipeListener, PipeStream, listen
from podshim.win32.handles import Handle

DOCUMENT = json.dumps(
    {
        "Owner": "Test",
        "SchemaVersion": {"Major": 2, "Minor": 1},
        "ShouldTerminateOnLastHandleClosed": True,
        "Container": {"GuestOs": {"HostName": "box"}},
    }
)


def open_stream(handle: int) -> PipeStream:
    return PipeStream(Handle(handle, "a process's pipe"))


@asynccontextmanager
async def service(**timeouts: float) -> AsyncIterator[Service]:
    made = Service(ComputeCoreDll, open_stream, Timeouts(**timeouts))

    async def given_up() -> bool:
        return len(made.notifications) == 0

    try:
        yield made
        await eventually(given_up)  # a call that goes on closes its handle at its end
    finally:
        await made.close()


@asynccontextmanager
async def created(name: str, **timeouts: float) -> AsyncIterator[System]:
    async with service(**timeouts) as made:
        system = await Hcs(made).create_system(name, DOCUMENT)
        try:
            yield system
        finally:
            await system.close()


@asynccontextmanager
async def running(name: str, **timeouts: float) -> AsyncIterator[System]:
    async with created(name, **timeouts) as system:
        await system.start()
        yield system


async def spawn(system: System, command_line: str, **parameters: Any) -> HcsProcess:
    document = json.dumps({"CommandLine": command_line, **parameters})
    return await system.create_process(document, command_line=command_line)


async def read_all(stream: Any) -> bytes:
    data = b""
    while piece := await stream.read(4096):
        data += piece
    return data


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds that nothing tells of."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


class Client:
    """The streams of a process as containerd serves them: pipes that the shim dials."""

    def __init__(self, *, stdin: bool = False, terminal: bool = False) -> None:
        base = f"\\\\.\\pipe\\ctr-{uuid.uuid4()}-"
        names = [*(["stdin"] if stdin else []), "stdout", *([] if terminal else ["stderr"])]
        paths = {name: base + name for name in names}
        self.stdio = Stdio(terminal=terminal, **paths)
        self._listeners: dict[str, PipeListener] = {
            name: listen(path) for name, path in paths.items()
        }
        self._accepts = {
            name: asyncio.ensure_future(listener.accept())
            for name, listener in self._listeners.items()
        }

    async def stream(self, name: str) -> PipeStream:
        async with asyncio.timeout(20):
            return await asyncio.shield(self._accepts[name])

    async def read(self, name: str = "stdout") -> bytes:
        """All that comes, to the end."""
        async with asyncio.timeout(20):
            return await read_all(await self.stream(name))

    async def close(self) -> None:
        for name, accept in self._accepts.items():
            self._listeners[name].close()
            for done in await asyncio.gather(accept, return_exceptions=True):
                if isinstance(done, PipeStream):
                    done.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
