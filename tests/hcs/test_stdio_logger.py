"""Logging programs: handshake, output, end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from hcs.stdio_support import MemoryStream, pair, read_all
from podshim.engine import Stdio
from podshim.engines.hcs.stdio import logger as module
from podshim.engines.hcs.stdio.kinds import kind_of
from podshim.engines.hcs.stdio.logger import connect_logger
from podshim.errors import ShimError
from podshim.win32.binding import failure

if TYPE_CHECKING:
    from podshim.engines.hcs.stdio.upstream import Upstream


class FakeListener:
    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: asyncio.Queue[MemoryStream] = asyncio.Queue()
        self.closed = False

    async def accept(self) -> MemoryStream:
        return await self.waiting.get()

    def close(self) -> None:
        self.closed = True

    def connect(self) -> MemoryStream:
        ours, theirs = pair()
        self.waiting.put_nowait(ours)
        return theirs


class FakeProgram:
    """A logging program that ends when it is told, or killed."""

    def __init__(self) -> None:
        self.returncode: int | None = None
        self.killed = False
        self.ended = asyncio.Event()

    def end(self, code: int = 0) -> None:
        self.returncode = code
        self.ended.set()

    def kill(self) -> None:
        self.killed = True
        self.end(1)

    async def wait(self) -> int:
        await self.ended.wait()
        assert self.returncode is not None
        return self.returncode


Behaviour = Callable[["Machine"], Awaitable[None]]


class Machine:
    """The pipes and the one program of a test."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.listeners: dict[str, FakeListener] = {}
        self.program = FakeProgram()
        self.behaviour = behaviour
        self.words: list[str] = []
        self.variables: dict[str, str] = {}
        self.started = asyncio.Event()

    def listen(self, name: str) -> FakeListener:
        self.listeners[name] = FakeListener(name)
        return self.listeners[name]

    async def start(self, words: Sequence[str], variables: Mapping[str, str]) -> FakeProgram:
        self.words, self.variables = list(words), dict(variables)

        await self.behaviour(self)
        self.started.set()
        return self.program

    def pipe(self, variable: str) -> FakeListener:
        return self.listeners[self.variables[variable]]

    async def connect(self, exec_id: str = "", **streams: Any) -> Upstream:
        uri = "binary:///D:/log.exe?-a=b"
        _, url = kind_of(uri)
        assert url is not None
        stdio = Stdio(terminal=True, stdin="in", stdout=uri)
        return await connect_logger("c1", exec_id, stdio, url, "ns", self.listen, self.start)


async def says_ready(machine: Machine) -> None:
    await machine.pipe("CONTAINER_WAIT").connect().write(b"!")


async def closes_wait_pipe(machine: Machine) -> None:
    machine.pipe("CONTAINER_WAIT").connect().close()


async def says_nothing(machine: Machine) -> None:
    machine.pipe("CONTAINER_WAIT").connect()


async def does_not_come(machine: Machine) -> None:
    return


@pytest.mark.parametrize("behaviour", [says_ready, closes_wait_pipe])
async def test_a_byte_or_the_end_of_the_wait_pipe_means_ready(behaviour: Behaviour) -> None:
    machine = Machine(behaviour)
    upstream = await machine.connect()
    assert machine.words == [r"D:\log.exe", "-a", "b"]
    assert machine.variables["CONTAINER_ID"] == "c1"
    assert machine.variables["CONTAINER_NAMESPACE"] == "ns"
    assert machine.pipe("CONTAINER_WAIT").closed
    told = upstream.stdio
    assert (told.terminal, told.stdin) == (False, "")
    assert told.stdout == machine.variables["CONTAINER_STDOUT"] == r"\\.\pipe\binary-c1-stdout"
    assert told.stderr == machine.variables["CONTAINER_STDERR"] == r"\\.\pipe\binary-c1-stderr"
    assert upstream.stdin is None
    machine.program.end()
    await upstream.close()
    assert not machine.program.killed
    assert all(listener.closed for listener in machine.listeners.values())
    assert len(asyncio.all_tasks()) == 1


async def test_execs_have_pipes_of_their_own() -> None:
    machine = Machine(says_ready)
    upstream = await machine.connect("e1")
    assert machine.variables["CONTAINER_ID"] == "c1"
    assert machine.variables["CONTAINER_STDOUT"] == r"\\.\pipe\binary-c1~e1-stdout"
    machine.program.end()
    await upstream.close()


