"""A server's log on Windows: lines into the pipe that containerd reads.

Theory of operation. containerd connects to the log's pipe before it runs `start`, and again when it
has been restarted: the last client that came is the one that gets the log. Until the first one
comes, records go to standard error, the bundle's `panic.log`, as long as that stays small. From
then on they wait in a queue for the client, which may be absent, slow or dead: none of that ever
holds up the shim. The queue has a limit; when it is full the oldest lines go, and their number is
the next thing that a client reads. A line leaves the queue when the client has taken it, so that
none is lost with a client, and some may be read by two.

Records may come from any thread; everything else belongs to the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

from podshim.shim.program import STDERR, write_all

if TYPE_CHECKING:
    from podshim.transport.streams import WriteStream

    class Clients(Protocol):
        """Where the log's readers come (`transport.pipes.PipeListener`)."""

        async def accept(self) -> WriteStream:
            """Wait for the next one; OSError when none will come any more."""

        def close(self) -> None:
            """Accept no more."""


#: The most bytes that wait for a client, and in one line.
MAX_QUEUE = 1 << 20
MAX_LINE = 32 << 10
#: How many bytes are written at once.
_PIECE = 64 << 10


class LogPipe(logging.Handler):
    """Writes records to the last client. Make it on the loop; use `serve` there.

    Args:
        stderr: The descriptor for records until the first client comes.
        limit: The most bytes that wait, and that go there.
    """

    def __init__(self, *, stderr: int = STDERR, limit: int = MAX_QUEUE) -> None:
        super().__init__()
        self._stderr = stderr
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        #: The rest is for whoever holds the handler's lock.
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._had_client = False
        self._early = 0
        #: What follows is the loop's alone.
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._client: WriteStream | None = None
        self._writer: asyncio.Task[None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or queue it; called with the handler's lock."""
        try:
            line = _line(self.format(record))
        except Exception:  # noqa: BLE001 - a broken record must not break what it tells of
            self.handleError(record)
            return
        if not self._had_client and self._early < self._limit:
            self._early += len(line)
            self._last_resort(line)
            return
        self._append(line)
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop is closed: these are a server's last words
            self._last_resort(line)

    async def serve(self, clients: Clients) -> None:
        """Hand the log to one client after the other, until cancelled or none can come any more.

        Args:
            clients: Where they come; it is closed at the end, as is the last client.
        """
        try:
            while True:
                try:
                    client = await clients.accept()
                except OSError:
                    return
                await self._drop_client()
                self._attach(client)
        finally:
            clients.close()
            await self._drop_client()

    async def drain(self, seconds: float) -> None:
        """Give the client a last chance to read what waits.

        Args:
            seconds: How long that may take.
        """
        if self._client is not None and self._lines:
            self._empty.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._empty.wait()
            except TimeoutError:
                pass

    def _attach(self, client: WriteStream) -> None:
        with self._locked():
            self._had_client = True
        self._client = client
        name = "writer of the log"
        self._writer = self._loop.create_task(self._write(client), name=name)

    async def _drop_client(self) -> None:
        writer, self._writer, self._client = self._writer, None, None
        if writer is not None:
            writer.cancel()
            await asyncio.wait((writer,))

    async def _write(self, client: WriteStream) -> None:
        try:
            while True:
                piece, lines, lost = self._head()
                if piece:
                    await client.write(piece)
                    self._taken(lines, lost)
                    continue
                self._empty.set()
                self._news.clear()
                if not self._lines:
                    await self._news.wait()
        except OSError:  # it has gone; what it has not taken waits for the next one
            self._client = None
            self._empty.set()
        finally:
            client.close()

    def _head(self) -> tuple[bytes, list[bytes], int]:
        """What to write next, the queue's lines in it, and how many lost lines it tells of."""
        with self._locked():
            lines: list[bytes] = []
            size = 0
            for line in self._lines:
                size += len(line)
                if lines and size > _PIECE:
                    break
                lines.append(line)
            lost = self._dropped
        report = _line(self.format(_dropped_record(lost))) if lost else b""
        return report + b"".join(lines), lines, lost

    def _taken(self, lines: list[bytes], lost: int) -> None:
        with self._locked():
            self._dropped -= lost
            for line in lines:
                if self._lines and self._lines[0] is line:
                    self._lines.popleft()
                    self._size -= len(line)
                else:  # dropped meanwhile, and not lost after all
                    self._dropped -= 1

    def _append(self, line: bytes) -> None:
        self._lines.append(line)
        self._size += len(line)
        while self._size > self._limit:
            self._size -= len(self._lines.popleft())
            self._dropped += 1

    def _wake(self) -> None:
        self._news.set()

    def _last_resort(self, line: bytes) -> None:
        try:
            write_all(self._stderr, line)
        except OSError:  # nobody to tell
            return

    def _locked(self) -> _Locked:
        return _Locked(self)


class _Locked:
    """Holds a handler's lock."""

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler

    def __enter__(self) -> None:
        self._handler.acquire()

    def __exit__(self, *_: object) -> None:
        self._handler.release()


def _dropped_record(count: int) -> logging.LogRecord:
    record = logging.LogRecord(
        __name__, logging.WARNING, "", 0, "log lines were dropped", None, None
    )
    record.lines = count
    return record


def _line(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")[: MAX_LINE - 1] + b"\n"
