"""The fifos between a client and a container's streams, from the client's side.

Theory of operation. The client makes a folder with one fifo a stream and names them in `Create`
or `Exec`. It holds the read ends of the output and the write end of the input, may let go of them
(`detach`) and take them up again (`attach`) at any time, and knows that a process has said all by
the end of file on the output.

Reading is by demand: nothing is read that nobody asked for, so that a test can fill a pipe, and a
client that does not read makes the container wait as any pipe does. There are no threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from typing import TypeVar

from podshim.engine import Stdio
from podshim.errors import DeadlineExceededError
from podshim.manager.processes import readable

#: How long a reader or writer waits for the other side, unless told otherwise (s).
TIMEOUT = 30.0
_TAIL = 300


class FifoReader:
    """The client's end of an output stream.

    Args:
        path: The fifo; it is opened at once, which waits for nobody.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        self._buffer = bytearray()
        self.attach()

    def attach(self) -> None:
        """Open the fifo, unless it is open."""
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def detach(self) -> None:
        """Close the fifo, as a client that goes away does; what was read before can be had still.

        No read may be waiting.
        """
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    async def read(self, *, timeout: float = TIMEOUT) -> bytes:  # noqa: ASYNC109
        """What has come, waiting for something to come; empty at the end of file.

        Raises:
            DeadlineExceededError: Nothing came for `timeout` seconds.
        """
        if not self._buffer:
            await self._fill(timeout, "anything")
        part = bytes(self._buffer)
        self._buffer.clear()
        return part

    async def read_until(self, marker: bytes, *, timeout: float = TIMEOUT) -> bytes:  # noqa: ASYNC109
        """All up to a marker, the marker included.

        Raises:
            DeadlineExceededError: It did not come in time; what came can be read again.
            EOFError: The stream ended first; likewise.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        while (at := self._buffer.find(marker)) < 0:
            left = deadline - asyncio.get_running_loop().time()
            if not await self._fill(left, repr(marker)):
                raise EOFError(f"{self.path} ended without {marker!r}: {self._tail()}")
        end = at + len(marker)
        part = bytes(self._buffer[:end])
        del self._buffer[:end]
        return part

    async def read_all(self, *, timeout: float = TIMEOUT) -> bytes:  # noqa: ASYNC109
        """All until the end of file.

        Raises:
            DeadlineExceededError: It did not end in time; what came can be read again.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        while await self._fill(deadline - asyncio.get_running_loop().time(), "the end"):
            pass
        everything = bytes(self._buffer)
        self._buffer.clear()
        return everything

    async def _fill(self, timeout: float, wanted: str) -> int:  # noqa: ASYNC109
        """Take what comes next into the buffer; how many bytes, 0 at the end of file."""
        if self._fd < 0:
            raise ValueError(f"{self.path} is detached")
        try:
            async with asyncio.timeout(max(timeout, 0)):
                while True:
                    # A fifo without a writer yet reads as ended: ask epoll first, which tells
                    # "no writer yet" from "no writer any more".
                    await readable(self._fd)
                    with contextlib.suppress(BlockingIOError):
                        part = os.read(self._fd, 1 << 16)
                        self._buffer += part
                        return len(part)
        except TimeoutError:
            raise DeadlineExceededError(f"{self.path}: no {wanted} after {self._tail()}") from None

    def _tail(self) -> str:
        return repr(bytes(self._buffer[-_TAIL:]))


class FifoWriter:
    """The client's end of standard input.

    It is opened read-write, so that opening waits for nobody and writing needs no reader yet: what
    is written before the shim has opened its end waits in the fifo.

    Args:
        path: The fifo; it is opened at once.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        self.attach()

    def attach(self) -> None:
        """Open the fifo, unless it is open."""
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def detach(self) -> None:
        """Close the fifo. To a container this is no end of file: that is `Process.close_stdin`."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    async def write(self, data: bytes, *, timeout: float = TIMEOUT) -> None:  # noqa: ASYNC109
        """Write all of it, waiting while the fifo is full.

        Raises:
            DeadlineExceededError: Nobody has read enough of it in time.
        """
        if self._fd < 0:
            raise ValueError(f"{self.path} is detached")
        view = memoryview(data)
        try:
            async with asyncio.timeout(timeout):
                while view:
                    try:
                        view = view[os.write(self._fd, view) :]
                    except BlockingIOError:
                        await _writable(self._fd)
        except TimeoutError:
            text = f"{self.path}: {len(view)} bytes of {len(data)} not taken"
            raise DeadlineExceededError(text) from None


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_writer(fd)


End = TypeVar("End", FifoReader, FifoWriter)


class Fifos:
    """A process's streams: a folder of fifos and the client's ends. `close` removes all of it.

    Args:
        parent: Where to make the folder.
        name: What the fifos' names begin with: the container's or exec's id.
        terminal: One output stream for both, as a terminal has.
        stdin: Whether there is an input stream.

    Raises:
        OSError: The fifos can't be made; nothing is left behind.
    """

    def __init__(
        self, parent: str, name: str, *, terminal: bool = False, stdin: bool = True
    ) -> None:
        self.folder = tempfile.mkdtemp(dir=parent)
        self._ends: list[FifoReader | FifoWriter] = []
        try:
            self._stdin = self._make(FifoWriter, f"{name}-stdin") if stdin else None
            self.stdout = self._make(FifoReader, f"{name}-stdout")
            self._stderr = None if terminal else self._make(FifoReader, f"{name}-stderr")
        except BaseException:
            self.close()
            raise
        self.stdio = Stdio(
            terminal=terminal,
            stdin=self._stdin.path if self._stdin else "",
            stdout=self.stdout.path,
            stderr=self._stderr.path if self._stderr else "",
        )

    @property
    def stdin(self) -> FifoWriter:
        """Standard input.

        Raises:
            ValueError: There is none.
        """
        if self._stdin is None:
            raise ValueError(f"{self.folder}: there is no standard input")
        return self._stdin

    @property
    def stderr(self) -> FifoReader:
        """Standard error.

        Raises:
            ValueError: There is none: a terminal has one output.
        """
        if self._stderr is None:
            raise ValueError(f"{self.folder}: there is no standard error")
        return self._stderr

    def _make(self, kind: type[End], name: str) -> End:
        path = os.path.join(self.folder, name)
        os.mkfifo(path, 0o700)
        end = kind(path)
        self._ends.append(end)
        return end

    @property
    def outputs(self) -> list[FifoReader]:
        """Standard output and, if there is one, standard error."""
        return [end for end in self._ends if isinstance(end, FifoReader)]

    def detach(self) -> None:
        """Close all ends, as a client that goes away does."""
        for end in self._ends:
            end.detach()

    def attach(self) -> None:
        """Open all ends again."""
        for end in self._ends:
            end.attach()

    def close(self) -> None:
        """Close all ends and remove the folder; again is no error."""
        self.detach()
        shutil.rmtree(self.folder, ignore_errors=True)
