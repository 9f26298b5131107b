"""A writer to a pipe whose reader may go away and come back: containerd's, after its restart.

Theory of operation. A write tells how many bytes the pipe took before it broke; the rest is written
to the pipe of the same name that is dialled next. No byte is sent twice, and none is dropped that
was not taken. Dialling goes on as the back-off says; that its time is over, and any failure of a
write other than that the reader has gone, is the writer's end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from podshim.transport.streams import WriteStream
from podshim.win32.binding import (
    ERROR_BROKEN_PIPE,
    ERROR_INVALID_HANDLE,
    ERROR_NO_DATA,
    ERROR_PIPE_NOT_CONNECTED,
    code_of,
    failure,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from podshim.engines.hcs.stdio.backoff import BackOff
    from podshim.transport.streams import DuplexStream

#: What a write says when the reader has gone.
GONE: Final = frozenset({ERROR_NO_DATA, ERROR_PIPE_NOT_CONNECTED, ERROR_BROKEN_PIPE})


class Dial(Protocol):
    """Connects to a pipe: `podshim.transport.pipes.dial`."""

    def __call__(self, path: str, *, timeout: float | None = ...) -> Awaitable[DuplexStream]:
        """Connect to `path`; a busy one is waited for, at most `timeout` seconds."""


class RetryingWriter(WriteStream):
    """A stream to a named pipe that outlives its reader.

    Args:
        path: The pipe's name.
        stream: The connection to it; owned.
        dial: Makes the next ones.
        backoff: Makes the policy of one reconnection.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        path: str,
        stream: WriteStream,
        *,
        dial: Dial,
        backoff: Callable[[], BackOff],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._path = path
        self._stream: WriteStream = stream
        self._dial = dial
        self._backoff = backoff
        self._sleep = sleep
        self._closed = False
        self._written = 0

    @property
    def written(self) -> int:
        """How many bytes of the last write were taken, by whichever reader."""
        return self._written

    async def write(self, data: bytes) -> int:
        """Write all, to as many readers as that takes.

        Raises:
            TimeoutError: No reader came in time.
            OSError: The write failed for another reason, or the stream is closed.
        """
        self._written = 0
        while True:
            taken = self._written
            try:
                await self._stream.write(data[taken:])
            except OSError as error:
                self._written = taken + self._stream.written
                if self._closed or code_of(error) not in GONE:
                    raise
                await self._reconnect()
            else:
                self._written = len(data)
                return len(data)

    def close(self) -> None:
        """Close it; a write that waits for a reader ends."""
        self._closed = True
        self._stream.close()

    async def _reconnect(self) -> None:
        self._stream.close()
        backoff = self._backoff()
        while True:
            try:
                stream = await self._dial(self._path)
            except OSError:
                pause = backoff.pause()
                if pause is None:
                    text = f"reached timeout while retrying dial on {self._path}"
                    raise TimeoutError(text) from None
                await self._sleep(pause)
                if self._closed:
                    raise failure(ERROR_INVALID_HANDLE, self._path) from None
                continue
            if self._closed:
                stream.close()
                raise failure(ERROR_INVALID_HANDLE, self._path)
            self._stream = stream
            return
