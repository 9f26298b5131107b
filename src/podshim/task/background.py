"""Owns the asyncio tasks that run without a caller: watchers, and operations once begun.

Theory of operation. A client's call is cancelled when its deadline passes or its connection ends,
and a container half started or half deleted because of that would be nobody's. So an operation
which changes something runs as a task of its own, `begin`; its caller only looks on, `join`. When
the caller is gone the operation runs on to its end, and a failure that nobody is left to hear is
logged.

Watchers (`watch`) wait for what may take for ever, such as a process's end. `close` cancels them,
and gives the operations a while first.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from podshim.errors import ShimError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Background:
    """The owner of a pod's background tasks. Belongs to one event loop."""

    def __init__(self) -> None:
        # Any: results differ, and only those who join look at them.
        self._operations: set[asyncio.Task[Any]] = set()
        self._watchers: set[asyncio.Task[None]] = set()
        self._abandoned: set[asyncio.Task[Any]] = set()

    def __repr__(self) -> str:
        return f"Background({len(self._operations)} operations, {len(self._watchers)} watchers)"

    @property
    def operations(self) -> list[str]:
        """The names of the operations under way."""
        return sorted(task.get_name() for task in self._operations)

    @property
    def watchers(self) -> list[str]:
        """The names of the watchers."""
        return sorted(task.get_name() for task in self._watchers)

    def begin(self, operation: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start an operation that runs to its end whatever happens to its callers.

        Args:
            operation: What to do. It has deadlines of its own.
            name: What it is, for logs.
        """
        task = asyncio.get_running_loop().create_task(operation, name=name)
        self._operations.add(task)
        task.add_done_callback(self._ended)
        return task

    async def join(self, task: asyncio.Task[T]) -> T:
        """Wait for an operation and take its result; being cancelled does not touch it.

        Raises:
            UnavailableError: `close` has cut the operation short.
        """
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise UnavailableError(f"{task.get_name()}: the shim is going away") from None
            self._abandoned.add(task)
            if task.done():
                self._ended(task)
            raise

    async def run_locked(
        self, lock: asyncio.Lock, operation: Coroutine[Any, Any, T], name: str
    ) -> T:
        """Begin an operation as soon as the lock is free, hold the lock to its end, and join it.

        While it waits for the lock it has not begun: cancelled then, it never does.
        """
        try:
            await lock.acquire()
        except BaseException:
            operation.close()
            raise
        task = self.begin(operation, name)
        task.add_done_callback(lambda _: lock.release())
        return await self.join(task)

    def watch(self, watcher: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start something that may wait for ever; an error that ends it is logged."""
        task = asyncio.get_running_loop().create_task(watcher, name=name)
        self._watchers.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self, grace: float) -> None:
        """Cancel the watchers, wait for the operations, cancel what is late.

        Args:
            grace: How long operations may still take, in s.
        """
        await _cancel(self._watchers)
        if self._operations:
            await asyncio.wait(self._operations, timeout=grace)
        if self._operations:
            _log.warning("cut short after %g s: %s", grace, ", ".join(self.operations))
        await _cancel(self._operations)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._operations.discard(task)
        heard = task not in self._watchers and task not in self._abandoned
        self._watchers.discard(task)
        self._abandoned.discard(task)
        if task.cancelled() or heard:
            return
        error = task.exception()
        if error is not None:
            trace = None if isinstance(error, ShimError) else error
            _log.error("%s: %s", task.get_name(), error, exc_info=trace)


async def attempt(action: Awaitable[object], what: str, *expected: type[Exception]) -> bool:
    """Do something whose failure must not stop what goes on around it: that is logged.

    Args:
        action: What to do.
        what: What that is, for the log.
        expected: Failures that do not even deserve a line.

    Returns:
        Whether it went well, or failed as expected.
    """
    try:
        await action
    except expected:
        pass
    except Exception:  # noqa: BLE001 - an engine may fail in any way; logged, the way goes on
        _log.exception("failed: %s", what)
        return False
    return True


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    pending = list(tasks)
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending)
