"""Processes that are run, watched and ended without races of process ids.

A handle stays with its process when the number is given to another, and is signalled at the
process's end. The names are those of `manager.processes`.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from typing import TYPE_CHECKING

from podshim.errors import DeadlineExceededError, ResourceExhaustedError
from podshim.manager.finished import MAX_OUTPUT, Finished
from podshim.transport.proactor import signalled
from podshim.win32 import running

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

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
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merge else subprocess.PIPE,
    )
    tasks = [asyncio.ensure_future(_collect(pipe)) for pipe in (process.stdout, process.stderr)]
    try:
        async with asyncio.timeout(timeout):
            await _feed(process.stdin, stdin)
            stdout, stderr = await asyncio.gather(*tasks)
            return Finished(await process.wait(), stdout, stderr)
    except TimeoutError:
        raise DeadlineExceededError(f"{command[0]}: killed after {timeout:g} s") from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await _end(process)


async def _feed(pipe: asyncio.StreamWriter | None, data: bytes) -> None:
    """Write all of standard input and close it; a program that does not read it is no error."""
    if pipe is not None:
        pipe.write(data)
        with contextlib.suppress(ConnectionError):
            await pipe.drain()
        pipe.close()
        with contextlib.suppress(ConnectionError):
            await pipe.wait_closed()


async def _collect(pipe: asyncio.StreamReader | None) -> bytes:
    """All that comes out of a pipe until its end."""
    parts: list[bytes] = []
    size = 0
    while pipe is not None and (part := await pipe.read(1 << 16)):
        parts.append(part)
        size += len(part)
        if size > MAX_OUTPUT:
            raise ResourceExhaustedError(f"more than {MAX_OUTPUT} bytes of output")
    return b"".join(parts)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a program unless it has ended, and close its pipes."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            process.kill()
    # The transport knows the pipes that a descendant may still hold open.
    transport: asyncio.SubprocessTransport = process._transport  # type: ignore[attr-defined]  # noqa: SLF001
    transport.close()
    await process.wait()
