"""What the tests of the task service share: a client and a server in memory, and requests."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING

import pytest
from google.protobuf.any_pb2 import Any

from podshim.api import (
    task_v3_pb2 as pb,
    task_v3_ttrpc,
)
from podshim.task.service import services
from podshim.ttrpc import Client, Server, StatusError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from podshim.errors import Code
    from task.task_support import Pod


ZERO_TIME = -62135596800
PROCESS = "types.containerd.io/opencontainers/runtime-spec/1/Process"
RESOURCES = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"


class Link:
    """A client and a server with the task service, connected."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.server = Server(services(pod.registry))
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self.server.protocol, sock=theirs)
        _, client = await loop.create_connection(Client, sock=ours)
        self.clients.append(client)
        return client

    async def close(self) -> None:
        for client in self.clients:
            client.close()
        self.server.close()
        await self.server.wait_closed()


def bundle_of(pod: Pod, task_id: str = "c1", *args: str) -> str:
    return pod.request(task_id, *args).bundle.path


async def create(pod: Pod, task: task_v3_ttrpc.TaskStub, task_id: str = "c1", *args: str) -> int:
    request = pb.CreateTaskRequest(id=task_id, bundle=bundle_of(pod, task_id, *args))
    return (await task.create(request)).pid


def exec_request(exec_id: str = "e1", *args: str, task_id: str = "c1") -> pb.ExecProcessRequest:
    spec = Any(type_url=PROCESS, value=json.dumps({"args": list(args) or ["sleep"]}).encode())
    return pb.ExecProcessRequest(id=task_id, exec_id=exec_id, spec=spec)


async def status_of(call: Awaitable[object]) -> tuple[Code, str]:
    with pytest.raises(StatusError) as caught:
        await call
    return caught.value.code, caught.value.message
