"""ttrpc servers and clients at named pipes: who calls, many at once, and every kind of end."""

import asyncio
import ctypes
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ctypes import wintypes
from typing import TYPE_CHECKING

import pytest
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from podshim.transport import pipes
from podshim.ttrpc import (
    CallContext,
    Client,
    ConnectionLost,
    Kind,
    MethodDescriptor,
    Peer,
    Server,
    Service,
)
from podshim.win32.pipes import open_client

if TYPE_CHECKING:
    from podshim.ttrpc.service import Methods

assert sys.platform == "win32"

# Without a package, as one service of Microsoft's shim is.
SAY = MethodDescriptor("ExtendedTask", "Say", Kind.UNARY, StringValue, StringValue)
BLOB = MethodDescriptor("ExtendedTask", "Blob", Kind.UNARY, BytesValue, BytesValue)
HOLD = MethodDescriptor("ExtendedTask", "Hold", Kind.UNARY, StringValue, StringValue)
LIMIT = 30.0
MIB = 1 << 20


class Echo:
    def __init__(self) -> None:
        self.contexts: list[CallContext] = []
        self.cancelled = 0
        methods: Methods = {
            "Say": (SAY, self.say),
            "Blob": (BLOB, self.blob),
            "Hold": (HOLD, self.hold),
        }
        self.server = Server([Service("ExtendedTask", methods)])

    async def say(self, request: StringValue, context: CallContext) -> StringValue:
        self.contexts.append(context)
        return request

    async def blob(self, request: BytesValue, _: CallContext) -> BytesValue:
        return request

    async def hold(self, request: StringValue, context: CallContext) -> StringValue:
        self.contexts.append(context)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return request


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    yield echo
    echo.server.close()
    await echo.server.wait_closed()


@pytest.fixture
def path() -> str:
    return f"\\\\.\\pipe\\podshim-test-{uuid.uuid4()}"


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 - any condition, at some cost
            await asyncio.sleep(0.005)


@asynccontextmanager
async def served(echo: Echo, path: str) -> AsyncIterator[pipes.Listener]:
    async with await pipes.serve(pipes.listen(path), echo.server) as listener:
        yield listener


def connect(path: str) -> "asyncio.Future[Client]":
    return asyncio.ensure_future(pipes.connect(path, timeout=LIMIT))


async def test_a_call_by_a_bare_service_name(echo: Echo, path: str) -> None:
    async with served(echo, path) as listener, await connect(path) as client:
        answer = await client.call(SAY, StringValue(value="hi"), metadata={"K": ["a", "b"]})
        assert answer.value == "hi"
    assert not listener.is_serving
    (context,) = echo.contexts
    assert context.metadata == {"k": ("a", "b")}
    assert context.peer == Peer(os.getpid(), -1, -1)


async def test_connections_outlive_their_listener(echo: Echo, path: str) -> None:
    async with served(echo, path):
        client = await connect(path)
        await client.call(SAY, StringValue(value="a"))
    async with client:
        await client.call(SAY, StringValue(value="b"))
        # A name is there while any instance of it is; no other waits for clients.
        with pytest.raises(TimeoutError):
            await pipes.connect(path, timeout=0.1)
    await eventually(lambda: echo.server.connections == 0)
    with pytest.raises(FileNotFoundError):
        await connect(path)


async def test_many_callers_at_once(echo: Echo, path: str) -> None:
    async def visit(number: int) -> str:
        async with await connect(path) as client:
            calls = [client.call(SAY, StringValue(value=f"{number}.{n}")) for n in range(5)]
            return " ".join(answer.value for answer in await asyncio.gather(*calls))

    async with served(echo, path):
        answers = await asyncio.gather(*(visit(number) for number in range(100)))
    assert answers == [" ".join(f"{number}.{n}" for n in range(5)) for number in range(100)]
    await eventually(lambda: echo.server.connections == 0)


