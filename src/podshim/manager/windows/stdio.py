r"""The pipes between a client and a container's streams, from the client's side.

Theory of operation. The client listens at `\\.\pipe\ctr-<id>-stdin` and so on, names these in
`Create` or `Exec`, and the shim connects. Nothing is kept in a pipe: a write of the shim ends when
the client has read it, as with containerd. See `ends` for what all clients' ends do.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from podshim.errors import DeadlineExceededError
from podshim.manager.ends import TIMEOUT, Ends, Reader, Writer
from podshim.transport import pipes
from podshim.transport.address import PIPE

if TYPE_CHECKING:
    from podshim.transport.pipes import PipeListener, PipeStream

#: The most bytes of which it may be unknown whether they were taken.
_PIECE = 4096


class _Line:
    """A pipe at which one shim is expected, and the connection when it has come.

    Args:
        path: Where; it is listened at once.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._listener: PipeListener | None = None
        self._stream: PipeStream | None = None
        self.attach()

    def attach(self) -> None:
        """Listen, unless it does."""
        if self._listener is None:
            self._listener = pipes.listen(self.path, buffer=0)

    def detach(self) -> None:
        """Close the connection and listen no more; again is no error."""
        for end in (self._stream, self._listener):
            if end is not None:
                end.close()
        self._stream = self._listener = None

    async def stream(self) -> PipeStream:
        """The connection, waiting for the shim."""
        if self._listener is None:
            raise ValueError(f"{self.path} is detached")
        if self._stream is None:
            self._stream = await self._listener.accept()
        return self._stream


class PipeReader(Reader):
    """The client's end of an output stream.

    Args:
        path: The pipe; it is listened at once, which waits for nobody.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._line = _Line(path)

    def attach(self) -> None:
        """Listen, unless it does."""
        self._line.attach()

    def detach(self) -> None:
        """Close the connection and listen no more: the shim tries to connect again."""
        self._line.detach()

    async def _fill(self, timeout: float, wanted: str) -> int:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(max(timeout, 0)):
                part = await (await self._line.stream()).read(1 << 16)
        except TimeoutError:
            raise DeadlineExceededError(f"{self.path}: no {wanted} after {self._tail()}") from None
        self._buffer += part
        return len(part)


class PipeWriter(Writer):
    """The client's end of standard input. To the container its end is the end of the input.

    Args:
        path: The pipe; it is listened at once.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._line = _Line(path)

    def attach(self) -> None:
        """Listen, unless it does."""
        self._line.attach()

    def detach(self) -> None:
        """Close the connection and listen no more."""
        self._line.detach()

    async def write(self, data: bytes, *, timeout: float = TIMEOUT) -> None:  # noqa: ASYNC109
        """See `Writer.write`."""
        taken = 0
        try:
            async with asyncio.timeout(timeout):
                stream = await self._line.stream()
                while taken < len(data):
                    taken += await stream.write(data[taken : taken + _PIECE])
        except TimeoutError:
            text = f"{self.path}: {len(data) - taken} bytes of {len(data)} not taken"
            raise DeadlineExceededError(text) from None


class Pipes(Ends):
    """A process's streams: pipes, and the client's ends. `close` removes all of it.

    Args:
        parent: Not used: pipes lie in no folder.
        name: What the pipes are named after: the container's or exec's id.
        terminal: One output stream for both, as a terminal has.
        stdin: Whether there is an input stream.

    Raises:
        OSError: The pipes can't be made, or somebody has some; nothing is left behind.
    """

    def __init__(
        self, parent: str, name: str, *, terminal: bool = False, stdin: bool = True
    ) -> None:
        del parent
        with contextlib.ExitStack() as undo:
            path = f"{PIPE}ctr-{name}"
            source = None
            if stdin:
                source = PipeWriter(f"{path}-stdin")
                undo.callback(source.detach)
            output = PipeReader(f"{path}-stdout")
            undo.callback(output.detach)
            errors = None if terminal else PipeReader(f"{path}-stderr")
            undo.pop_all()
        super().__init__(terminal=terminal, stdin=source, stdout=output, stderr=errors)
