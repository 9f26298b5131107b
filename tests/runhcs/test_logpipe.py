"""The log's way to whoever reads it, with readers that come, go, and do not read."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

import pytest

from podshim.shim.logfmt import LogfmtFormatter
from podshim.shim.runhcs.logpipe import MAX_LINE, LogPipe
from podshim.transport.streams import WriteStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Reader(WriteStream):
    """A client of the log: takes what comes when it is let, until it is gone."""

    def __init__(self, *, reads: bool = True) -> None:
        self.text = b""
        self.closed = False
        self.gone = False
        self.may = asyncio.Event()
        if reads:
            self.may.set()
        self._written = 0

    @property
    def written(self) -> int:
        return self._written

    async def write(self, data: bytes) -> int:
        await self.may.wait()
        if self.gone:
            raise OSError("no reader")
        self.text += data
        self._written = len(data)
        return len(data)

    def close(self) -> None:
        self.closed = True

    def lines(self) -> list[str]:
        return self.text.decode().splitlines()


class Clients:
    """Where readers come."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Reader | None] = asyncio.Queue()
        self.closed = False

    async def accept(self) -> Reader:
        client = await self.queue.get()
        if client is None:
            raise OSError("closed")
        return client

    def close(self) -> None:
        self.closed = True


class Log:
    """A log with its readers, and the file that stands for standard error."""

    def __init__(self, stderr: Path, **arguments: int) -> None:
        self._stderr = stderr
        self.fd = os.open(stderr, os.O_WRONLY | os.O_CREAT)
        self.pipe = LogPipe(stderr=self.fd, **arguments)
        self.pipe.setFormatter(LogfmtFormatter())
        self.clients = Clients()
        self.serving = asyncio.create_task(self.pipe.serve(self.clients))

    def say(self, text: str) -> None:
        self.pipe.handle(logging.LogRecord("x", logging.INFO, "", 0, text, None, None))

    async def attach(self, **arguments: bool) -> Reader:
        reader = Reader(**arguments)
        await self.clients.queue.put(reader)
        await settled()
        return reader

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    async def close(self) -> None:
        self.serving.cancel()
        await asyncio.wait((self.serving,))
        os.close(self.fd)


async def settled() -> None:
    """Let everything happen that can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def stderr(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "stderr"  # noqa: PT022 - one kind of fixture


async def test_until_the_first_reader_it_is_standard_errors(stderr: Path) -> None:
    log = Log(stderr)
    log.say("early")
    assert "msg=early" in log.stderr
    reader = await log.attach()
    log.say("late")
    await settled()
    assert ["msg=late" in line for line in reader.lines()] == [True]
    assert "late" not in log.stderr
    await log.close()
    assert reader.closed
    assert log.clients.closed


async def test_without_a_reader_standard_error_gets_no_more_than_the_queue_has_room(
    stderr: Path,
) -> None:
    log = Log(stderr, limit=1000)
    for number in range(100):
        log.say(f"line-{number}")
    early = log.stderr.splitlines()
    assert 900 < len(log.stderr) <= 1000 + len(early[0])
    reader = await log.attach()
    lines = reader.lines()
    assert f"lines={100 - len(early) - len(lines[1:])}" in lines[0]
    assert "msg=line-99" in lines[-1]
    await log.close()


async def test_the_last_reader_gets_it(stderr: Path) -> None:
    log = Log(stderr)
    first = await log.attach()
    log.say("one")
    await settled()
    second = await log.attach()
    assert first.closed
    log.say("two")
    await settled()
    assert ["msg=one" in line for line in first.lines()] == [True]
    assert ["msg=two" in line for line in second.lines()] == [True]
    await log.close()


async def test_what_a_reader_did_not_take_is_the_next_ones(stderr: Path) -> None:
    log = Log(stderr)
    first = await log.attach()
    first.gone = True
    log.say("one")
    await settled()
    assert first.closed
    log.say("two")
    second = await log.attach()
    assert [line.rpartition("msg=")[2] for line in second.lines()] == ["one", "two"]
    assert log.stderr == ""
    await log.close()


async def test_a_reader_that_does_not_read_loses_the_oldest_lines(stderr: Path) -> None:
    log = Log(stderr, limit=1000)
    reader = await log.attach(reads=False)
    log.say("line-0")
    await settled()
    for number in range(1, 100):
        log.say(f"line-{number}")
    assert len(b"".join(log.pipe._lines)) <= 1000
    kept = len(log.pipe._lines)
    reader.may.set()
    await settled()
    lines = reader.lines()
    # The first one was on its way already, and is not lost.
    assert "msg=line-0" in lines[0]
    assert f"lines={99 - kept}" in lines[1]
    assert "level=warning" in lines[1]
    assert [line.rpartition("msg=")[2] for line in lines[2:]] == [
        f"line-{number}" for number in range(100 - kept, 100)
    ]
    await log.close()


async def test_how_many_lines_are_lost_is_told_until_somebody_takes_it(stderr: Path) -> None:
    log = Log(stderr, limit=1000)
    first = await log.attach(reads=False)
    for number in range(100):
        log.say(f"line-{number}")
    await settled()
    log.say("one more")
    lost = 101 - len(log.pipe._lines)
    first.gone = True
    first.may.set()
    await settled()
    second = await log.attach()
    assert f"lines={lost}" in second.lines()[0]
    log.say("another")
    await settled()
    assert [line for line in second.lines()[1:] if "dropped" in line] == []
    await log.close()


async def test_a_line_has_a_limit(stderr: Path) -> None:
    log = Log(stderr)
    reader = await log.attach()
    log.say("x" * (2 * MAX_LINE))
    log.say("next")
    await settled()
    lines = reader.lines()
    assert len(lines[0]) == MAX_LINE - 1
    assert "msg=next" in lines[1]
    await log.close()


async def test_threads_may_log(stderr: Path) -> None:
    log = Log(stderr)
    reader = await log.attach()

    def say() -> None:
        for number in range(50):
            log.say(f"line-{number}")

    await asyncio.to_thread(say)
    await settled()
    assert ["msg=line-" in line for line in reader.lines()] == [True] * 50
    await log.close()


async def test_the_last_lines_get_a_chance(stderr: Path) -> None:
    log = Log(stderr)
    reader = await log.attach(reads=False)
    log.say("last")
    asyncio.get_running_loop().call_later(0.05, reader.may.set)
    await log.pipe.drain(20)
    assert "msg=last" in reader.text.decode()
    log.say("never read")
    reader.may.clear()
    await log.pipe.drain(0.01)
    await log.close()


async def test_when_no_reader_can_come_any_more_it_ends(stderr: Path) -> None:
    log = Log(stderr)
    reader = await log.attach()
    await log.clients.queue.put(None)
    await asyncio.wait_for(log.serving, 20)
    assert reader.closed
    log.say("still no error")
    await log.close()


async def test_a_broken_record_breaks_nothing(
    stderr: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log(stderr)
    log.pipe.handle(logging.LogRecord("x", logging.INFO, "", 0, "%d", ("no number",), None))
    log.say("next")
    assert "msg=next" in log.stderr
    assert "Logging error" in capsys.readouterr().err
    await log.close()
