"""Changing a running VM: the host's part, the guest's part, and the order of the two.

Theory of operation. What a VM gets is added by the host first and then made known to the guest;
what it loses is given up by the guest first and then taken away by the host. One request has both
parts (`GuestRequest` is the guest's), as HCS takes it where it talks to the guest itself; where we
have a connection of our own to the guest, the parts are separated here. When the guest refuses what
the host has added, the host takes it back.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from podshim.engines.hcs.documents.jsontext import dumps
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from podshim.engines.hcs.documents.jsontext import Json

_log = logging.getLogger(__name__)

NO_WRITABLE_SHARES = "adding writable shares is denied: operation denied"


class Machine(Protocol):
    """The VM as the host sees it."""

    async def modify(self, settings: Mapping[str, object] | str) -> None:
        """Change it; raises ShimError."""


class Inside(Protocol):
    """The VM's guest."""

    async def modify(self, request: Mapping[str, object]) -> None:
        """Tell it; raises ShimError."""


@dataclass(slots=True)
class Modifier:
    """Who changes one VM.

    Args:
        machine: The VM.
        guest: Its guest, once it is connected; None to leave guests to HCS.
    """

    machine: Machine
    guest: Inside | None = None

    async def host(self, request: Json) -> None:
        """Change the host's side alone.

        Raises:
            ShimError: HCS refuses.
        """
        await self.machine.modify(dumps(request))

    async def inside(self, request: Json) -> None:
        """Tell the guest alone.

        Raises:
            ShimError: It refuses, or is gone.
        """
        if self.guest is None:
            await self.host({"GuestRequest": request})
        else:
            await self.guest.modify(request)

    async def both(self, request: Json) -> None:
        """Change both sides.

        Args:
            request: HCS' modify request, with the guest's part as `GuestRequest` if it has one.

        Raises:
            ShimError: Either refuses; what was added is taken back.
        """
        asked = request.get("GuestRequest")
        if self.guest is None or not isinstance(asked, dict):
            await self.host(request)
            return
        kind = request.get("RequestType") if request.get("ResourcePath") else None
        host_part = {name: value for name, value in request.items() if name != "GuestRequest"}
        if kind == "Add":
            await _as("adding VM resources", self.host(host_part))
        try:
            await _as("guest modify", self.guest.modify(asked))
        except BaseException:
            if kind == "Add":
                await self._take_back(host_part)
            raise
        if kind == "Remove":
            await _as("removing VM resources", self.host(host_part))

    async def _take_back(self, host_part: Json) -> None:
        try:
            await self.host({**host_part, "RequestType": "Remove"})
        except (ShimError, OSError) as error:
            _log.error("failed to roll back resource add: %s", error)


async def _as(what: str, change: Awaitable[None]) -> None:
    """Say in an error which part of the change failed."""
    try:
        await change
    except ShimError as error:
        raise ShimError(f"{what}: {error}") from error


@dataclass(slots=True)
class Held:
    """Something that a VM was given, and that is to be taken away once.

    Args:
        guest_path: Where the guest has it; empty if that is nowhere.
        take: Takes it away.
    """

    guest_path: str
    take: Callable[[], Awaitable[None]]
    _taken: bool = field(default=False, init=False)

    async def release(self) -> None:
        """Take it away; from the second call on do nothing.

        Raises:
            ShimError: It can't be taken away.
        """
        if not self._taken:
            self._taken = True
            await self.take()
