"""Running a program to its end: bounded output, a deadline, no readers.

Theory of operation. Output goes into memory files (`memfd`) of a fixed size: nobody has to read
while the program runs, a flood can't hurt, and a grandchild that inherits a descriptor holds
nothing up. Their shared file position tells how much was written. When its time is over, the
program is killed with all that it has started.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from podshim.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podshim.engine import Exit
    from podshim.engines.oci.reaper import Child, Reaper

#: The most output that is kept of each stream.
MAX_OUTPUT: Final = 4 << 20

#: How long a killed program may take to vanish before it is left to the reaper, seconds.
KILL_GRACE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended, and what it wrote where its output was captured."""

    exit: Exit
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class ProgramStreams:
    """A program's descriptors 0, 1 and 2; None reads `stdin` of the call, or is captured."""

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None


def _capture(name: str) -> int:
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, MAX_OUTPUT)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _written(fd: int) -> bytes:
    return os.pread(fd, os.lseek(fd, 0, os.SEEK_CUR), 0)


def _input(content: bytes) -> int:
    if not content:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


async def run_program(
    reaper: Reaper,
    argv: Sequence[str],
    *,
    limit: float,
    cwd: str,
    env: Mapping[str, str],
    stdin: bytes = b"",
    streams: ProgramStreams | None = None,
) -> Finished:
    """Run a program and wait for its end.

    Args:
        reaper: Who spawns and reaps.
        argv: The program's path and its arguments.
        limit: Seconds after which it is killed.
        cwd: Its working directory.
        env: Its environment.
        stdin: What it can read, if `streams` gives no input.
        streams: Descriptors for it; they stay the caller's.

    Raises:
        OSError: It can't be executed.
        DeadlineExceededError: It was killed because its time was over.
    """
    given = streams or ProgramStreams()
    with ExitStack() as stack:

        def owned(fd: int) -> int:
            stack.callback(os.close, fd)
            return fd

        out, err = owned(_capture("stdout")), owned(_capture("stderr"))
        child = reaper.spawn(
            argv,
            stdin=owned(_input(stdin)) if given.stdin is None else given.stdin,
            stdout=out if given.stdout is None else given.stdout,
            stderr=err if given.stderr is None else given.stderr,
            cwd=cwd,
            env=env,
        )
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                exit_ = await child.wait()
        except TimeoutError:
            await _kill(child)
            raise DeadlineExceededError(
                f"it did not end within {limit:g} s and was killed"
            ) from None
        except asyncio.CancelledError:
            child.kill_all()
            raise
        return Finished(exit_, _written(out), _written(err))


async def _kill(child: Child) -> None:
    """Kill a program and what it started, and see it gone, if that can be."""
    child.kill_all()
    try:
        await asyncio.wait_for(child.wait(), KILL_GRACE)
    except TimeoutError:
        return  # stuck in the kernel; the reaper takes it when it comes loose
