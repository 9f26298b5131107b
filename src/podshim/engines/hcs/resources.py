"""What a container is made from, and giving it back.

Theory of operation. Whoever acquires something for a container hands it to `Resources` at once, so
that it is given back on every path: after the container, or when its creation fails. Resources go
in the reverse order of their coming, and the layers last, because the others may lie in them. A
failure keeps none of the others: all that can be given back is, then the failure is told.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    what: str
    release: Callable[[], Awaitable[None]]


class Resources:
    """The resources of one container.

    Args:
        container_id: Whose.
    """

    def __init__(self, container_id: str) -> None:
        self._id = container_id
        self._held: list[_Held] = []
        self._layers: list[_Held] = []

    def add(self, what: str, release: Callable[[], Awaitable[None]]) -> None:
        """Take a resource.

        Args:
            what: What it is, for the log.
            release: Gives it back; raises ShimError or OSError if that fails.
        """
        self._held.append(_Held(what, release))

    def add_layers(self, release: Callable[[], Awaitable[None]]) -> None:
        """Take the mounted layers, which go after all others."""
        self._layers.append(_Held("layers", release))

    async def release(self) -> None:
        """Give everything back; what can't be is kept, and another call tries again.

        Raises:
            ShimError: Something could not be given back; the log tells what.
        """
        held, layers = self._held, self._layers
        self._held, self._layers = [], []
        self._held = await self._give_back(held)
        self._layers = await self._give_back(layers)
        if self._held or self._layers:
            raise ShimError("failed to release one or more container resources")

    async def _give_back(self, held: list[_Held]) -> list[_Held]:
        """Give back in reverse order; what is left."""
        kept = []
        for one in reversed(held):
            try:
                await one.release()
            except (ShimError, OSError) as error:
                _log.warning("%s of container %s stays: %s", one.what, self._id, error)
                kept.append(one)
        return kept[::-1]
