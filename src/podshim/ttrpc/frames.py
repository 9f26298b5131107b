"""ttrpc's frames: ten bytes of header, then a payload (ttrpc PROTOCOL).

    payload length  u32 big-endian, the header not counted
    stream id       u32 big-endian
    type            u8: Request, Response or Data; others are for the future
    flags           u8: what they mean depends on the type

Theory of operation. A `Decoder` is fed the bytes of a connection as they come, in any pieces, and
is asked for one frame after the other. It keeps at most one incomplete frame besides the piece
that it was fed last. A frame that says it is larger than allowed is reported once, when its header
is complete; its payload is thrown away as it streams in, so the connection goes on after it.

The start path of every shim imports this module: it imports nothing but `struct`.
"""

from struct import Struct

HEADER_SIZE = 10
#: The most bytes of payload in a frame; exactly this many are allowed.
MAX_PAYLOAD = 4 << 20

REQUEST = 1
RESPONSE = 2
DATA = 3

#: The sender will send no more on this stream.
REMOTE_CLOSED = 0x01
#: The client means to send Data after this Request.
REMOTE_OPEN = 0x02
#: This Data frame carries no message (which is not the same as an empty message).
NO_DATA = 0x04

_HEADER = Struct(">IIBB")


def oversize_text(length: int) -> str:
    """The text with which either side refuses a payload of this many bytes."""
    return f"message length {length} exceed maximum message size of {MAX_PAYLOAD}"


class OversizeError(ValueError):
    """A payload is too large to be sent; nothing was sent.

    Args:
        length: How many bytes it has.
    """

    def __init__(self, length: int) -> None:
        super().__init__(oversize_text(length))
        self.length = length


class Frame:
    """One whole frame.

    Args:
        stream_id: The stream that it belongs to.
        kind: Its type: REQUEST, RESPONSE, DATA, or a number that nobody has defined yet.
        flags: Its flags.
        payload: Its payload.
    """

    __slots__ = ("flags", "kind", "payload", "stream_id")

    def __init__(self, stream_id: int, kind: int, flags: int = 0, payload: bytes = b"") -> None:
        self.stream_id = stream_id
        self.kind = kind
        self.flags = flags
        self.payload = payload

    def __repr__(self) -> str:
        return (
            f"Frame(stream_id={self.stream_id}, kind={self.kind}, flags={self.flags:#04x}, "
            f"payload={len(self.payload)} bytes)"
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Frame)
            and self.stream_id == other.stream_id
            and self.kind == other.kind
            and self.flags == other.flags
            and self.payload == other.payload
        )

    __hash__ = None  # type: ignore[assignment]  # mutable, as mypy knows of no other way to say


class Oversize:
    """The header of a frame that is too large; its payload is being discarded.

    Args:
        stream_id: The stream that it belongs to.
        kind: Its type.
        length: How many bytes of payload it announces.
    """

    __slots__ = ("kind", "length", "stream_id")

    def __init__(self, stream_id: int, kind: int, length: int) -> None:
        self.stream_id = stream_id
        self.kind = kind
        self.length = length

    def __repr__(self) -> str:
        return f"Oversize(stream_id={self.stream_id}, kind={self.kind}, length={self.length})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Oversize)
            and self.stream_id == other.stream_id
            and self.kind == other.kind
            and self.length == other.length
        )

    __hash__ = None  # type: ignore[assignment]  # as Frame


def encode(stream_id: int, kind: int, flags: int = 0, payload: bytes = b"") -> bytes:
    """The bytes of one frame.

    Args:
        stream_id: 0 to 2**32 - 1.
        kind: REQUEST, RESPONSE or DATA.
        flags: REMOTE_CLOSED, REMOTE_OPEN, NO_DATA, or'ed.
        payload: At most MAX_PAYLOAD bytes.

    Raises:
        OversizeError: The payload is larger than that.
    """
    if len(payload) > MAX_PAYLOAD:
        raise OversizeError(len(payload))
    return _HEADER.pack(len(payload), stream_id, kind, flags) + payload


class Decoder:
    """Turns the bytes of one direction of a connection into frames.

    Feed it, then take frames until there is none. It never raises: any bytes are frames.
    """

    __slots__ = ("_chunk", "_discard", "_header", "_partial", "_position")

    def __init__(self) -> None:
        #: What was fed last, and how much of it is used up.
        self._chunk = b""
        self._position = 0
        #: The beginning of the header or payload that is awaited; less than it needs.
        self._partial = bytearray()
        #: The header of the frame whose payload is awaited.
        self._header: tuple[int, int, int, int] | None = None
        #: How many bytes of an oversize payload are still to come.
        self._discard = 0

    @property
    def buffered(self) -> int:
        """How many bytes are kept: never more than MAX_PAYLOAD and what was fed last."""
        return len(self._partial) + len(self._chunk) - self._position

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the connection.

        Args:
            data: Any number of bytes. They are kept until the frames in them have been taken, so
                take all frames before feeding more.
        """
        if self._position < len(self._chunk):
            data = self._chunk[self._position :] + data
        self._chunk = data
        self._position = 0

    def next_frame(self) -> Frame | Oversize | None:
        """Take the next frame, or None when more bytes must be fed first."""
        if self._discard:
            step = min(self._discard, len(self._chunk) - self._position)
            self._discard -= step
            self._position += step
        if self._header is None:
            header = self._take(HEADER_SIZE)
            if header is None:
                return None
            length, stream_id, kind, flags = _HEADER.unpack(header)
            if length > MAX_PAYLOAD:
                self._discard = length
                return Oversize(stream_id, kind, length)
            self._header = length, stream_id, kind, flags
        length, stream_id, kind, flags = self._header
        payload = self._take(length)
        if payload is None:
            return None
        self._header = None
        return Frame(stream_id, kind, flags, payload)

    def _take(self, size: int) -> bytes | None:
        """Take exactly `size` bytes; when there are fewer, keep them and return None."""
        start = self._position
        end = start + size - len(self._partial)
        if end > len(self._chunk):
            self._partial += memoryview(self._chunk)[start:]
            self._chunk = b""
            self._position = 0
            return None
        self._position = end
        if not self._partial:
            return self._chunk[start:end]
        self._partial += memoryview(self._chunk)[start:end]
        taken = bytes(self._partial)
        self._partial = bytearray()
        return taken
