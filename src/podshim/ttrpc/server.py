"""The asyncio server: services behind any number of connections.

Theory of operation. A `Server` knows what is served and which connections there are; `protocol`
makes one connection's `asyncio.Protocol`, and whoever accepts connections (`podshim.transport`)
hands it to the event loop. Every call becomes a task of its own, so a slow one holds up no other,
and answers leave in the order in which they are ready; `server_channel` tells how.

Everything runs on one event loop; nothing here may be called from another thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podshim.ttrpc.channel import STALL_TIMEOUT, WRITE_TIMEOUT
from podshim.ttrpc.server_channel import Roster, ServerChannel
from podshim.ttrpc.server_connection import MAX_STREAMS, ServerConnection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podshim.ttrpc.service import Peer, Service


class Server:
    """What is served, and the connections on which it is.

    Args:
        services: The services, each name once.
        max_streams: How many calls one connection may have open at once.
        stall_timeout: How long an unread stream may hold up its connection (s).
        write_timeout: After how long a client that takes nothing is given up (s).

    Raises:
        ValueError: Two services have one name.
    """

    def __init__(
        self,
        services: Iterable[Service],
        *,
        max_streams: int = MAX_STREAMS,
        stall_timeout: float = STALL_TIMEOUT,
        write_timeout: float = WRITE_TIMEOUT,
    ) -> None:
        self._services: dict[str, Service] = {}
        for service in services:
            if service.name in self._services:
                raise ValueError(f"service {service.name} is registered twice")
            self._services[service.name] = service
        self._max_streams = max_streams
        self._stall_timeout = stall_timeout
        self._write_timeout = write_timeout
        self._roster = Roster()

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._roster.channels)

    @property
    def calls(self) -> int:
        """How many handlers run, those included that are on their way out."""
        return len(self._roster.tasks)

    def protocol(self, peer: Peer | None = None) -> asyncio.Protocol:
        """Make the protocol of one new connection, in the running event loop.

        Args:
            peer: Who is at the other end, for the handlers to see.
        """
        return ServerChannel(
            ServerConnection(self._services, max_streams=self._max_streams),
            self._roster,
            peer,
            stall_timeout=self._stall_timeout,
            write_timeout=self._write_timeout,
        )

    async def shutdown(self, timeout: float) -> bool:  # noqa: ASYNC109 - see the return value
        """Stop, but let calls that have begun end: each connection is closed when it has none.

        New connections are closed at once; that none are accepted is the carrier's business.

        Args:
            timeout: When to stop waiting and `close` (s).

        Returns:
            Whether every call ended, and every answer was taken, in time.
        """
        self._roster.closing = True
        for channel in list(self._roster.channels):
            channel.close_if_idle()
        try:
            async with asyncio.timeout(timeout):
                await self._roster.idle.wait()
        except TimeoutError:
            return False
        finally:
            self.close()
        return True

    def close(self) -> None:
        """Stop now: end every connection, which cancels its calls."""
        self._roster.closing = True
        for channel in list(self._roster.channels):
            channel.abort()

    async def wait_closed(self) -> None:
        """Wait until there is no connection and no handler; after `close` that is soon."""
        await self._roster.idle.wait()
