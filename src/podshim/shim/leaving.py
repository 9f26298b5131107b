"""The taking down of a server: each step within a bounded time, and whatever goes wrong in it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logging.getLogger("podshim.shim")


async def leave(step: Callable[[], Awaitable[object]], limit: float) -> None:
    """Do one step of the taking down; whatever goes wrong, it is logged and the next one follows.

    Args:
        step: What to do.
        limit: How long it may take, in s.
    """
    try:
        async with asyncio.timeout(limit):
            await step()
    except TimeoutError:
        _log.error("gave up %s after %g s", _name(step), limit)
    except Exception:  # noqa: BLE001 - logged; what follows must be taken down too
        _log.exception("%s failed", _name(step))


def _name(step: object) -> str:
    return getattr(step, "__qualname__", repr(step))
