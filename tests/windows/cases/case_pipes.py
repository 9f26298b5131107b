"""Named pipes: clients, servers, streams and pipes for children, with the real system calls."""

import _winapi
import asyncio
import msvcrt
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from podshim.transport import blocking_pipe, pipe_listener, pipes
from podshim.transport.address import AddressError
from podshim.transport.pipe_listener import BACKLOG, WAITING
from podshim.transport.pipe_stream import PipeStream
from podshim.win32 import pipes as win32_pipes, security
from podshim.win32.handles import Handle
from podshim.win32.pipes import open_client

assert sys.platform == "win32"

BUSY, MISSING, ABORTED, CLOSED = 231, 2, 995, 6
BROKEN = 109, 232, 233
NO_SDDL = 1336, 1705  # Windows, Wine
LIMIT = 10.0


@pytest.fixture
def path() -> str:
    return f"\\\\.\\pipe\\podshim-test-{uuid.uuid4()}"


@pytest.fixture
async def listener(path: str) -> AsyncIterator[pipes.PipeListener]:
    with pipes.listen(path) as listener:
        yield listener


@contextmanager
def fails(*codes: int) -> Iterator[None]:
    """The block fails with one of some codes of Windows."""
    with pytest.raises(OSError, match=r"\[WinError \d+\]") as caught:
        yield
    assert caught.value.winerror in codes


async def both(listener: pipes.PipeListener) -> tuple[PipeStream, PipeStream]:
    """A server's and a client's end."""
    client = await pipes.dial(listener.address)
    return await listener.accept(), client


async def read_all(stream: PipeStream, piece: int = 1 << 20) -> bytes:
    data = bytearray()
    while more := await stream.read(piece):
        data += more
    return bytes(data)


# Streams.


async def test_bytes_go_both_ways(listener: pipes.PipeListener) -> None:
    server, client = await both(listener)
    with server, client:
        assert await client.write(b"ping") == 4
        assert await server.read(100) == b"ping"
        assert await server.write(b"pong") == 4
        assert await client.read(100) == b"pong"


async def test_messages_are_not_kept_apart(listener: pipes.PipeListener) -> None:
    server, client = await both(listener)
    with server, client:
        await client.write(b"ab")
        await client.write(b"cd")
        assert await server.read(3) == b"abc"
        assert await server.read(3) == b"d"


async def test_what_was_written_before_closing_arrives(listener: pipes.PipeListener) -> None:
    server, client = await both(listener)
    with server, client:
        await server.write(b"last words")
        server.close()
        assert await read_all(client) == b"last words"
        assert await client.read(1) == b""


async def test_much_data_and_a_slow_reader(listener: pipes.PipeListener) -> None:
    server, client = await both(listener)
    data = bytes(range(256)) * 4096
    with server, client:
        writing = asyncio.create_task(client.write(data))
        await server.read(1)
        assert not writing.done()
        got = bytearray(1)
        while len(got) < len(data):
            got += await server.read(10_000)
        assert await writing == len(data)
        assert client.written == len(data)
        assert bytes(got[1:]) == data[1:]


async def test_a_cancelled_read_loses_nothing(listener: pipes.PipeListener) -> None:
    server, client = await both(listener)
    with server, client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await server.read(100)
        await client.write(b"abc")
        assert await server.read(2) == b"ab"
        assert await server.read(2) == b"c"


async def test_closing_ends_a_read_and_a_write_with_an_error(listener: pipes.PipeListener) -> None:
    server, client = await both(listener)
    with server, client:
        reading = asyncio.create_task(server.read(1))
        writing = asyncio.create_task(server.write(bytes(1 << 20)))
        await client.read(1)
        server.close()
        for task in (reading, writing):
            with fails(ABORTED):
                await asyncio.wait_for(task, LIMIT)
        with fails(CLOSED):
            await server.read(1)


