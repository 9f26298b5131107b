"""The layers of Windows containers: what they are, how they are mounted, how that is undone.

Theory of operation. `sources` reads what a client asks for; `drivers` are Windows' calls;
`mounting` makes them in order, in a thread; `mount`, here, is what a coroutine calls, and what it
returns owns the mounted layers.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Protocol, TypeVar

from podshim.engines.hcs.layers import mounting
from podshim.engines.hcs.layers.mounting import Drivers
from podshim.engines.hcs.layers.sources import layers_of
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Callable

    from podshim.engines.hcs.documents.container import Layer
    from podshim.engines.hcs.layers.mounting import Mount
    from podshim.engines.hcs.layers.sources import LayerSource
    from podshim.engines.hcs.leftovers import Leftovers

__all__ = ["Drivers", "Mounted", "Threads", "given_back", "layers_of", "mount"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Threads(Protocol):
    """Threads for calls that block; see `podshim.engines.hcs.operations.CallThreads`."""

    async def run(self, what: str, function: Callable[[], T]) -> T:
        """Call `function` in a thread; if the caller is cancelled, the call goes on."""


class Mounted:
    """The owner of mounted layers.

    Args:
        mounted: What has been mounted.
        container_id: Whose.
        threads: Where they are unmounted.
    """

    def __init__(self, mounted: Mount, container_id: str, threads: Threads) -> None:
        self._mounted = mounted
        self._id = container_id
        self._threads = threads

    @property
    def path(self) -> str:
        r"""The root file system: `\\?\Volume{GUID}`, with or without a backslash at its end."""
        return self._mounted.path

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What goes into the container's document."""
        return self._mounted.layers

    async def release(self) -> None:
        """Unmount them; once done, further calls do nothing.

        Raises:
            ShimError: They can't be unmounted; another call goes on where this one ended.
        """
        unmount = functools.partial(mounting.unmount, self._mounted)
        await self._threads.run(f"unmount layers of {self._id}", unmount)


async def mount(
    source: LayerSource,
    container_id: str,
    threads: Threads,
    leftovers: Leftovers,
    using: Drivers,
) -> Mounted:
    """Mount layers.

    If this is cancelled, Windows' calls go on, and what comes of them is unmounted.

    Args:
        source: Which.
        container_id: Whose.
        threads: Where Windows is called.
        leftovers: Who unmounts what a cancelled caller left.
        using: Windows' calls.

    Raises:
        ShimError: They can't be mounted; nothing is left mounted.
    """
    begin = functools.partial(mounting.mount, source, container_id, using)

    async def mounted() -> Mounted:
        made = await threads.run(f"mount layers of {container_id}", begin)
        return Mounted(made, container_id, threads)

    return await leftovers.finish(mounted(), given_back)


class Releasable(Protocol):
    """Something that can be given back."""

    async def release(self) -> None:
        """Give it back."""


async def given_back(resource: Releasable) -> None:
    """Give something back that nobody wants any more; a failure is logged."""
    try:
        await resource.release()
    except (ShimError, OSError) as error:
        _log.warning("after a cancelled request: %s", error)
