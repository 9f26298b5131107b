"""The fifos between a client and a container's streams, from the client's side.

Theory of operation. The client makes a folder with one fifo a stream and names them in `Create`
or `Exec`. It holds the read ends of the output and the write end of the input, and knows that a
process has said all by the end of file on the output. See `ends` for what all clients' ends do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from typing import TypeVar

from podshim.errors import DeadlineExceededError
from podshim.manager.ends import TIMEOUT, End, Ends, Reader, Writer
from podshim.manager.processes import readable


class FifoReader(Reader):
    """The client's end of an output stream.

    Args:
        path: The fifo; it is opened at once, which waits for nobody.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._fd = -1
        self.attach()

    def attach(self) -> None:
        """Open the fifo, unless it is open."""
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def detach(self) -> None:
        """Close the fifo."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

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


class FifoWriter(Writer):
    """The client's end of standard input.

    It is opened read-write, so that opening waits for nobody and writing needs no reader yet: what
    is written before the shim has opened its end waits in the fifo.

    Args:
        path: The fifo; it is opened at once.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
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
        """See `Writer.write`."""
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


MakeEnd = TypeVar("MakeEnd", FifoReader, FifoWriter)


class Fifos(Ends):
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
        self._made: list[End] = []
        try:
            super().__init__(
                terminal=terminal,
                stdin=self._make(FifoWriter, f"{name}-stdin") if stdin else None,
                stdout=self._make(FifoReader, f"{name}-stdout"),
                stderr=None if terminal else self._make(FifoReader, f"{name}-stderr"),
            )
        except BaseException:
            self.close()
            raise

    def _make(self, kind: type[MakeEnd], name: str) -> MakeEnd:
        path = os.path.join(self.folder, name)
        os.mkfifo(path, 0o700)
        end = kind(path)
        self._made.append(end)
        return end

    def close(self) -> None:
        """Close all ends and remove the folder; again is no error."""
        for end in self._made:
            end.detach()
        shutil.rmtree(self.folder, ignore_errors=True)