async def test_a_write_to_nobody_fails_and_says_how_much_was_taken(
    listener: pipes.PipeListener,
) -> None:
    server, client = await both(listener)
    with server, client:
        writing = asyncio.create_task(client.write(bytes(1 << 20)))
        got = 0
        while got < 200_000:
            got += len(await server.read(50_000))
        server.close()
        with fails(*BROKEN):
            await asyncio.wait_for(writing, LIMIT)
        assert 65536 <= client.written < 1 << 20
        with fails(*BROKEN):
            await client.write(b"x")
        assert client.written == 0


async def test_writing_nothing_and_reading_nothing(listener: pipes.PipeListener) -> None:
    server, client = await both(listener)
    with server, client:
        assert await client.write(b"") == 0
        with pytest.raises(ValueError, match="can't read 0 bytes"):
            await client.read(0)


# Clients.


async def test_a_pipe_that_is_not_there_is_an_error_at_once(path: str) -> None:
    begun = time.monotonic()
    with pytest.raises(FileNotFoundError) as caught:
        await pipes.dial(path, timeout=LIMIT)
    assert caught.value.winerror == MISSING
    assert time.monotonic() - begun < LIMIT / 2
    with pytest.raises(FileNotFoundError):
        blocking_pipe.connect(path, time.monotonic() + LIMIT)


async def test_a_pipe_may_be_expected_to_appear(path: str) -> None:
    dialing = asyncio.create_task(pipes.dial(path, timeout=LIMIT, missing_for=LIMIT))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(dialing), 0.1)
    with pipes.listen(path) as listener, await listener.accept(), await dialing:
        pass
    with pytest.raises(FileNotFoundError):
        await pipes.dial(path, missing_for=0.05)


def fill(listener: pipes.PipeListener) -> list[Handle]:
    """Take all instances that wait, without letting the loop make more."""
    return [open_client(str(listener.address)) for _ in range(WAITING)]


async def test_a_busy_pipe_is_tried_again(listener: pipes.PipeListener) -> None:
    visitors = fill(listener)
    with fails(BUSY):
        open_client(str(listener.address))
    with await pipes.dial(listener.address):
        for visitor in visitors:
            visitor.close()


async def test_busy_until_the_deadline(listener: pipes.PipeListener) -> None:
    visitors = fill(listener)
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match=r"open .*: i/o timeout"):
        blocking_pipe.connect(str(listener.address), begun + 0.1)
    assert 0.05 < time.monotonic() - begun < LIMIT
    for visitor in visitors:
        visitor.close()


@pytest.mark.parametrize(
    "text",
    ["", "C:\\x", "\\\\.\\pipe\\", "\\\\host\\pipe\\x", "\\\\.\\pipe\\a\\..\\b", "npipe://x"],
)
async def test_what_is_no_pipe_is_refused(text: str) -> None:
    for call in (pipes.dial(text), pipes.connect(text, timeout=1)):
        with pytest.raises(AddressError):
            await call
    with pytest.raises(AddressError):
        pipes.listen(text)
    with pytest.raises(AddressError):
        blocking_pipe.connect(text, time.monotonic())


async def test_paths_with_slashes_and_as_urls(path: str, listener: pipes.PipeListener) -> None:
    slashes = path.replace("\\", "/")
    (await pipes.dial(slashes)).close()
    (await listener.accept()).close()
    async with await pipes.connect(f"npipe://{slashes}", timeout=LIMIT):
        (await listener.accept()).close()


# Servers.


async def test_clients_that_came_and_went_are_not_lost(listener: pipes.PipeListener) -> None:
    for word in (b"a", b"b", b"c"):
        with await pipes.dial(listener.address) as client:
            await client.write(word)
    words = []
    for _ in range(3):
        with await listener.accept() as server:
            words.append(await read_all(server))
    assert sorted(words) == [b"a", b"b", b"c"]


async def test_many_clients_at_once(listener: pipes.PipeListener) -> None:
    async def visit(number: int) -> None:
        with await pipes.dial(listener.address, timeout=LIMIT) as client:
            await client.write(str(number).encode())
            assert await client.read(10) == b"ok"

    async def serve() -> bytes:
        with await listener.accept() as server:
            number = await server.read(10)
            await server.write(b"ok")
            await server.read(1)
            return number

    visits = [asyncio.create_task(visit(number)) for number in range(200)]
    numbers = await asyncio.gather(*(serve() for _ in range(200)))
    await asyncio.gather(*visits)
    assert sorted(map(int, numbers)) == list(range(200))


