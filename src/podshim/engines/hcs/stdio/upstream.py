"""The client's end of a process's standard streams."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from podshim.transport.streams import ReadStream

if TYPE_CHECKING:
    from podshim.engine import Stdio
    from podshim.transport.streams import WriteStream

#: How long, in s, a stream that is to be closed is still read when nothing comes.
QUIET: Final = 0.1


class Input(ReadStream):
    """Standard input from the client, closed in two ways: when it is quiet, or at once.

    A client writes and then asks for the end of input; what it has written may still be on its way
    when it asks. So `finish` lets a reader take what is there, and ends the stream when nothing
    has come for a moment.

    Args:
        stream: The stream itself; owned.
    """

    def __init__(self, stream: ReadStream) -> None:
        self._stream = stream
        self._finishing = asyncio.Event()
        self._closed = False

    async def read(self, limit: int) -> bytes:
        """The next bytes, at most `limit`; none at the end of the stream."""
        if self._closed:
            return b""
        reading = asyncio.ensure_future(self._stream.read(limit))
        finishing = asyncio.ensure_future(self._finishing.wait())
        try:
            await asyncio.wait({reading, finishing}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                await asyncio.wait({reading}, timeout=QUIET)
            if reading.done() and not reading.cancelled():
                return reading.result()
        finally:
            finishing.cancel()
            if not reading.done():
                reading.cancel()
                # Nobody else may use the stream before the read has let go of it.
                await asyncio.gather(reading, return_exceptions=True)
        self.close()  # so that the client learns that nobody reads any more
        return b""

    def finish(self) -> None:
        """End the stream as soon as nothing more comes; any number of calls."""
        self._finishing.set()

    def close(self) -> None:
        """End it now."""
        self._closed = True
        self._finishing.set()
        self._stream.close()


class Upstream:
    """The client's streams of one process, connected.

    Args:
        stdio: The streams as clients are told of them.
        stdin: What the client sends; None for nothing.
        stdout: Where output goes; None for nowhere.
        stderr: Likewise.
    """

    def __init__(
        self,
        stdio: Stdio,
        stdin: ReadStream | None,
        stdout: WriteStream | None,
        stderr: WriteStream | None,
    ) -> None:
        self.stdio = stdio
        self.stdin = None if stdin is None else Input(stdin)
        self.stdout = stdout
        self.stderr = stderr

    async def close_stdin(self) -> None:
        """End the input: what the client has sent is still read, then comes the end."""
        if self.stdin is not None:
            self.stdin.finish()

    async def close(self) -> None:
        """Close all streams; any number of calls. Copies must have ended."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
