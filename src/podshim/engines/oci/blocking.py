"""Calls that may block (mounts, files on slow disks, cgroup files) in threads with a deadline.

Theory of operation: a thread that hangs in the kernel can't be stopped, so none is shared: each
`Worker` has one daemon thread, which runs one call after the other and dies with its owner. Daemon
threads, unlike an executor's, don't hold up the end of the process.
"""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from podshim.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Worker:
    """A thread for calls that must not block the loop; they run in the order they were made.

    Args:
        name: The thread's name, for stack dumps.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    async def run(self, function: Callable[[], T]) -> T:
        """Call `function` in the thread and wait for it.

        Raises:
            asyncio.CancelledError: The caller gave up; the call itself goes on, unheard.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def deliver(value: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)  # type: ignore[arg-type] # a T whenever there is no error

        def call() -> None:
            value: T | None = None
            failure: BaseException | None = None
            try:
                value = function()
            except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
                failure = error
            try:
                loop.call_soon_threadsafe(deliver, value, failure)
            except RuntimeError:
                return  # the loop has gone while the kernel took its time

        self._calls.put(call)
        return await future

    def submit(self, function: Callable[[], None]) -> None:
        """Let the thread call `function`, which must not raise, and don't wait for it."""
        self._calls.put(function)

    def close(self) -> None:
        """Let the thread end after what it has been given; don't wait for it."""
        self._calls.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the closed thread's end, at most `timeout` seconds (blocks the caller)."""
        self._thread.join(timeout)


async def in_thread(function: Callable[[], T], *, limit: float, what: str) -> T:
    """Run one call in a thread of its own, which is thrown away after it.

    Args:
        function: The call.
        limit: Seconds until the caller is let go; the call itself can't be stopped.
        what: What it does, for the error's text.

    Raises:
        DeadlineExceededError: It did not return in time.
    """
    worker = Worker(what)
    clock = asyncio.timeout(limit)
    try:
        async with clock:
            return await worker.run(function)
    except TimeoutError:
        if not clock.expired():  # the call's own ETIMEDOUT
            raise
        raise DeadlineExceededError(f"{what} did not end within {limit:g} s") from None
    finally:
        worker.close()
