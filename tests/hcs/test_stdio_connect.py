"""Connecting a client's pipes: order, limits, all or nothing."""

from __future__ import annotations

import pytest

from hcs.stdio_support import Pipes, read_all
from podshim.engine import Stdio
from podshim.engines.hcs.stdio.connect import BUSY_LIMIT, connect_pipes
from podshim.errors import Code, ShimError, status_of
from podshim.win32.binding import failure

IN, OUT, ERR = (rf"\\.\pipe\ctr-c1-{name}" for name in ("stdin", "stdout", "stderr"))


async def test_pipes_are_dialled_in_order() -> None:
    pipes = Pipes()
    pipes.serve(IN, OUT, ERR)
    stdio = Stdio(stdin=IN, stdout=OUT, stderr=ERR)
    upstream = await connect_pipes(stdio, 0, pipes.dial)
    assert pipes.dialled == [IN, OUT, ERR]
    assert set(pipes.limits) == {BUSY_LIMIT}
    assert upstream.stdio is stdio
    assert upstream.stdin is not None
    assert upstream.stdout is not None
    await pipes.servers[IN][0].write(b"in")
    assert await upstream.stdin.read(9) == b"in"
    await upstream.stdout.write(b"out")
    await upstream.close()
    await upstream.close()
    assert await read_all(pipes.servers[OUT][0]) == b"out"
    assert all(ends[0].closed for ends in pipes.clients.values())


async def test_empty_paths_are_not_dialled() -> None:
    pipes = Pipes()
    pipes.serve(OUT)
    upstream = await connect_pipes(Stdio(terminal=True, stdout=OUT), 0, pipes.dial)
    assert pipes.dialled == [OUT]
    assert (upstream.stdin, upstream.stderr) == (None, None)
    await upstream.close_stdin()
    await upstream.close()


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (failure(2, ERR), Code.UNKNOWN, ""),
        (FileNotFoundError(2, "no such pipe"), Code.UNKNOWN, "no such pipe"),
        (PermissionError(13, "refused"), Code.UNKNOWN, "refused"),
        (TimeoutError(), Code.DEADLINE_EXCEEDED, "context deadline exceeded"),
        (ValueError("embedded null character"), Code.UNKNOWN, "embedded null character"),
    ],
)
async def test_a_failure_closes_what_was_open(error: Exception, code: Code, text: str) -> None:
    pipes = Pipes()
    pipes.serve(IN, OUT, ERR)
    pipes.errors[ERR] = error
    with pytest.raises(ShimError) as caught:
        await connect_pipes(Stdio(stdin=IN, stdout=OUT, stderr=ERR), 0, pipes.dial)
    told, message = status_of(caught.value)
    assert told is code
    assert message.startswith(f"open {ERR}: ")
    assert text in message
    assert [pipes.clients[path][0].closed for path in (IN, OUT)] == [True, True]


async def test_a_reader_that_comes_back_gets_the_rest() -> None:
    pipes = Pipes()
    pipes.serve(OUT)
    upstream = await connect_pipes(Stdio(stdout=OUT), 0, pipes.dial)
    assert upstream.stdout is not None
    await upstream.stdout.write(b"one")
    first = pipes.servers[OUT][0]
    assert await first.read(9) == b"one"
    first.close()
    await upstream.stdout.write(b"two")
    await upstream.close()
    assert await read_all(pipes.servers[OUT][1]) == b"two"
