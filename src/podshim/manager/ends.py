"""The client's ends of a container's streams, whatever carries them.

Theory of operation. A client reads what a process prints and writes what it reads; it may let go
of its ends (`detach`) and take them up again (`attach`) at any time. Reading is by demand: nothing
is read that nobody asked for, so that a test can fill a pipe, and a client that does not read makes
the container wait as any pipe does. There are no threads.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from podshim.engine import Stdio

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How long a reader or writer waits for the other side, unless told otherwise (s).
TIMEOUT = 30.0
_TAIL = 300


class End(ABC):
    """The client's end of one stream.

    Args:
        path: What the shim is told to open.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @abstractmethod
    def attach(self) -> None:
        """Take up the stream, unless it is; this waits for nobody."""

    @abstractmethod
    def detach(self) -> None:
        """Let go of the stream, as a client that goes away does; again is no error."""


class Reader(End):
    """The client's end of an output stream.

    What was read before it was detached can be had still. It must not be detached while a read
    waits.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._buffer = bytearray()

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

    @abstractmethod
    async def _fill(self, timeout: float, wanted: str) -> int:  # noqa: ASYNC109
        """Take what comes next into the buffer; how many bytes, 0 at the end of file."""

    def _tail(self) -> str:
        return repr(bytes(self._buffer[-_TAIL:]))


class Writer(End):
    """The client's end of standard input."""

    @abstractmethod
    async def write(self, data: bytes, *, timeout: float = TIMEOUT) -> None:  # noqa: ASYNC109
        """Write all of it, waiting while the stream is full.

        Raises:
            DeadlineExceededError: Nobody has read enough of it in time.
        """


class Ends:
    """A process's streams: the client's ends. `close` removes all of it.

    Args:
        terminal: One output stream for both, as a terminal has.
        stdin: Standard input, if there is one.
        stdout: Standard output.
        stderr: Standard error, unless a terminal has one stream for both.
    """

    def __init__(
        self, *, terminal: bool, stdin: Writer | None, stdout: Reader, stderr: Reader | None
    ) -> None:
        self._stdin = stdin
        self.stdout = stdout
        self._stderr = stderr
        self.stdio = Stdio(
            terminal=terminal,
            stdin=stdin.path if stdin else "",
            stdout=stdout.path,
            stderr=stderr.path if stderr else "",
        )

    @property
    def stdin(self) -> Writer:
        """Standard input.

        Raises:
            ValueError: There is none.
        """
        if self._stdin is None:
            raise ValueError(f"{self.stdout.path}: there is no standard input")
        return self._stdin

    @property
    def stderr(self) -> Reader:
        """Standard error.

        Raises:
            ValueError: There is none: a terminal has one output.
        """
        if self._stderr is None:
            raise ValueError(f"{self.stdout.path}: there is no standard error")
        return self._stderr

    @property
    def outputs(self) -> Sequence[Reader]:
        """Standard output and, if there is one, standard error."""
        return [end for end in (self.stdout, self._stderr) if end is not None]

    def detach(self) -> None:
        """Let go of all ends, as a client that goes away does."""
        for end in (self._stdin, *self.outputs):
            if end is not None:
                end.detach()

    def attach(self) -> None:
        """Take up all ends again."""
        for end in (self._stdin, *self.outputs):
            if end is not None:
                end.attach()

    def close(self) -> None:
        """Let go of all ends and remove what was made for them; again is no error."""
        self.detach()
