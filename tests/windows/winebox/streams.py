"""Copies standard streams of Wine programs, with the one thing about them that Wine gets wrong.

Wine gives every descendant of a program the program's Linux descriptor 2, whatever Windows handles
it was started with. So standard error has no end until the last detached descendant is gone, and
its end can't be waited for: it is read until the program itself has ended and nothing is left in
the pipe. Standard output does end when the last program that holds it as a handle is gone.
"""

import contextlib
import os
import select
import threading
from collections.abc import Callable

_CHUNK = 65536


class Pump:
    """A thread that copies from a descriptor until it ends. Owns neither side's descriptor.

    Args:
        source: descriptor to read from.
        sink: takes each piece, and may block; an OSError of it ends the copying.
        done: called when the copying has ended, by the copying thread.
    """

    def __init__(
        self,
        source: int,
        sink: Callable[[bytes], object],
        done: Callable[[], object] = lambda: None,
    ) -> None:
        self._source = source
        self._sink = sink
        self._done = done
        # The reading end hangs up when finish() closes the writing end.
        self._finished, self._finish = os.pipe()
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def finish(self, timeout: float) -> bool:
        """Stop once nothing is left to read, end or not; False if that took too long."""
        os.close(self._finish)
        return self.join(timeout)

    def join(self, timeout: float) -> bool:
        """Wait for the end of the source, at most ``timeout`` seconds; whether it came."""
        self._thread.join(max(0.0, timeout))
        return not self._thread.is_alive()

    def _copy(self) -> None:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(self._finished, 0)
        with contextlib.suppress(OSError):  # the sink is broken: there is nobody left to copy for
            while any(descriptor == self._source for descriptor, _ in poll.poll()):
                data = os.read(self._source, _CHUNK)
                if not data:
                    break
                self._sink(data)
        os.close(self._finished)
        self._done()


def write_all(target: int, data: bytes) -> None:
    """Write all of ``data`` to the descriptor; blocks until the reader took it."""
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
