"""HostProcess containers and clients of their streams, for cases on Windows."""

import asyncio
import ctypes
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ctypes.wintypes import BOOL, DWORD, HANDLE
from pathlib import Path
from typing import Any

from podshim.bundle import Bundle
from podshim.engine import Stdio
from podshim.engines.hcs.hostprocess import HostFacts, create
from podshim.engines.hcs.hostprocess.container import HostProcessContainer
from podshim.task.runhcs.host import ContainerRequest, WindowsProcess
from podshim.transport.pipes import PipeStream, listen
from podshim.win32.binding import Library

VOLUME = r"\\?\Volume{6827367b-c388-4e9b-961c-6d2c936c0000}"
INHERIT = {"microsoft.com/hostprocess-inherit-user": "true"}
PATIENCE = 60.0

_handle_count = Library("kernel32.dll").function(
    "GetProcessHandleCount", BOOL, HANDLE, ctypes.POINTER(DWORD)
)
_own = Library("kernel32.dll").function("GetCurrentProcess", HANDLE)


def handle_count() -> int:
    """How many handles this process has."""
    count = DWORD()
    assert _handle_count(_own(), ctypes.byref(count))
    return count.value


def python(code: str, *args: str) -> list[str]:
    """A command that runs Python code."""
    return [sys.executable, "-c", code, *args]


class Client:
    """What containerd is to one process: three pipes, and what comes out of two.

    Args:
        stdin: whether there is input.
        terminal: whether it is a terminal's: then there is no stderr.
    """

    def __init__(self, *, stdin: bool = False, terminal: bool = False) -> None:
        stem = rf"\\.\pipe\case-{uuid.uuid4()}"
        names = {"stdout": f"{stem}-stdout"}
        if stdin:
            names["stdin"] = f"{stem}-stdin"
        if not terminal:
            names["stderr"] = f"{stem}-stderr"
        self.stdio = Stdio(terminal=terminal, **names)
        self._listeners = {key: listen(name) for key, name in names.items()}
        self.streams: dict[str, PipeStream] = {}
        self.output: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._news = asyncio.Event()
        self._tasks = [asyncio.create_task(self._serve(key)) for key in names]
        self._stdin_there = asyncio.Event()

    async def _serve(self, key: str) -> None:
        stream = self.streams[key] = await self._listeners[key].accept()
        if key == "stdin":
            self._stdin_there.set()
            return
        while data := await stream.read(65536):
            self.output[key] += data
            self._news.set()

    @property
    def out(self) -> str:
        return self.output["stdout"].decode().replace("\r\n", "\n")

    @property
    def err(self) -> str:
        return self.output["stderr"].decode().replace("\r\n", "\n")

    async def send(self, data: bytes) -> None:
        await self._stdin_there.wait()
        await self.streams["stdin"].write(data)

    async def end_input(self) -> None:
        await self._stdin_there.wait()
        self.streams["stdin"].close()

    async def until(self, text: str) -> None:
        """Wait until a text has come out."""
        async with asyncio.timeout(PATIENCE):
            while text not in self.out:
                self._news.clear()
                await self._news.wait()

    async def ends(self) -> None:
        """Wait until all output has ended."""
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners.values():
            listener.close()
        for stream in self.streams.values():
            stream.close()


class Layers:
    """Layers that are mounted as one volume, and counted."""

    def __init__(self, path: str = VOLUME) -> None:
        self.path = path
        self.mounted = 0

    async def mount(self, request: ContainerRequest) -> "Layers":
        self.mounted += 1
        return self

    async def release(self) -> None:
        self.mounted -= 1


class Host:
    """Makes HostProcess containers, and ends what a case leaves behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layers = Layers()
        self.facts = HostFacts(
            namespace="cases", build=20348, processors=2, mount_layers=self.layers.mount
        )
        self._stack = AsyncExitStack()

    def client(self, **how: bool) -> Client:
        client = Client(**how)
        self._stack.push_async_callback(client.close)
        return client

    def request(
        self,
        args: Sequence[str],
        stdio: Stdio,
        *,
        annotations: Mapping[str, str] = INHERIT,
        spec: Mapping[str, Any] | None = None,
        **process: Any,
    ) -> ContainerRequest:
        container_id = f"hpc-{uuid.uuid4()}"
        whole = {
            "ociVersion": "1.0.2",
            "process": {"args": list(args), "cwd": "", "user": {}, **process},
            "windows": {},
            "annotations": {"microsoft.com/hostprocess-container": "true", **annotations},
            **(spec or {}),
        }
        return ContainerRequest(container_id, Bundle(str(self.folder)), whole, stdio=stdio)

    async def create(
        self, args: Sequence[str], stdio: Stdio | None = None, **how: Any
    ) -> HostProcessContainer:
        container = await create(self.request(args, stdio or Stdio(), **how), self.facts)
        self._stack.push_async_callback(container.delete)
        return container

    async def run(self, args: Sequence[str], **how: Any) -> tuple[int, str, str]:
        """Run a container to its end: its status and what came out."""
        client = self.client()
        container = await self.create(args, client.stdio, **how)
        await container.init.start()
        status = await ended(container.init)
        await finish(container)
        await client.ends()
        return status, client.out, client.err

    async def close(self) -> None:
        await self._stack.aclose()


async def ended(process: WindowsProcess) -> int:
    async with asyncio.timeout(PATIENCE):
        return (await process.wait()).status


async def finish(container: HostProcessContainer) -> None:
    """What the task layer does after the init's end."""
    await container.init.delete()
    await container.init_exited()
    await container.delete()


@asynccontextmanager
async def host(folder: Path) -> AsyncIterator[Host]:
    made = Host(folder)
    try:
        yield made
    finally:
        await made.close()
