"""One asyncio connection under either end of ttrpc: what the client and the server share.

Theory of operation. A `Channel` is the `asyncio.Protocol` of one connection, on whatever transport
carries it. It feeds received bytes to the protocol core, hands the core's events to its subclass,
and writes what the core has to say. Its own job is that neither side can make it grow:

- A stream whose reader is behind (its inbox is full) stalls the connection: reading pauses until
  the reader takes a message, but for `stall_timeout` at most; then that stream fails and the rest
  goes on. ttrpc has no flow control on the wire, so one connection's streams share this fate.
- A peer that does not read fills the transport's write buffer. Then senders wait in `drain`, and a
  server pauses reading too, so that it takes on no work that would have to be answered; a client
  goes on reading, or the two could wait for each other. A peer that takes nothing at all for
  `write_timeout` is given up: the connection is aborted.

Everything runs on the event loop that the transport belongs to; nothing here may be called from
another thread.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol, cast

from podshim.ttrpc.events import MessageReceived, RemoteClosed, RequestReceived, StreamFailed
from podshim.ttrpc.status import ConnectionLost

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from podshim.ttrpc.events import Event
    from podshim.ttrpc.inbox import Inbox

#: How long one unread stream may hold up its connection (s).
STALL_TIMEOUT = 1.0
#: How long a peer may take nothing of what waits to be written to it (s).
WRITE_TIMEOUT = 30.0

log = logging.getLogger("podshim.ttrpc")


class Core(Protocol):
    """The part of a connection core that both ends have."""

    def receive_data(self, data: bytes) -> None:
        """Take received bytes."""

    def next_event(self) -> Event | None:
        """What they mean next."""

    def data_to_send(self) -> bytes:
        """What must be written now."""


class Channel(asyncio.Protocol):
    """One connection.

    Args:
        core: The protocol state.
        stall_timeout: How long an unread stream may hold up the others (s).
        write_timeout: How long the peer may take nothing of what is written (s).
    """

    #: Whether what is read must be answered, so that nothing is read while writing is unwelcome.
    answers = False

    def __init__(self, core: Core, *, stall_timeout: float, write_timeout: float) -> None:
        self._wire = core
        self._stall_timeout = stall_timeout
        self._write_timeout = write_timeout
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._lost = False
        #: The streams that are being read here, by id.
        self._inboxes: dict[int, Inbox[Message]] = {}
        #: The message that found its inbox full; no event is taken while there is one.
        self._stalled: MessageReceived | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        #: Set while writing is welcome, and when the connection is gone: nobody waits for ever.
        self._writable = asyncio.Event()
        self._written = 0
        self._write_timer: asyncio.TimerHandle | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The carrier has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._writable.set()
        if self._lost:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._wire.receive_data(data)
        self._pump()

    def eof_received(self) -> None:
        """The peer has closed: there is nobody to answer."""
        self.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is gone, for whatever reason."""
        self._lost = True
        self._transport = None
        self._stop_timers()
        self._writable.set()

    def pause_writing(self) -> None:
        """The transport's write buffer is full."""
        self._writable.clear()
        self._update_reading()
        self._watch_writing()

    def resume_writing(self) -> None:
        """The transport's write buffer has room again."""
        self._writable.set()
        self._update_reading()

    # What the two ends use.

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        return self._lost

    def abort(self) -> None:
        """End the connection now; what has not been written never is."""
        if self._transport is not None:
            self._transport.abort()

    def close_when_written(self) -> None:
        """End the connection when what waits to be written has been taken, or is given up."""
        if self._transport is not None:
            self._transport.close()
            self._watch_writing()

    def flush(self) -> None:
        """Write what the core has to say."""
        data = self._wire.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._written += len(data)
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the peer has taken enough for more to be written.

        Raises:
            ConnectionLost: There is no connection, or it ended.
        """
        while not self._writable.is_set() and not self._lost:
            await self._writable.wait()
        if self._transport is None or self._transport.is_closing():
            raise ConnectionLost

    def _forget(self, stream_id: int) -> None:
        """Keep nothing of a stream that is over or given up, a stalled message included."""
        self._inboxes.pop(stream_id, None)
        if self._stalled is not None and self._stalled.stream_id == stream_id:
            self._end_stall()

    # What a subclass adds.

    @abstractmethod
    def _request_received(self, event: RequestReceived) -> None:
        """A client has called a method."""

    @abstractmethod
    def _stream_ended(self, stream_id: int, error: Exception | None) -> None:
        """The peer says no more on this stream, or it has failed and the core has ended it."""

    @abstractmethod
    def _stream_overflowed(self, stream_id: int) -> None:
        """The reader of this stream took nothing for too long: end it."""

    # Inside.

    def _pump(self) -> None:
        """Hand on the events that there are, as far as the readers keep up."""
        while self._stalled is None and (event := self._wire.next_event()) is not None:
            self._handle(event)
        self.flush()

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._request_received(event)
            case MessageReceived():
                inbox = self._inboxes.get(event.stream_id)
                if inbox is not None and inbox.full and not self._lost:
                    self._begin_stall(event)
                else:
                    self._deliver(event)
            case RemoteClosed(stream_id):
                self._stream_ended(stream_id, None)
            case StreamFailed(stream_id, error):
                self._stream_ended(stream_id, error)

    def _deliver(self, event: MessageReceived) -> None:
        inbox = self._inboxes.get(event.stream_id)
        if inbox is not None:
            inbox.put(event.message)
            if event.last:
                self._stream_ended(event.stream_id, None)

    def _begin_stall(self, event: MessageReceived) -> None:
        self._stalled = event
        self._stall_timer = self._loop.call_later(self._stall_timeout, self._stall_expired)
        self._update_reading()

    def _has_room(self, stream_id: int) -> None:
        """The inbox of this stream was full and is not any more."""
        event = self._stalled
        if event is not None and event.stream_id == stream_id:
            self._deliver(event)
            self._end_stall()

    def _stall_expired(self) -> None:
        if self._stalled is not None:
            self._stream_overflowed(self._stalled.stream_id)
            self._end_stall()

    def _end_stall(self) -> None:
        if self._stalled is None:
            return
        self._stalled = None
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        # Not from here: a reader or a failing stream is in the middle of something.
        self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._lost:
            self._pump()
            self._update_reading()

    def _update_reading(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._stalled is None and (self._writable.is_set() or not self.answers):
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _watch_writing(self) -> None:
        """See to it that what waits to be written is taken, or the connection given up."""
        if self._write_timer is None and self._transport is not None:
            self._write_timer = self._loop.call_later(
                self._write_timeout, self._check_writing, self._taken()
            )

    def _taken(self) -> int:
        """How many bytes the kernel has taken of all that was written."""
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._written - waiting

    def _check_writing(self, taken_before: int) -> None:
        self._write_timer = None
        if self._transport is None:
            return
        if self._writable.is_set() and not self._transport.is_closing():
            return
        if self._taken() > taken_before:
            self._watch_writing()
            return
        log.warning("ttrpc: a peer took nothing for %g s: closing", self._write_timeout)
        self._transport.abort()

    def _stop_timers(self) -> None:
        for timer in (self._stall_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._stall_timer = self._write_timer = None
