"""Calls that may block (mounts, files on slow disks, cgroup files) in threads with a deadline.

Theory of operation: a thread that hangs in the kernel can't be stopped, so none is shared. A single
call gets a thread that is thrown away after it; a `Worker` keeps one thread for the calls of one
owner; a `Caller` sees to it that an owner who tries again and again leaves one hanging, not many.
They are daemon threads, which, unlike an executor's, don't hold up the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from podshim.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
V = TypeVar("V")


class _Call(Generic[T]):
    """A call and where its result goes; `__call__` runs it, in any thread."""

    def __init__(
        self, function: Callable[[], T], discard: Callable[[T], None] | None = None
    ) -> None:
        self._function = function
        self._discard = discard
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self._loop.create_future()

    def __call__(self) -> None:
        try:
            value = self._function()
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            self._post(self._fail, error)
        else:
            self._post(self._succeed, value)

    def _post(self, deliver: Callable[[V], None], result: V) -> None:
        # The loop may have gone while the kernel took its time.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(deliver, result)

    def _succeed(self, value: T) -> None:
        if not self.future.done():
            self.future.set_result(value)
        elif self._discard is not None:
            self._discard(value)

    def _fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Worker:
    """A thread for calls that must not block the loop; they run in the order they were made.

    Args:
        name: The thread's name, for stack dumps.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    async def run(self, function: Callable[[], T]) -> T:
        """Call `function` in the thread and wait; if that is cancelled, the call goes on."""
        call = _Call(function)
        self._calls.put(call)
        return await call.future

    def submit(self, function: Callable[[], None]) -> None:
        """Let the thread call `function`, which must not raise, and don't wait for it."""
        self._calls.put(function)

    def close(self) -> None:
        """Let the thread end after what it has been given; don't wait for it."""
        self._calls.put(None)


async def in_thread(
    function: Callable[[], T],
    *,
    limit: float,
    what: str,
    discard: Callable[[T], None] | None = None,
) -> T:
    """Run one call in a thread of its own, which is thrown away after it.

    Args:
        function: The call.
        limit: Seconds until the caller is let go; the call itself can't be stopped.
        what: What it does, for the error's text and the thread's name.
        discard: Takes, on the loop, a result that comes when nobody waits for it any more.

    Raises:
        DeadlineExceededError: It did not return in time.
    """
    call = _Call(function, discard)
    threading.Thread(target=call, name=what, daemon=True).start()
    clock = asyncio.timeout(limit)
    try:
        async with clock:
            return await call.future
    except TimeoutError:
        if not clock.expired():  # the call's own ETIMEDOUT
            raise
        raise DeadlineExceededError(f"{what} did not end within {limit:g} s") from None


class Caller:
    """Makes one owner's calls as `in_thread` does, but none while one that was given up hangs.

    Use it on the loop's thread.
    """

    def __init__(self) -> None:
        self._given_up: set[object] = set()
        #: Set while no call hangs that was given up.
        self._free = asyncio.Event()
        self._free.set()

    async def run(self, function: Callable[[], T], *, limit: float, what: str) -> T:
        """Run one call in a thread of its own, when no call of before hangs any more.

        Args:
            function: The call.
            limit: Seconds until the caller is let go, for each: waiting, and the call.
            what: See `in_thread`.

        Raises:
            DeadlineExceededError: It did not return in time, or one of before has not.
        """
        try:
            async with asyncio.timeout(limit):
                await self._free.wait()
        except TimeoutError:
            raise DeadlineExceededError(f"{what} of before has not ended yet") from None
        loop = asyncio.get_running_loop()
        over = threading.Event()

        def work() -> T:
            try:
                return function()
            finally:
                over.set()
                with contextlib.suppress(RuntimeError):  # the loop may have gone
                    loop.call_soon_threadsafe(self._returned, over)

        try:
            return await in_thread(work, limit=limit, what=what)
        finally:
            if not over.is_set():
                self._given_up.add(over)
                self._free.clear()

    def _returned(self, call: object) -> None:
        self._given_up.discard(call)
        if not self._given_up:
            self._free.set()
