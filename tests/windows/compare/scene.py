"""Where a case is played: its folder, environment, pipes, events, and the processes it leaves."""

import asyncio
import ctypes
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from google.protobuf import empty_pb2

from podshim.api.events_service_pb2 import ForwardRequest
from podshim.api.events_service_ttrpc import EventsService, events_service
from podshim.ttrpc import CallContext, Client, Server
from windows.compare.effects import effects
from windows.compare.plain import plain
from windows.compare.script import NAMESPACE, Bundle, Case, filled

assert sys.platform == "win32"

LIMIT = 60.0  # seconds that anything may take
EVENT_LIMIT = 45.0  # seconds for an event: a container's end may take more than 30
ROOT = Path(r"C:\compare")

_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel.OpenProcess.restype = ctypes.c_void_p
_kernel.WaitForSingleObject.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
_kernel.GetExitCodeProcess.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32)]
_kernel.TerminateProcess.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
_kernel.CloseHandle.argtypes = [ctypes.c_void_p]


class Events(EventsService):
    """The events of one case, in the order of their arrival.

    Args:
        namespace: the one that they are expected to be of; any other is told.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.seen: list[dict[str, Any]] = []
        self._changed = asyncio.Condition()

    async def forward(self, request: ForwardRequest, context: CallContext) -> empty_pb2.Empty:
        envelope = request.envelope
        told = {"topic": envelope.topic, **plain(envelope.event)}
        if envelope.namespace != self._namespace:
            told["namespace"] = envelope.namespace
        self.seen.append(told)
        async with self._changed:
            self._changed.notify_all()
        return empty_pb2.Empty()

    def count(self, topic: str, container: str, exec_id: str) -> int:
        """How many events of this topic and process have come."""
        return sum(
            event["topic"] == f"/tasks/{topic}"
            and event.get("container_id", "") == container
            and _exec_of(event) == exec_id
            for event in self.seen
        )

    async def follow(self, topic: str, container: str, exec_id: str, before: int) -> bool:
        """Wait until more than so many events of this topic and process have come; whether so."""
        async with self._changed:
            there = self._changed.wait_for(lambda: self.count(topic, container, exec_id) > before)
            try:
                return await asyncio.wait_for(there, EVENT_LIMIT)
            except TimeoutError:
                return False


def _exec_of(event: dict[str, Any]) -> str:
    """The exec that an event speaks of; nothing for an init, whose exit bears the task's id."""
    if exec_id := event.get("exec_id"):
        return str(exec_id)
    told = str(event.get("id", ""))
    return "" if told == event.get("container_id") else told


class StreamPipe(asyncio.Protocol):
    """One stream's pipe as containerd serves it; with one client at a time."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = False
        self._transport: asyncio.WriteTransport | None = None
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self.ended = False
        self._tell()

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._tell()

    def _tell(self) -> None:
        async def tell() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.get_running_loop().create_task(tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def client(self) -> asyncio.WriteTransport:
        """The connection to the client, once there is one."""
        async with self._changed:
            await asyncio.wait_for(
                self._changed.wait_for(lambda: self._transport is not None), LIMIT
            )
        assert self._transport
        return self._transport

    async def hear(self, text: str | None) -> str:
        """Wait until a text has come, or the client has ended; returns all that came."""

        def there() -> bool:
            return self.ended if text is None else text.encode() in self.heard

        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(there), 20)
            except TimeoutError:
                return f"(not there in time: {text!r}) {self.heard.decode(errors='replace')}"
        return self.heard.decode(errors="backslashreplace")


class Process:
    """A process that is not our child, held so that its number can't be another's.

    Raises:
        OSError: There is no such process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        # SYNCHRONIZE, QUERY_LIMITED_INFORMATION and TERMINATE
        self._handle = _kernel.OpenProcess(0x101001, 0, pid)
        if not self._handle:
            raise ctypes.WinError(ctypes.get_last_error())

    def exit_code(self, limit: float) -> int | None:
        """Its exit code, or None if it lives that long; blocks."""
        if _kernel.WaitForSingleObject(self._handle, int(limit * 1000)):
            return None
        code = ctypes.c_uint32()
        _kernel.GetExitCodeProcess(self._handle, ctypes.byref(code))
        return code.value

    def end(self) -> None:
        """End it as a crash would, if it lives, and let go of it."""
        _kernel.TerminateProcess(self._handle, 99)
        self.exit_code(LIMIT)
        _kernel.CloseHandle(self._handle)