async def test_clients_wait_where_nobody_accepts_and_none_is_lost(
    listener: pipes.PipeListener,
) -> None:
    dialing = [asyncio.create_task(pipes.dial(listener.address, timeout=None)) for _ in range(150)]
    async with asyncio.timeout(60):
        while sum(task.done() for task in dialing) < BACKLOG:  # noqa: ASYNC110 - any will do
            await asyncio.sleep(0.01)
    # The queue is bounded.
    assert sum(task.done() for task in dialing) <= BACKLOG + WAITING
    for _ in dialing:
        (await asyncio.wait_for(listener.accept(), LIMIT)).close()
    for task in dialing:
        (await task).close()


async def test_a_name_is_never_free_between_clients(listener: pipes.PipeListener) -> None:
    """Clients that come and go as fast as they can hear "busy" at most."""
    problems: list[OSError] = []
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            try:
                open_client(str(listener.address)).close()
            except OSError as error:
                if error.winerror != BUSY:
                    problems.append(error)

    async with asyncio.timeout(60):
        thread = threading.Thread(target=hammer)
        thread.start()
        try:
            for _ in range(300):
                (await listener.accept()).close()
        finally:
            stop.set()
            await asyncio.to_thread(thread.join)
    assert problems == []


async def test_closing_frees_the_name_and_ends_accepting(path: str) -> None:
    listener = pipes.listen(path)
    accepting = asyncio.create_task(listener.accept())
    await asyncio.sleep(0)
    queued = await pipes.dial(path)
    with await accepting, queued:
        accepting = asyncio.create_task(listener.accept())
        await asyncio.sleep(0)
        listener.close()
        with fails(CLOSED):
            await asyncio.wait_for(accepting, LIMIT)
        listener.close()
    with pytest.raises(FileNotFoundError):
        await pipes.dial(path)
    pipes.listen(path).close()


