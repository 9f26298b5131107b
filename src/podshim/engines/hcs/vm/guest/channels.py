"""The streams of a guest's processes.

Theory of operation. For each stream of a process the host listens on a service of its own, tells
the guest which, and the guest connects when the process is there. A channel can be used at once:
reads and writes wait for the connection. One connection comes, or none: then closing the channel,
or the guest's refusal, ends the wait.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podshim.transport.streams import DuplexStream

if TYPE_CHECKING:
    from podshim.engines.hcs.vm.guest.sockets import GuestListener, GuestStream


class Channel(DuplexStream):
    """A stream of a process in a guest, connected or to be.

    Args:
        listener: Where the guest will connect; owned from now on.
    """

    def __init__(self, listener: GuestListener) -> None:
        self._listener = listener
        self._stream: GuestStream | None = None
        self._closed = False
        self._written = 0
        self._accepting = asyncio.create_task(self._accept(), name="guest-channel")
        self._accepting.add_done_callback(_look_at)

    @property
    def written(self) -> int:
        """How many bytes of the last write have been taken."""
        return self._written if self._stream is None else self._stream.written

    async def read(self, limit: int) -> bytes:
        """As `ReadStream.read`, waiting for the guest to connect first."""
        return await (await self._connected()).read(limit)

    async def write(self, data: bytes) -> int:
        """As `WriteStream.write`, waiting for the guest to connect first."""
        return await (await self._connected()).write(data)

    async def end_writing(self) -> None:
        """Let the process read the end of its input; without a connection wait for it.

        Raises:
            OSError: The connection is gone, or did not come.
        """
        await (await self._connected()).end_writing()

    def close(self) -> None:
        """Close it, and wait for no connection any more."""
        self._closed = True
        self._listener.close()
        self._accepting.cancel()
        if self._stream is not None:
            self._stream.close()

    async def _accept(self) -> GuestStream:
        try:
            stream = await self._listener.accept()
        finally:
            self._listener.close()
        if self._closed:
            stream.close()
            raise OSError("the channel is closed")
        self._stream = stream
        return stream

    async def _connected(self) -> GuestStream:
        await asyncio.wait((self._accepting,))
        if self._accepting.cancelled():
            raise OSError("the channel is closed")
        return self._accepting.result()


def _look_at(accepting: asyncio.Task[GuestStream]) -> None:
    """Take note of a failure, which only those who use the channel are told."""
    if not accepting.cancelled():
        accepting.exception()
