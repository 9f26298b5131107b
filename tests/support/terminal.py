"""A program behind a terminal of our own, as a person would run it."""

import os
import pty
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from select import select
from types import TracebackType
from typing import Self

from support.waiting import DEADLINE


class Terminal:
    """A program whose three standard streams are a terminal. A context manager.

    Args:
        command: What to run.
        size: The terminal's size, rows and columns.
    """

    def __init__(self, command: list[str], size: tuple[int, int] = (24, 80)) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(*size)
        try:
            self.process = subprocess.Popen(
                command,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        self.output = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        os.close(self._ours)

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._ours, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size, and say so to the program, as a terminal does."""
        ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if hasattr(self, "process"):
            self.say_size()

    def say_size(self) -> None:
        """Have the program look at the window's size."""
        self.process.send_signal(signal.SIGWINCH)

    def expect(self, text: str, *, remind: Callable[[], None] | None = None) -> None:
        """Read until the output holds a text.

        Args:
            text: The text.
            remind: Called whenever there was no output for a second.

        Raises:
            AssertionError: It ended, or time did, without.
        """
        end = time.monotonic() + DEADLINE
        while text.encode() not in self.output:
            if remind is not None and not self._ready(min(end, time.monotonic() + 1)):
                remind()
                if time.monotonic() < end:
                    continue
            if not self._more(end):
                message = f"no {text!r} in {self.output!r}"
                raise AssertionError(message)

    def end(self) -> int:
        """Read to the end of the output; returns the program's exit status."""
        end = time.monotonic() + DEADLINE
        while self._more(end):
            pass
        return self.process.wait(DEADLINE)

    def _ready(self, end: float) -> bool:
        return bool(select([self._ours], [], [], max(0.0, end - time.monotonic()))[0])

    def _more(self, end: float) -> bool:
        if not self._ready(end):
            return False
        try:
            part = os.read(self._ours, 1 << 16)
        except OSError:  # EIO: the last end of the terminal's other side is closed
            return False
        self.output += part
        return bool(part)
