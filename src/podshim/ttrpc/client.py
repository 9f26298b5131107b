"""The asyncio client: calls over one connection.

Theory of operation. A `Client` is the protocol of one connection; `podshim.transport` makes it.
Any number of tasks may call at once; answers find their callers by stream id, in whatever order
they come. A call ends with a result or with one of three errors: `StatusError` (the server's
answer, or the local refusal of too large a message, or a deadline that passed), `ConnectionLost`
(no answer will come; the server may or may not have acted) or `ProtocolError`.

A deadline is sent along and kept here as well. A call that is cancelled is forgotten: ttrpc can't
tell the server, and a late answer is dropped without a word. There is no reconnecting: when the
connection is gone, every call, begun or new, fails with `ConnectionLost`, after the messages that
had come before.
"""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, cast

from podshim.errors import Code
from podshim.ttrpc.channel import STALL_TIMEOUT, WRITE_TIMEOUT, Channel
from podshim.ttrpc.client_connection import ClientConnection
from podshim.ttrpc.inbox import LIMIT, Inbox
from podshim.ttrpc.service import Kind, Req, Res
from podshim.ttrpc.status import ConnectionLost, ProtocolError, StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
    from types import TracebackType
    from typing import Self, TypeAlias

    from google.protobuf.message import Message

    from podshim.ttrpc.events import RequestReceived
    from podshim.ttrpc.service import MethodDescriptor

    Metadata: TypeAlias = Mapping[str, str | Iterable[str]]

#: The longest timeout that the wire can carry (s): an int64 of nanoseconds, 292 years.
_LONGEST = (1 << 63) // 10**9 - 1


