"""The end of a system or a process, once, for all who wait for it."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING

from podshim.engines.hcs.results import ClosedError, LostServiceError

if TYPE_CHECKING:
    from podshim.engines.hcs.results import HcsError


class EndKind(Enum):
    """What ended the wait: the object's end, our closing of the handle, the service's loss."""

    EXITED = auto()
    CLOSED = auto()
    LOST = auto()


class Ending:
    """Settled once, by whatever comes first."""

    def __init__(self) -> None:
        self.kind: EndKind | None = None
        #: What an end that was an error has to say.
        self.error: HcsError | None = None
        self._settled = asyncio.Event()

    def settle(self, kind: EndKind, error: HcsError | None = None) -> bool:
        """Settle it; False if it was."""
        if self.kind is not None:
            return False
        self.kind, self.error = kind, error
        self._settled.set()
        return True

    async def wait(self, operation: str, subject: str) -> None:
        """Wait for the object's end.

        Raises:
            ClosedError: The handle was closed first.
            LostServiceError: The service was lost first.
        """
        await self._settled.wait()
        if self.kind is EndKind.CLOSED:
            raise ClosedError(operation, subject)
        if self.kind is EndKind.LOST:
            raise LostServiceError(operation, subject)
