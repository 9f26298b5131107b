"""Connecting a process's client: which upstream it asks for, and all of it or nothing."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from podshim.engines.hcs.stdio.backoff import BackOff
from podshim.engines.hcs.stdio.kinds import Kind, kind_of
from podshim.engines.hcs.stdio.logger import connect_logger
from podshim.engines.hcs.stdio.retry import RetryingWriter
from podshim.engines.hcs.stdio.upstream import Upstream
from podshim.errors import DeadlineExceededError, ShimError
from podshim.transport import pipes

if TYPE_CHECKING:
    from podshim.engine import Stdio
    from podshim.engines.hcs.stdio.retry import Dial
    from podshim.transport.streams import DuplexStream

#: Seconds to wait for a pipe whose listener is busy, when a process is made.
BUSY_LIMIT: Final = 120.0


async def connect(
    id: str,  # noqa: A002 - as the container's is called everywhere
    stdio: Stdio,
    namespace: str,
    retry_timeout: float,
    *,
    exec_id: str = "",
) -> Upstream:
    """Connect the streams that a client wants for a process; after a failure none is open.

    Args:
        id: The container's id.
        stdio: The streams: names of pipes that the client listens on, or a logger's URI.
        namespace: containerd's namespace, for loggers.
        retry_timeout: For how long to redial a pipe for output that broke, in s; 0 for ever.
        exec_id: The further process's id; empty for the init.

    Raises:
        ShimError: The path for output is none of these, a pipe is not there, or a logger does not
            get ready.
    """
    kind, url = kind_of(stdio.stdout)
    if kind is Kind.PIPES or url is None:
        return await connect_pipes(stdio, retry_timeout, pipes.dial)
    try:
        return await connect_logger(id, exec_id, stdio, url, namespace, pipes.listen)
    except OSError as error:
        raise ShimError(f"failed to start binary logger: {error.strerror or error}") from error


async def connect_pipes(stdio: Stdio, retry_timeout: float, dial: Dial) -> Upstream:
    """Dial the pipes of standard input, output and error, in this order.

    Raises:
        ShimError: One is not there, or can't be opened.
    """
    policy = partial(BackOff, retry_timeout, time.monotonic, random.uniform)
    with ExitStack() as undo:
        streams: list[DuplexStream | None] = []
        for path in (stdio.stdin, stdio.stdout, stdio.stderr):
            streams.append(await _dial(path, dial) if path else None)
            if streams[-1] is not None:
                undo.callback(streams[-1].close)
        undo.pop_all()
    stdin, stdout, stderr = streams

    def outlasting(path: str, stream: DuplexStream | None) -> RetryingWriter | None:
        if stream is None:
            return None
        return RetryingWriter(path, stream, dial=dial, backoff=policy, sleep=asyncio.sleep)

    return Upstream(
        stdio, stdin, outlasting(stdio.stdout, stdout), outlasting(stdio.stderr, stderr)
    )


async def _dial(path: str, dial: Dial) -> DuplexStream:
    try:
        return await dial(path, timeout=BUSY_LIMIT)
    except TimeoutError:
        raise DeadlineExceededError(f"open {path}") from None
    except (OSError, ValueError) as error:
        # Whatever it is, it has no class: clients would take `NotFound` for a missing task.
        raise ShimError(f"open {path}: {getattr(error, 'strerror', None) or error}") from error
