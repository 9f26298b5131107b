"""Calls of every kind between our client and our server, over socket pairs."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue

from podshim.errors import Code
from podshim.ttrpc import (
    Kind,
    MethodDescriptor,
    Peer,
    ProtocolError,
    Server,
    Service,
    StatusError,
)
from podshim.ttrpc.frames import MAX_PAYLOAD

if TYPE_CHECKING:
    from podshim.ttrpc import CallContext
from ttrpc.ttrpc_support import (
    BLOB,
    DEADLINE,
    GROW,
    JOIN,
    SAY,
    SPELL,
    TALK,
    Echo,
    eventually,
    pair,
    raw_connection,
    raw_server,
    receive_frame,
    send,
    word,
)


async def test_unary(server: Server, echo: Echo) -> None:
    peer = Peer(1, 2, 3)
    async with pair(server, peer=peer) as client:
        assert await client.call(SAY, word("hi")) == word("hi!")
        assert await client.call(SAY, word(""), metadata={"Key": ["1", "2"], "x": "y"}) == word("!")
    first, second = echo.contexts
    assert (first.deadline, first.peer, first.metadata) == (None, peer, {})
    assert second.metadata == {"key": ("1", "2"), "x": ("y",)}


async def test_client_stream(server: Server) -> None:
    async with pair(server) as client, client.stream(JOIN) as stream:
        for value in ("a", "", "c"):
            await stream.send(word(value))
        assert await stream.response() == word("a  c")
        assert [each async for each in stream] == []


async def test_a_client_stream_without_messages(server: Server) -> None:
    async with pair(server) as client, client.stream(JOIN) as stream:
        await stream.close_send()
        await stream.close_send()
        assert await stream.response() == word("")
        with pytest.raises(ProtocolError, match="without a response"):
            await stream.response()


async def test_server_stream(server: Server) -> None:
    async with pair(server) as client:
        async with client.stream(SPELL, word("abc")) as stream:
            assert [each.value async for each in stream] == ["a", "b", "c"]
        async with client.stream(SPELL, word("")) as stream:
            assert [each.value async for each in stream] == []


async def test_bidi(server: Server) -> None:
    async with pair(server) as client, client.stream(TALK, metadata={"k": "v"}) as stream:
        for value in ("a", "b"):
            await stream.send(word(value))
            assert await anext(stream) == word(value.upper())
        await stream.close_send()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        with pytest.raises(ProtocolError, match=r"^ttrpc: stream closed$"):
            await stream.send(word("c"))


async def test_the_server_may_end_a_bidi_stream_first(server: Server) -> None:
    async with pair(server) as client, client.stream(TALK) as stream:
        await stream.send(word("bye"))
        assert [each async for each in stream] == []
        with pytest.raises(ProtocolError, match=r"^ttrpc: stream closed$"):
            await stream.send(word("a"))
        await stream.close_send()


async def test_sending_and_receiving_in_two_tasks(server: Server) -> None:
    values = [str(number) for number in range(500)]
    async with pair(server) as client, client.stream(TALK) as stream:

        async def speak() -> None:
            for value in values:
                await stream.send(word(value))
            await stream.close_send()

        async with asyncio.TaskGroup() as group:
            group.create_task(speak())
            assert [each.value async for each in stream] == values


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        ("missing", Code.NOT_FOUND, "task c1: not found"),
        ("none", Code.UNKNOWN, "ttrpc: marshal called with nil"),
        ("status", Code.ABORTED, "as asked"),
        ("quit", Code.CANCELLED, "context canceled"),
    ],
)
async def test_what_a_handler_raises_becomes_a_status(
    server: Server, caplog: pytest.LogCaptureFixture, value: str, code: Code, text: str
) -> None:
    async with pair(server) as client:
        with pytest.raises(StatusError) as caught:
            await client.call(SAY, word(value), metadata={"code": "10", "text": "as asked"})
        assert (caught.value.code, caught.value.message) == (code, text)
        assert await client.call(SAY, word("hi")) == word("hi!")
    assert not caplog.records


@pytest.mark.parametrize(
    ("value", "text"),
    [("bug", "by zero"), ("wrong", "BytesValue given where StringValue is due")],
)
async def test_a_bug_in_a_handler_is_answered_and_logged_with_its_traceback(
    server: Server, caplog: pytest.LogCaptureFixture, value: str, text: str
) -> None:
    async with pair(server) as client:
        with pytest.raises(StatusError) as caught:
            await client.call(SAY, word(value))
        assert (caught.value.code, caught.value.message) == (Code.UNKNOWN, text)
        assert await client.call(SAY, word("hi")) == word("hi!")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "ttrpc: /podshim.test.Echo/Say failed"
    assert record.exc_info is not None


async def test_errors_of_streams(server: Server) -> None:
    async with pair(server) as client:
        async with client.stream(SPELL, word("a!b")) as stream:
            assert await anext(stream) == word("a")
            for _ in range(2):
                with pytest.raises(StatusError, match=r"^letter: not found$"):
                    await anext(stream)
        async with client.stream(JOIN) as stream:
            await stream.send(word("fail"))
            with pytest.raises(StatusError, match=r"^word: not found$"):
                await stream.response()
        async with client.stream(TALK) as stream:
            await stream.send(word("fail"))
            with pytest.raises(StatusError, match=r"^answer: not found$"):
                await anext(stream)
            with pytest.raises(StatusError, match=r"^answer: not found$"):
                await stream.send(word("more"))


async def test_unknown_services_and_methods(server: Server) -> None:
    service = MethodDescriptor("a.B", "Say", Kind.UNARY, StringValue, StringValue)
    method = MethodDescriptor("podshim.test.Echo", "Sing", Kind.UNARY, StringValue, StringValue)
    async with pair(server) as client:
        for descriptor, text in ((service, "service a.B"), (method, "method Sing")):
            with pytest.raises(StatusError) as caught:
                await client.call(descriptor, word("x"))
            assert (caught.value.code, caught.value.message) == (Code.UNIMPLEMENTED, text)
        assert await client.call(SAY, word("hi")) == word("hi!")


async def test_a_slow_call_holds_up_no_other(server: Server, echo: Echo) -> None:
    async with pair(server) as client:
        slow = asyncio.create_task(client.call(SAY, word("hold")))
        await eventually(lambda: echo.waiting == 1)
        calls = [client.call(SAY, word(str(number))) for number in range(100)]
        assert await asyncio.gather(*calls) == [word(f"{number}!") for number in range(100)]
        assert not slow.done()
        assert client.open_calls == server.calls == 1
        echo.release.set()
        assert await slow == word("hold!")
    assert echo.finished == 1


async def test_several_connections(server: Server) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(pair(server)) for _ in range(5)]
        assert server.connections == 5
        for client in clients:
            assert await client.call(SAY, word("hi")) == word("hi!")
    await eventually(lambda: server.connections == 0)


async def test_a_deadline_holds_at_both_ends(server: Server, echo: Echo) -> None:
    async with pair(server) as client:
        with pytest.raises(StatusError, match=r"^context deadline exceeded$") as caught:
            await client.call(SAY, word("hold"), timeout=0.02)
        assert caught.value.code is Code.DEADLINE_EXCEEDED
        await eventually(lambda: echo.cancelled == 1)
        assert client.open_calls == 0
        assert await client.call(SAY, word("hi"), timeout=DEADLINE) == word("hi!")
    deadline = echo.contexts[1].deadline
    assert deadline is not None
    assert 0 < deadline - asyncio.get_running_loop().time() <= DEADLINE


async def test_the_server_answers_at_the_deadline_whatever_the_handler_does(
    server: Server, echo: Echo
) -> None:
    text = b"context deadline exceeded"
    payload = b"\x0a\x11podshim.test.Echo\x12\x03Say\x1a\x0a\x0a\x08stubborn\x20\xc0\x84\x3d"
    async with raw_connection(server) as sock:
        await send(sock, len(payload).to_bytes(4, "big") + b"\0\0\0\1\1\0" + payload)
        stream_id, kind, flags, answer = await receive_frame(sock)
        assert (stream_id, kind, flags) == (1, 2, 0)
        assert answer == b"\x0a\x1d\x08\x04\x12\x19" + text
        assert server.calls == 1
        # What the handler returns in the end is nobody's: the next frame is another call's.
        echo.release.set()
        await eventually(lambda: server.calls == 0)
        payload = b"\x0a\x11podshim.test.Echo\x12\x03Say\x1a\x03\x0a\x01x"
        await send(sock, len(payload).to_bytes(4, "big") + b"\0\0\0\3\1\0" + payload)
        assert (await receive_frame(sock))[0] == 3


async def test_a_deadline_that_has_passed(server: Server, echo: Echo) -> None:
    async with pair(server) as client:
        for timeout in (0.0, -1.0):
            with pytest.raises(StatusError) as caught:
                await client.call(SAY, word("hi"), timeout=timeout)
            assert caught.value.code is Code.DEADLINE_EXCEEDED
    payload = b"\x0a\x11podshim.test.Echo\x12\x03Say\x20" + b"\xff" * 9 + b"\x01"
    async with raw_connection(server) as sock:
        await send(sock, len(payload).to_bytes(4, "big") + b"\0\0\0\1\1\0" + payload)
        assert (await receive_frame(sock))[3].endswith(b"context deadline exceeded")
    assert not echo.contexts


async def test_the_longest_deadline_there_is(server: Server, echo: Echo) -> None:
    async with pair(server) as client:
        assert await client.call(SAY, word("hi"), timeout=float("inf")) == word("hi!")
    deadline = echo.contexts[0].deadline
    assert deadline is not None
    assert deadline > 290 * 365 * 86400


async def test_a_deadline_of_a_stream(server: Server, echo: Echo) -> None:
    async with pair(server) as client:
        async with client.stream(SPELL, word("_"), timeout=0.02) as stream:
            with pytest.raises(StatusError) as caught:
                await anext(stream)
            assert caught.value.code is Code.DEADLINE_EXCEEDED
        await eventually(lambda: echo.cancelled == 1)


async def test_a_stream_that_goes_on_after_its_deadline_is_cut(server: Server, echo: Echo) -> None:
    async with pair(server) as client:
        async with client.stream(SPELL, word("~abc"), timeout=0.02) as stream:
            with pytest.raises(StatusError, match=r"^context deadline exceeded$"):
                await anext(stream)
        await eventually(lambda: echo.cancelled == 1 and server.calls == 0)
        assert await client.call(SAY, word("hi")) == word("hi!")


class Letters:
    """An async iterator that is no generator."""

    def __init__(self, letters: str) -> None:
        self.letters = iter(letters)

    def __aiter__(self) -> Letters:
        return self

    async def __anext__(self) -> StringValue:
        for letter in self.letters:
            return word(letter)
        raise StopAsyncIteration


async def test_a_handler_may_return_any_async_iterator() -> None:
    def spell(request: StringValue, _context: CallContext) -> Letters:
        return Letters(request.value)

    server = Server([Service(SPELL.service, {"Spell": (SPELL, spell)})])
    async with pair(server) as client, client.stream(SPELL, word("abc")) as stream:
        assert [each.value async for each in stream] == ["a", "b", "c"]


async def test_a_late_answer_is_dropped() -> None:
    async with raw_server() as (client, sock):
        call = asyncio.create_task(client.call(SAY, word("hi")))
        assert (await receive_frame(sock))[0] == 1
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert client.open_calls == 0
        call = asyncio.create_task(client.call(SAY, word("hi")))
        assert (await receive_frame(sock))[0] == 3
        await send(sock, b"\0\0\0\5\0\0\0\1\2\0\x12\x03\x0a\x01a")
        await send(sock, b"\0\0\0\5\0\0\0\3\2\0\x12\x03\x0a\x01b")
        assert await call == word("b")


async def test_oversize_requests_are_refused_here(server: Server) -> None:
    async with pair(server) as client:
        with pytest.raises(StatusError, match=r"exceed maximum message size of 4194304$") as caught:
            await client.call(BLOB, BytesValue(value=bytes(MAX_PAYLOAD)))
        assert caught.value.code is Code.RESOURCE_EXHAUSTED
        # Tags and lengths: 25 bytes for the names, 5 for the payload, 5 for the value.
        most = MAX_PAYLOAD - 35
        assert (await client.call(BLOB, BytesValue(value=bytes(most)))).value == bytes(10)
        with pytest.raises(StatusError, match=r"^message length 4194305 exceed"):
            await client.call(BLOB, BytesValue(value=bytes(most + 1)))


async def test_an_oversize_answer_fails_its_call_alone(server: Server, echo: Echo) -> None:
    async with pair(server) as client:
        other = asyncio.create_task(client.call(SAY, word("hold")))
        await eventually(lambda: echo.waiting == 1)
        with pytest.raises(StatusError, match=r"exceed maximum message size of 4194304$") as caught:
            await client.call(GROW, Int64Value(value=MAX_PAYLOAD))
        assert caught.value.code is Code.RESOURCE_EXHAUSTED
        most = MAX_PAYLOAD - 10
        assert len((await client.call(GROW, Int64Value(value=most))).value) == most
        echo.release.set()
        assert await other == word("hold!")


async def test_an_oversize_message_of_a_stream_leaves_it_as_it_is(server: Server) -> None:
    async with pair(server) as client, client.stream(JOIN) as stream:
        await stream.send(word("a"))
        with pytest.raises(StatusError, match="exceed maximum message size"):
            await stream.send(word("x" * MAX_PAYLOAD))
        await stream.send(word("b"))
        assert await stream.response() == word("a b")


async def test_calls_of_the_wrong_kind(server: Server) -> None:
    async with pair(server) as client:
        with pytest.raises(ValueError, match=r"^/podshim.test.Echo/Talk is a bidi: use stream$"):
            await client.call(TALK, word("x"))
        with pytest.raises(ValueError, match="use call"):
            client.stream(SAY, word("x"))
        with pytest.raises(ValueError, match="check the request argument"):
            client.stream(TALK, word("x"))
        with pytest.raises(ValueError, match="check the request argument"):
            client.stream(SPELL)
        stream = client.stream(SPELL, word("a"))
        with pytest.raises(RuntimeError, match="enter the stream first"):
            await anext(stream)
        async with stream:
            with pytest.raises(ProtocolError, match="cannot send data from non-streaming client"):
                await stream.send(word("x"))
            with pytest.raises(RuntimeError, match="entered once"):
                await stream.__aenter__()
        with pytest.raises(ProtocolError, match=r"^ttrpc: stream closed$"):
            await anext(stream)


async def test_one_reader_at_a_time(server: Server) -> None:
    async with pair(server) as client, client.stream(TALK) as stream:
        reader = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader at a time"):
            await anext(stream)
        await stream.send(word("a"))
        assert await reader == word("A")


async def test_a_server_that_ends_a_client_stream_without_a_response() -> None:
    async with raw_server() as (client, sock), client.stream(JOIN) as stream:
        response = asyncio.create_task(stream.response())
        await receive_frame(sock)
        await send(sock, b"\0\0\0\0\0\0\0\1\3\5")
        with pytest.raises(ProtocolError, match="received data from non-streaming server"):
            await response
