"""Copying bytes where the container can't have the client's end itself.

Theory of operation. One task copies one stream: it reads a piece, writes all of it, and reads on,
so at most one piece is in memory and a slow reader holds the writer up, as a pipe would. Sources
are non-blocking descriptors that the loop can wait for. Where the bytes go is a `Sink`: a fifo, a
pipe, a file (whose writes may block, so a thread makes them), or nowhere.
"""

from __future__ import annotations

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from podshim.engines.oci.blocking import Worker
from podshim.engines.oci.fifo import OutputFifo, close_fd
from podshim.engines.oci.waiting import readable, writable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

log = logging.getLogger(__name__)

#: A pipe's capacity: one piece empties a full pipe.
PIECE = 65536


async def write_all(fd: int, data: bytes) -> None:
    """Write everything to a non-blocking descriptor.

    Raises:
        OSError: Such as BrokenPipeError, when nobody reads any more.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await writable(fd)


class Sink(ABC):
    """Where a relay writes."""

    @abstractmethod
    async def write(self, data: bytes) -> None:
        """Write all of `data`; waits as long as the reader makes it wait."""

    @abstractmethod
    def finish(self) -> None:
        """No more is coming: pass the end on as soon as nothing can be lost by it."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back now; called once the relay has stopped."""


class NullSink(Sink):
    """Nowhere."""

    async def write(self, data: bytes) -> None:
        """Forget `data`."""

    def finish(self) -> None:
        """Nobody waits for an end."""

    def close(self) -> None:
        """Nothing is held."""


class FifoSink(Sink):
    """A client's fifo; the client may come and go."""

    def __init__(self, fifo: OutputFifo) -> None:
        self._fifo = fifo

    async def write(self, data: bytes) -> None:
        """Write to the fifo, which always has a reader: the shim's own, at least."""
        await write_all(self._fifo.writer, data)

    def finish(self) -> None:
        """Let the client read the rest and then see the end."""
        self._fifo.finish()

    def close(self) -> None:
        """Drop the fifo."""
        self._fifo.close()


class PipeSink(Sink):
    """The write end of a pipe, non-blocking; owned."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def write(self, data: bytes) -> None:
        """Write to the pipe."""
        await write_all(self._fd, data)

    def finish(self) -> None:
        """Close the write end: what is in the pipe stays for the reader."""
        self._fd = close_fd(self._fd)

    def close(self) -> None:
        """Close the write end."""
        self._fd = close_fd(self._fd)


class FileSink(Sink):
    """A file opened for appending; owned. A slow disk holds up a thread, never the loop."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._worker = Worker("log file")
        self._closed = False

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    async def write(self, data: bytes) -> None:
        """Append to the file."""
        await self._worker.run(lambda: self._write(data))

    def finish(self) -> None:
        """A file has no end to pass on; another stream may still write to it."""

    def close(self) -> None:
        """Close the file after the write that is under way, in the thread that makes it."""
        if self._closed:
            return
        self._closed = True
        self._worker.submit(lambda: os.close(self._fd))
        self._worker.close()


class SinkError(Exception):
    """A sink takes no more: its reader is gone, or its disk is full."""


async def copy(source: int, sink: Sink) -> None:
    """Copy from a non-blocking descriptor until its end of file.

    Raises:
        OSError: The source failed.
        SinkError: The sink failed; what was read last is lost.
    """
    while True:
        try:
            data = os.read(source, PIECE)
        except BlockingIOError:
            await readable(source)
            continue
        if not data:
            return
        try:
            await sink.write(data)
        except OSError as error:
            raise SinkError(error.strerror) from error
        await asyncio.sleep(0)  # a fast writer must not keep the loop to itself


async def copy_output(source: int, sink: Sink) -> None:
    """Copy a container's output; if the sink fails, go on and discard.

    A full disk or a dead logger is no reason to stop the container, which would otherwise block
    or be killed by SIGPIPE.

    Raises:
        OSError: The source failed.
    """
    try:
        await copy(source, sink)
    except SinkError as error:
        log.warning("output is being discarded: %s", error)
        await copy(source, NullSink())


class Task:
    """A piece of work of a stream that can be waited for and stopped; it never raises.

    Args:
        work: What to do; its `OSError`s and `SinkError`s end it quietly.
        at_end: Called once, on every path; it closes what the work used.
    """

    def __init__(self, work: Coroutine[None, None, None], at_end: Callable[[], None]) -> None:
        self._at_end = at_end
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.log(
                logging.DEBUG if isinstance(error, (OSError, SinkError)) else logging.ERROR,
                "a stream ended: %s",
                error,
            )
        self._at_end()

    async def done(self) -> None:
        """Wait for the end of the work, and of `at_end`."""
        await asyncio.wait([self._task])

    async def stop(self) -> None:
        """End the work now."""
        self._task.cancel()
        await self.done()