async def test_output_waits_until_the_program_connects() -> None:
    machine = Machine(says_ready)
    upstream = await machine.connect()
    assert upstream.stdout is not None
    writing = asyncio.create_task(upstream.stdout.write(b"early"))
    await asyncio.sleep(0)
    assert upstream.stdout.written == 0
    reader = machine.pipe("CONTAINER_STDOUT").connect()
    assert await writing == 5
    assert upstream.stdout.written == 5
    closing = asyncio.create_task(upstream.close())
    assert await read_all(reader) == b"early"
    machine.program.end()
    await closing


@pytest.mark.parametrize("behaviour", [says_nothing, does_not_come])
async def test_a_program_that_does_not_get_ready_is_ended(
    behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_LIMIT", 0.05)
    machine = Machine(behaviour)
    with pytest.raises(ShimError, match=r"^failed to start binary logger: timeout$"):
        await machine.connect()
    assert machine.program.killed
    assert all(listener.closed for listener in machine.listeners.values())


async def dies(machine: Machine) -> None:
    machine.program.end(3)


async def dies_of_windows(machine: Machine) -> None:
    machine.program.end(0xC0000135)


async def connects_and_dies(machine: Machine) -> None:
    machine.pipe("CONTAINER_WAIT").connect()
    machine.program.end(3)


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [(dies, "3"), (dies_of_windows, "0xc0000135"), (connects_and_dies, "3")],
)
async def test_a_program_that_fails_is_not_waited_for(
    behaviour: Behaviour, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_LIMIT", 60.0)
    monkeypatch.setattr(module, "_LAST_WORDS", 0.05)
    machine = Machine(behaviour)
    with pytest.raises(ShimError, match=f"^failed to start binary logger: exit status {status}$"):
        async with asyncio.timeout(20):
            await machine.connect()
    assert not machine.program.killed
    assert all(listener.closed for listener in machine.listeners.values())
    assert len(asyncio.all_tasks()) == 1


async def test_what_a_program_said_before_its_end_counts() -> None:
    async def says_and_dies(machine: Machine) -> None:
        machine.program.end(3)
        asyncio.get_running_loop().call_later(0.01, machine.pipe("CONTAINER_WAIT").connect().close)

    upstream = await Machine(says_and_dies).connect()
    await upstream.close()


async def test_a_program_may_leave_its_work_to_another() -> None:
    async def hands_over(machine: Machine) -> None:
        machine.program.end(0)
        asyncio.get_running_loop().call_later(
            0.01, lambda: machine.pipe("CONTAINER_WAIT").connect().close()
        )

    machine = Machine(hands_over)
    upstream = await machine.connect()
    await upstream.close()
    assert len(asyncio.all_tasks()) == 1


async def test_a_failed_handshake_ends_the_program() -> None:
    async def breaks(machine: Machine) -> None:
        ours, _ = pair()
        ours.close()
        machine.pipe("CONTAINER_WAIT").waiting.put_nowait(ours)

    machine = Machine(breaks)
    with pytest.raises(ShimError, match=r"^failed to start binary logger: "):
        await machine.connect()
    assert machine.program.killed
    assert all(listener.closed for listener in machine.listeners.values())


async def test_a_program_that_cant_be_started_leaves_no_pipe() -> None:
    machine = Machine(says_ready)

    async def start(words: Sequence[str], variables: Mapping[str, str]) -> FakeProgram:
        raise failure(2, words[0])

    machine.start = start  # type: ignore[method-assign]
    with pytest.raises(ShimError, match=r"^failed to start binary logger: "):
        await machine.connect()
    assert len(machine.listeners) == 3
    assert all(listener.closed for listener in machine.listeners.values())


async def test_a_cancelled_call_leaves_nothing() -> None:
    machine = Machine(says_nothing)
    connecting = asyncio.create_task(machine.connect())
    await machine.started.wait()
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    assert connecting.cancelled()
    assert machine.program.killed
    assert all(listener.closed for listener in machine.listeners.values())


async def test_a_program_that_does_not_finish_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_LIMIT", 0.05)
    machine = Machine(says_ready)
    upstream = await machine.connect()
    await upstream.close()
    assert machine.program.killed
    await upstream.close()


async def test_closing_fails_a_write_that_waits_for_the_program() -> None:
    machine = Machine(says_ready)
    upstream = await machine.connect()
    assert upstream.stdout is not None
    writing = asyncio.create_task(upstream.stdout.write(b"x"))
    await asyncio.sleep(0)
    machine.program.end()
    await upstream.close()
    with pytest.raises(OSError, match=r"logging driver|winapi"):
        await writing


async def test_real_programs_are_started_and_killed() -> None:
    program = await module.spawn([sys.executable, "-c", "import time; time.sleep(60)"], {})
    assert program.returncode is None
    await module._end(program)
    assert program.returncode is not None
