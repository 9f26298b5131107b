"""Hv-sockets of Windows on asyncio: `sockets` made real.

Theory of operation. Asyncio's own accepting knows the addresses of the Internet alone, so a thread
of its own waits in each listener; closing the listener lets it go. Connected sockets are read and
written by the loop, as any other.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

from podshim.engines.hcs.vm.guest.sockets import GuestListener, GuestStream
from podshim.win32 import hvsocket

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from podshim.engines.hcs.vm.guest.sockets import Listen


def listening_for(vm: UUID) -> Listen:
    """What listens for services of one VM."""

    async def listen(service: UUID) -> GuestListener:
        return HvListener(hvsocket.listen(vm, service))

    return listen


class HvListener(GuestListener):
    """Waits for a guest to connect.

    Args:
        listener: The listening socket; owned from now on.
        accept: Waits for the next connection in a thread.
    """

    def __init__(
        self,
        listener: socket.socket,
        accept: Callable[[socket.socket], socket.socket] = hvsocket.accept,
    ) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._accept = accept
        self._came: asyncio.Queue[socket.socket | OSError] = asyncio.Queue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="hv-accept", daemon=True)
        self._thread.start()

    async def accept(self) -> GuestStream:
        """Wait for the next connection.

        Raises:
            OSError: It is closed, or can't listen.
        """
        came = await self._came.get()
        if isinstance(came, OSError):
            self._came.put_nowait(came)  # for whoever asks next
            raise came
        return HvStream(came)

    def close(self) -> None:
        """Stop waiting; connections that nobody has taken are closed. Any number of calls."""
        if self._closed:
            return
        self._closed = True
        self._listener.close()
        while not self._came.empty():
            came = self._came.get_nowait()
            if isinstance(came, socket.socket):
                came.close()
        self._came.put_nowait(OSError("the listener is closed"))

    def _run(self) -> None:
        while True:
            try:
                came: socket.socket | OSError = self._accept(self._listener)
            except OSError as error:
                came = error
            try:
                self._loop.call_soon_threadsafe(self._take, came)
            except RuntimeError:  # the loop is closed
                if isinstance(came, socket.socket):
                    came.close()
                return
            if isinstance(came, OSError):
                return

    def _take(self, came: socket.socket | OSError) -> None:
        if not self._closed:
            self._came.put_nowait(came)
        elif isinstance(came, socket.socket):
            came.close()


class HvStream(GuestStream):
    """A connection with a guest.

    Args:
        connection: The socket; owned from now on.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)  # noqa: FBT003
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._written = 0

    @property
    def written(self) -> int:
        """How many bytes of the last write have been taken: all or none."""
        return self._written

    async def read(self, limit: int) -> bytes:
        """As `ReadStream.read`."""
        return await self._loop.sock_recv(self._socket, limit)

    async def write(self, data: bytes) -> int:
        """As `WriteStream.write`."""
        self._written = 0
        if data:
            await self._loop.sock_sendall(self._socket, data)
            self._written = len(data)
        return self._written

    async def end_writing(self) -> None:
        """Let the guest read the end.

        Raises:
            OSError: The connection is gone.
        """
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection; any number of calls."""
        self._socket.close()
