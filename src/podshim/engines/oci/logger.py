"""Logging programs: `binary://` and `binary-v2://` as the place where output goes.

Theory of operation (containerd's logging contract). The URI names a program and its arguments:

    binary:///path/to/program?key=value&key2=value2     ->  program key value key2 value2

It runs with the two variables CONTAINER_ID and CONTAINER_NAMESPACE and nothing else, reads standard
output from descriptor 3 and standard error from 4, and says that it is ready by writing a byte to
descriptor 5 or by closing it; under `binary-v2` only a byte will do. The container writes into the
pipes itself. At the process's end the shim drops its write ends, so that the program sees the end
of file and can finish by itself, which it may do until the drain of the deletion is over; then it
gets SIGTERM, and SIGKILL after 12 s. A program that never gets ready is ended, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from podshim.engines.oci.fifo import close_fd, give
from podshim.engines.oci.program import ProgramStreams
from podshim.engines.oci.stdio import Streams
from podshim.engines.oci.waiting import readable
from podshim.errors import DeadlineExceededError, ShimError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podshim.engine import Stdio
    from podshim.engines.oci.reaper import Child
    from podshim.engines.oci.stdio import StreamContext

SCHEMES: Final = frozenset({"binary", "binary-v2"})

#: Seconds that a program has to say that it is ready.
READY_LIMIT: Final = 30.0
#: Seconds between SIGTERM and SIGKILL.
TERM_GRACE: Final = 12.0
KILL_GRACE: Final = 5.0

_FIRST_PRIVATE_FD: Final = 10


def command_line(uri: str) -> list[str]:
    """The program's argument list: its path, then every key and the first of its values.

    Raises:
        ShimError: The URI names no program.
    """
    try:
        parts = urlsplit(uri)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError as error:
        raise ShimError(f"unable to parse stdout uri: {error}") from error
    if not parts.path:
        raise ShimError(f"failed to start binary process: no program in {uri!r}")
    arguments: dict[str, str] = {}
    for key, value in pairs:
        arguments.setdefault(key, value)
    return [unquote(parts.path), *(word for pair in arguments.items() for word in pair)]


def _spawn(argv: Sequence[str], env: Mapping[str, str], fds: Mapping[int, int]) -> int:
    """Start a program with exactly the given descriptors, whatever else is open.

    Raises:
        OSError: It can't be executed.
    """
    for name in os.listdir("/proc/self/fd"):
        # What this process itself inherited is not for others, either.
        with contextlib.suppress(OSError):
            os.set_inheritable(int(name), int(name) <= 2)
    with ExitStack() as stack:
        actions = []
        for number, fd in fds.items():
            # Out of the way first: a later dup2 must not hit the source of another.
            source = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_PRIVATE_FD)
            stack.callback(os.close, source)
            actions.append((os.POSIX_SPAWN_DUP2, source, number))
        return os.posix_spawn(
            argv[0],
            list(argv),
            dict(env),
            file_actions=actions,
            setpgroup=0,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGXFSZ],
        )


class Logger:
    """A running logging program and the write ends of its two pipes.

    Args:
        child: The program.
        stdout: The write end of what it reads as descriptor 3; owned.
        stderr: Likewise descriptor 4.
    """

    def __init__(self, child: Child, stdout: int, stderr: int) -> None:
        self._child = child
        self.stdout = stdout
        self.stderr = stderr

    def take_stdout(self) -> int:
        """Hand over the write end of the first pipe, made non-blocking."""
        fd, self.stdout = self.stdout, -1
        os.set_blocking(fd, False)
        return fd

    def finish(self) -> None:
        """Drop the write ends: the program sees the end when the container's are gone, too."""
        self.stdout = close_fd(self.stdout)
        self.stderr = close_fd(self.stderr)

    async def done(self) -> None:
        """Wait until the program has ended."""
        await self._child.wait()

    async def close(self) -> None:
        """End the program if it still runs."""
        self.finish()
        for number, grace in ((signal.SIGTERM, TERM_GRACE), (signal.SIGKILL, KILL_GRACE)):
            if not self._child.signal(number):
                return
            try:
                await asyncio.wait_for(self._child.wait(), grace)
            except TimeoutError:
                continue
            return


async def _until_ready(ready: int, scheme: str) -> None:
    clock = asyncio.timeout(READY_LIMIT)
    try:
        async with clock:
            await readable(ready)
        said = os.read(ready, 1)
    except TimeoutError:
        raise DeadlineExceededError(
            f"failed to read from logging binary: it was not ready within {READY_LIMIT:g} s"
        ) from None
    except OSError as error:
        raise ShimError(f"failed to read from logging binary: {error.strerror}") from error
    if not said and scheme == "binary-v2":
        raise ShimError(
            "logging binary did not call ready (it may have crashed or exited prematurely)"
        )


async def start(uri: str, context: StreamContext) -> Logger:
    """Start a logging program and wait until it is ready.

    Raises:
        OSError: No pipe can be made.
        DeadlineExceededError: It did not get ready in time; it has been ended.
        ShimError: It can't be started, or ended too soon.
    """
    argv = command_line(uri)
    env = {"CONTAINER_ID": context.process_id, "CONTAINER_NAMESPACE": context.namespace}
    async with AsyncExitStack() as undo:
        with ExitStack() as theirs:
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            theirs.callback(os.close, null)
            ends = []
            for _ in range(2):
                reader, writer = os.pipe2(os.O_CLOEXEC)
                theirs.callback(os.close, reader)
                undo.callback(os.close, writer)
                give(writer, context.uid, context.gid)
                ends.append((reader, writer))
            ready, said = os.pipe2(os.O_CLOEXEC)
            undo.callback(os.close, ready)
            theirs.callback(os.close, said)
            fds = {0: null, 1: null, 2: null, 3: ends[0][0], 4: ends[1][0], 5: said}
            try:
                child = context.reaper.own(_spawn(argv, env, fds))
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise ShimError(
                    f"failed to start binary process: fork/exec {argv[0]}: {reason}"
                ) from error
        logger = Logger(child, ends[0][1], ends[1][1])
        undo.pop_all()
        undo.callback(os.close, ready)
        try:
            os.set_blocking(ready, False)
            await _until_ready(ready, uri.partition(":")[0])
        except BaseException:
            await logger.close()
            raise
    return logger


class LoggerStreams(Streams):
    """Both outputs go to a logging program; there is no input.

    Args:
        logger: The program; owned.
        null: /dev/null for the input; owned.
    """

    def __init__(self, logger: Logger, null: int) -> None:
        self._logger = logger
        self._null = null
        self.runtime = ProgramStreams(null, logger.stdout, logger.stderr)

    async def started(self) -> None:
        """The container has its ends."""
        self._null = close_fd(self._null)

    def exited(self) -> None:
        """Let the program see the end."""
        self._logger.finish()

    async def drain(self, limit: float) -> None:
        """Let the program finish by itself."""
        self._logger.finish()
        try:
            await asyncio.wait_for(self._logger.done(), limit)
        except TimeoutError:
            return

    async def close(self) -> None:
        """End the program."""
        self._null = close_fd(self._null)
        await self._logger.close()


async def open_logger_streams(stdio: Stdio, context: StreamContext) -> Streams:
    """Start the program that standard output names.

    Raises:
        OSError: A descriptor can't be made.
        ShimError: The program does not work.
    """
    logger = await start(stdio.stdout, context)
    try:
        return LoggerStreams(logger, os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
    except BaseException:
        await logger.close()
        raise
