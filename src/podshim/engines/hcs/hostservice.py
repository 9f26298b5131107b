"""What everything in a shim shares that calls the Host Compute Service.

Theory of operation. One `Service` lives as long as its engine, on one loop: the library, the table
of those who hear events, the threads that calls are made in, and the limits of time. It makes the
single call; what the calls mean for a compute system or a process is theirs.

Calls that last as long as processes like must not hold up others, and nothing may hold up an end:
a graceful signal waits for its process, so signals have threads of their own, and so have kills,
terminations and the closing of handles.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from typing import TYPE_CHECKING, TypeVar

from podshim.engines.hcs import operations
from podshim.engines.hcs.leftovers import Leftovers
from podshim.engines.hcs.notifications import Notifications
from podshim.engines.hcs.operations import CallThreads
from podshim.engines.hcs.timeouts import Timeouts
from podshim.hcsspec.scrub import scrubbed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from podshim.engines.hcs.computecore import Completion, ComputeCore
    from podshim.engines.hcs.operations import Owned
    from podshim.transport.streams import DuplexStream

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Service:
    """The library, the loop and what lies between them.

    Args:
        make_core: Makes the library's binding from what takes its events.
        open_stream: Makes a stream of a pipe end's handle, which it owns then, also if it fails.
        timeouts: The limits.
        scrub_logs: Whether secrets are taken out of documents before they are logged.
    """

    def __init__(
        self,
        make_core: Callable[[Callable[[int, int, str], None]], ComputeCore],
        open_stream: Callable[[int], DuplexStream],
        timeouts: Timeouts | None = None,
        *,
        scrub_logs: bool = True,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        self.notifications = Notifications(asyncio.get_running_loop())
        self.core = make_core(self.notifications.deliver)
        self.open_stream = open_stream
        watchdog = self.timeouts.watchdog
        self.threads = CallThreads(watchdog=watchdog)
        self.signals = CallThreads("signal", watchdog=watchdog)
        self.endings = CallThreads("end", watchdog=watchdog)
        self._scrub_logs = scrub_logs
        self.leftovers = Leftovers()

    async def run(
        self, what: str, begin: Callable[[int], int], *, limit: float | None = None
    ) -> Completion:
        """Run an operation in a thread; see `operations.perform`.

        Args:
            what: What it does, for the log.
            begin: Makes the call with the operation that it gets; in the thread.
            limit: Seconds; the limit of calls if none is given.
        """
        deadline = self.deadline(limit)
        perform = functools.partial(operations.perform, self.core, begin, deadline)
        return await self.threads.run(what, perform)

    async def run_on(
        self,
        handle: Owned,
        what: str,
        begin: Callable[[int, int], int],
        *,
        limit: float | None = None,
        threads: CallThreads | None = None,
    ) -> Completion:
        """As `run`, with a handle that is not closed before the operation's end.

        Args:
            handle: The handle; `begin` gets it, and the operation.
            what: What it does, for the log.
            begin: Makes the call; in the thread.
            limit: Seconds; the limit of calls if none is given.
            threads: Where the call is made; in `threads` if nothing is said.

        Raises:
            HandleClosedError: It is closed.
        """
        deadline = self.deadline(limit)

        def perform() -> Completion:
            with handle.use() as value:
                return operations.perform(self.core, functools.partial(begin, value), deadline)

        return await (threads or self.threads).run(what, perform)

    async def close_handle(self, handle: Owned, what: str) -> None:
        """Close a handle, or let the last call do so that uses it; what takes too long goes on.

        Args:
            handle: The handle.
            what: What it is for, for the log.
        """
        try:
            async with asyncio.timeout(self.timeouts.close):
                await self.endings.run(what, handle.close)
        except TimeoutError:
            _log.warning("%s has not come back: nobody waits for it any more", what)

    def deadline(self, limit: float | None = None) -> float:
        """When a call that is made now must have ended, by `time.monotonic`."""
        return time.monotonic() + (self.timeouts.call if limit is None else limit)

    async def finish(
        self, work: Coroutine[None, None, T], undo: Callable[[T], Coroutine[None, None, None]]
    ) -> T:
        """See `Leftovers.finish`."""
        return await self.leftovers.finish(work, undo)

    def log_document(self, what: str, document: str) -> None:
        """Write a document that the service is given into the log, for people who debug."""
        if _log.isEnabledFor(logging.DEBUG):
            told = scrubbed(document, enabled=self._scrub_logs)
            _log.debug("%s", what, extra={"document": told})

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """See `Leftovers.spawn`."""
        return self.leftovers.spawn(work, name)

    async def close(self) -> None:
        """Wait a moment for what goes on, then give it up, and let the threads end."""
        await self.leftovers.close()
        for threads in (self.threads, self.signals, self.endings):
            threads.close()
