"""How a program ended; and waiting for that, whatever its pipes are made of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from podshim.errors import DeadlineExceededError, ResourceExhaustedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

#: No helper of a shim has more to say (bytes).
MAX_OUTPUT = 16 << 20


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended, and what it printed.

    Args:
        status: Its exit status; on Linux, minus the signal that killed it.
        stdout: What it wrote to standard output (and standard error, if they were merged).
        stderr: What it wrote to standard error, if they were not.
    """

    status: int
    stdout: bytes
    stderr: bytes


class Watched(Protocol):
    """A process whose end can be waited for: a `ProcessHandle`."""

    async def wait(self, timeout: float) -> None:  # noqa: ASYNC109 - a deadline is mandatory
        """Wait until the process has ended."""


async def outputs_of(
    program: str,
    process: Watched,
    reads: Sequence[Callable[[], Awaitable[bytes]]],
    *,
    feed: Coroutine[None, None, None] | None = None,
    timeout: float,  # noqa: ASYNC109 - it bounds all of it
) -> list[bytes]:
    """Wait until a program has ended and nobody holds its output open any more.

    Args:
        program: What it is called in errors; who catches them kills it.
        process: Its process.
        reads: For each output, what waits for its next bytes, or none at its end.
        feed: What writes its input, to be run beside that.
        timeout: How long it may take (s).

    Returns:
        All that came out of each output.

    Raises:
        DeadlineExceededError: It took too long.
        ResourceExhaustedError: It printed more than anybody reads.
    """
    tasks = [asyncio.ensure_future(_collect(read)) for read in reads]
    try:
        async with asyncio.timeout(timeout):
            if feed is not None:
                await feed
            outputs = await asyncio.gather(*tasks)
            await process.wait(timeout)
    except TimeoutError:
        raise DeadlineExceededError(f"{program}: killed after {timeout:g} s") from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return outputs


async def _collect(read: Callable[[], Awaitable[bytes]]) -> bytes:
    """All that comes out of a pipe until its end."""
    parts: list[bytes] = []
    size = 0
    while part := await read():
        parts.append(part)
        size += len(part)
        if size > MAX_OUTPUT:
            raise ResourceExhaustedError(f"more than {MAX_OUTPUT} bytes of output")
    return b"".join(parts)