async def test_the_largest_messages(echo: Echo, path: str) -> None:
    most = BytesValue(value=os.urandom(4 * MIB - 100))
    async with served(echo, path), await connect(path) as client:
        assert await client.call(BLOB, most) == most
        several = await asyncio.gather(*(client.call(BLOB, most) for _ in range(5)))
        assert all(answer == most for answer in several)


async def test_a_client_that_dies_in_a_call(echo: Echo, path: str) -> None:
    program = f"""
import asyncio
from google.protobuf.wrappers_pb2 import StringValue
from podshim.transport import pipes
from podshim.ttrpc import Kind, MethodDescriptor
HOLD = MethodDescriptor("ExtendedTask", "Hold", Kind.UNARY, StringValue, StringValue)
async def main():
    async with await pipes.connect({path!r}, timeout=30) as client:
        await client.call(HOLD, StringValue())
asyncio.run(main())
"""
    async with served(echo, path), await connect(path) as other:
        child = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", program])
        try:
            await eventually(lambda: len(echo.contexts) == 1)
            assert echo.contexts[0].peer == Peer(child.pid, -1, -1)
        finally:
            child.kill()
            await asyncio.to_thread(child.wait)
        await eventually(lambda: echo.cancelled == 1)
        await eventually(lambda: echo.server.connections == 1)
        await other.call(SAY, StringValue(value="still here"))


async def test_a_server_that_goes_away(echo: Echo, path: str) -> None:
    async with served(echo, path), await connect(path) as client:
        call = asyncio.create_task(client.call(HOLD, StringValue()))
        await eventually(lambda: len(echo.contexts) == 1)
        echo.server.close()
        with pytest.raises(ConnectionLost):
            await asyncio.wait_for(call, LIMIT)


async def test_a_graceful_end_answers_what_was_asked(echo: Echo, path: str) -> None:
    async with served(echo, path) as listener, await connect(path) as client:
        most = BytesValue(value=bytes(MIB))
        call = asyncio.create_task(client.call(BLOB, most))
        await eventually(lambda: echo.server.calls > 0 or call.done())
        listener.close()
        assert await echo.server.shutdown(LIMIT)
        assert await call == most
        await asyncio.wait_for(client.closed, LIMIT)


async def test_visitors_that_say_nothing_or_nonsense(echo: Echo, path: str) -> None:
    async with served(echo, path), await connect(path) as client:
        silent = [await pipes.dial(path) for _ in range(20)]
        for visitor in silent[:10]:
            await visitor.write(b"\xff" * 100)
        for _ in range(20):
            (await pipes.dial(path)).close()
        assert (await client.call(SAY, StringValue(value="x"))).value == "x"
        for visitor in silent:
            visitor.close()
        await eventually(lambda: echo.server.connections == 1)


async def test_nothing_of_a_connection_survives_it(echo: Echo, path: str) -> None:
    async def visit() -> None:
        async with await connect(path) as client:
            await client.call(SAY, StringValue(value="x"))

    async with served(echo, path):
        await visit()
        await eventually(lambda: echo.server.connections == 0)
        before = handles()
        for _ in range(100):
            await visit()
        await eventually(lambda: echo.server.connections == 0)
        await eventually(lambda: handles() <= before + 5)
    await eventually(lambda: handles() <= before)


def handles() -> int:
    """How many handles this process has."""
    kernel32 = ctypes.WinDLL("kernel32")
    kernel32.GetCurrentProcess.restype = wintypes.HANDLE
    kernel32.GetProcessHandleCount.argtypes = [wintypes.HANDLE, wintypes.LPDWORD]
    count = wintypes.DWORD()
    assert kernel32.GetProcessHandleCount(kernel32.GetCurrentProcess(), ctypes.byref(count))
    return count.value


def test_other_loops_are_refused(path: str) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="for pipes"):
            pipes.listen(path)
        with pytest.raises(FileNotFoundError), open_client(path):
            pass  # nothing is left behind

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())
