"""A server's end of a named pipe: the name is held, and some instance always waits for a client.

Theory of operation. Each client takes one instance of the pipe. `PipeListener` keeps a few
waiting at all times; when a client has taken one, another is made in the same turn of the loop, and
the connection joins a queue until it is accepted. A client that comes while all of them are taken
is told "busy", and tries again as clients of pipes do. When the queue is full no more are made
until there is room: the clients wait, not we for them.

A first handle, which accepts nobody, is made before all instances, and only if there is no pipe of
that name. It holds the name to the end: nobody else can slip in, and no client hears "not found".
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from podshim.transport.address import PipeAddress
from podshim.transport.pipe_stream import PipeStream
from podshim.transport.proactor import OverlappedPipe
from podshim.win32 import security
from podshim.win32.binding import ERROR_INVALID_HANDLE, failure
from podshim.win32.pipes import create, disconnect, open_client

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from podshim.win32.handles import Handle
    from podshim.win32.security import Descriptor

#: How many instances wait for clients.
WAITING = 4
#: How many connections may wait to be accepted.
BACKLOG = 128
#: How many bytes an instance keeps, each way, until they are read.
BUFFER = 64 * 1024
#: The shortest and the longest pause after an instance could not be made (s).
_SHORTEST = 0.001
_LONGEST = 1.0

log = logging.getLogger("podshim.transport")


def listen(path: str, *, security: str | None = None, buffer: int = BUFFER) -> PipeListener:
    """Listen on a named pipe, from now on. Clients of other machines are refused.

    Args:
        path: The pipe's path.
        security: Who may connect, as SDDL; None for what pipes have by default.
        buffer: How many bytes are kept, each way, until they are read; with 0 a write ends when
            they have been.

    Returns:
        The listener, bound to the running Proactor loop; the caller closes it.

    Raises:
        AddressError: The path is no pipe's, or on another machine.
        OSError: It can't be made, or somebody else has a pipe of that name; nothing is left behind.
    """
    return PipeListener(PipeAddress(path), _descriptor(security), buffer)


def _descriptor(sddl: str | None) -> Descriptor:
    return security.of_pipes() if sddl is None else security.from_sddl(sddl)


class PipeListener:
    """Accepts the clients of a named pipe. Made by `listen`; a context manager."""

    def __init__(self, address: PipeAddress, descriptor: Descriptor, buffer: int) -> None:
        self.address = address
        self._descriptor = descriptor
        self._buffer = buffer
        self._loop = asyncio.get_running_loop()
        self._holder: Handle | None = None
        self._waiting: dict[OverlappedPipe, asyncio.Future[None]] = {}
        self._connected: deque[OverlappedPipe] = deque()
        #: Set while somebody can be accepted, and when it is closed.
        self._news = asyncio.Event()
        self._closed = False
        self._pause = 0.0
        self._timer: asyncio.TimerHandle | None = None
        try:
            self._holder = _hold(address.path, descriptor, buffer)
            self._add()
        except BaseException:
            self.close()
            raise
        self._refill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether it accepts no more."""
        return self._closed

    async def accept(self) -> PipeStream:
        """Wait for the next client. Any number of tasks may wait; cancelling one loses no client.

        Returns:
            The connection; the caller closes it.

        Raises:
            OSError: The listener is closed.
        """
        return PipeStream(await self.accept_pipe())

    async def accept_pipe(self) -> OverlappedPipe:
        """As `accept`, without a stream around it."""
        while not self._connected:
            if self._closed:
                raise failure(ERROR_INVALID_HANDLE, self.address.path)
            await self._news.wait()
        pipe = self._connected.popleft()
        if not self._connected and not self._closed:
            self._news.clear()
        self._refill()
        return pipe

    def close(self) -> None:
        """Accept no more; connections that wait to be accepted are closed.

        The name is free again when those that were accepted have been closed too.
        """
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for pipe in (*self._waiting, *self._connected):
            pipe.close()
        self._waiting.clear()
        self._connected.clear()
        if self._holder is not None:
            self._holder.close()
        self._descriptor.close()
        self._news.set()

    def _refill(self) -> None:
        """Make instances until enough of them wait, or try again later."""
        if self._timer is not None or self._closed:
            return
        try:
            while len(self._waiting) < WAITING and len(self._connected) < BACKLOG:
                self._add()
        except OSError as error:
            self._failed(error)
        else:
            self._pause = 0.0

    def _add(self) -> None:
        path = self.address.path
        pipe = OverlappedPipe(create(path, self._descriptor, first=False, buffer=self._buffer))
        try:
            connecting = pipe.accept()
        except BaseException:
            pipe.close()
            raise
        self._waiting[pipe] = connecting
        connecting.add_done_callback(partial(self._arrived, pipe))

    def _failed(self, error: OSError) -> None:
        self._pause = min(max(2 * self._pause, _SHORTEST), _LONGEST)
        log.warning("pipe: can't accept, trying again in %g s: %s", self._pause, error)
        self._timer = self._loop.call_later(self._pause, self._try_again)

    def _try_again(self) -> None:
        self._timer = None
        self._refill()

    def _arrived(self, pipe: OverlappedPipe, connecting: asyncio.Future[None]) -> None:
        """A client has taken an instance, or the instance has failed or been closed."""
        if self._waiting.pop(pipe, None) is None:
            return
        error = None if connecting.cancelled() else connecting.exception()
        if connecting.cancelled() or error is not None:
            pipe.close()
            if isinstance(error, OSError) and self._timer is None:
                self._failed(error)
            return
        self._connected.append(pipe)
        self._news.set()
        self._refill()


def _hold(path: str, descriptor: Descriptor, buffer: int) -> Handle:
    """Take a name that nobody has, without accepting anybody.

    Raises:
        OSError: Somebody has it, or it can't be had.
    """
    holder = create(path, descriptor, first=True, reads=False, writes=False, buffer=buffer)
    try:
        # It must not be connectable. Where a system makes it so all the same, use it up.
        visitor = open_client(path)
    except OSError:
        return holder
    try:
        with visitor:
            disconnect(holder)
    except BaseException:
        holder.close()
        raise
    return holder
