"""What the tests of the Windows services share: a shim in memory, specs, and requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from podshim.api import task_types_pb2, task_v2_pb2 as pb
from podshim.api.extended_task_ttrpc import ExtendedTaskStub
from podshim.api.runhcs_diag_ttrpc import ShimDiagStub
from podshim.api.task_v2_ttrpc import TaskStub
from podshim.task.outbox import Outbox
from podshim.task.runhcs.service import services
from podshim.task.runhcs.slot import Slot
from podshim.task.runhcs.task import Limits
from podshim.ttrpc import Client, Server, StatusError
from runhcs.fake_windows import FakeContainer, FakeProcess, FakeVM, FakeWindows
from support.waiting import DEADLINE
from task.task_support import describe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from podshim.api.runhcs_options_pb2 import Options
    from podshim.errors import Code
    from podshim.task.events import Event

T = TypeVar("T")

ZERO_TIME = -62135596800
PROCESS = "types.containerd.io/opencontainers/runtime-spec/1/Process"
TYPE = "io.kubernetes.cri.container-type"
SANDBOX_ID = "io.kubernetes.cri.sandbox-id"
HOST_PROCESS = "microsoft.com/hostprocess-container"
INHERIT_USER = "microsoft.com/hostprocess-inherit-user"
ROOTFS_LOCATION = "microsoft.com/hostprocess-rootfs-location"

#: A limit for what must never come within a test, and one for what comes at once.
NEVER = 3600.0
AT_ONCE = 0.0

Spec = dict[str, Any]  # Any: JSON, right or wrong


def argon(*args: str, annotations: dict[str, str] | None = None, **members: Any) -> Spec:
    """A process-isolated Windows container."""
    return {
        "ociVersion": "1.1.0",
        "process": {"args": list(args) or ["ping"], "cwd": "C:\\"},
        "root": {"path": ""},
        "windows": {"layerFolders": ["C:\\layer", "C:\\scratch"]},
        "annotations": annotations or {},
        **members,
    }


def xenon(*args: str, annotations: dict[str, str] | None = None, **members: Any) -> Spec:
    """A Windows container in a VM."""
    spec = argon(*args, annotations=annotations)
    spec["windows"]["hyperv"] = {}
    return {**spec, **members}


def lcow(*args: str, annotations: dict[str, str] | None = None, **members: Any) -> Spec:
    """A Linux container in a VM."""
    return {**xenon(*args, annotations=annotations), "linux": {}, **members}


def in_pod(spec: Spec, kind: str = "container", pod: str = "p", **annotations: str) -> Spec:
    """A spec with its place in a pod."""
    place = {TYPE: kind, SANDBOX_ID: pod}
    return {**spec, "annotations": {**spec["annotations"], **place, **annotations}}


def host_process(spec: Spec) -> Spec:
    """A spec made one of a HostProcess container."""
    return {**spec, "annotations": {**spec["annotations"], HOST_PROCESS: "true"}}


class Shim:
    """A shim over a fake engine: its slot, its services over a connection, its events."""

    def __init__(
        self,
        folder: Path,
        *,
        task_id: str = "c1",
        is_sandbox: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.folder = folder
        self.engine = FakeWindows()
        self.outbox: Outbox[Event] = Outbox()
        self.slot = Slot(
            self.engine,
            self.outbox,
            task_id=task_id,
            is_sandbox=is_sandbox,
            clock=self.engine.clock,
            limits=limits or Limits(NEVER, NEVER, NEVER),
        )
        self.server = Server(services(self.slot))
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self.server.protocol, sock=theirs)
        _, client = await loop.create_connection(Client, sock=ours)
        self.clients.append(client)
        return client

    async def open(self) -> None:
        client = await self.connect()
        self.task = TaskStub(client)
        self.diag = ShimDiagStub(client)
        self.extended = ExtendedTaskStub(client)

    async def close(self) -> None:
        for client in self.clients:
            client.close()
        self.server.close()
        await self.server.wait_closed()
        await self.slot.close(5.0)
        assert self.engine.violations == []

    # Requests.

    def bundle(self, task_id: str, spec: object) -> str:
        folder = self.folder / task_id
        folder.mkdir(exist_ok=True)
        text = spec if isinstance(spec, str) else json.dumps(spec)
        (folder / "config.json").write_text(text)
        return str(folder)

    def request(
        self, spec: object, task_id: str = "c1", *, options: Options | None = None, **fields: Any
    ) -> pb.CreateTaskRequest:
        request = pb.CreateTaskRequest(id=task_id, bundle=self.bundle(task_id, spec), **fields)
        if options is not None:
            request.options.type_url = "containerd.runhcs.v1.Options"
            request.options.value = options.SerializeToString()
        return request

    async def create(self, spec: object, task_id: str = "c1", **fields: Any) -> int:
        return (await self.task.create(self.request(spec, task_id, **fields))).pid

    async def start(self, task_id: str = "c1", exec_id: str = "") -> int:
        return (await self.task.start(pb.StartRequest(id=task_id, exec_id=exec_id))).pid

    async def run(self, spec: object, task_id: str = "c1", **fields: Any) -> int:
        await self.create(spec, task_id, **fields)
        return await self.start(task_id)

    async def exec(self, task_id: str, exec_id: str, *args: str, **fields: Any) -> None:
        await self.task.exec(exec_request(task_id, exec_id, *args, **fields))

    async def kill(
        self, task_id: str = "c1", exec_id: str = "", signal: int = 9, *, everyone: bool = False
    ) -> None:
        request = pb.KillRequest(id=task_id, exec_id=exec_id, signal=signal, all=everyone)
        await self.task.kill(request)

    async def delete(self, task_id: str = "c1", exec_id: str = "") -> tuple[int, int]:
        answer = await self.task.delete(pb.DeleteRequest(id=task_id, exec_id=exec_id))
        return answer.pid, answer.exit_status

    async def wait(self, task_id: str = "c1", exec_id: str = "") -> int:
        answer = await self.task.wait(pb.WaitRequest(id=task_id, exec_id=exec_id))
        return answer.exit_status

    async def state(self, task_id: str = "c1", exec_id: str = "") -> pb.StateResponse:
        return await self.task.state(pb.StateRequest(id=task_id, exec_id=exec_id))

    async def status(self, task_id: str = "c1", exec_id: str = "") -> str:
        answer = await self.state(task_id, exec_id)
        name = task_types_pb2.Status.Name(answer.status)
        return f"{name} {answer.exit_status} pid {answer.pid}"

    # What the test holds in its hands.

    def container(self, task_id: str = "c1") -> FakeContainer:
        return self.engine.containers[task_id]

    def process(self, name: str = "c1") -> FakeProcess:
        return self.engine.processes[name]

    def vm(self, name: str = "c1") -> FakeVM:
        return self.engine.vms[f"{name}@vm"]

    def take(self) -> list[Event]:
        """Take all events that have been released."""
        events = []
        while (event := self.outbox.head) is not None:
            events.append(event)
            self.outbox.remove(event)
        return events

    def told(self) -> list[str]:
        return [describe(event) for event in self.take()]


def exec_request(
    task_id: str = "c1", exec_id: str = "e1", *args: str, **fields: Any
) -> pb.ExecProcessRequest:
    value = json.dumps({"args": list(args) or ["ping"]}).encode()
    spec = AnyMessage(type_url=PROCESS, value=value)
    return pb.ExecProcessRequest(id=task_id, exec_id=exec_id, **{"spec": spec, **fields})


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is true: what threads and sockets have a part in takes real time."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)


async def status_of(call: Awaitable[object]) -> tuple[Code, str]:
    with pytest.raises(StatusError) as caught:
        await call
    return caught.value.code, caught.value.message


@contextlib.asynccontextmanager
async def begun(call: Awaitable[T]) -> AsyncIterator[asyncio.Future[T]]:
    """A call under way; it has been answered when the block is left."""
    task = asyncio.ensure_future(call)
    try:
        yield task
        await asyncio.wait([task])
    finally:
        task.cancel()
    if not task.cancelled() and task.exception() is not None:
        await task
