"""A pipe's handle as a byte stream.

Theory of operation. One overlapped read and one overlapped write may be under way. A task that
waits for them waits beside their futures: cancelling the task leaves a read to run on, whose bytes
the next `read` takes, and cancels a write. Data is written in pieces, so that `written` tells how
much the other end's buffers have taken when it breaks off.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podshim.transport.proactor import OverlappedPipe
from podshim.transport.streams import DuplexStream
from podshim.win32.binding import ERROR_OPERATION_ABORTED, failure
from podshim.win32.pipes import client_process_id

if TYPE_CHECKING:
    from typing import TypeVar

    from podshim.win32.handles import Handle

    _T = TypeVar("_T")

#: The most bytes in one operation.
PIECE = 64 * 1024


class PipeStream(DuplexStream):
    """A pipe, anonymous or named, either end, for one Proactor loop.

    A pipe has no way to say "I write no more" but to be closed.

    Args:
        handle: The pipe's handle, opened for overlapped I/O; it is owned from now on.

    Raises:
        OSError: The running loop is no Proactor loop; the handle is closed.
    """

    def __init__(self, handle: Handle | OverlappedPipe) -> None:
        self._pipe = handle if isinstance(handle, OverlappedPipe) else OverlappedPipe(handle)
        self._reading: asyncio.Future[bytes] | None = None
        #: What was read and not asked for: more than the limit of a later `read`.
        self._rest = b""
        self._ended = False
        self._written = 0

    def __repr__(self) -> str:
        return f"<PipeStream {self._pipe.handle!r}>"

    @property
    def written(self) -> int:
        """How many bytes of the last write the other side's buffers have taken."""
        return self._written

    @property
    def client_process_id(self) -> int:
        """At a server's end, the process that connected.

        Raises:
            OSError: It can't be told.
        """
        return client_process_id(self._pipe.handle)

    def detach(self) -> OverlappedPipe:
        """Give the pipe away, for a `PipeTransport`; the stream must not be used any more.

        Raises:
            ValueError: Something has been read and not been taken.
        """
        if self._reading is not None or self._rest:
            raise ValueError("a stream that is being read can't be detached")
        return self._pipe

    def close(self) -> None:
        """Close the pipe; what is under way fails."""
        self._pipe.close()
        if self._reading is not None and self._reading.done() and not self._reading.cancelled():
            self._reading.exception()  # seen: nobody reads any more

    async def read(self, limit: int) -> bytes:
        """See `ReadStream.read`."""
        if limit < 1:
            raise ValueError(f"can't read {limit} bytes")
        if not self._rest and not self._ended:
            if self._reading is None:
                self._reading = self._pipe.read(min(limit, PIECE))
            await asyncio.wait((self._reading,))
            reading, self._reading = self._reading, None
            self._rest = self._result(reading)
            self._ended = not self._rest
        data, self._rest = self._rest[:limit], self._rest[limit:]
        return data

    async def write(self, data: bytes) -> int:
        """See `WriteStream.write`."""
        self._written = 0
        view = memoryview(data)
        while self._written < len(view):
            writing = self._pipe.write(bytes(view[self._written : self._written + PIECE]))
            try:
                await asyncio.wait((writing,))
            except asyncio.CancelledError:
                writing.cancel()
                raise
            self._written += self._result(writing)
        return len(view)

    def _result(self, operation: asyncio.Future[_T]) -> _T:
        if operation.cancelled():
            raise failure(ERROR_OPERATION_ABORTED, self._pipe.handle.what)
        return operation.result()
