"""A writer whose reader goes away and comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from hcs.stdio_support import MemoryStream, pair, read_all
from podshim.engines.hcs.stdio.backoff import BackOff
from podshim.engines.hcs.stdio.retry import RetryingWriter
from podshim.win32.binding import failure

if TYPE_CHECKING:
    from podshim.transport.streams import DuplexStream

PATH = r"\\.\pipe\out"


class Script:
    """A clock, dice and dials that follow a script: each dial fails until `after` attempts."""

    def __init__(self, after: int = 0, limit: float = 0.0) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.after = after
        self.limit = limit
        self.dials = 0
        self.readers: list[MemoryStream] = []
        self.prepared: list[MemoryStream] = []
        self.slept = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        self.slept.set()
        await asyncio.sleep(0)

    def backoff(self) -> BackOff:
        return BackOff(self.limit, lambda: self.now, lambda low, high: (low + high) / 2)

    async def dial(self, path: str, *, timeout: float | None = 2.0) -> DuplexStream:  # noqa: ASYNC109 - as the real one
        assert path == PATH
        self.dials += 1
        if self.dials <= self.after:
            raise failure(2, path)
        if self.prepared:
            return self.prepared.pop(0)
        client, server = pair()
        self.readers.append(server)
        return client

    def writer(self, stream: MemoryStream) -> RetryingWriter:
        return RetryingWriter(PATH, stream, dial=self.dial, backoff=self.backoff, sleep=self.sleep)


@pytest.mark.parametrize("code", [109, 232, 233])
async def test_the_remainder_goes_to_the_next_reader(code: int) -> None:
    script = Script()
    client, server = pair()
    client.fail_after, client.fail_code = 4, code
    writer = script.writer(client)
    assert await writer.write(b"0123456789") == 10
    assert writer.written == 10
    assert client.closed
    writer.close()
    assert await read_all(server) == b"0123"
    assert await read_all(script.readers[0]) == b"456789"


@pytest.mark.parametrize("code", [5, 6, 995, 1450])
async def test_other_failures_end_it(code: int) -> None:
    script = Script()
    client, _ = pair()
    client.fail_after, client.fail_code = 4, code
    writer = script.writer(client)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - by its code
        await writer.write(b"0123456789")
    assert getattr(caught.value, "winerror", None) == code
    assert writer.written == 4
    assert script.dials == 0


async def test_it_dials_at_once_then_after_growing_pauses() -> None:
    script = Script(after=4)
    client, _ = pair()
    client.fail_after = 0
    writer = script.writer(client)
    await writer.write(b"x")
    assert script.pauses == pytest.approx([0.2, 0.3, 0.45, 0.675])
    assert await script.readers[0].read(9) == b"x"


async def test_every_reconnection_starts_with_a_short_pause() -> None:
    script = Script(after=1)
    for _ in range(2):
        script.dials = 0
        client, _server = pair()
        client.fail_after = 0
        await script.writer(client).write(b"x")
    assert script.pauses == pytest.approx([0.2, 0.2])


async def test_after_its_time_it_says_which_pipe() -> None:
    script = Script(after=10**6, limit=5.0)
    client, _ = pair()
    client.fail_after = 0
    writer = script.writer(client)
    with pytest.raises(TimeoutError) as caught:
        await writer.write(b"x")
    assert str(caught.value) == rf"reached timeout while retrying dial on {PATH}"
    assert script.now <= 5.0


async def test_closing_ends_a_write_that_waits_for_a_reader() -> None:
    script = Script(after=10**6)
    client, _ = pair()
    client.fail_after = 0
    writer = script.writer(client)
    writing = asyncio.create_task(writer.write(b"x"))
    await script.slept.wait()
    writer.close()
    with pytest.raises(OSError, match=r"out|invalid|winapi"):
        await writing


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.lists(st.integers(0, 60)))
def test_nothing_is_lost_or_sent_twice(chunks: list[bytes], breaks: list[int]) -> None:
    async def run() -> None:
        script = Script()
        servers = []
        streams = []
        for after in breaks:
            client, server = pair()
            client.fail_after = after
            streams.append(client)
            servers.append(server)
        first, last = pair()
        script.prepared = [*streams, first]
        servers.append(last)
        start = script.prepared.pop(0)
        writer = script.writer(start)
        for chunk in chunks:
            await writer.write(chunk)
        writer.close()
        for stream in script.prepared:
            stream.close()
        got = b"".join([await read_all(server) for server in servers])
        assert got == b"".join(chunks)

    asyncio.run(run())
