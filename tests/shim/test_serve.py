"""The server: in this process, and as the process that `start` makes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from podshim.api import task_v2_pb2, task_v2_ttrpc, task_v3_pb2, task_v3_ttrpc
from podshim.errors import Code, ShimError
from podshim.shim import server as server_module
from podshim.shim.hosting import Visitor
from podshim.shim.rendezvous import knock, peer
from podshim.shim.server import Inherited, ServeParameters, ShimServer
from podshim.transport import unix
from podshim.ttrpc import ConnectionLost, StatusError
from shim.shim_box import HERE, Box, alive, wait_until
from shim.shim_engines import Good

if TYPE_CHECKING:
    import _socket
    from collections.abc import AsyncIterator, Iterator

    from podshim.engine import Container, CreateRequest

EXAMPLE = HERE.parents[1] / "examples" / "containerd-shim-process-v1.py"


@pytest.fixture
def box() -> Iterator[Box]:
    with Box() as made:
        yield made


class Running:
    """A server on this test's own loop."""

    def __init__(self, folder: Path, engine: type[Good] = Good, patience: float = 300) -> None:
        self.path = folder / "socket"
        self.ready, ready_fd = os.pipe()
        parameters = ServeParameters("ns", "c1", patience=patience)
        inherited = Inherited(unix.listen(str(self.path)), ready_fd)
        self.server = ShimServer(engine, parameters, inherited)
        self.task = asyncio.create_task(self.server.run())

    async def say_ready(self) -> bytes:
        try:
            return await asyncio.to_thread(os.read, self.ready, 10)
        finally:
            os.close(self.ready)

    async def end(self) -> None:
        async with asyncio.timeout(60):
            await self.task


@pytest.fixture
async def descriptors() -> AsyncIterator[None]:
    """Nothing is left open by a test."""
    await asyncio.to_thread(int)  # the executor's own
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.usefixtures("descriptors")
async def test_one_process_may_hold_two_servers(tmp_path: Path) -> None:
    folders = tmp_path / "1", tmp_path / "2"
    for folder in folders:
        folder.mkdir()
    servers = [Running(folder) for folder in folders]
    for running in servers:
        assert await running.say_ready() == b"1"
        client = await unix.connect(f"unix://{running.path}", timeout=5)
        answer = await task_v3_ttrpc.TaskStub(client).connect(task_v3_pb2.ConnectRequest(id="x"))
        assert answer.shim_pid == os.getpid()
        client.close()
        await client.closed
    for running in servers:
        running.server.stop()
        await running.end()
        assert not running.path.exists()


@pytest.mark.usefixtures("descriptors")
async def test_a_failing_engine_leaves_nothing_open(tmp_path: Path) -> None:
    class Fails(Good):
        async def open(self) -> None:
            raise ShimError("no")

    running = Running(tmp_path, Fails)
    with pytest.raises(ShimError, match="no"):
        await running.end()
    assert await running.say_ready() == b""


@pytest.mark.usefixtures("descriptors")
async def test_a_helper_that_is_gone_ends_the_server(tmp_path: Path) -> None:
    running = Running(tmp_path)
    os.close(running.ready)
    with pytest.raises(BrokenPipeError):
        await running.end()
    assert not running.path.exists()


@pytest.mark.usefixtures("descriptors")
async def test_an_engine_that_cant_close_does_not_keep_it(tmp_path: Path) -> None:
    class Stubborn(Good):
        async def close(self) -> None:
            raise RuntimeError("won't")

    running = Running(tmp_path, Stubborn)
    await running.say_ready()
    running.server.stop()
    await running.end()


@pytest.mark.usefixtures("descriptors")
async def test_an_operation_that_does_not_end_is_undone_before_the_engine_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "TASKS_TIMEOUT", 0.05)
    seen: list[str] = []
    creating = asyncio.Event()

    class Hangs(Good):
        async def create(self, request: CreateRequest) -> Container:
            creating.set()
            try:
                await asyncio.Event().wait()
            finally:
                seen.append("undone")
            raise AssertionError("it waits for ever")

        async def close(self) -> None:
            seen.append("closed")

    running = Running(tmp_path, Hangs)
    await running.say_ready()
    client = await unix.connect(f"unix://{running.path}", timeout=5)
    request = task_v3_pb2.CreateTaskRequest(id="c1", bundle=str(tmp_path))
    call = asyncio.create_task(task_v3_ttrpc.TaskStub(client).create(request))
    await creating.wait()
    running.server.stop()
    await running.end()
    assert seen == ["undone", "closed"]
    with pytest.raises((StatusError, ConnectionLost)):
        await call
    client.close()
    await client.closed


