"""The life of a connection: its end, its limits, and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from podshim.ttrpc import Client, ConnectionLost, Server, StatusError
from podshim.ttrpc.inbox import LIMIT
from ttrpc.ttrpc_support import (
    DEADLINE,
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
    receive,
    receive_frame,
    request,
    send,
    string,
    word,
)

REQUEST, RESPONSE, DATA = 1, 2, 3
CLOSED, OPEN, NO_DATA = 1, 2, 4


# The end of a connection.


async def test_calls_fail_when_the_server_goes_away(server: Server, echo: Echo) -> None:
    async with pair(server) as client:
        calls = [asyncio.create_task(client.call(SAY, word("hold"))) for _ in range(3)]
        await eventually(lambda: echo.waiting == 3)
        server.close()
        for call in calls:
            with pytest.raises(ConnectionLost, match=r"^ttrpc: closed$"):
                await call
        await client.closed
        assert client.is_lost
        with pytest.raises(ConnectionLost, match=r"^ttrpc: closed$"):
            await client.call(SAY, word("hi"))
        with pytest.raises(ConnectionLost):
            async with client.stream(TALK):
                pytest.fail("there is no connection")
    await server.wait_closed()
    assert echo.cancelled == 3
    assert server.calls == server.connections == 0


async def test_handlers_are_cancelled_when_the_client_goes_away(server: Server, echo: Echo) -> None:
    async with pair(server) as client:
        tasks = [
            asyncio.create_task(client.call(SAY, word("hold"))),
            asyncio.create_task(client.call(SAY, word("hold"), timeout=DEADLINE)),
        ]
        async with client.stream(SPELL, word("_")):
            await eventually(lambda: echo.waiting == 3)
            client.close()
            for task in tasks:
                with pytest.raises(ConnectionLost):
                    await task
            await eventually(lambda: echo.cancelled == 3)
    await eventually(lambda: server.calls == server.connections == 0)
    assert await server.shutdown(DEADLINE)


async def test_a_client_stream_ends_for_its_handler_when_the_client_goes_away(
    server: Server, echo: Echo
) -> None:
    async with raw_connection(server) as sock:
        await send(sock, frame(1, REQUEST, OPEN, request("Join", string("a"))))
        await eventually(lambda: server.calls == 1)
    await eventually(lambda: server.calls == server.connections == 0)


async def test_an_answer_for_a_client_that_is_gone_is_nobody_s_business(
    server: Server, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    async with pair(server) as client:
        calls = [asyncio.create_task(client.call(SAY, word("stubborn"))) for _ in range(2)]
        calls.append(asyncio.create_task(client.call(SAY, word("hold"))))
        await eventually(lambda: echo.waiting == 3)
        channel = channel_of(server)
        # The connection is closing, and has not been reported lost yet, when the handlers end.
        echo.release.set()
        channel.abort()
        await eventually(lambda: server.calls == 0)
        for call in calls:
            with pytest.raises(ConnectionLost):
                await call
    assert not caplog.records


async def test_what_came_before_the_end_is_delivered_first() -> None:
    async with raw_server() as (client, sock), client.stream(SPELL, word("x")) as stream:
        await receive_frame(sock)
        total = 3 * LIMIT
        await send(sock, b"".join(frame(1, DATA, 0, string(str(i))) for i in range(total)))
        sock.close()
        await asyncio.sleep(0)
        found = [await anext(stream) for _ in range(total)]
        assert found == [word(str(i)) for i in range(total)]
        with pytest.raises(ConnectionLost):
            await anext(stream)


async def test_an_answer_before_the_end_is_an_answer() -> None:
    async with raw_server() as (client, sock):
        call = asyncio.create_task(client.call(SAY, word("x")))
        await receive_frame(sock)
        await send(sock, frame(1, RESPONSE) + b"\0\0\0")
        sock.close()
        assert await call == word("")


async def test_closing_twice_and_before_connecting() -> None:
    client = Client()
    client.close()
    client.close()
    await client.closed
    with pytest.raises(ConnectionLost):
        await client.call(SAY, word("x"))


async def test_a_client_that_was_closed_before_it_connected(server: Server) -> None:
    async with raw_server() as (client, sock):
        client.close()
        await client.closed
        assert await receive(sock, 1) == b""

    def closed() -> Client:
        client = Client()
        client.close()
        return client

    async with raw_server(closed) as (client, sock):
        assert await receive(sock, 1) == b""


async def test_waiting_for_the_end_can_be_given_up(server: Server) -> None:
    async with pair(server) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.closed, 0.01)
        assert await client.call(SAY, word("hi")) == word("hi!")


# Shutting a server down.


async def test_shutdown_lets_calls_end(server: Server, echo: Echo) -> None:
    async with pair(server) as busy, pair(server) as idle:
        call = asyncio.create_task(busy.call(SAY, word("hold")))
        await eventually(lambda: echo.waiting == 1)
        shutdown = asyncio.create_task(server.shutdown(DEADLINE))
        await idle.closed
        # A connection that is still there is still served.
        assert await busy.call(SAY, word("hi")) == word("hi!")
        echo.release.set()
        assert await call == word("hold!")
        await busy.closed
        assert await shutdown is True
    assert server.connections == server.calls == 0


async def test_shutdown_ends_at_its_deadline(server: Server, echo: Echo) -> None:
    async with pair(server) as client:
        call = asyncio.create_task(client.call(SAY, word("hold")))
        await eventually(lambda: echo.waiting == 1)
        assert await server.shutdown(0.02) is False
        with pytest.raises(ConnectionLost):
            await call
    await server.wait_closed()
    assert echo.cancelled == 1


async def test_a_server_that_shuts_down_takes_no_connection(server: Server) -> None:
    assert await server.shutdown(DEADLINE)
    async with pair(server) as client:
        await client.closed
    await server.wait_closed()


async def test_many_refusals_do_not_make_a_connection_look_idle(server: Server, echo: Echo) -> None:
    async with raw_connection(server) as sock:
        await send(sock, frame(1, REQUEST, 0, request("Say", string("hold"))))
        for _ in range(10):
            await send(sock, frame(2, DATA))
            assert (await receive_frame(sock))[0] == 2
        shutdown = asyncio.create_task(server.shutdown(DEADLINE))
        await asyncio.sleep(0)
        echo.release.set()
        assert (await receive_frame(sock))[0] == 1
        assert await shutdown is True
    assert echo.finished == 1


def test_a_service_is_registered_once() -> None:
    async def twice() -> None:
        service = Echo().service()
        with pytest.raises(ValueError, match=r"service podshim.test.Echo is registered twice"):
            Server([service, service])

    asyncio.run(twice())


# Peers that break the rules.


@pytest.mark.parametrize("method", ["Say", "Spell"])
async def test_data_on_a_running_call_whose_client_does_not_stream(
    server: Server, echo: Echo, method: str
) -> None:
    payload = string("hold" if method == "Say" else "_")
    async with raw_connection(server) as sock:
        await send(sock, frame(1, REQUEST, 0, request(method, payload)))
        await eventually(lambda: echo.waiting == 1)
        await send(sock, frame(1, DATA, 0, b"x"))
        stream_id, kind, _, answer = await receive_frame(sock)
        assert (stream_id, kind) == (1, RESPONSE)
        assert b"data handling error: ttrpc: stream closed" in answer
        await eventually(lambda: echo.cancelled == 1 and server.calls == 0)
        await send(sock, frame(3, REQUEST, 0, request("Say", string("x"))))
        assert (await receive_frame(sock))[0] == 3


async def test_a_fast_handler_leaves_nothing_behind(server: Server) -> None:
    async with raw_connection(server) as sock:
        wire = frame(1, REQUEST, OPEN, request("Talk", string("bye")))
        await send(sock, wire + frame(1, DATA, CLOSED | NO_DATA))
        assert await receive_frame(sock) == (1, DATA, CLOSED | NO_DATA, b"")
        channel = channel_of(server)
        assert not channel._calls
        assert not channel._inboxes
        assert channel._core.open_streams == 0


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.builds(
                frame,
                st.integers(0, 9),
                st.integers(0, 4),
                st.integers(0, 7),
                st.sampled_from(
                    [b"", b"\xff", request("Sing")]
                    + [request(m, string("a")) for m in ("Say", "Join", "Spell", "Talk")]
                ),
            ),
        ),
        max_size=30,
    )
)
def test_no_client_disturbs_a_server(pieces: list[bytes]) -> None:
    async def scenario() -> None:
        server = Server([Echo().service()])
        async with pair(server) as client:
            async with raw_connection(server) as sock:
                await send(sock, b"".join(pieces))
                assert await client.call(SAY, word("hi"), timeout=DEADLINE) == word("hi!")
            await eventually(lambda: server.connections == 1 and server.calls == 0)

    asyncio.run(scenario())


# Nothing stays behind.


async def test_nothing_of_a_connection_survives_it(server: Server, echo: Echo) -> None:
    async with pair(server) as client:
        channel = weakref.ref(channel_of(server))
        reference = weakref.ref(client)
        await client.call(SAY, word("hi"))
        with pytest.raises(StatusError):
            await client.call(SAY, word("missing"))
        call = asyncio.create_task(client.call(SAY, word("hold")))
        async with client.stream(TALK) as stream, client.stream(JOIN):
            await stream.send(word("a"))
            await anext(stream)
            inbox = weakref.ref(stream._inbox)
            await eventually(lambda: echo.waiting == 1)
    with pytest.raises(ConnectionLost):
        await call
    await eventually(lambda: server.calls == server.connections == 0)
    del client, call, stream
    gc.collect()
    assert [reference(), channel(), inbox()] == [None] * 3
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_hundred_thousand_calls_leave_the_tables_empty(server: Server) -> None:
    async with pair(server) as client:
        request = word("x")
        for _ in range(1000):
            await asyncio.gather(*(client.call(SAY, request) for _ in range(100)))
        channel = channel_of(server)
        assert client.open_calls == client._core.open_streams == 0
        assert not channel._calls
        assert not channel._inboxes
        assert channel._core.open_streams == server.calls == 0
        assert client._core._next_id == 200_001