class Client(Channel):
    """One connection to a server. Make it in a running event loop, on that loop's thread.

    Args:
        stall_timeout: How long an unread stream may hold up the other calls (s).
        write_timeout: After how long a server that takes nothing is given up (s).
    """

    def __init__(
        self, *, stall_timeout: float = STALL_TIMEOUT, write_timeout: float = WRITE_TIMEOUT
    ) -> None:
        self._core = ClientConnection()
        super().__init__(self._core, stall_timeout=stall_timeout, write_timeout=write_timeout)
        self._closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def closed(self) -> Awaitable[None]:
        """Done when the connection has ended, whoever ended it; any number may wait for it."""
        return asyncio.shield(self._closed)

    @property
    def open_calls(self) -> int:
        """How many calls wait for an answer."""
        return len(self._inboxes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.closed

    def close(self) -> None:
        """End the connection now; calls that wait fail with `ConnectionLost`."""
        if self._transport is None:
            self.connection_lost(None)
        self.abort()
        self._fail_all()

    async def call(
        self,
        method: MethodDescriptor[Req, Res],
        request: Req,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is sent to the server as well
        metadata: Metadata | None = None,
    ) -> Res:
        """Call a unary method.

        Args:
            method: What to call.
            request: What to send.
            timeout: How long the call may take, here and at the server (s); None for no limit.
            metadata: What to send along: a key's value or values. Keys become lower case.

        Returns:
            The response.

        Raises:
            StatusError: The server's answer, or DEADLINE_EXCEEDED, or RESOURCE_EXHAUSTED for a
                request that is too large.
            ConnectionLost: The connection has ended.
            ProtocolError: The server sent what is no answer to a unary call.
            ValueError: The method is not unary.
            TypeError: The request is not of the method's class.
        """
        if method.kind is not Kind.UNARY:
            raise ValueError(f"{method} is a {method.kind.value}: use stream")
        deadline = None if timeout is None else self._loop.time() + timeout
        async with _Until(deadline):
            stream_id, inbox = await self.begin(method, request, deadline, metadata)
            try:
                return cast("Res", await anext(inbox))
            finally:
                self.drop(stream_id)

    def stream(
        self,
        method: MethodDescriptor[Req, Res],
        request: Req | None = None,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> ClientStream[Req, Res]:
        """Prepare a call of a streaming method; it begins when the stream is entered.

            async with client.stream(WATCH, WatchRequest()) as stream:
                async for change in stream:
                    ...

        Args:
            method: What to call.
            request: The request message if the client does not stream.
            timeout: As for `call`, for the whole of the stream.
            metadata: As for `call`.

        Raises:
            ValueError: The method is unary, or the request is given or not against its kind.
        """
        if method.kind is Kind.UNARY:
            raise ValueError(f"{method} is unary: use call")
        if method.kind.client_streams is (request is not None):
            raise ValueError(f"{method} is a {method.kind.value}: check the request argument")
        return ClientStream(self, method, request, timeout, metadata)

    # What asyncio calls.

    def connection_lost(self, error: Exception | None) -> None:
        """Deliver what has come, fail the calls that are left."""
        super().connection_lost(error)
        if self._stalled is not None:
            self._deliver(self._stalled)
            self._stalled = None
        self._pump()
        self._fail_all()
        if not self._closed.done():
            self._closed.set_result(None)

    # What the channel asks for.

    def _request_received(self, event: RequestReceived) -> None:
        raise AssertionError(f"a client core has no {event}")

    def _stream_ended(self, stream_id: int, error: Exception | None) -> None:
        inbox = self._inboxes.get(stream_id)
        self._forget(stream_id)
        if inbox is not None:
            inbox.end(error)

    def _stream_overflowed(self, stream_id: int) -> None:
        self._core.drop(stream_id)
        error = StatusError(Code.RESOURCE_EXHAUSTED, "ttrpc: stream buffer full")
        self._stream_ended(stream_id, error)

    # What a call is made of; `call` and `ClientStream` put these together.

    async def begin(
        self,
        method: MethodDescriptor[Any, Any],  # Any: the core checks the message
        request: Message | None,
        deadline: float | None,
        metadata: Metadata | None,
    ) -> tuple[int, Inbox[Message]]:
        """Send the request when the connection takes more; `drop` what this returns.

        Args:
            method: What to call.
            request: The request message; None when the client streams.
            deadline: When the call shall end (loop time), or None.
            metadata: What to send along.

        Returns:
            The stream's id, and where its messages will come in.
        """
        await self.drain()
        timeout_nano = 0
        if deadline is not None:
            remaining = min(deadline - self._loop.time(), _LONGEST)
            if remaining <= 0:
                raise _expired()
            timeout_nano = math.ceil(remaining * 1e9)
        # No await from here on: ids must rise in the order of writing.
        stream_id = self._core.open(method, request, timeout_nano=timeout_nano, metadata=metadata)
        inbox: Inbox[Message] = Inbox(LIMIT, partial(self._has_room, stream_id))
        self._inboxes[stream_id] = inbox
        self.flush()
        return stream_id, inbox

    def send(self, stream_id: int, message: Message) -> None:
        """Send a message on a stream; `drain` first."""
        self._core.send_message(stream_id, message)
        self.flush()

    def close_send(self, stream_id: int) -> None:
        """Half-close a stream."""
        self._core.close_send(stream_id)
        self.flush()

    def drop(self, stream_id: int) -> None:
        """Forget a call, over or not."""
        self._core.drop(stream_id)
        self._forget(stream_id)

    def _fail_all(self) -> None:
        for stream_id in list(self._inboxes):
            self._core.drop(stream_id)
            self._stream_ended(stream_id, ConnectionLost())


class ClientStream(Generic[Req, Res]):
    """A call of a streaming method, from entering to leaving its `async with` block.

    Sending and receiving may go on in two tasks at once; each by one task at a time. Leaving the
    block before the server has ended the stream gives it up: the server is not told, because
    ttrpc can't. Made by `Client.stream`.
    """

    def __init__(
        self,
        client: Client,
        method: MethodDescriptor[Req, Res],
        request: Req | None,
        timeout: float | None,
        metadata: Metadata | None,
    ) -> None:
        self._client = client
        self._method = method
        self._request = request
        self._timeout = timeout
        self._metadata = metadata
        self._deadline: float | None = None
        self._stream_id = 0
        self._messages: Inbox[Message] | None = None

    async def __aenter__(self) -> Self:
        """Begin the call.

        Raises:
            StatusError: The request is too large, or the deadline has passed.
            ConnectionLost: The connection has ended.
            RuntimeError: The stream was entered before.
        """
        if self._messages is not None:
            raise RuntimeError("a stream is entered once")
        if self._timeout is not None:
            self._deadline = asyncio.get_running_loop().time() + self._timeout
        async with _Until(self._deadline):
            self._stream_id, self._messages = await self._client.begin(
                self._method, self._request, self._deadline, self._metadata
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.drop(self._stream_id)
        self._inbox.end(ProtocolError("ttrpc: stream closed"))

    @property
    def _inbox(self) -> Inbox[Message]:
        if self._messages is None:
            raise RuntimeError("enter the stream first: async with client.stream(...)")
        return self._messages

    async def send(self, message: Req) -> None:
        """Send a message, when the connection takes more.

        Raises:
            StatusError: The message is too large, and was not sent; the deadline has passed; or
                what the server has ended the stream with.
            ConnectionLost: The connection has ended.
            ProtocolError: The client does not stream, has half-closed, or the stream is over.
        """
        await self._ready()
        self._client.send(self._stream_id, message)

    async def close_send(self) -> None:
        """Tell the server that no further message follows (half-close).

        There is nothing to tell, and no error, when the server has ended the stream well.

        Raises:
            As `send`.
        """
        await self._ready()
        if not self._inbox.ended:
            self._client.close_send(self._stream_id)

    async def _ready(self) -> None:
        inbox = self._inbox
        async with _Until(self._deadline):
            await self._client.drain()
        if inbox.error is not None:
            raise inbox.error

    async def response(self) -> Res:
        """Half-close, and wait for the one response of a client stream.

        Raises:
            As `send`, and ProtocolError if the stream has ended without a response, or it has
                been taken already.
        """
        await self.close_send()
        async for message in self:
            return message
        raise ProtocolError("the stream has ended without a response: protocol error")

    def __aiter__(self) -> AsyncIterator[Res]:
        return self

    async def __anext__(self) -> Res:
        """The next message of the server; the iteration ends when the server ends the stream.

        Raises:
            StatusError: What the server has ended the stream with; DEADLINE_EXCEEDED; or
                RESOURCE_EXHAUSTED when messages came and were not read.
            ConnectionLost: The connection has ended.
            ProtocolError: The server broke the protocol.
        """
        inbox = self._inbox
        async with _Until(self._deadline):
            return cast("Res", await anext(inbox))


def _expired() -> StatusError:
    return StatusError(Code.DEADLINE_EXCEEDED, "context deadline exceeded")


class _Until:
    """Cancels its block at a deadline (loop time), and raises DEADLINE_EXCEEDED instead."""

    __slots__ = ("_scope",)

    def __init__(self, deadline: float | None) -> None:
        self._scope = asyncio.timeout_at(deadline)

    async def __aenter__(self) -> None:
        await self._scope.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._scope.__aexit__(kind, error, trace)
        except TimeoutError:
            raise _expired() from None
