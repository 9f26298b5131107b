"""The log fifo: lines as containerd writes them, and nobody ever waits for their reader."""

from __future__ import annotations

import logging
import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from podshim.shim.logfmt import LogfmtFormatter, quote, timestamp
from podshim.shim.logs import MAX_LINE, FifoHandler, to_fifo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger("podshim.test")


def record(text: str = "said", **extra: object) -> logging.LogRecord:
    return log.makeRecord("podshim", logging.INFO, "f.py", 1, text, (), None, extra=extra)


def fifo(folder: Path, name: str = "log") -> str:
    path = folder / name
    os.mkfifo(path)
    return str(path)


class Reader:
    """containerd's end: open for reading, without waiting."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def lines(self) -> list[str]:
        text = b""
        while select.select([self.fd], [], [], 0)[0] and (part := os.read(self.fd, 65536)):
            text += part
        return text.decode().splitlines()

    def close(self) -> None:
        os.close(self.fd)


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[FifoHandler]:
    path = fifo(tmp_path)
    made = FifoHandler(lambda: [path])
    made.setFormatter(LogfmtFormatter())
    yield made
    made.close()


def test_a_line_is_containerds() -> None:
    entry = record("it's done", container="c1", said='a "b"\nc')
    entry.created = 1_700_000_000.5
    assert LogfmtFormatter().format(entry) == (
        'time="2023-11-14T22:13:20.500000000Z" level=info msg="it\'s done"'
        ' container=c1 said="a \\"b\\"\\nc"'
    )


def test_levels_and_errors() -> None:
    entry = record()
    entry.levelname = "CRITICAL"
    try:
        raise ValueError("no")
    except ValueError:
        entry.exc_info = sys.exc_info()
    line = LogfmtFormatter().format(entry)
    assert " level=fatal " in line
    assert line.endswith('ValueError: no"')
    assert "\n" not in line


def test_a_long_traceback_does_not_push_out_what_went_wrong(
    handler: FifoHandler, tmp_path: Path
) -> None:
    def deep(depth: int) -> None:
        if depth:
            deep(depth - 1)
        else:
            raise ValueError("no " * 5000)

    entry = record("it failed")
    try:
        try:
            deep(40)
        except ValueError:
            raise KeyError("who") from ValueError("because")
    except KeyError:
        entry.exc_info = sys.exc_info()
    reader = Reader(str(tmp_path / "log"))
    handler.emit(entry)
    (line,) = reader.lines()
    reader.close()
    assert len(line) < MAX_LINE
    assert " error=\"KeyError: 'who'\" stack=" in line
    assert line.endswith("KeyError: 'who'\"")
    try:
        deep(1)
    except ValueError:
        entry.exc_info = sys.exc_info()
    assert len(LogfmtFormatter().format(entry)) < MAX_LINE


@given(st.text())
def test_a_value_never_breaks_its_line(value: str) -> None:
    quoted = quote(value)
    assert quoted.isprintable()
    assert quoted
    if quoted[0] != '"':
        assert quoted == value


@given(st.floats(0, 4e9))
def test_a_time_has_nine_digits(seconds: float) -> None:
    assert len(timestamp(seconds)) == len("2006-01-02T15:04:05.000000000Z")


def test_what_is_written_is_read(handler: FifoHandler, tmp_path: Path) -> None:
    reader = Reader(str(tmp_path / "log"))
    handler.emit(record("one"))
    handler.emit(record("two"))
    assert [line.partition(" msg=")[2] for line in reader.lines()] == ["one", "two"]
    reader.close()


def test_without_a_reader_lines_are_counted(handler: FifoHandler, tmp_path: Path) -> None:
    for _ in range(3):
        handler.emit(record())
    assert handler.dropped == 3
    reader = Reader(str(tmp_path / "log"))
    handler.emit(record("back"))
    lost, said = reader.lines()
    assert ' level=warning msg="log lines were dropped" lines=3' in lost
    assert said.endswith("msg=back")
    assert handler.dropped == 0
    reader.close()


def test_a_reader_that_is_replaced(handler: FifoHandler, tmp_path: Path) -> None:
    reader = Reader(str(tmp_path / "log"))
    handler.emit(record("one"))
    assert len(reader.lines()) == 1
    reader.close()
    handler.emit(record("nobody hears this"))
    reader = Reader(str(tmp_path / "log"))
    handler.emit(record("three"))
    lines = reader.lines()
    assert " lines=1" in lines[0]
    assert lines[-1].endswith("msg=three")
    reader.close()


def test_a_reader_that_does_not_read(handler: FifoHandler, tmp_path: Path) -> None:
    reader = Reader(str(tmp_path / "log"))
    full = os.open(tmp_path / "log", os.O_WRONLY | os.O_NONBLOCK)
    for size in (4096, 1):
        with suppress(BlockingIOError):
            while os.write(full, b"\n" * size):
                pass
    handler.emit(record("one"))
    handler.emit(record("two"))
    assert handler.dropped == 2
    assert not any(reader.lines())
    handler.emit(record("three"))
    lost, said = reader.lines()
    assert lost.endswith(" lines=2")
    assert said.endswith("msg=three")
    os.close(full)
    reader.close()


def test_a_long_line_is_cut(handler: FifoHandler, tmp_path: Path) -> None:
    reader = Reader(str(tmp_path / "log"))
    handler.emit(record("x" * 100_000))
    (line,) = reader.lines()
    assert len(line) == MAX_LINE - 1
    reader.close()


def test_another_bundles_fifo_takes_over(tmp_path: Path) -> None:
    first, second = fifo(tmp_path, "first"), fifo(tmp_path, "second")
    handler = FifoHandler(lambda: [first, second])
    handler.setFormatter(LogfmtFormatter())
    readers = Reader(first), Reader(second)
    handler.emit(record("one"))
    os.unlink(first)
    handler.emit(record("two"))
    assert [len(reader.lines()) for reader in readers] == [1, 1]
    for reader in readers:
        reader.close()
    handler.close()


def test_a_record_that_cant_be_written_breaks_nothing(handler: FifoHandler) -> None:
    broken = record("%d")
    broken.args = ("no number",)
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        handler.emit(broken)
    finally:
        logging.raiseExceptions = before


def test_logging_is_as_before_afterwards(tmp_path: Path) -> None:
    path = fifo(tmp_path)
    reader = Reader(path)
    root = logging.getLogger()
    before = root.level, list(root.handlers), logging.raiseExceptions
    with to_fifo(lambda: [path], debug=True):
        log.debug("heard")
    assert (root.level, list(root.handlers), logging.raiseExceptions) == before
    assert any(line.endswith(" level=debug msg=heard") for line in reader.lines())
    reader.close()
