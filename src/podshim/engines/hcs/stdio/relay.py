"""Copying between a process's standard streams and its client's.

Theory of operation. Three tasks copy, each for itself, from the process's start. The two of output
end when the process's end of the stream does; that of input ends with what the client sends, tells
the process of the end, and is never waited for. When the process has ended, `drain` gives output a
short time: a descendant may hold its pipes open for ever, and then the rest is given up.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from podshim.engines.hcs.stdio.upstream import Upstream
    from podshim.transport.streams import ReadStream, WriteStream

log = logging.getLogger(__name__)

#: Bytes that a copy holds at most.
CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class ProcessEnds:
    """A process's own ends of its standard streams.

    Args:
        stdin: What it reads; None if it has none.
        stdout: What it writes; None likewise.
        stderr: Likewise.
        close_stdin: Tells the process that its input has ended; called once at most.
    """

    stdin: WriteStream | None
    stdout: ReadStream | None
    stderr: ReadStream | None
    close_stdin: Callable[[], Awaitable[None]]


class Relay:
    """The copies of one process.

    Args:
        upstream: The client's streams; not owned.
        ends: The process's; owned from now on, closed by the copies or by `drain`.
    """

    def __init__(self, upstream: Upstream, ends: ProcessEnds) -> None:
        self._upstream = upstream
        self._ends = ends
        self._input: asyncio.Task[None] | None = None
        self._outputs: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to copy; called once at most."""
        upstream, ends = self._upstream, self._ends
        if upstream.stdin is not None and ends.stdin is not None:
            self._input = asyncio.create_task(self._feed(upstream.stdin, ends.stdin))
        for name, source, target in (
            ("stdout", ends.stdout, upstream.stdout),
            ("stderr", ends.stderr, upstream.stderr),
        ):
            if source is not None:
                self._outputs.append(asyncio.create_task(_collect(name, source, target)))

    async def drain(self, grace: float = 1.0) -> None:
        """Let output flow out, then end all copies and close the process's ends.

        Any number of calls. May be called without a start: then it only closes.

        Args:
            grace: For how many seconds to wait for output.
        """
        try:
            if self._outputs:
                await asyncio.wait(self._outputs, timeout=grace)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        tasks = [*self._outputs, *([] if self._input is None else [self._input])]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for stream in (self._ends.stdin, self._ends.stdout, self._ends.stderr):
                if stream is not None:
                    stream.close()

    async def _feed(self, source: ReadStream, target: WriteStream) -> None:
        try:
            await _copy(source, target)
        except OSError as error:
            log.debug("the copy of stdin has ended: %s", error)
        try:
            await self._ends.close_stdin()
        except (OSError, ShimError) as error:
            # The process may have ended, which ends its input, too.
            log.debug("stdin was not closed: %s", error)


async def _collect(name: str, source: ReadStream, target: WriteStream | None) -> None:
    try:
        await _copy(source, target)
    except OSError as error:
        log.warning("the copy of %s has ended: %s", name, error)
    finally:
        # Also after a failed write: a process that goes on writing learns that nobody reads.
        source.close()


async def _copy(source: ReadStream, target: WriteStream | None) -> None:
    while data := await source.read(CHUNK):
        if target is not None:
            await target.write(data)