class Scene:
    """One case's surroundings.

    Args:
        case: the case.
        executable: path of the shim to play it against.
    """

    def __init__(self, case: Case, executable: str) -> None:
        self.case = case
        self.executable = executable
        self.token = "".join(secrets.choice("ghkmnpqrstvwxz") for _ in range(8))
        self.folder = ROOT / self.token
        self.events = Events(self.filled(NAMESPACE))
        self.pipes: dict[str, StreamPipe] = {}
        self.servers: dict[str, Process] = {}
        self.children: list[subprocess.Popen[bytes]] = []
        self._open: list[Any] = []
        self._clients: dict[str, tuple[Any, Client]] = {}
        self._events_path = rf"\\.\pipe\events-{self.token}"

    def filled(self, value: Any) -> Any:
        """A value of the case with its placeholders filled in."""
        return filled(value, self.token, str(self.folder))

    async def open(self) -> None:
        """Make the folder and serve events."""
        self.folder.mkdir(parents=True)
        for name, bundle in self.case.bundles.items():
            self._bundle(self.folder / name, bundle)
        standin = {**self.case.standin, "faults": list(self.case.faults)}
        (self.folder / "standin.json").write_text(json.dumps(self.filled(standin)))
        if self.case.events:
            server = Server([events_service(self.events)])
            await self._serve(server.protocol, self._events_path)

    def _bundle(self, folder: Path, bundle: Bundle) -> None:
        folder.mkdir()
        spec = self.filled(bundle.spec)
        if bundle.layers:
            for name in ("base", "scratch"):
                (folder / name).mkdir()
            (folder / "scratch" / "sandbox.vhdx").touch()
            if isinstance(spec, dict) and isinstance(spec.get("windows"), dict):
                layers = [str(folder / "base"), str(folder / "scratch")]
                spec["windows"].setdefault("layerFolders", layers)
        if isinstance(spec, str | bytes):
            (folder / "config.json").write_bytes(spec if isinstance(spec, bytes) else spec.encode())
        elif spec is not None:
            (folder / "config.json").write_text(json.dumps(spec), encoding="utf-8")
        for name, text in bundle.files.items():
            path = folder / name.rstrip("\\")
            if name.endswith("\\"):
                path.mkdir(parents=True)
            else:
                path.write_text(self.filled(text), encoding="utf-8")

    async def _serve(self, protocol: Any, path: str) -> None:
        # The type hints want a StreamReaderProtocol where asyncio takes any protocol.
        loop = cast("Any", asyncio.get_running_loop())
        self._open += await loop.start_serving_pipe(protocol, path)

    async def listen(self, name: str) -> None:
        """Serve the pipe of a stream."""
        stream = self.pipes[name] = StreamPipe()
        await self._serve(lambda: stream, self.filled(rf"\\.\pipe\stdio-$T-{name}"))

    async def connect_log(self, task: str) -> str:
        """Connect to a server's log pipe, as `log` among the pipes, and as `client` does."""
        path = self.filled(rf"\\.\pipe\containerd-shim-{NAMESPACE}-{task}-log")
        loop = cast("Any", asyncio.get_running_loop())  # see _serve
        try:
            lost, _ = await loop.create_pipe_connection(asyncio.Protocol, path)
        except FileNotFoundError:
            return "no such pipe"
        self._open.append(lost)
        stream = self.pipes["log"] = StreamPipe()
        found, _ = await loop.create_pipe_connection(lambda: stream, path)
        self._open.append(found)
        return "connected"

    def environment(self) -> dict[str, str]:
        """What a shim's processes get."""
        return {
            **os.environ,
            "TTRPC_ADDRESS": self._events_path,
            "HCS_STANDIN_TRACE": str(self.folder / "trace.jsonl"),
            "HCS_STANDIN_CONFIG": str(self.folder / "standin.json"),
        }

    async def client(self, address: str) -> Client:
        """A client of a shim's pipe, kept for the case.

        Under Wine a Go server loses its first client, so one more is connected before; with any
        other server it does no harm.
        """
        if address not in self._clients:
            loop = cast("Any", asyncio.get_running_loop())  # see _serve
            lost, _ = await loop.create_pipe_connection(asyncio.Protocol, address)
            _, client = await loop.create_pipe_connection(Client, address)
            self._clients[address] = (lost, client)
        return self._clients[address][1]

    def trace(self) -> list[dict[str, Any]]:
        """What HCS was asked to do so far."""
        path = self.folder / "trace.jsonl"
        if not path.exists():
            return []
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
        return effects(filter(None, whole.split("\n")))

    async def asked(self, call: str) -> bool:
        """Wait until HCS has been asked for something; whether it was."""
        try:
            async with asyncio.timeout(EVENT_LIMIT):
                while not any(one["call"] == call for one in self.trace()):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """End everything that the case left behind."""
        for lost, client in self._clients.values():
            client.close()
            lost.close()
        for process in self.servers.values():
            await asyncio.to_thread(process.end)
        for child in self.children:
            child.kill()
            await asyncio.to_thread(child.communicate)
        for one in self._open:
            one.close()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)


def popen(words: Sequence[str], cwd: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a program with three pipes."""
    return subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=environment,
    )


def run_limited(
    words: Sequence[str], cwd: Path, environment: dict[str, str], stdin: bytes
) -> tuple[int | None, bytes, bytes]:
    """Run a program to its end; no exit code if it had to be ended. Blocks."""
    process = popen(words, cwd, environment)
    try:
        out, err = process.communicate(stdin, LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return None, out, err
    return process.returncode, out, err
