"""One call on a connection without an event loop: all that a shim's `start` needs of ttrpc.

Theory of operation. The request goes out as one frame; frames come in until one is the answer, and
others are not for us. What carries the bytes is the caller's, as is the time that it may take.
"""

from podshim import wire
from podshim.ttrpc import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Connection(Protocol):
        """A connection whose calls wait, and raise TimeoutError when it is too late."""

        def send_all(self, data: bytes, deadline: float) -> None:
            """Send all of the data."""

        def recv(self, limit: int, deadline: float) -> bytes:
            """Receive what there is; nothing when the other end has closed."""


_STREAM = 1
_CHUNK = 65536


def call(connection: "Connection", request: bytes, deadline: float) -> wire.TtrpcResponse:
    """Send a request and wait for its response.

    Args:
        connection: A connection on which nothing has been sent yet.
        request: The request message, as `wire.ttrpc_request` makes it.
        deadline: When to give up, by the monotonic clock (s).

    Raises:
        ConnectionResetError: The other end closed the connection before it had answered.
        wire.WireError: It answered with something else than a ttrpc response.
        OSError: The connection's own reason, a TimeoutError among them.
    """
    connection.send_all(frames.encode(_STREAM, frames.REQUEST, 0, request), deadline)
    decoder = frames.Decoder()
    while True:
        data = connection.recv(_CHUNK, deadline)
        if not data:
            raise ConnectionResetError("it closed the connection")
        decoder.feed(data)
        while (frame := decoder.next_frame()) is not None:
            if frame.stream_id != _STREAM or frame.kind != frames.RESPONSE:
                continue
            if isinstance(frame, frames.Oversize):
                raise wire.WireError(frames.oversize_text(frame.length))
            return wire.TtrpcResponse.decode(frame.payload)