@pytest.mark.usefixtures("descriptors")
async def test_a_server_that_is_leaving_takes_no_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "TASKS_TIMEOUT", 0.05)
    created: list[str] = []
    creating = asyncio.Event()

    class Hangs(Good):
        async def create(self, request: CreateRequest) -> Container:
            created.append(request.id)
            creating.set()
            await asyncio.Event().wait()
            raise AssertionError("it waits for ever")

    running = Running(tmp_path, Hangs)
    await running.say_ready()
    client = await unix.connect(f"unix://{running.path}", timeout=5)
    task = task_v3_ttrpc.TaskStub(client)
    first = task_v3_pb2.CreateTaskRequest(id="c1", bundle=str(tmp_path))
    call = asyncio.create_task(task.create(first))
    await creating.wait()
    running.server.stop()
    await asyncio.to_thread(wait_until, lambda: not running.path.exists())
    second = task_v3_pb2.CreateTaskRequest(id="c2", bundle=str(tmp_path))
    with pytest.raises(StatusError) as refused:
        await task.create(second)
    assert refused.value.code is Code.UNAVAILABLE
    assert created == ["c1"]
    await running.end()
    with pytest.raises((StatusError, ConnectionLost)):
        await call
    client.close()
    await client.closed


@pytest.mark.usefixtures("descriptors")
async def test_leaves_when_nobody_needs_it(tmp_path: Path) -> None:
    running = Running(tmp_path, patience=0.05)
    await running.say_ready()
    await running.end()
    assert not running.path.exists()


async def test_stays_while_somebody_is_connected(tmp_path: Path) -> None:
    running = Running(tmp_path, patience=0.05)
    client = await unix.connect(f"unix://{running.path}", timeout=5)
    await running.say_ready()
    done, _ = await asyncio.wait([running.task], timeout=0.5)
    assert not done
    client.close()
    await running.end()


async def test_both_task_services_are_served(tmp_path: Path) -> None:
    running = Running(tmp_path)
    await running.say_ready()
    client = await unix.connect(f"unix://{running.path}", timeout=5)
    with pytest.raises(StatusError) as older:
        await task_v2_ttrpc.TaskStub(client).state(task_v2_pb2.StateRequest(id="x"), timeout=5)
    with pytest.raises(StatusError) as newer:
        await task_v3_ttrpc.TaskStub(client).state(task_v3_pb2.StateRequest(id="x"), timeout=5)
    assert older.value.code is newer.value.code is Code.NOT_FOUND
    assert "_reason_to_leave" in running.server.describe()
    await task_v3_ttrpc.TaskStub(client).shutdown(task_v3_pb2.ShutdownRequest(id="x"), timeout=5)
    await running.end()
    client.close()


def test_the_peer_of_a_served_socket_is_the_server(box: Box) -> None:
    box.bundle("c1")
    visitor = knock(box.start("c1").removeprefix("unix://"))
    assert visitor is not None
    assert peer(visitor) == (box.pid("c1"), os.geteuid())
    visitor.close()


def test_sigusr1_writes_all_stacks(box: Box) -> None:
    bundle = box.bundle("c1")
    os.mkfifo(bundle / "log")
    reader = os.open(bundle / "log", os.O_RDWR | os.O_NONBLOCK)
    box.start("c1")
    pid = box.pid("c1")
    os.kill(pid, signal.SIGUSR1)
    panic = bundle / "panic.log"
    wait_until(lambda: "=== END coroutine dump ===" in panic.read_text())
    text = panic.read_text()
    assert "most recent call first" in text  # the interpreter's own, from the signal handler
    assert "_reason_to_leave" in text
    os.set_blocking(reader, True)
    logged = b""
    while b"END coroutine dump" not in logged:
        logged += os.read(reader, 65536)
    os.close(reader)
    assert b'msg="shim serves" shim=c1' in logged
    assert alive(pid)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not box.processes())
    assert panic.exists()


def test_a_crash_leaves_its_last_words_to_delete(box: Box) -> None:
    bundle = box.bundle("c1")
    box.start("c1")
    os.kill(box.pid("c1"), signal.SIGSEGV)
    wait_until(lambda: not box.processes())
    assert "Fatal Python error: Segmentation fault" in (bundle / "panic.log").read_text()
    assert b"Segmentation fault" in box.run("delete", "c1").stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_order(box: Box, number: int) -> None:
    box.bundle("c1")
    box.start("c1")
    os.kill(box.pid("c1"), number)
    wait_until(lambda: not box.processes())
    assert box.sockets_left() == []


def test_threads_that_an_engine_has_left_do_not_keep_it(box: Box) -> None:
    box.program = box.make_program("LeavesThreads", "serve", END_TIMEOUT=0.2)
    bundle = box.bundle("c1")
    box.start("c1")
    os.kill(box.pid("c1"), signal.SIGTERM)
    wait_until(lambda: not box.processes())
    assert "most recent call first" in (bundle / "panic.log").read_text()


OPENS_ON_IMPORT = """
import socket
from shim_engines import Good

class Engine(Good):
    ours, theirs = socket.socketpair()

    async def open(self):
        self.ours.sendall(b"x")
        assert self.theirs.recv(1) == b"x"
"""


