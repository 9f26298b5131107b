"""Logging programs (`binary://`) as the place where a process's output goes.

Theory of operation (containerd's logging contract on Windows). The shim listens on three pipes and
starts the program, which finds their names in its environment. It says that it is ready by a byte
on the wait pipe, or by closing that; one that fails before is not waited for. It connects to the
other two and reads them until their ends. Output waits until it has connected. At the process's end
the shim closes the pipes, which the program sees as the end, and lets it finish for a time; then it
is ended.

The program lives as long as its process does, whatever becomes of the call that made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from podshim.engines.hcs.stdio.loggercommand import LoggerPipes, command_line, environment
from podshim.engines.hcs.stdio.upstream import Upstream
from podshim.errors import ShimError
from podshim.transport.streams import WriteStream
from podshim.win32.binding import ERROR_INVALID_HANDLE, failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from podshim.engine import Stdio
    from podshim.engines.hcs.stdio.kinds import Url
    from podshim.transport.streams import DuplexStream

log = logging.getLogger(__name__)

#: Seconds that a program has to say that it is ready.
START_LIMIT: Final = 10.0
#: Seconds that it has to finish after the end of its pipes.
STOP_LIMIT: Final = 10.0
_KILL_LIMIT: Final = 10.0
#: Seconds that what a program did on the wait pipe may take to be heard after its end.
_LAST_WORDS: Final = 0.5
#: From here on exit codes are told as Windows' own: in base 16.
_FIRST_OF_WINDOWS: Final = 1 << 16


class Listener(Protocol):
    """A pipe that waits for its client: `podshim.transport.pipes.PipeListener`."""

    async def accept(self) -> DuplexStream:
        """Wait for the next client."""

    def close(self) -> None:
        """Listen no more."""


class Program(Protocol):
    """A running program: `asyncio.subprocess.Process`."""

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""

    def kill(self) -> None:
        """End it hard."""

    async def wait(self) -> int:
        """Wait for its end."""


async def spawn(words: Sequence[str], variables: Mapping[str, str]) -> Program:
    """Start a program with these words and these variables alone, without standard streams.

    Raises:
        OSError: It can't be started.
    """
    nothing = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        *words, stdin=nothing, stdout=nothing, stderr=nothing, env=dict(variables)
    )


class ListeningWriter(WriteStream):
    """A stream to whoever first connects to a pipe of ours; writes wait for that.

    Args:
        listener: The pipe; owned.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._accepting: asyncio.Task[DuplexStream] = asyncio.create_task(self._accept())
        self._closed = False

    async def _accept(self) -> DuplexStream:
        try:
            return await self._listener.accept()
        finally:
            self._listener.close()

    @property
    def written(self) -> int:
        """How many bytes of the last write were taken."""
        stream = self._stream()
        return 0 if stream is None else stream.written

    async def write(self, data: bytes) -> int:
        """Wait for the reader, then write all.

        Raises:
            OSError: It could not be written, or the stream was closed.
        """
        await asyncio.wait({self._accepting})
        if self._closed or self._accepting.cancelled():
            raise failure(ERROR_INVALID_HANDLE, "pipe of the logging driver")
        return await self._accepting.result().write(data)

    def close(self) -> None:
        """Close the connection, or listen no more; a write that waits for a reader fails."""
        self._closed = True
        stream = self._stream()
        if stream is not None:
            stream.close()
        elif not self._accepting.done():
            self._accepting.cancel()
        self._listener.close()

    async def wait_closed(self) -> None:
        """After `close`: wait until nothing of it is under way."""
        await asyncio.wait({self._accepting})
        if not self._accepting.cancelled() and self._accepting.exception() is None:
            self._accepting.result().close()  # a client that came while it was being closed

    def _stream(self) -> DuplexStream | None:
        task = self._accepting
        if not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()


