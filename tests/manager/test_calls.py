"""Calls to shims of either version, answered by a server of the test's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from podshim.api import task_v2_pb2, task_v2_ttrpc, task_v3_pb2, task_v3_ttrpc
from podshim.errors import Code
from podshim.manager.calls import NAMESPACE_KEY, TaskCalls
from podshim.manager.tasks import nanoseconds
from podshim.transport.unix import connect, listen, serve
from podshim.ttrpc.server import Server
from podshim.ttrpc.service import CallContext, Service
from podshim.ttrpc.status import StatusError


class Old(task_v2_ttrpc.TaskService):
    def __init__(self) -> None:
        self.contexts: list[CallContext] = []

    async def connect(
        self, request: task_v2_pb2.ConnectRequest, context: CallContext
    ) -> task_v2_pb2.ConnectResponse:
        self.contexts.append(context)
        return task_v2_pb2.ConnectResponse(shim_pid=2)


class New(task_v3_ttrpc.TaskService):
    async def connect(
        self, request: task_v3_pb2.ConnectRequest, context: CallContext
    ) -> task_v3_pb2.ConnectResponse:
        return task_v3_pb2.ConnectResponse(shim_pid=3)


@asynccontextmanager
async def calls(tmp_path: Path, version: int, *services: Service) -> AsyncIterator[TaskCalls]:
    path = str(tmp_path / "s.sock")
    server = Server(services)
    async with await serve(listen(path), server, same_user=True):
        async with await connect(f"unix://{path}", timeout=30) as client:
            yield TaskCalls(client, version, "the-namespace")
        server.close()
        await server.wait_closed()


CONNECT = task_v3_pb2.ConnectRequest(id="c")


async def test_each_version_is_called_by_its_name(tmp_path: Path) -> None:
    old = Old()
    both = (task_v2_ttrpc.task_service(old), task_v3_ttrpc.task_service(New()))
    for version in (2, 3):
        async with calls(tmp_path / str(version), version, *both) as connection:
            answer = await connection.call(task_v3_ttrpc.CONNECT, CONNECT)
            assert answer.shim_pid == version
    (context,) = old.contexts
    assert context.metadata[NAMESPACE_KEY] == ("the-namespace",)
    assert context.deadline is not None


async def test_a_shim_that_is_older_than_it_said_is_spoken_to_in_its_version(
    tmp_path: Path,
) -> None:
    async with calls(tmp_path, 3, task_v2_ttrpc.task_service(Old())) as connection:
        with pytest.raises(StatusError) as caught:
            await connection.call(task_v3_ttrpc.PIDS, task_v3_pb2.PidsRequest(id="c"))
        assert caught.value.code is Code.UNIMPLEMENTED
        assert connection.version == 3
        assert (await connection.call(task_v3_ttrpc.CONNECT, CONNECT)).shim_pid == 2
        assert connection.version == 2


async def test_a_shim_that_knows_neither_says_so(tmp_path: Path) -> None:
    async with calls(tmp_path, 3) as connection:
        with pytest.raises(StatusError, match=r"containerd\.task\.v2\.Task"):
            await connection.call(task_v3_ttrpc.CONNECT, CONNECT)


def test_times() -> None:
    response = task_v3_pb2.WaitResponse()
    assert nanoseconds(response.exited_at) is None
    response.exited_at.seconds = -62135596800
    assert nanoseconds(response.exited_at) is None
    response.exited_at.seconds = 7
    response.exited_at.nanos = 5
    assert nanoseconds(response.exited_at) == 7_000_000_005
