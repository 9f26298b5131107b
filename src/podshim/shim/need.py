"""A server that knows whether anybody needs it: the policy of `idle`, told what it asks for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podshim import ttrpc
from podshim.shim.idle import IdlePolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from podshim.ttrpc import Peer

#: How often a server looks whether anybody needs it, in s.
LOOK_EVERY = 30.0


class CountingServer(ttrpc.Server):
    """A ttrpc server that knows how many connections it has ever had."""

    accepted = 0

    def protocol(self, peer: Peer | None = None) -> asyncio.Protocol:
        """What serves one more connection."""
        self.accepted += 1
        return super().protocol(peer)


async def until_useless(server: CountingServer, tasks: Callable[[], int], patience: float) -> None:
    """Wait until nobody has needed the server for a long time.

    Args:
        server: The server.
        tasks: Tells how many tasks it has.
        patience: How long it must have been of no use, in s.
    """
    clock = asyncio.get_running_loop().time
    policy = IdlePolicy(clock(), patience)
    while True:
        await asyncio.sleep(min(LOOK_EVERY, patience))
        if policy.observe(
            clock(), tasks=tasks(), connections=server.connections, accepted=server.accepted
        ):
            return
