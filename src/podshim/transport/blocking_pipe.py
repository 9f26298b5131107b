"""A client's end of a named pipe for a program without an event loop; light.

Theory of operation. As a client of `pipes`, but each call waits in the calling thread and says
until when, in the time of `time.monotonic`. A pipe whose instances are all taken is tried again
every 10 ms, as every client of Windows' pipes does; one that is not there is an error at once.
"""

from __future__ import annotations

import time

from podshim.transport.address import PipeAddress
from podshim.win32 import overlapped
from podshim.win32.binding import ERROR_PIPE_BUSY, code_of
from podshim.win32.pipes import open_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from podshim.win32.handles import Handle

#: Between two attempts to connect to a busy pipe (s).
RETRY = 0.01


def connect(path: str, deadline: float) -> BlockingPipe:
    """Connect to a named pipe.

    Args:
        path: Its path.
        deadline: Until when to try while it is busy; later calls that say nothing else keep it.

    Returns:
        The connection; the caller closes it.

    Raises:
        AddressError: The path is no pipe's, or on another machine.
        TimeoutError: It was busy all the time.
        OSError: It can't be opened; FileNotFoundError if there is no such pipe.
    """
    target = PipeAddress(path)
    while True:
        try:
            return BlockingPipe(open_client(target.path), deadline)
        except OSError as error:
            if code_of(error) != ERROR_PIPE_BUSY:
                raise
        if time.monotonic() + RETRY >= deadline:
            raise TimeoutError(f"open {target}: i/o timeout")
        time.sleep(RETRY)


class BlockingPipe:
    """A connection to a named pipe's server, for one thread; a context manager. See `connect`."""

    __slots__ = ("_deadline", "_handle")

    def __init__(self, handle: Handle, deadline: float) -> None:
        self._handle = handle
        self._deadline = deadline

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; any number of times."""
        self._handle.close()

    def send_all(self, data: bytes, deadline: float | None = None) -> None:
        """Send all of the data.

        Args:
            data: What to send.
            deadline: Until when to try; None for that of `connect`.

        Raises:
            TimeoutError: The server did not take it.
            OSError: The connection is broken or closed.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[overlapped.write(self._handle, bytes(rest), self._left(deadline)) :]

    def recv(self, limit: int, deadline: float | None = None) -> bytes:
        """Receive what there is, at least one byte.

        Args:
            limit: The most bytes to take.
            deadline: Until when to wait; None for that of `connect`.

        Returns:
            The bytes; none if the server has closed the connection.

        Raises:
            TimeoutError: Nothing came.
            OSError: The connection is broken or closed.
        """
        return overlapped.read(self._handle, limit, self._left(deadline))

    def _left(self, deadline: float | None) -> float:
        left = (self._deadline if deadline is None else deadline) - time.monotonic()
        if left <= 0:  # also where an operation would end at once: a peer may never stop talking
            raise TimeoutError(f"{self._handle.what}: no answer in time")
        return left
