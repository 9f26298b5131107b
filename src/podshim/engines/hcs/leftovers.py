"""What goes on though nobody waits for it: background work, and what a cancelled caller left.

Theory of operation. Windows' calls can't be stopped half way. When a caller is cancelled, the call
that it waited for goes on, and what comes of it belongs to nobody: it is taken back at once. All
such work has an owner, which waits for it a moment when the engine closes, and then gives it up.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

#: How long what still goes on may take when the engine closes, s.
_LAST_MOMENT = 2.0

T = TypeVar("T")


class Leftovers:
    """The owner of work that nobody waits for, on one loop."""

    def __init__(self) -> None:
        # Any: what is made for cancelled callers differs, and is only undone.
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Let something go on that nobody waits for; it must not raise."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(
        self, work: Coroutine[None, None, T], undo: Callable[[T], Coroutine[None, None, None]]
    ) -> T:
        """Let `work` end though the caller is cancelled: its result, then nobody's, is undone.

        Args:
            work: Makes something.
            undo: Takes it back; it must not raise.
        """
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                self._tasks.add(task)
                task.add_done_callback(functools.partial(self._undo, undo))
            raise

    async def close(self) -> None:
        """Wait a moment for what goes on, then give it up."""
        while self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_LAST_MOMENT)
            for task in late:
                task.cancel()

    def _undo(
        self, undo: Callable[[T], Coroutine[None, None, None]], done: asyncio.Task[T]
    ) -> None:
        self._tasks.discard(done)
        if not done.cancelled() and done.exception() is None:
            self.spawn(undo(done.result()), "hcs-undo")
