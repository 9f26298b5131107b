"""A pipe as an `asyncio.Transport`, for protocols: callbacks, flow control both ways.

Theory of operation. One read and one write are under way at most. Reading: what a read brings is
`_held` until the protocol may have it; while there is held data, or reading is paused, or one read
is under way, none is begun. So a paused transport takes at most one piece more from the pipe, and
resuming any number of times begins one read. Writing: data waits in a queue and goes out piece by
piece, so that whoever watches the size of the queue sees a slow peer make progress.

A connection ends in one of three ways: `close` writes what waits and then closes; `abort`, or an
error, closes at once; the peer's end is told to the protocol, which says whether to close.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The most bytes in one operation.
PIECE = 64 * 1024
#: The sizes of the queue at which writing is paused and resumed.
HIGH = 64 * 1024
LOW = 16 * 1024


class Pipe(Protocol):
    """What is asked of `proactor.OverlappedPipe`."""

    def read(self, limit: int) -> asyncio.Future[bytes]:
        """Begin a read."""

    def write(self, data: bytes) -> asyncio.Future[int]:
        """Begin a write."""

    def close(self) -> None:
        """Cancel what is under way and close."""


class PipeTransport(asyncio.Transport):
    """A connection over a pipe; `connection_made` is called when it is made.

    Args:
        pipe: The pipe, connected; it is owned from now on.
        protocol: Whose connection it is.
    """

    def __init__(self, pipe: Pipe, protocol: asyncio.Protocol) -> None:
        super().__init__({"pipe": pipe})
        self._pipe = pipe
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._reading: asyncio.Future[bytes] | None = None
        self._held: bytes | None = None
        self._reads_paused = False
        self._ended = False
        self._writing: asyncio.Future[int] | None = None
        self._queue = bytearray()
        self._writes_paused = False
        self._high, self._low = HIGH, LOW
        self._closing = False
        self._lost = False
        protocol.connection_made(self)
        self._loop.call_soon(self._read_on)

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self._closing else "open"
        return f"<PipeTransport {state} {self._pipe!r} to write={len(self._queue)}>"

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The current protocol."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the connection to another protocol."""
        if not isinstance(protocol, asyncio.Protocol):
            raise TypeError(f"{protocol!r} is no asyncio.Protocol")
        self._protocol = protocol

    # Ending.

    def is_closing(self) -> bool:
        """Whether it has been closed, or is about to be."""
        return self._closing

    def close(self) -> None:
        """Read no more, write what waits, then close."""
        if self._closing:
            return
        self._closing = True
        self._held = None
        if not self._queue:
            self._end(None)

    def abort(self) -> None:
        """Close now; what waits to be written never is."""
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._closing = self._lost = True
        self._held = None
        self._queue.clear()
        self._pipe.close()
        self._loop.call_soon(self._protocol.connection_lost, error)

    # Reading.

    def is_reading(self) -> bool:
        """Whether the protocol gets data when there is some."""
        return not self._reads_paused and not self._closing

    def pause_reading(self) -> None:
        """Give the protocol no data until `resume_reading`."""
        self._reads_paused = True

    def resume_reading(self) -> None:
        """Give the protocol data again."""
        if self._reads_paused:
            self._reads_paused = False
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        """Deliver what is held, and begin a read if none is under way and one is wanted."""
        if self.is_reading() and self._held is not None:
            data, self._held = self._held, None
            try:
                self._deliver(data)
            except Exception as error:  # noqa: BLE001 - told; a connection half served is none
                self._failed(error)
        if self.is_reading() and self._held is None and self._reading is None and not self._ended:
            try:
                self._reading = self._pipe.read(PIECE)
            except OSError as error:
                self._end(error)
            else:
                self._reading.add_done_callback(self._read_done)

    def _read_done(self, reading: asyncio.Future[bytes]) -> None:
        self._reading = None
        if reading.cancelled() or self._closing:
            if not reading.cancelled():
                reading.exception()  # seen: nobody wants it any more
            return
        error = reading.exception()
        if error is not None:
            self._end(_connection_error(error))
            return
        self._held = reading.result()
        self._read_on()

    def _deliver(self, data: bytes) -> None:
        if data:
            self._protocol.data_received(data)
            return
        self._ended = True
        if not self._protocol.eof_received():
            self.close()

    def _failed(self, error: Exception) -> None:
        """The protocol has failed: tell it as the loop's other transports do, and end."""
        self._loop.call_exception_handler(
            {
                "message": "Fatal error: the protocol of a pipe failed.",
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
        )
        self._end(error)

    # Writing.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue data for writing."""
        if self._closing or not data:
            return
        self._queue += data
        self._write_on()
        self._update_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Queue all of the data for writing."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Pipes can't be closed one way."""
        return False

    def write_eof(self) -> None:
        """Pipes can't be closed one way."""
        raise NotImplementedError("a pipe has no half-close")

    def get_write_buffer_size(self) -> int:
        """How many bytes the peer's buffers have not taken yet."""
        return len(self._queue)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The sizes at which writing is resumed and paused."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the sizes at which writing is paused and resumed."""
        high = (HIGH if low is None else 4 * low) if high is None else high
        low = high // 4 if low is None else low
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be >= low ({low}) must be >= 0")
        self._high, self._low = high, low
        self._update_writing()

    def _write_on(self) -> None:
        """Begin to write the next piece, if none is under way."""
        if self._writing is not None or not self._queue:
            return
        piece = bytes(memoryview(self._queue)[:PIECE])
        try:
            self._writing = self._pipe.write(piece)
        except OSError as error:
            # Not from here: the protocol is in the middle of something.
            self._loop.call_soon(self._end, _connection_error(error))
        else:
            self._writing.add_done_callback(self._write_done)

    def _write_done(self, writing: asyncio.Future[int]) -> None:
        self._writing = None
        if writing.cancelled():
            return
        error = writing.exception()
        if error is not None:
            self._end(_connection_error(error))
            return
        if self._lost:
            return
        del self._queue[: writing.result()]
        self._write_on()
        self._update_writing()
        if self._closing and not self._queue:
            self._end(None)

    def _update_writing(self) -> None:
        """Tell the protocol when the queue has become too long, or short enough again."""
        size = len(self._queue)
        if size > self._high and not self._writes_paused:
            self._writes_paused = True
            self._protocol.pause_writing()
        elif size <= self._low and self._writes_paused:
            self._writes_paused = False
            self._protocol.resume_writing()


def _connection_error(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else ConnectionError(str(error))
