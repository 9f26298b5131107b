"""The engine's parts over a service in memory: no Windows, no DLL."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from hcs.core_fake import FakeCore
from podshim.bundle import Bundle
from podshim.engine import Stdio
from podshim.engines.hcs.assembly import Guest, Setting, assemble, connect_init
from podshim.engines.hcs.container import HcsContainer
from podshim.engines.hcs.hostservice import Service
from podshim.engines.hcs.system import Hcs, HcsProcess, System
from podshim.engines.hcs.timeouts import Timeouts
from podshim.errors import UnimplementedError
from podshim.task.runhcs.host import ContainerRequest
from podshim.transport.streams import DuplexStream
from windows.cases.core_contract import DOCUMENT

PIPES = json.dumps({"CreateStdInPipe": True, "CreateStdOutPipe": True, "CreateStdErrPipe": True})


class PipeEnd(DuplexStream):
    """A process's pipe end on which nothing ever happens: it is at its end."""

    def __init__(self) -> None:
        self.closed = False

    @property
    def written(self) -> int:
        return 0

    async def read(self, limit: int) -> bytes:
        return b""

    async def write(self, data: bytes) -> int:
        return len(data)

    def close(self) -> None:
        self.closed = True


@dataclass
class World:
    """A service in memory and what has been opened of it."""

    service: Service
    core: FakeCore
    pipes: list[PipeEnd] = field(default_factory=list)
    broken_pipe: int = -1  # the number of the pipe end that can't be opened

    @property
    def hcs(self) -> Hcs:
        return Hcs(self.service)

    def open_stream(self, handle: int) -> DuplexStream:
        pipe = PipeEnd()
        self.pipes.append(pipe)
        if len(self.pipes) - 1 == self.broken_pipe:
            pipe.close()
            raise OSError(6, "no handle")
        return pipe


@asynccontextmanager
async def world(*, scrub_logs: bool = True, **timeouts: float) -> AsyncIterator[World]:
    """A service of which nothing may be left open."""
    made: list[World] = []

    def open_stream(handle: int) -> DuplexStream:
        return made[0].open_stream(handle)

    service = Service(FakeCore, open_stream, Timeouts(**timeouts), scrub_logs=scrub_logs)
    assert isinstance(service.core, FakeCore)
    made.append(World(service, service.core))
    try:
        yield made[0]
    finally:
        await service.close()
        made[0].core.join()
    async with asyncio.timeout(10):  # a call that goes on closes its handle at its end
        while service.core.open_handles or len(service.notifications):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert all(pipe.closed for pipe in made[0].pipes)


async def start(made: World) -> tuple[System, HcsProcess]:
    """A system that runs, and a process in it."""
    system = await made.hcs.create_system("c1", DOCUMENT)
    try:
        await system.start()
        return system, await system.create_process(PIPES, command_line="x")
    except BaseException:
        await system.close()
        raise


class Nothing:
    """Resources and updates of a container that has none."""

    def __init__(self) -> None:
        self.released = 0

    async def release(self) -> None:
        self.released += 1

    async def update(self, resources: bytes) -> None:
        raise UnimplementedError("update")

    async def add_mount(self, host_path: str, container_path: str, *, read_only: bool) -> None:
        raise UnimplementedError("add_mount")


async def make_container(
    made: World, name: str = "c1", *, build: int = 20348, guest: Guest | None = None
) -> HcsContainer:
    """A container whose process has pipes that nobody is at the other end of."""
    setting = Setting("test", build, made.service.timeouts, made.service.spawn)
    spec = {"process": {"commandLine": "x"}}
    request = ContainerRequest(name, Bundle("."), spec, stdio=Stdio())
    upstream = await connect_init(setting, request)
    system = await made.hcs.create_system(name, DOCUMENT)
    return assemble(setting, request, upstream, system, Nothing(), Nothing(), guest=guest)


async def tear_down(container: HcsContainer) -> None:
    """As the task layer does it."""
    with suppress(Exception):
        await container.init_exited()
    await container.init.delete()
    await container.delete()