class LoggerUpstream(Upstream):
    """Output that a logging program gets; there is no input.

    Args:
        stdio: The streams as clients are told of them: the pipes' names.
        stdout: To the program; owned.
        stderr: Likewise.
        program: The program, ready.
    """

    def __init__(
        self, stdio: Stdio, stdout: ListeningWriter, stderr: ListeningWriter, program: Program
    ) -> None:
        super().__init__(stdio, None, stdout, stderr)
        self._writers = (stdout, stderr)
        self._program = program

    async def close(self) -> None:
        """Close the pipes, let the program finish, and end it if it does not; any number of calls.

        Takes 10 s at most for a program that finishes, a moment more for one that does not.
        """
        await super().close()
        for writer in self._writers:
            await writer.wait_closed()
        if not await _ended(self._program, STOP_LIMIT):
            log.warning("the logging driver did not finish in %g s: it is ended", STOP_LIMIT)
            await _end(self._program)


async def _ended(program: Program, limit: float) -> bool:
    try:
        async with asyncio.timeout(limit):
            await program.wait()
    except TimeoutError:
        return False
    return True


async def _end(program: Program) -> None:
    if program.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            program.kill()
    if not await _ended(program, _KILL_LIMIT):
        log.error("the logging driver could not be ended")


async def _until_ready(listener: Listener, program: Program) -> None:
    ready = asyncio.create_task(_ready(listener))
    ended = asyncio.create_task(program.wait())
    try:
        async with asyncio.timeout(START_LIMIT):
            await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
            # One that ends well may have left its work to another process.
            if not ready.done() and ended.result() != 0:
                await asyncio.wait({ready}, timeout=_LAST_WORDS)
                if not ready.done():
                    status = _status(ended.result())
                    raise ShimError(f"failed to start binary logger: exit status {status}")
            await ready
    except TimeoutError:
        raise ShimError("failed to start binary logger: timeout") from None
    except OSError as error:
        raise ShimError(f"failed to start binary logger: {error.strerror or error}") from error
    finally:
        ready.cancel()
        ended.cancel()
        await asyncio.gather(ready, ended, return_exceptions=True)


async def _ready(listener: Listener) -> None:
    with await listener.accept() as stream:
        await stream.read(1)


def _status(code: int) -> str:
    return f"{code:#x}" if code >= _FIRST_OF_WINDOWS else f"{code}"


async def connect_logger(
    container_id: str,
    exec_id: str,
    stdio: Stdio,
    url: Url,
    namespace: str,
    listen: Callable[[str], Listener],
    start: Callable[[Sequence[str], Mapping[str, str]], Awaitable[Program]] = spawn,
) -> Upstream:
    """Start a logging program and wait until it is ready; after a failure nothing is left.

    Args:
        container_id: Whose output it gets.
        exec_id: Of which further process; empty for the init.
        stdio: The streams as the client wants them.
        url: What `stdio.stdout` says.
        namespace: containerd's namespace.
        listen: Makes a pipe to listen on.
        start: Starts a program.

    Raises:
        ShimError: There is no such program, or it failed or did not get ready in time.
        OSError: A pipe can't be made.
    """
    words = command_line(url)
    names = LoggerPipes.of(container_id, exec_id)
    variables = environment(container_id, namespace, names, os.environ.get("SYSTEMROOT", ""))
    with ExitStack() as undo:
        listeners = []
        for name in (names.stdout, names.stderr, names.wait):
            listeners.append(listen(name))
            undo.callback(listeners[-1].close)
        try:
            program = await start(words, variables)
        except OSError as error:
            raise ShimError(f"failed to start binary logger: {error.strerror or error}") from error
        try:
            await _until_ready(listeners[2], program)
        except BaseException:
            await asyncio.shield(_end(program))
            raise
        listeners[2].close()
        undo.pop_all()
    told = replace(stdio, terminal=False, stdin="", stdout=names.stdout, stderr=names.stderr)
    return LoggerUpstream(
        told, ListeningWriter(listeners[0]), ListeningWriter(listeners[1]), program
    )
