"""Processes that are run, watched and killed without threads and without races of process ids.

A pidfd stays with its process when the number is given to another, and becomes readable at the
process's end: the event loop watches it as it watches any descriptor. `run` starts a program,
feeds it, collects what it prints and leaves nothing behind, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from podshim.errors import DeadlineExceededError
from podshim.manager.finished import Finished, outputs_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self


async def readable(fd: int) -> None:
    """Wait until a descriptor has something to read, or its end; one waiter a descriptor."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)


class ProcessHandle:
    """A process that is not our child, held by a pidfd.

    Args:
        pid: Its process id; it must be known to be alive now.

    Raises:
        ProcessLookupError: There is none.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def has_ended(self) -> bool:
        """Whether the process has ended, reaped or not."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(0))

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal; a process that has ended already is no error."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, number)

    async def wait(self, timeout: float) -> None:  # noqa: ASYNC109 - a deadline is mandatory
        """Wait until the process has ended, reaped or not.

        Args:
            timeout: How long at most (s).

        Raises:
            DeadlineExceededError: It still runs.
        """
        fd = os.dup(self._fd)
        try:
            async with asyncio.timeout(timeout):
                await readable(fd)
        except TimeoutError:
            raise DeadlineExceededError(f"process {self.pid} still runs") from None
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let go of the process; again is no error."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


async def run(
    command: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    stdin: bytes = b"",
    merge: bool = False,
    timeout: float,  # noqa: ASYNC109 - it ends the program as well
) -> Finished:
    """Run a program to its end, in a process group of its own.

    It has ended when it has exited and nobody holds its output open any more. When the deadline
    passes or the caller is cancelled, the group is killed first.

    Args:
        command: An absolute path and arguments.
        cwd: Where to run it.
        env: All of its environment.
        stdin: What it reads; nothing is /dev/null.
        merge: Whether standard error goes where standard output goes.
        timeout: How long it may take (s).

    Raises:
        OSError: It can't be run.
        DeadlineExceededError: It took too long, and was killed.
        ResourceExhaustedError: It printed more than anybody reads, and was killed.
    """
    with ExitStack() as stack:
        source: BinaryIO | int = subprocess.DEVNULL
        if stdin:
            source = stack.enter_context(tempfile.TemporaryFile())
            source.write(stdin)
            source.seek(0)
        process = subprocess.Popen(  # noqa: ASYNC220 - returns once the program is executed
            command,
            cwd=cwd,
            env=env,
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            bufsize=0,
            process_group=0,
        )
        stack.callback(_end, process)
        pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
        for pipe in pipes:
            os.set_blocking(pipe.fileno(), False)
        handle = stack.enter_context(ProcessHandle(process.pid))
        reads = [partial(_read, pipe.fileno()) for pipe in pipes]
        outputs = await outputs_of(command[0], handle, reads, timeout=timeout)
        return Finished(process.wait(), outputs[0], b"".join(outputs[1:]))  # ended: no waiting


async def _read(fd: int) -> bytes:
    """Wait for what comes next out of a pipe; nothing at its end."""
    while True:
        await readable(fd)
        with contextlib.suppress(BlockingIOError):
            return os.read(fd, 1 << 16)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Unless it has been reaped in good order, kill a program's group and reap it; close pipes."""
    if process.returncode is None:
        # Its number stays its own until it is reaped, so this can't hit anybody else.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
