"""The client's end of one connection, without I/O.

Theory of operation. `open` begins a call and gives its stream id; ids are odd and rise, so what
`data_to_send` gives must be written in order. Bytes from the server go into `receive_data`;
`next_event` then says what they mean, stream by stream. A call that the caller has given up is
`drop`ped: the protocol has no way to tell the server, and what it still sends is ignored, as is
everything on ids that are not, or no longer, in use.

It starts nothing, waits for nothing and reads no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podshim.errors import Code
from podshim.ttrpc import frames
from podshim.ttrpc.envelope import decode_response, encode_request, marshal, unmarshal
from podshim.ttrpc.events import MessageReceived, RemoteClosed, StreamFailed
from podshim.ttrpc.frames import DATA, NO_DATA, REMOTE_CLOSED, REMOTE_OPEN, REQUEST, RESPONSE
from podshim.ttrpc.service import Kind
from podshim.ttrpc.status import ConnectionLost, ProtocolError, StatusError
from podshim.ttrpc.streams import Move, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.message import Message

    from podshim.ttrpc.events import Event
    from podshim.ttrpc.frames import Frame, Oversize
    from podshim.ttrpc.service import MethodDescriptor

_LAST_ID = (1 << 32) - 1
_NAMES = {REQUEST: "request", RESPONSE: "response", DATA: "data"}


class ClientConnection:
    """The protocol state of one connection to a server."""

    __slots__ = ("_decoder", "_next_id", "_output", "_streams")

    def __init__(self) -> None:
        self._decoder = frames.Decoder()
        self._streams: dict[int, Stream] = {}
        self._next_id = 1
        self._output: list[bytes] = []

    @property
    def open_streams(self) -> int:
        """How many calls have neither ended nor been dropped."""
        return len(self._streams)

    @property
    def buffered(self) -> int:
        """How many received bytes are kept."""
        return self._decoder.buffered

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes from the server; then take events until there is none."""
        self._decoder.feed(data)

    def next_event(self) -> Event | None:
        """What the received bytes mean next, or None when more are needed."""
        while (frame := self._decoder.next_frame()) is not None:
            stream = self._streams.get(frame.stream_id)
            if stream is None:
                continue
            try:
                event = self._receive(stream, frame)
            except (StatusError, ProtocolError) as error:
                self._end(stream)
                event = StreamFailed(frame.stream_id, error)
            if event is not None:
                return event
        return None

    def data_to_send(self) -> bytes:
        """Take what must be written to the server now."""
        output, self._output = self._output, []
        return output[0] if len(output) == 1 else b"".join(output)

    def open(
        self,
        method: MethodDescriptor[Any, Any],  # Any: the message is checked below
        message: Message | None = None,
        *,
        timeout_nano: int = 0,
        metadata: Mapping[str, str | Iterable[str]] | None = None,
    ) -> int:
        """Begin a call.

        Args:
            method: What to call.
            message: The request message; None when the client streams.
            timeout_nano: The time that the server may take (ns), 0 for no limit.
            metadata: What to send along.

        Returns:
            The stream's id.

        Raises:
            StatusError: The message is too large, or missing; nothing was sent.
            TypeError: The message is not the method's.
            ValueError: A message was given to a method whose client streams.
            ConnectionLost: All stream ids have been used; a new connection is needed.
        """
        stream_id = self._next_id
        if stream_id > _LAST_ID:
            raise ConnectionLost
        if not method.kind.client_streams:
            payload = marshal(message, method.request)
            flags = 0 if method.kind is Kind.UNARY else REMOTE_CLOSED
        elif message is None:
            payload = b""
            flags = REMOTE_OPEN
        else:
            raise ValueError(f"{method} takes its messages after the request")
        request = encode_request(method.service, method.name, payload, timeout_nano, metadata or {})
        self._send(stream_id, REQUEST, flags, request)
        self._next_id += 2
        self._streams[stream_id] = Stream(stream_id, method)
        return stream_id

    def send_message(self, stream_id: int, message: Message) -> None:
        """Send one of a client stream's messages.

        Raises:
            StatusError: It is too large, or no message; nothing was sent.
            ProtocolError: The method's client does not stream, has half-closed, or the stream is
                over.
        """
        stream = self._stream(stream_id)
        if not stream.method.kind.client_streams:
            raise ProtocolError("protocol error: cannot send data from non-streaming client")
        if not stream.allows(Move.CLIENT_MESSAGE):
            raise ProtocolError("ttrpc: stream closed")
        payload = marshal(message, stream.method.request)
        self._send(stream_id, DATA, 0, payload)

    def close_send(self, stream_id: int) -> None:
        """Say that no further message follows (half-close); a second time does nothing.

        Raises:
            ProtocolError: The method's client does not stream, or the stream is over.
        """
        stream = self._stream(stream_id)
        if not stream.method.kind.client_streams:
            raise ProtocolError("protocol error: cannot close non-streaming client")
        if stream.allows(Move.CLIENT_MESSAGE):
            self._send(stream_id, DATA, REMOTE_CLOSED | NO_DATA, b"")
        stream.move(Move.CLIENT_CLOSE)

    def drop(self, stream_id: int) -> None:
        """Forget a call; what the server still sends for it is ignored."""
        self._streams.pop(stream_id, None)

    def _stream(self, stream_id: int) -> Stream:
        try:
            return self._streams[stream_id]
        except KeyError:
            raise ProtocolError("ttrpc: stream closed") from None

    def _end(self, stream: Stream) -> None:
        stream.move(Move.SERVER_END)
        del self._streams[stream.stream_id]

    def _send(self, stream_id: int, kind: int, flags: int, payload: bytes) -> None:
        try:
            self._output.append(frames.encode(stream_id, kind, flags, payload))
        except frames.OversizeError as error:
            raise StatusError(Code.RESOURCE_EXHAUSTED, str(error)) from error

    def _receive(self, stream: Stream, frame: Frame | Oversize) -> Event | None:
        if isinstance(frame, frames.Oversize):
            raise StatusError(Code.RESOURCE_EXHAUSTED, frames.oversize_text(frame.length))
        if frame.kind == RESPONSE:
            return self._receive_response(stream, frame)
        if frame.kind != DATA or stream.method.kind is Kind.UNARY:
            name = _NAMES.get(frame.kind, "unknown")
            raise ProtocolError(f'unexpected "{name}" message received: protocol error')
        if not stream.allows(Move.SERVER_MESSAGE):
            raise ProtocolError("received data from non-streaming server: protocol error")
        last = bool(frame.flags & REMOTE_CLOSED)
        message = None
        if not frame.flags & NO_DATA:
            message = unmarshal(frame.payload, stream.method.response)
            stream.move(Move.SERVER_MESSAGE)
        if last:
            self._end(stream)
        if message is not None:
            return MessageReceived(stream.stream_id, message, last)
        return RemoteClosed(stream.stream_id) if last else None

    def _receive_response(self, stream: Stream, frame: Frame) -> Event:
        payload = decode_response(frame.payload)
        if stream.method.kind.server_streams and not payload:
            self._end(stream)
            return RemoteClosed(stream.stream_id)
        message = unmarshal(payload, stream.method.response)
        self._end(stream)
        return MessageReceived(stream.stream_id, message, last=True)
