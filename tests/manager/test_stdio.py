"""Fifos from the client's side, with the shim's side played by the test."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from podshim.errors import DeadlineExceededError
from podshim.manager.ends import Reader
from podshim.manager.stdio import Fifos


@pytest.fixture
def fifos(tmp_path: Path) -> Iterator[Fifos]:
    fifos = Fifos(str(tmp_path), "c1")
    yield fifos
    fifos.close()
    fifos.close()
    assert not any(tmp_path.iterdir())


def shim_end(reader: Reader) -> int:
    return os.open(reader.path, os.O_WRONLY)


async def test_output_is_read_to_its_end(fifos: Fifos) -> None:
    writer = shim_end(fifos.stdout)
    os.write(writer, b"one\ntwo\nrest")
    assert await fifos.stdout.read_until(b"two\n") == b"one\ntwo\n"
    assert await fifos.stdout.read() == b"rest"
    os.close(writer)
    assert await fifos.stdout.read() == b""
    assert await fifos.stdout.read_all() == b""


async def test_no_writer_yet_is_not_the_end(fifos: Fifos) -> None:
    with pytest.raises(DeadlineExceededError, match="no the end"):
        await fifos.stdout.read_all(timeout=0)
    reading = asyncio.ensure_future(fifos.stdout.read_all())
    writer = shim_end(fifos.stdout)
    os.write(writer, b"x" * 60_000)
    os.close(writer)
    assert await reading == b"x" * 60_000


async def test_nothing_is_lost_when_a_deadline_passes(fifos: Fifos) -> None:
    writer = shim_end(fifos.stdout)
    os.write(writer, b"half")
    with pytest.raises(DeadlineExceededError, match="half"):
        await fifos.stdout.read_until(b"\n", timeout=0.05)
    os.close(writer)
    with pytest.raises(EOFError, match="half"):
        await fifos.stdout.read_until(b"\n")
    assert await fifos.stdout.read_all() == b"half"


async def test_a_reader_comes_back(fifos: Fifos) -> None:
    # As a shim does: it holds a reader too, so that its writer is never without one.
    held = os.open(fifos.stdout.path, os.O_RDWR)
    os.write(held, b"one\n")
    await fifos.stdout.read_until(b"\n")
    fifos.detach()
    with pytest.raises(ValueError, match="detached"):
        await fifos.stdout.read()
    os.write(held, b"two\n")
    fifos.attach()
    assert await fifos.stdout.read_until(b"\n") == b"two\n"
    os.close(held)


async def test_input_waits_for_its_reader(fifos: Fifos) -> None:
    await fifos.stdin.write(b"early")
    reader = os.open(fifos.stdin.path, os.O_RDONLY)
    assert os.read(reader, 10) == b"early"
    os.close(reader)


async def test_input_that_nobody_takes_has_a_deadline(fifos: Fifos) -> None:
    with pytest.raises(DeadlineExceededError, match=r"bytes of 1048576 not taken"):
        await fifos.stdin.write(bytes(1 << 20), timeout=0.05)


async def test_a_terminal_has_one_output(tmp_path: Path) -> None:
    fifos = Fifos(str(tmp_path), "t", terminal=True, stdin=False)
    for end in ("stdin", "stderr"):
        with pytest.raises(ValueError, match="there is no standard"):
            getattr(fifos, end)
    assert fifos.outputs == [fifos.stdout]
    assert (fifos.stdio.stdin, fifos.stdio.stderr, fifos.stdio.terminal) == ("", "", True)
    assert Path(fifos.stdio.stdout).is_fifo()
    fifos.close()


async def test_fifos_that_cannot_be_made_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="name too long"):
        Fifos(str(tmp_path), "x" * 300)
    assert not any(tmp_path.iterdir())
