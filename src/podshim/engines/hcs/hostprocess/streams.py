"""The standard streams of a process that is about to be created: pipes, or a pseudo console."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from podshim.engines.hcs.stdio import ProcessEnds
from podshim.transport.pipes import pipe_pair
from podshim.win32.consoles import PseudoConsole

if TYPE_CHECKING:
    from podshim.engines.hcs.stdio import Upstream
    from podshim.transport.pipes import PipeStream
    from podshim.win32.handles import Handle

log = logging.getLogger(__name__)

#: Seconds that the end of a console may take after nobody reads its screen any more.
_CLOSE_LIMIT: Final = 5.0


@dataclass(slots=True)
class ProcessStreams:
    """Both ends of a process's streams.

    Args:
        stdin: Our end; None for none.
        stdout: Likewise; a console's screen.
        stderr: Likewise; a console has none.
        console: The pseudo console; None for pipes.
        child: The process's ends of pipes, by name.
    """

    stdin: PipeStream | None = None
    stdout: PipeStream | None = None
    stderr: PipeStream | None = None
    console: PseudoConsole | None = None
    child: dict[str, Handle] = field(default_factory=dict)

    def close_child(self) -> None:
        """Close the process's ends in this process: when it has them, or will not be created."""
        for handle in self.child.values():
            handle.close()

    def close_ours(self) -> None:
        """Close our ends, but for the console."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()

    async def close_console(self) -> None:
        """End the console: what is on its screen comes out, then the end of the stream."""
        if self.console is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_LIMIT):
                await asyncio.to_thread(self.console.close)
        except TimeoutError:
            log.error("a pseudo console does not end")

    def ends(self) -> ProcessEnds:
        """Our ends, for a relay."""
        return ProcessEnds(self.stdin, self.stdout, self.stderr, self._close_stdin)

    async def _close_stdin(self) -> None:
        # A console whose keyboard is gone ends, and takes its processes along: it stays.
        if self.stdin is not None and self.console is None:
            self.stdin.close()


async def console_streams(width: int, height: int) -> ProcessStreams:
    """A pseudo console and our ends of its keyboard and screen.

    Raises:
        OSError: There can be none; nothing is left behind.
    """
    with ExitStack() as undo:
        keyboard, keyboard_end = pipe_pair(child_reads=True)
        undo.callback(keyboard.close)
        with keyboard_end:
            screen, screen_end = pipe_pair(child_reads=False)
            undo.callback(screen.close)
            with screen_end:
                console = await asyncio.to_thread(
                    PseudoConsole, width, height, keyboard_end, screen_end
                )
        undo.pop_all()
    return ProcessStreams(stdin=keyboard, stdout=screen, console=console)


def pipe_streams(upstream: Upstream) -> ProcessStreams:
    """Pipes for the streams that a client has connected.

    Raises:
        OSError: There can be none; nothing is left behind.
    """
    streams = ProcessStreams()
    try:
        if upstream.stdin is not None:
            streams.stdin, streams.child["stdin"] = pipe_pair(child_reads=True)
        if upstream.stdout is not None:
            streams.stdout, streams.child["stdout"] = pipe_pair(child_reads=False)
        if upstream.stderr is not None:
            streams.stderr, streams.child["stderr"] = pipe_pair(child_reads=False)
    except BaseException:
        streams.close_ours()
        streams.close_child()
        raise
    return streams