async def test_a_lack_of_handles_passes(
    listener: pipes.PipeListener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = [OSError(0, "no resources", None, 1450)] * 3
    make = win32_pipes.create

    def create(*arguments: Any, **options: Any) -> Handle:
        if refusals:
            raise refusals.pop()
        return make(*arguments, **options)

    monkeypatch.setattr(pipe_listener, "create", create)
    clients = [asyncio.create_task(pipes.dial(listener.address)) for _ in range(2 * WAITING)]
    for _ in clients:
        (await asyncio.wait_for(listener.accept(), LIMIT)).close()
    for client in clients:
        (await client).close()
    assert refusals == []
    assert "can't accept, trying again in 0.001 s" in caplog.text
    assert "can't accept, trying again in 0.004 s" in caplog.text


async def test_a_pipe_that_can_not_be_made_leaves_nothing(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = win32_pipes.create

    def create(*arguments: Any, first: bool, **options: Any) -> Handle:
        if not first:
            raise OSError(0, "no resources", None, 1450)
        return make(*arguments, first=first, **options)

    monkeypatch.setattr(pipe_listener, "create", create)
    with fails(1450):
        pipes.listen(path)
    with pytest.raises(FileNotFoundError):
        await pipes.dial(path)


async def test_cancelling_accept_loses_no_client(listener: pipes.PipeListener) -> None:
    accepting = asyncio.create_task(listener.accept())
    await asyncio.sleep(0)
    accepting.cancel()
    await asyncio.wait((accepting,))
    server, client = await both(listener)
    with server, client:
        await client.write(b"x")
        assert await server.read(1) == b"x"


async def test_the_server_knows_the_client_s_process(listener: pipes.PipeListener) -> None:
    code = f"open({str(listener.address)!r}, 'r+b', buffering=0).read(1)"
    child = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", code])
    try:
        with await listener.accept() as server:
            assert server.client_process_id == child.pid
            await server.write(b"x")
            assert await asyncio.to_thread(child.wait, LIMIT) == 0
    finally:
        child.kill()
        child.wait()


# Security descriptors.


def test_descriptors_from_text_and_back() -> None:
    text = "D:P(A;;GA;;;BA)(A;;GA;;;SY)"
    with security.from_sddl(text) as descriptor:
        assert descriptor.sddl == text
    with fails(*NO_SDDL):
        security.from_sddl("D:P(nonsense")


async def test_a_pipe_has_the_descriptor_that_was_asked_for(path: str) -> None:
    text = "D:P(A;;FA;;;BA)(A;;FA;;;SY)"
    with pipes.listen(path, security=text), open_client(path) as client:
        assert security.sddl_of(client.value) == text


# Pipes for children.


async def test_a_child_writes_into_a_pair() -> None:
    ours, theirs = pipes.pipe_pair(child_reads=False)
    with ours:
        with theirs:
            child = start_child("import sys; sys.stdout.write('hello')", stdout=theirs.value)
        assert await read_all(ours) == b"hello"
        assert await asyncio.to_thread(child.wait, LIMIT) == 0


async def test_a_child_reads_from_a_pair() -> None:
    ours, theirs = pipes.pipe_pair(child_reads=True)
    code = "import sys; sys.exit(len(sys.stdin.buffer.read()) // 1000)"
    with theirs:
        child = start_child(code, stdin=theirs.value)
    with ours:
        await ours.write(bytes(77_000))
    assert await asyncio.to_thread(child.wait, LIMIT) == 77


def start_child(code: str, **streams: int) -> "subprocess.Popen[bytes]":
    """A Python with a handle as its standard input or output."""
    opened = {}
    for name, handle in streams.items():
        # A duplicate, because a descriptor owns its handle.
        flags = os.O_RDONLY if name == "stdin" else os.O_WRONLY
        opened[name] = msvcrt.open_osfhandle(duplicate(handle), flags)
    try:
        return subprocess.Popen(
            [sys.executable, "-c", code], stdin=opened.get("stdin"), stdout=opened.get("stdout")
        )
    finally:
        for descriptor in opened.values():
            os.close(descriptor)


def duplicate(handle: int) -> int:
    here = _winapi.GetCurrentProcess()
    inherit, options = False, _winapi.DUPLICATE_SAME_ACCESS
    return _winapi.DuplicateHandle(here, handle, here, 0, inherit, options)


# Without an event loop.


async def test_a_blocking_client(listener: pipes.PipeListener) -> None:
    deadline = time.monotonic() + LIMIT

    def client() -> bytes:
        with blocking_pipe.connect(str(listener.address), deadline) as pipe:
            pipe.send_all(bytes(300_000))
            return pipe.recv(100)

    talking = asyncio.create_task(asyncio.to_thread(client))
    with await listener.accept() as server:
        got = 0
        while got < 300_000:
            got += len(await server.read(1 << 16))
        await server.write(b"answer")
        assert await talking == b"answer"


async def test_a_blocking_client_gives_up(listener: pipes.PipeListener) -> None:
    with blocking_pipe.connect(str(listener.address), time.monotonic() + LIMIT) as pipe:
        with pytest.raises(TimeoutError):
            pipe.recv(1, time.monotonic() + 0.05)
        with pytest.raises(TimeoutError):
            pipe.send_all(bytes(1 << 20), time.monotonic() + 0.05)
        with await listener.accept() as server:
            server.close()
        assert pipe.recv(1) == b""
    with fails(CLOSED):
        pipe.recv(1)


async def test_a_blocking_client_gives_up_though_data_keeps_coming(
    listener: pipes.PipeListener,
) -> None:
    connection = blocking_pipe.connect(str(listener.address), time.monotonic() + LIMIT)
    with connection as pipe, await listener.accept() as server:
        await server.write(b"more and more")
        assert pipe.recv(4) == b"more"
        with pytest.raises(TimeoutError):
            pipe.recv(4, time.monotonic())
