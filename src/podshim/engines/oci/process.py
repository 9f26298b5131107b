"""An init or an exec of an OCI container.

Theory of operation. A process has three parts with lives of their own: its streams (made before
it, closed at its deletion), its kernel process (a `Child` of the reaper, known once a runtime
command has written its pid), and its end, which anybody may await from the beginning. When the
child is adopted, its end is passed on, to those who wait and to the streams, whose readers wait for
it too. What makes the process is the difference between init and exec; both are given as
functions by the container, which knows the runtime.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from podshim.engine import Process
from podshim.errors import FailedPreconditionError, NotFoundError, ShimError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from podshim.engine import Exit
    from podshim.engines.oci.reaper import Child
    from podshim.engines.oci.stdio import Streams

#: How long output may take to drain when a process is deleted, seconds.
DRAIN_LIMIT: Final = 10.0

_ENDED: Final = re.compile(
    r"os: process already finished|container not running|no such process"
    r"|container `[^`]*` is not running",  # crun
    re.IGNORECASE,
)
#: crun's way to say that a container does not exist, when its state is missing.
_GONE: Final = re.compile(
    r"does not exist|opening file `[^`]*/status`: No such file|open directory '[^']*': No such file"
)


def means_gone(text: str) -> bool:
    """Whether a runtime says that it does not know the container."""
    return bool(_GONE.search(text))


def means_thawed(text: str) -> bool:
    """Whether a runtime refuses to thaw a container because it is not frozen."""
    return "container not paused" in text  # runc; crun does not mind


def kill_error(text: str) -> ShimError:
    """What a runtime's refusal to send a signal means.

    Args:
        text: Everything that the runtime said.
    """
    if _ENDED.search(text):
        return NotFoundError("process already finished")
    if means_gone(text):
        return NotFoundError("no such container")
    return ShimError(f"unknown error after kill: {text}")


class OciProcess(Process):
    """What init and exec have in common.

    Args:
        streams: Its streams; owned.
    """

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self._child: Child | None = None
        self._end: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._watch: asyncio.Task[None] | None = None
        self._stdin_closed = False
        self._size: tuple[int, int] | None = None

    @property
    def pid(self) -> int:
        """The host's process id; 0 as long as there is none."""
        return self._child.pid if self._child else 0

    @property
    def exit(self) -> Exit | None:
        """How it ended; None while it has not."""
        return self._child.exit if self._child else None

    def adopt(self, child: Child) -> None:
        """Take the kernel's process, dead or alive; the streams have been started."""
        self._child = child
        self._watch = asyncio.get_running_loop().create_task(self._pass_on(child))

    async def _pass_on(self, child: Child) -> None:
        exit_ = await child.wait()
        self._end.set_result(exit_)
        self.streams.exited()

    async def wait(self) -> Exit:
        """Wait for the end; it is not held up by output."""
        return await asyncio.shield(self._end)

    def signal(self, number: int) -> None:
        """Send a signal straight to the process.

        Raises:
            FailedPreconditionError: There is none yet.
            NotFoundError: It has ended.
        """
        if self._child is None:
            raise FailedPreconditionError("process not created")
        try:
            alive = self._child.signal(number)
        except ProcessLookupError:
            alive = False
        except OSError as error:
            raise ShimError(f"exec kill error: {error.strerror}") from error
        if not alive:
            raise NotFoundError("process already finished")

    async def resize(self, width: int, height: int) -> None:
        """Give the terminal another size, in characters."""
        self._size = width, height
        await self.streams.resize(width, height)

    async def close_stdin(self) -> None:
        """Drop the hold on standard input."""
        self._stdin_closed = True
        await self.streams.close_stdin()

    async def catch_up(self) -> None:
        """Do what clients asked of the streams while an exec was being started without them."""
        if self._stdin_closed:
            await self.streams.close_stdin()
        if self._size is not None:
            await self.streams.resize(*self._size)

    async def delete(self) -> None:
        """Let output drain, then close the streams."""
        if self.exit is not None:
            await self.streams.drain(DRAIN_LIMIT)
        await self.streams.close()


class InitProcess(OciProcess):
    """A container's first process.

    Args:
        streams: Its streams; owned.
        start: Starts it: `runc start`, or `runc restore`.
        kill: Sends it a signal by way of the runtime.
    """

    def __init__(
        self,
        streams: Streams,
        start: Callable[[], Awaitable[None]],
        kill: Callable[[int], Awaitable[None]],
    ) -> None:
        super().__init__(streams)
        self._start = start
        self._kill = kill

    async def start(self) -> None:
        """Let the user's program run."""
        await self._start()

    async def kill(self, signal: int) -> None:
        """Send a signal, by way of the runtime.

        Raises:
            NotFoundError: It has ended, or somebody removed the container behind our back.
        """
        if self.exit is not None:
            raise NotFoundError("process already finished")
        await self._kill(signal)


class ExecProcess(OciProcess):
    """A further process in a container.

    Args:
        streams: Its streams; owned.
        start: Starts it: `runc exec`.
        forget: Tells the container that it is gone.
    """

    def __init__(
        self,
        streams: Streams,
        start: Callable[[ExecProcess], Awaitable[None]],
        forget: Callable[[ExecProcess], None],
    ) -> None:
        super().__init__(streams)
        self._start = start
        self._forget = forget

    async def start(self) -> None:
        """Run it."""
        await self._start(self)

    async def kill(self, signal: int) -> None:
        """Send a signal to the process alone, by its pid, which is its own while it is unreaped.

        Raises:
            FailedPreconditionError: It has not been started.
            NotFoundError: It has ended.
        """
        self.signal(signal)

    async def delete(self) -> None:
        """Let output drain, close the streams."""
        await super().delete()
        self._forget(self)
