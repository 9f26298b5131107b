"""What every process has in common, wherever it runs: its client's streams, and one end.

Theory of operation. The streams are connected when the process is made, and are its own from then
on. Its end is settled once, by whatever comes first; who settles it is for its kind to say.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from podshim.engine import Exit
from podshim.errors import FailedPreconditionError, NotFoundError, ShimError
from podshim.task.runhcs.host import WindowsProcess

if TYPE_CHECKING:
    from podshim.engine import Stdio
    from podshim.engines.hcs.stdio import Upstream

#: Status of a process that never ran: its start failed, or its container ended before.
NEVER_RAN = 1


class StreamedProcess(WindowsProcess):
    """An init or an exec whose client is connected.

    Args:
        upstream: The client's streams, connected; owned from now on.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._starting = False
        self._container_ended = False
        #: Whether it has been given up by `delete`.
        self.deleted = False
        self._exit: Exit | None = None
        self._ended = asyncio.Event()

    @property
    def stdio(self) -> Stdio:
        """The streams as `State` tells them."""
        return self._upstream.stdio

    async def wait(self) -> Exit:
        """Wait for the process's end, whatever becomes of its output."""
        await self._ended.wait()
        if self._exit is None:
            raise ShimError("the process ended without a status")
        return self._exit

    async def close_stdin(self) -> None:
        """End the process's input, after what the client has sent."""
        await self._upstream.close_stdin()

    def _begin(self) -> None:
        """Let a start begin, the only one.

        Raises:
            FailedPreconditionError: There was one, or the process has ended.
        """
        if self._starting or self._exit is not None:
            raise FailedPreconditionError("the process has been started, or has ended")
        self._starting = True

    def _check_alive(self) -> None:
        """Refuse what only a process can take that has not ended.

        Raises:
            NotFoundError: It has.
        """
        if self._exit is not None:
            raise NotFoundError("process already finished")

    async def _kill_unstarted(self) -> None:
        """End a process that waits to be started.

        Raises:
            FailedPreconditionError: It is being started.
        """
        if self._starting:
            raise FailedPreconditionError("the process is being started")
        await self._end_unstarted()

    async def _end_unstarted(self) -> None:
        self._settle(NEVER_RAN)
        await self._upstream.close()

    def _settle(self, status: int) -> None:
        if self._exit is None:
            self._exit = Exit(status, time.time_ns())
            self._ended.set()
