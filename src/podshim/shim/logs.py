"""A server's log: lines as containerd writes them, into the fifo that it reads.

Theory of operation. containerd opens `log` in the bundle of every container that it runs `start`
for, and copies what comes to its own log. The reader may be absent, slow, or replaced when
containerd restarts; none of that may ever hold up the shim. So the fifo is opened and written
without waiting, a line is at most `PIPE_BUF` bytes (which the kernel writes whole or not at all),
and a line that can't be written now is counted and dropped; the count is the first thing told when
writing works again. When the bundle goes away while the server lives on for others, the next
bundle's fifo takes over.

What is logged is the caller's responsibility: values of environments and annotations never are.
"""

from __future__ import annotations

import logging
import os
import select
from contextlib import contextmanager
from typing import TYPE_CHECKING

from podshim.shim.logfmt import LogfmtFormatter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_LINE = select.PIPE_BUF


class FifoHandler(logging.Handler):
    """Writes records into the first fifo that can be had, and never waits.

    Args:
        fifos: Called when a fifo is wanted: the candidates' paths, the best first.
    """

    def __init__(self, fifos: Callable[[], Iterable[str]]) -> None:
        super().__init__()
        self._fifos = fifos
        self._fd = -1
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it as dropped."""
        try:
            line = _cut(self.format(record))
        except Exception:  # noqa: BLE001 - a broken record must not break what it tells of
            self.handleError(record)
            return
        if self.dropped:
            report = logging.LogRecord(
                __name__, logging.WARNING, "", 0, "log lines were dropped", None, None
            )
            report.lines = self.dropped
            if not self._write(_cut(self.format(report))):
                self.dropped += 1
                return
            self.dropped = 0
        if not self._write(line):
            self.dropped += 1

    def close(self) -> None:
        """Give the fifo back."""
        self._release()
        super().close()

    def _write(self, line: bytes) -> bool:
        if self._fd >= 0 and _abandoned(self._fd):
            self._release()
        if self._fd < 0:
            self._fd = _open_first(self._fifos())
        if self._fd < 0:
            return False
        try:
            return os.write(self._fd, line) == len(line)
        except OSError:  # EPIPE: no reader now; EAGAIN: a reader that doesn't read
            return False

    def _release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _cut(line: str) -> bytes:
    data = line.encode("utf-8", "backslashreplace")
    return data[: MAX_LINE - 1] + b"\n"


def _abandoned(fd: int) -> bool:
    """Whether a fifo has been removed: no reader will come to it any more."""
    return os.fstat(fd).st_nlink == 0


def _open_first(paths: Iterable[str]) -> int:
    """The first fifo of these that has a reader, or -1."""
    for path in paths:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # ENXIO: no reader; ENOENT: no such bundle any more
            continue
    return -1


@contextmanager
def to_fifo(fifos: Callable[[], Iterable[str]], *, debug: bool) -> Iterator[FifoHandler]:
    """Let all of the process's log records go into a fifo, for a `with` block.

    Args:
        fifos: As `FifoHandler`'s.
        debug: Whether records of level DEBUG are wanted.
    """
    handler = FifoHandler(fifos)
    handler.setFormatter(LogfmtFormatter())
    root = logging.getLogger()
    before = root.level, logging.raiseExceptions
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    logging.raiseExceptions = False
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        handler.close()
        root.setLevel(before[0])
        logging.raiseExceptions = before[1]
