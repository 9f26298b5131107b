"""The server of Windows' contract, over a Unix socket instead of a pipe."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from podshim.api import task_v2_pb2 as pb
from podshim.api.extended_task_pb2 import ComputeProcessorInfoRequest
from podshim.api.extended_task_ttrpc import ExtendedTaskStub
from podshim.api.runhcs_diag_pb2 import PidRequest
from podshim.api.runhcs_diag_ttrpc import ShimDiagStub
from podshim.api.task_v2_ttrpc import TaskStub
from podshim.engine import Container, CreateRequest, Environment
from podshim.errors import DeadlineExceededError, ShimError
from podshim.shim.runhcs import server as server_module
from podshim.shim.runhcs.server import Carrier, ServeParameters, Server
from podshim.task.runhcs.host import ContainerRequest, WindowsContainer, WindowsEngine
from podshim.transport import unix
from podshim.transport.address import AddressError, parse_endpoint
from podshim.ttrpc import ConnectionLost, StatusError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from podshim import ttrpc
    from podshim.shim.runhcs.server import Listener

LIMIT = 20.0


class Sockets(Carrier):
    """Carries calls over Unix sockets."""

    async def serve(self, address: str, server: ttrpc.Server) -> Listener:
        self.listener = await unix.serve(unix.listen(address), server, same_user=True)
        return self.listener

    def connector(self, address: str) -> Callable[[], Awaitable[ttrpc.Client]]:
        target = parse_endpoint(address)
        return lambda: unix.connect(target, timeout=1)


class Engine(WindowsEngine):
    runtime_name = "io.containerd.fake.v1"
    build = 20348
    made: list[Engine] = []  # noqa: RUF012 - a test looks into it

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.calls: list[str] = []
        self.made.append(self)

    async def open(self) -> None:
        self.calls.append("open")

    async def close(self) -> None:
        self.calls.append("close")

    async def create(self, request: CreateRequest) -> Container:
        raise ShimError("nothing")

    async def create_container(self, request: ContainerRequest) -> WindowsContainer:
        await asyncio.Event().wait()
        raise AssertionError


class CantOpen(Engine):
    async def open(self) -> None:
        raise ShimError("no containers here")


class Running:
    """A server and what is known of it."""

    def __init__(
        self, folder: Path, engine: type[Engine] = Engine, **fields: str | bool | float
    ) -> None:
        self.address = str(folder / "s")
        self.carrier = Sockets()
        self.ready = asyncio.Event()
        values = {"namespace": "n", "shim_id": "i", "is_sandbox": False, **fields}
        parameters = ServeParameters(address=self.address, **values)  # type: ignore[arg-type]
        self.server = Server(engine, parameters, self.carrier)
        self.task = asyncio.create_task(self.server.run(self.ready.set))

    async def client(self) -> ttrpc.Client:
        await asyncio.wait_for(self.ready.wait(), LIMIT)
        return await unix.connect(f"unix://{self.address}", timeout=LIMIT)

    async def ended(self) -> None:
        await asyncio.wait_for(self.task, LIMIT)


def _bundle(folder: Path) -> None:
    (folder / "config.json").write_text(
        '{"process": {"args": ["x"]}, "root": {"path": ""}, "windows": {"layerFolders": ["a"]}}'
    )


@pytest.mark.parametrize("now", [True, False])
async def test_it_serves_until_it_is_told_to_go(tmp_path: Path, now: bool) -> None:
    running = Running(tmp_path, debug=True, scrub_logs=False)
    client = await running.client()
    pid = (await TaskStub(client).connect(pb.ConnectRequest(id="i"), timeout=LIMIT)).shim_pid
    told = await ShimDiagStub(client).diag_pid(PidRequest(), timeout=LIMIT)
    assert told.pid == pid
    question = ComputeProcessorInfoRequest(id="i")
    with pytest.raises(StatusError, match="not found"):
        await ExtendedTaskStub(client).compute_processor_info(question, timeout=LIMIT)
    await TaskStub(client).shutdown(pb.ShutdownRequest(id="other", now=now), timeout=LIMIT)
    assert not running.task.done()
    await TaskStub(client).shutdown(pb.ShutdownRequest(id="i", now=now), timeout=LIMIT)
    await running.ended()
    client.close()
    engine = Engine.made[-1]
    assert engine.calls == ["open", "close"]
    assert engine.environment == Environment("n", "i", debug=True, scrub_logs=False)


async def test_it_leaves_when_nobody_needs_it(tmp_path: Path) -> None:
    running = Running(tmp_path, patience=0.05)
    await running.ended()
    assert Engine.made[-1].calls == ["open", "close"]


async def test_it_stays_while_somebody_is_connected(tmp_path: Path) -> None:
    running = Running(tmp_path, patience=0.2)
    client = await running.client()
    done, _ = await asyncio.wait([running.task], timeout=0.7)
    assert not done
    client.close()
    await running.ended()


async def test_it_stays_for_a_task_whose_client_has_gone(tmp_path: Path) -> None:
    _bundle(tmp_path)
    running = Running(tmp_path, patience=0.2)
    client = await running.client()
    request = pb.CreateTaskRequest(id="i", bundle=str(tmp_path))
    call = asyncio.ensure_future(TaskStub(client).create(request, timeout=LIMIT))
    await TaskStub(client).connect(pb.ConnectRequest(id="i"), timeout=LIMIT)
    client.close()
    with pytest.raises(ConnectionLost):
        await call
    done, _ = await asyncio.wait([running.task], timeout=0.7)
    assert not done
    running.task.cancel()
    await asyncio.wait([running.task])


@pytest.mark.parametrize("now", [True, False])
async def test_calls_that_are_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: bool
) -> None:
    monkeypatch.setattr(server_module, "GRACE", 0.2)
    monkeypatch.setattr(server_module, "MOMENT", 0.2)
    monkeypatch.setattr(server_module, "TASKS_GRACE", 0.0)
    _bundle(tmp_path)
    running = Running(tmp_path)
    client = await running.client()
    request = pb.CreateTaskRequest(id="i", bundle=str(tmp_path))
    call = asyncio.ensure_future(TaskStub(client).create(request, timeout=LIMIT))
    await TaskStub(client).connect(pb.ConnectRequest(id="i"), timeout=LIMIT)
    await TaskStub(client).shutdown(pb.ShutdownRequest(id="i", now=now), timeout=LIMIT)
    if now:
        await running.ended()
    else:
        with pytest.raises(DeadlineExceededError):
            await running.ended()
    with pytest.raises(Exception):  # noqa: B017, PT011 - however the connection ended
        await call
    client.close()
    assert Engine.made[-1].calls == ["open", "close"]


async def test_an_engine_that_cant_open(tmp_path: Path) -> None:
    running = Running(tmp_path, CantOpen)
    with pytest.raises(ShimError, match="no containers here"):
        await running.ended()
    assert not running.ready.is_set()
    assert not (tmp_path / "s").exists()


async def test_an_address_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "s").touch()
    running = Running(tmp_path)
    with pytest.raises(OSError, match="in use"):
        await running.ended()
    assert not running.ready.is_set()
    assert Engine.made[-1].calls == ["open", "close"]


async def test_a_socket_that_fails(tmp_path: Path) -> None:
    running = Running(tmp_path)
    await asyncio.wait_for(running.ready.wait(), LIMIT)
    running.carrier.listener.close()
    with pytest.raises(ShimError, match="the pipe failed"):
        await running.ended()
    assert Engine.made[-1].calls == ["open", "close"]


@pytest.mark.parametrize("address", ["", "tcp://x", "/nowhere/at/all"])
async def test_without_anybody_to_take_events_it_serves(tmp_path: Path, address: str) -> None:
    running = Running(tmp_path, ttrpc_address=address)
    client = await running.client()
    await TaskStub(client).shutdown(pb.ShutdownRequest(id="i", now=True), timeout=LIMIT)
    await running.ended()
    client.close()


def test_the_carrier_of_windows_refuses_what_is_no_pipe() -> None:
    with pytest.raises(AddressError):
        Carrier().connector("unix:///x")
