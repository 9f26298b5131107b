"""Nothing grows: unread streams, peers that do not read, too many calls."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue

from podshim.errors import Code
from podshim.ttrpc import Client, ClientStream, ConnectionLost, Server, StatusError
from podshim.ttrpc.inbox import LIMIT
from ttrpc.ttrpc_support import (
    DEADLINE,
    GROW,
    JOIN,
    SAY,
    SPELL,
    TALK,
    Echo,
    channel_of,
    eventually,
    frame,
    pair,
    raw_connection,
    raw_server,
    receive_exactly,
    receive_frame,
    request,
    send,
    send_some,
    string,
    word,
)

REQUEST, RESPONSE, DATA = 1, 2, 3
CLOSED, OPEN, NO_DATA = 1, 2, 4


# Streams that are not read.


async def test_an_unread_stream_fails_alone_at_the_server(echo: Echo) -> None:
    server = Server([echo.service()], stall_timeout=0.05)
    async with pair(server) as client:
        async with client.stream(JOIN, metadata={"hold": "1"}) as stream:
            for number in range(LIMIT + 1):
                await stream.send(word(str(number)))
            other = asyncio.create_task(client.call(SAY, word("hi")))
            with pytest.raises(
                StatusError, match=r"^data handling error: ttrpc: stream buffer full$"
            ) as caught:
                await anext(stream)
            assert caught.value.code is Code.INVALID_ARGUMENT
            assert await other == word("hi!")
        await eventually(lambda: echo.cancelled == 1)


async def test_a_full_stream_that_is_read_in_time_loses_nothing(echo: Echo) -> None:
    server = Server([echo.service()], stall_timeout=DEADLINE)
    total = 5 * LIMIT
    async with pair(server) as client, client.stream(JOIN, metadata={"hold": "1"}) as stream:
        for number in range(total):
            await stream.send(word(str(number)))
        await stream.close_send()
        await eventually(lambda: channel_of(server)._stalled is not None)
        echo.release.set()
        answer = await stream.response()
        assert answer.value == " ".join(str(number) for number in range(total))


async def test_an_unread_stream_fails_alone_at_the_client(server: Server) -> None:
    async with (
        pair(server, lambda: Client(stall_timeout=0.05)) as client,
        client.stream(SPELL, word("x" * (LIMIT + 1))) as stream,
    ):
        other = asyncio.create_task(client.call(SAY, word("hi")))
        await eventually(lambda: stream._inbox.ended)
        assert [await anext(stream) for _ in range(LIMIT)] == [word("x")] * LIMIT
        with pytest.raises(StatusError, match=r"^ttrpc: stream buffer full$"):
            await anext(stream)
        assert await other == word("hi!")


async def test_a_stalled_stream_that_is_left_holds_up_nothing(server: Server) -> None:
    async with pair(server, lambda: Client(stall_timeout=DEADLINE)) as client:
        async with client.stream(SPELL, word("x" * (2 * LIMIT))):
            await eventually(lambda: client._stalled is not None)
            other = asyncio.create_task(client.call(SAY, word("hi")))
        assert await other == word("hi!")


async def test_a_connection_that_ends_while_stalled() -> None:
    async with (
        raw_server(lambda: Client(stall_timeout=DEADLINE)) as (client, sock),
        client.stream(SPELL, word("x")) as stream,
    ):
        await receive_frame(sock)
        total = 2 * LIMIT
        await send(sock, frame(1, DATA, 0, string("x")) * total)
        await eventually(lambda: client._stalled is not None)
        client.abort()
        await client.closed
        assert [await anext(stream) for _ in range(total)] == [word("x")] * total
        with pytest.raises(ConnectionLost):
            await anext(stream)


# Peers that do not read.


async def test_a_client_that_takes_nothing_is_given_up_and_costs_little(
    echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server([echo.service()], write_timeout=0.2)
    size = 1 << 20
    one = b"\x08" + bytes([0x80, 0x80, 0x40])
    most = 0
    async with raw_connection(server) as sock:
        channel = channel_of(server)
        wire = b"".join(frame(i, REQUEST, 0, request("Grow", one)) for i in range(1, 201, 2))
        await send(sock, wire)
        while server.connections:
            if channel._transport is not None:
                most = max(most, channel._transport.get_write_buffer_size())
            await asyncio.sleep(0.001)
        await eventually(lambda: server.calls == 0)
    # The buffer's high-water mark, and one message that was written below it.
    assert 0 < most < size + 100_000
    assert [record.getMessage() for record in caplog.records] == [
        "ttrpc: a peer took nothing for 0.2 s: closing"
    ]


async def test_refusals_that_are_not_read_do_not_pile_up(echo: Echo) -> None:
    server = Server([echo.service()], write_timeout=DEADLINE)
    async with raw_connection(server) as sock:
        channel = channel_of(server)
        sent = 0
        while (taken := send_some(sock, frame(2, DATA) * 1000)) is not None:
            sent += taken
            # The server has its turn, and stops reading at some point.
            for _ in range(3):
                await asyncio.sleep(0)
        transport = channel._transport
        assert transport is not None
        # One read's worth of refusals, each about six times as long as its cause.
        assert transport.get_write_buffer_size() < 8 * 262144
        # All of it is answered when the client reads at last.
        for _ in range(sent // 10):
            stream_id, kind, _, _ = await receive_frame(sock)
            assert (stream_id, kind) == (2, RESPONSE)


async def test_a_slow_client_is_not_given_up(echo: Echo) -> None:
    server = Server([echo.service()], write_timeout=DEADLINE)
    async with raw_connection(server) as sock:
        four_mib = b"\x08" + bytes([0x80, 0x80, 0xFF, 1])
        await send(sock, frame(1, REQUEST, 0, request("Grow", four_mib)))
        channel = channel_of(server)
        await eventually(lambda: channel._write_timer is not None)
        before = channel._taken()
        await receive_exactly(sock, 500_000)
        await eventually(lambda: channel._taken() > before)
        # What the timer does at its end: it took something, so it has as long again.
        channel._stop_timers()
        channel._check_writing(before)
        assert channel._write_timer is not None
        assert server.connections == 1
        channel._stop_timers()
        channel._check_writing(channel._taken())
        await eventually(lambda: server.connections == 0)


async def fill(client: Client, stream: ClientStream[StringValue, StringValue]) -> None:
    """Send until the connection takes no more."""
    while client._writable.is_set():
        await stream.send(word("x" * 100_000))


async def test_a_server_that_takes_nothing_holds_up_senders_and_is_given_up() -> None:
    async with raw_server(lambda: Client(write_timeout=0.1)) as (client, _):
        async with client.stream(JOIN) as stream:
            await fill(client, stream)
            with pytest.raises(ConnectionLost):
                await stream.send(word("x"))
        await client.closed


async def test_a_call_that_can_not_be_sent_meets_its_deadline() -> None:
    async with raw_server() as (client, _), client.stream(JOIN) as stream:
        await fill(client, stream)
        with pytest.raises(StatusError, match=r"^context deadline exceeded$"):
            await client.call(SAY, word("hi"), timeout=0.02)
        with pytest.raises(StatusError, match=r"^context deadline exceeded$"):
            await client.stream(TALK, timeout=0.02).__aenter__()


async def test_both_ends_sending_at_once_do_not_wait_for_each_other(server: Server) -> None:
    big = word("x" * 300_000)
    async with pair(server) as client, client.stream(TALK) as stream:

        async def feed() -> None:
            for _ in range(40):
                await stream.send(big)
            await stream.close_send()

        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            group.create_task(feed())
            assert len([each async for each in stream]) == 40


async def test_the_limit_of_open_calls(echo: Echo) -> None:
    server = Server([echo.service()], max_streams=2)
    async with pair(server) as client:
        calls = [asyncio.create_task(client.call(SAY, word("hold"))) for _ in range(2)]
        await eventually(lambda: echo.waiting == 2)
        with pytest.raises(StatusError, match=r"\(limit 2\)$") as caught:
            await client.call(SAY, word("hi"))
        assert caught.value.code is Code.RESOURCE_EXHAUSTED
        echo.release.set()
        await asyncio.gather(*calls)
        assert (await client.call(GROW, Int64Value(value=1))).value == b"\0"