def test_what_an_engine_opens_on_its_import_stays_open(box: Box) -> None:
    (box.path / "opens.py").write_text(OPENS_ON_IMPORT)
    box.environment["PYTHONPATH"] += f"{os.pathsep}{box.path}"
    program = Path(box.program[1])
    program.write_text(program.read_text().replace("shim_engines:Good", "opens:Engine"))
    box.bundle("c1")
    box.start("c1")


def test_it_outlives_its_bundle(box: Box) -> None:
    bundle = box.bundle("c1")
    os.mkfifo(bundle / "log")
    address = box.start("c1")
    pid = box.pid("c1")
    shutil.rmtree(bundle)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address.removeprefix("unix://"))
    os.kill(pid, signal.SIGUSR1)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not box.processes())
    assert box.sockets_left() == []
    assert not bundle.exists()


def test_serving_by_hand(box: Box) -> None:
    path = box.path / "by-hand"
    words = [*box.program, "-namespace", "ns", "-id", "c1", "-socket", "by-hand"]
    process = subprocess.Popen([*words, "serve"], cwd=box.path, env=box.environment)
    opened: list[_socket.socket] = []

    def listens() -> bool:
        opened.extend(filter(None, [knock(str(path))]))
        return bool(opened)

    wait_until(listens)
    with Visitor(opened[0]) as visitor:
        assert visitor.host_pid("c1", time.monotonic() + 60) == process.pid
    process.terminate()
    assert process.wait(60) == 0
    assert not path.exists()


class Pod:
    """A running example shim, as a client sees it."""

    def __init__(self, box: Box, process: dict[str, object]) -> None:
        self.box = box
        self.bundle = box.bundle("c1")
        (self.bundle / "config.json").write_text(json.dumps({"process": process}))
        for name in ("in", "out"):
            os.mkfifo(self.bundle / name)
        box.program = (sys.executable, str(EXAMPLE))

    async def run(self, stdin: bytes = b"", kill: int = 0) -> tuple[int, bytes]:
        address = await asyncio.to_thread(self.box.start, "c1")
        client = await unix.connect(address, timeout=10)
        task = task_v3_ttrpc.TaskStub(client)
        reader = os.open(self.bundle / "out", os.O_RDONLY | os.O_NONBLOCK)
        writer = await asyncio.to_thread(os.open, self.bundle / "in", os.O_RDWR)
        os.write(writer, stdin)
        await task.create(
            task_v3_pb2.CreateTaskRequest(
                id="c1",
                bundle=str(self.bundle),
                stdin=str(self.bundle / "in"),
                stdout=str(self.bundle / "out"),
            ),
            timeout=10,
        )
        wait = asyncio.create_task(task.wait(task_v3_pb2.WaitRequest(id="c1")))
        assert (await task.start(task_v3_pb2.StartRequest(id="c1"), timeout=10)).pid > 0
        os.close(writer)
        if kill:
            await task.kill(task_v3_pb2.KillRequest(id="c1", signal=kill), timeout=10)
        async with asyncio.timeout(60):
            status = (await wait).exit_status
        os.set_blocking(reader, True)
        output = await asyncio.to_thread(self._read, reader)
        deleted = await task.delete(task_v3_pb2.DeleteRequest(id="c1"), timeout=10)
        assert deleted.exit_status == status
        await task.shutdown(task_v3_pb2.ShutdownRequest(id="c1"), timeout=10)
        client.close()
        await asyncio.to_thread(wait_until, lambda: not self.box.processes())
        assert self.box.sockets_left() == []
        answer = await asyncio.to_thread(self.box.run, "delete", "c1")
        assert (answer.returncode, answer.stderr) == (0, b"")
        assert task_v3_pb2.DeleteResponse.FromString(answer.stdout).exit_status == status
        return status, output

    @staticmethod
    def _read(fd: int) -> bytes:
        with open(fd, "rb") as file:
            return file.read()


def process(*words: str) -> dict[str, object]:
    return {"args": list(words), "cwd": "/tmp", "env": ["A=b c"]}


async def test_the_example_runs_a_process(box: Box) -> None:
    pod = Pod(box, process("/bin/sh", "-c", 'echo "$A $PWD"; exit 7'))
    assert await pod.run() == (7, b"b c /tmp\n")


async def test_the_example_passes_standard_input(box: Box) -> None:
    assert await Pod(box, process("/bin/cat")).run(b"hello") == (0, b"hello")


async def test_what_an_engine_runs_ignores_no_signal(box: Box) -> None:
    # One that containerd was started with; the server itself needs others.
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    try:
        status, output = await Pod(box, process("/bin/grep", "SigIgn", "/proc/self/status")).run()
    finally:
        signal.signal(signal.SIGQUIT, before)
    ignored = int(output.split()[1], 16)
    # 32 and 33 are the C library's own, and nobody's to set.
    assert (status, [number for number in range(1, 32) if ignored >> (number - 1) & 1]) == (0, [])


async def test_the_example_kills(box: Box) -> None:
    assert await Pod(box, process("/bin/sleep", "1000")).run(kill=9) == (137, b"")
