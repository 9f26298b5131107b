"""The server's end of one connection, without I/O.

Theory of operation. Three things drive it: bytes from the client (`receive_data`, then
`next_event` until there is none), what handlers do (`send_message`, `finish`, `fail`), and the end
of the connection, after which it is simply dropped. What must be written comes out of
`data_to_send` after any of these. It starts nothing, waits for nothing and reads no clock.

Rules, beyond those of the stream table:
- Every frame is checked in this order: size, odd id, Data on a known id, Request on a new and
  higher id. Each refusal is an error status on the offending id, and the connection goes on.
- An error status ends its stream, if there is one: nothing is sent on an id after its closing
  frame. The user is told by `StreamFailed` and owes that stream nothing more.
- A frame of an unknown type is ignored.
- There is a limit to the calls that one connection may have open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from podshim.api import ttrpc_pb2
from podshim.errors import Code
from podshim.ttrpc import frames
from podshim.ttrpc.envelope import (
    encode_response,
    encode_status,
    marshal,
    metadata_of,
    unmarshal,
)
from podshim.ttrpc.events import MessageReceived, RemoteClosed, RequestReceived, StreamFailed
from podshim.ttrpc.frames import DATA, NO_DATA, REMOTE_CLOSED, REQUEST, RESPONSE
from podshim.ttrpc.status import ProtocolError, StatusError
from podshim.ttrpc.streams import Move, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from podshim.ttrpc.events import Event
    from podshim.ttrpc.frames import Frame, Oversize
    from podshim.ttrpc.service import Service

#: How many calls one connection may have open unless the server says otherwise. containerd keeps
#: one `Wait` for every process; nobody comes near.
MAX_STREAMS = 16384


class ServerConnection:
    """The protocol state of one connection from a client.

    Args:
        services: What is served, by name.
        max_streams: How many calls may be open at once; more are refused (RESOURCE_EXHAUSTED).
    """

    __slots__ = ("_decoder", "_highest_id", "_max_streams", "_output", "_services", "_streams")

    def __init__(self, services: Mapping[str, Service], *, max_streams: int = MAX_STREAMS) -> None:
        self._services = services
        self._max_streams = max_streams
        self._decoder = frames.Decoder()
        self._streams: dict[int, Stream] = {}
        self._highest_id = 0
        self._output: list[bytes] = []

    @property
    def open_streams(self) -> int:
        """How many calls have begun and have not been ended."""
        return len(self._streams)

    @property
    def buffered(self) -> int:
        """How many received bytes are kept."""
        return self._decoder.buffered

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes from the client; then take events until there is none."""
        self._decoder.feed(data)

    def next_event(self) -> Event | None:
        """What the received bytes mean next, or None when more are needed."""
        while (frame := self._decoder.next_frame()) is not None:
            try:
                event = self._receive(frame)
            except StatusError as error:
                event = self._refuse(frame.stream_id, error)
            if event is not None:
                return event
        return None

    def data_to_send(self) -> bytes:
        """Take what must be written to the client now."""
        output, self._output = self._output, []
        return output[0] if len(output) == 1 else b"".join(output)

    def send_message(self, stream_id: int, message: Message) -> None:
        """Send one of a server stream's messages.

        Raises:
            StatusError: It is too large, or no message; nothing was sent, the stream goes on.
            ProtocolError: The stream is over or is not a server stream.
        """
        stream = self._stream(stream_id)
        payload = marshal(message, stream.method.response)
        if not stream.allows(Move.SERVER_MESSAGE):
            raise ProtocolError(f"a {stream.method.kind.value} method has one response")
        self._send(stream_id, DATA, 0, payload)

    def finish(self, stream_id: int, response: Message | None = None) -> None:
        """End a call well.

        Args:
            stream_id: The call's stream.
            response: The response, unless the method streams them.

        Raises:
            StatusError: The response is too large or missing; nothing was sent.
            ProtocolError: The stream is over.
        """
        stream = self._stream(stream_id)
        if stream.method.kind.server_streams:
            self._send(stream_id, DATA, REMOTE_CLOSED | NO_DATA, b"")
        else:
            payload = encode_response(marshal(response, stream.method.response))
            self._send(stream_id, RESPONSE, 0, payload)
        self._end(stream)

    def fail(self, stream_id: int, error: StatusError) -> None:
        """End a call with an error status.

        Raises:
            ProtocolError: The stream is over.
        """
        stream = self._stream(stream_id)
        self._send(stream_id, RESPONSE, 0, encode_status(error))
        self._end(stream)

    def _stream(self, stream_id: int) -> Stream:
        try:
            return self._streams[stream_id]
        except KeyError:
            raise ProtocolError(f"stream {stream_id} is over") from None

    def _end(self, stream: Stream) -> None:
        stream.move(Move.SERVER_END)
        del self._streams[stream.stream_id]

    def _send(self, stream_id: int, kind: int, flags: int, payload: bytes) -> None:
        try:
            self._output.append(frames.encode(stream_id, kind, flags, payload))
        except frames.OversizeError as error:
            raise StatusError(Code.RESOURCE_EXHAUSTED, str(error)) from error

    def _refuse(self, stream_id: int, error: StatusError) -> StreamFailed | None:
        """Answer a frame that breaks a rule, and end the stream that it names."""
        stream = self._streams.get(stream_id)
        self._send(stream_id, RESPONSE, 0, encode_status(error))
        if stream is None:
            return None
        self._end(stream)
        return StreamFailed(stream_id, error)

    def _receive(self, frame: Frame | Oversize) -> Event | None:
        if isinstance(frame, frames.Oversize):
            raise StatusError(Code.RESOURCE_EXHAUSTED, frames.oversize_text(frame.length))
        if frame.stream_id % 2 == 0:
            raise _invalid("StreamID must be odd for client initiated streams")
        if frame.kind == DATA:
            return self._receive_message(frame)
        if frame.kind == REQUEST:
            return self._receive_request(frame)
        return None

    def _receive_message(self, frame: Frame) -> Event | None:
        stream = self._streams.get(frame.stream_id)
        if stream is None:
            raise _invalid("StreamID is no longer active")
        closes = bool(frame.flags & REMOTE_CLOSED)
        carries = not frame.flags & NO_DATA
        if carries and not stream.allows(Move.CLIENT_MESSAGE):
            raise _invalid("data handling error: ttrpc: stream closed")
        if closes and frame.payload:
            raise _invalid("data close message cannot include data")
        if carries:
            message = unmarshal(frame.payload, stream.method.request)
            stream.move(Move.CLIENT_MESSAGE)
            if closes:
                stream.move(Move.CLIENT_CLOSE)
            return MessageReceived(frame.stream_id, message, last=closes)
        if closes:
            was_open = stream.allows(Move.CLIENT_MESSAGE)
            stream.move(Move.CLIENT_CLOSE)
            return RemoteClosed(frame.stream_id) if was_open else None
        return None

    def _receive_request(self, frame: Frame) -> RequestReceived:
        if frame.stream_id <= self._highest_id:
            raise _invalid("StreamID cannot be re-used and must increment")
        self._highest_id = frame.stream_id
        try:
            request = ttrpc_pb2.Request.FromString(frame.payload)
        except DecodeError as error:
            raise _invalid(f"unmarshal request error: {error}") from error
        service = self._services.get(request.service)
        if service is None:
            raise StatusError(Code.UNIMPLEMENTED, f"service {request.service}")
        if request.method not in service.methods:
            raise StatusError(Code.UNIMPLEMENTED, f"method {request.method}")
        if len(self._streams) >= self._max_streams:
            text = f"too many calls open on one connection (limit {self._max_streams})"
            raise StatusError(Code.RESOURCE_EXHAUSTED, text)
        method, handler = service.methods[request.method]
        message = None
        if request.payload or not method.kind.client_streams:
            message = unmarshal(request.payload, method.request)
        stream = Stream(frame.stream_id, method)
        if frame.flags & REMOTE_CLOSED:
            stream.move(Move.CLIENT_CLOSE)
        self._streams[frame.stream_id] = stream
        return RequestReceived(
            stream_id=frame.stream_id,
            method=method,
            handler=handler,
            message=message,
            last=not stream.allows(Move.CLIENT_MESSAGE),
            timeout_nano=request.timeout_nano,
            metadata=metadata_of(request),
        )


def _invalid(text: str) -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, text)
