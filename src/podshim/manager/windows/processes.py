"""Processes that are run, watched and ended without races of process ids.

A handle stays with its process when the number is given to another, and is signalled at the
process's end. The names are those of `manager.processes`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from functools import partial
from typing import TYPE_CHECKING

from podshim.errors import DeadlineExceededError
from podshim.manager.finished import Finished, outputs_of
from podshim.transport import pipes
from podshim.transport.proactor import signalled
from podshim.win32 import running
from podshim.win32.handles import descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from podshim.transport.pipes import PipeStream

_SYNCHRONIZE = 0x00100000
_TERMINATE = 1
#: The status of a process that was ended here.
_KILLED = 1


class ProcessHandle:
    """A process that is not our child.

    Args:
        pid: Its process id; it must be known to be alive now.

    Raises:
        OSError: There is none.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        access = _SYNCHRONIZE | _TERMINATE | running.PROCESS_QUERY_LIMITED_INFORMATION
        self._handle = running.open_process(pid, access)

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
        """Whether the process has ended."""
        return running.has_ended(self._handle)

    def kill(self, _number: int = 9) -> None:
        """End it; Windows knows no other signal. One that has ended already is no error."""
        if not self.has_ended():
            # It may end just now.
            with contextlib.suppress(PermissionError):
                running.terminate(self._handle, _KILLED)

    async def wait(self, timeout: float) -> None:  # noqa: ASYNC109 - a deadline is mandatory
        """Wait until the process has ended.

        Args:
            timeout: How long at most (s).

        Raises:
            DeadlineExceededError: It still runs.
        """
        try:
            async with asyncio.timeout(timeout):
                await signalled(self._handle)
        except TimeoutError:
            raise DeadlineExceededError(f"process {self.pid} still runs") from None

    def close(self) -> None:
        """Let go of the process; again is no error."""
        self._handle.close()


async def run(
    command: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    stdin: bytes = b"",
    merge: bool = False,
    timeout: float,  # noqa: ASYNC109 - it ends the program as well
) -> Finished:
    """Run a program to its end.

    It has ended when it has exited and nobody holds its output open any more. When the deadline
    passes or the caller is cancelled, it is killed first; what it has started goes on.

    Args:
        command: An absolute path and arguments.
        cwd: Where to run it.
        env: All of its environment.
        stdin: What it reads; nothing is NUL.
        merge: Whether standard error goes where standard output goes.
        timeout: How long it may take (s).

    Raises:
        OSError: It can't be run.
        DeadlineExceededError: It took too long, and was killed.
        ResourceExhaustedError: It printed more than anybody reads, and was killed.
    """
    with contextlib.ExitStack() as stack:
        ours: list[PipeStream] = []
        theirs: list[int] = []

        def pair(*, child_reads: bool) -> int:
            stream, end = pipes.pipe_pair(child_reads=child_reads)
            ours.append(stack.enter_context(stream))
            theirs.append(descriptor(end))
            return theirs[-1]

        try:
            output = pair(child_reads=False)
            errors = subprocess.STDOUT if merge else pair(child_reads=False)
            source = pair(child_reads=True) if stdin else subprocess.DEVNULL
            process = subprocess.Popen(  # noqa: ASYNC220 - returns once the program is executed
                command, cwd=cwd, env=env, stdin=source, stdout=output, stderr=errors
            )
        finally:
            for end in theirs:
                os.close(end)
        stack.callback(_end, process)
        handle = stack.enter_context(ProcessHandle(process.pid))
        feed = _feed(ours.pop(), stdin) if stdin else None
        reads = [partial(stream.read, 1 << 16) for stream in ours]
        outputs = await outputs_of(command[0], handle, reads, feed=feed, timeout=timeout)
        return Finished(process.wait(), outputs[0], b"".join(outputs[1:]))  # ended: no waiting


async def _feed(stream: PipeStream, data: bytes) -> None:
    """Write all of standard input and close it; a program that does not read it is no error."""
    with stream, contextlib.suppress(OSError):
        await stream.write(data)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program unless it has ended."""
    if process.poll() is None:
        process.kill()
        process.wait()
