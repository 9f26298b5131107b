"""One connection of a server: requests become tasks, what they return becomes answers.

Theory of operation. A call's task is cancelled when its deadline passes, when its stream fails and
when the connection ends. In the first case the client is answered at once, without waiting for
what the handler does on its way out; in the others there is nobody to answer. From then on the
call is over, and whatever its handler still returns or raises is nobody's business but the log's.

What a handler raises becomes a status in one place, `ServerChannel._run`. An answer that is too
large fails its own call, and nothing else.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from podshim.errors import Code, ShimError, status_of
from podshim.ttrpc.channel import Channel, log
from podshim.ttrpc.inbox import LIMIT, Inbox
from podshim.ttrpc.service import CallContext
from podshim.ttrpc.status import ConnectionLost, StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from google.protobuf.message import Message

    from podshim.ttrpc.events import RequestReceived
    from podshim.ttrpc.server_connection import ServerConnection
    from podshim.ttrpc.service import Peer


class Roster:
    """The connections and the running handlers of one server.

    `idle` is set while there are none of either. Once `closing`, a connection is closed when it
    has no call.
    """

    def __init__(self) -> None:
        self.channels: set[ServerChannel] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.closing = False
        self.idle = asyncio.Event()
        self.idle.set()

    def add(self, channel: ServerChannel) -> None:
        """A connection has been made."""
        self.channels.add(channel)
        self.idle.clear()

    def remove(self, channel: ServerChannel) -> None:
        """A connection has ended."""
        self.channels.discard(channel)
        self._update()

    def add_task(self, task: asyncio.Task[None]) -> None:
        """A handler runs; this is the reference that keeps it from being collected."""
        self.tasks.add(task)
        self.idle.clear()
        task.add_done_callback(self._remove_task)

    def _remove_task(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self._update()

    def _update(self) -> None:
        if not self.channels and not self.tasks:
            self.idle.set()


class Call:
    """A call that has begun on a connection and has not been answered to the end."""

    __slots__ = ("over", "request", "requests", "task", "timer")

    def __init__(self, request: RequestReceived) -> None:
        self.request = request
        #: What the client streams, if it does.
        self.requests: Inbox[Message] | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        #: Whether the client has been told the end, or is gone; the handler may still be running.
        self.over = False


class ServerChannel(Channel):
    """One connection from a client. Made by `Server.protocol`.

    Args:
        core: The protocol state.
        roster: The server's book of connections and handlers.
        peer: Who is at the other end.
        stall_timeout: How long an unread stream may hold up the others (s).
        write_timeout: After how long a client that takes nothing is given up (s).
    """

    answers = True

    def __init__(
        self,
        core: ServerConnection,
        roster: Roster,
        peer: Peer | None,
        *,
        stall_timeout: float,
        write_timeout: float,
    ) -> None:
        super().__init__(core, stall_timeout=stall_timeout, write_timeout=write_timeout)
        self._core = core
        self._roster = roster
        self._peer = peer
        self._calls: dict[int, Call] = {}

    def close_if_idle(self) -> None:
        """Close the connection if it has no call, after what waits to be written."""
        if not self._calls:
            self.close_when_written()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client is there; a server that is closing sends it away."""
        super().connection_made(transport)
        self._roster.add(self)
        if self._roster.closing:
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone: end what runs for it."""
        super().connection_lost(error)
        for call in list(self._calls.values()):
            self._end(call, ConnectionLost())
            self._cancel(call)
        self._roster.remove(self)

    # What the channel asks for.

    def _request_received(self, event: RequestReceived) -> None:
        call = Call(event)
        self._calls[event.stream_id] = call
        deadline = None
        if event.timeout_nano < 0:
            self._expire(call)
            return
        if event.timeout_nano > 0:
            deadline = self._loop.time() + event.timeout_nano / 1e9
            call.timer = self._loop.call_at(deadline, self._expire, call)
        if event.method.kind.client_streams:
            call.requests = Inbox(LIMIT, partial(self._has_room, event.stream_id))
            self._inboxes[event.stream_id] = call.requests
            if event.message is not None:
                call.requests.put(event.message)
            if event.last:
                call.requests.end()
        context = CallContext(event.metadata, deadline, self._peer)
        call.task = self._loop.create_task(self._run(call, context), name=f"ttrpc {event.method}")
        self._roster.add_task(call.task)

    def _stream_ended(self, stream_id: int, error: Exception | None) -> None:
        call = self._calls[stream_id]
        if error is not None:
            self._end(call, error)
            self._cancel(call)
        elif call.requests is not None:
            call.requests.end()

    def _stream_overflowed(self, stream_id: int) -> None:
        text = "data handling error: ttrpc: stream buffer full"
        call = self._calls[stream_id]
        self._fail(call, StatusError(Code.INVALID_ARGUMENT, text))
        self._cancel(call)

    # The life of a call.

    async def _run(self, call: Call, context: CallContext) -> None:
        """Run the handler; the one place where an exception becomes a status."""
        try:
            await self._serve(call, context)
        except asyncio.CancelledError:
            self._fail(call, StatusError(Code.CANCELLED, "context canceled"))
            raise
        except StatusError as error:
            self._fail(call, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must be told
            code, text = status_of(error)
            if code is Code.UNKNOWN and not isinstance(error, ShimError):
                log.error("ttrpc: %s failed", call.request.method, exc_info=error)
            self._fail(call, StatusError(code, text))

    async def _serve(self, call: Call, context: CallContext) -> None:
        request = call.request
        argument = request.message if call.requests is None else call.requests
        result = request.handler(argument, context)
        if request.method.kind.server_streams:
            # Any: the descriptor's kind says which of the two a handler gives.
            responses = cast("AsyncIterator[Any]", result)
            try:
                async for response in responses:
                    if not await self._ready(call):
                        return
                    self._core.send_message(request.stream_id, response)
                    self.flush()
            finally:
                if (aclose := getattr(responses, "aclose", None)) is not None:
                    await aclose()
            response = None
        else:
            response = await cast("Awaitable[Any]", result)
        if await self._ready(call):
            self._core.finish(request.stream_id, response)
            self._end(call)
            self.flush()

    async def _ready(self, call: Call) -> bool:
        """Wait until the client takes more. Returns whether it still wants to hear of this call."""
        try:
            await self.drain()
        except ConnectionLost:
            return False
        return not call.over

    def _expire(self, call: Call) -> None:
        """The call's deadline has passed."""
        self._fail(call, StatusError(Code.DEADLINE_EXCEEDED, "context deadline exceeded"))
        self._cancel(call)

    def _fail(self, call: Call, error: StatusError) -> None:
        """Answer with an error, unless the call is over."""
        if not call.over:
            self._core.fail(call.request.stream_id, error)
            self._end(call, error)
            self.flush()

    def _end(self, call: Call, error: Exception | None = None) -> None:
        """The call is over: nothing more is sent or received for it."""
        call.over = True
        stream_id = call.request.stream_id
        del self._calls[stream_id]
        self._forget(stream_id)
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        if call.requests is not None:
            call.requests.end(error)
        if self._roster.closing:
            # Not from here: what ends the call is about to be written.
            self._loop.call_soon(self.close_if_idle)

    @staticmethod
    def _cancel(call: Call) -> None:
        if call.task is not None:
            call.task.cancel()
