"""A process of a container: the init or an exec.

Theory of operation. Its upstream streams are connected when it is made; the process itself is
created by `start`, the init's after its container's start, and a relay copies between the two. Its
end is settled once, by whatever comes first: the exit that the service tells, the end of the
container (status 1 for a process that waits to be started), a failed start, or the loss of the
service.

A graceful signal may take until the process is dead, so nobody waits for its delivery; what goes
wrong with it is logged.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs import results
from podshim.engines.hcs.results import ClosedError, HcsError
from podshim.engines.hcs.stdio import ProcessEnds, Relay
from podshim.engines.hcs.streamed import NEVER_RAN, StreamedProcess
from podshim.errors import NotFoundError, ShimError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from podshim.engines.hcs.compute import ComputeProcess, ComputeSystem
    from podshim.engines.hcs.stdio import Upstream

    #: What the service is asked for to send a signal; None for a hard kill.
    SignalChoice = Callable[[int], Mapping[str, str | int] | None]

log = logging.getLogger(__name__)

#: How long output may take after the process's end, s.
_DRAIN = 1.0
#: How long a hard kill that nobody asked for may take, s.
_KILL = 5.0
#: How long the container of an init that could not be started may take to end, s.
_TERMINATION = 30.0


@dataclass(frozen=True, slots=True)
class Launch:
    """What a process is made of.

    Args:
        parameters: Its JSON document.
        command_line: Its command line, for errors.
        starts_container: Whether it is the init, whose start is its container's.
        choose_signal: What becomes of a signal; raises FailedPreconditionError for one that
            can't be sent.
        signals_wait: Whether the sender of a signal waits for its delivery.
    """

    parameters: str
    command_line: str
    starts_container: bool
    choose_signal: SignalChoice
    signals_wait: bool = False


class HcsContainerProcess(StreamedProcess):
    """An init or exec in a compute system.

    Args:
        system: The container.
        upstream: The client's streams, connected; owned from now on.
        launch: What it is made of.
        spawn: Lets a task go on that nobody waits for.
    """

    def __init__(
        self,
        system: ComputeSystem,
        upstream: Upstream,
        launch: Launch,
        spawn: Callable[[Coroutine[None, None, None], str], asyncio.Task[None]],
    ) -> None:
        super().__init__(upstream)
        self._system = system
        self._launch = launch
        self._spawn = spawn
        self._process: ComputeProcess | None = None
        self._making: asyncio.Task[ComputeProcess] | None = None
        self._relay: Relay | None = None
        self._watch: asyncio.Task[None] | None = None
        self._started_container = False

    @property
    def pid(self) -> int:
        """The host's process id; 0 before the start."""
        return 0 if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the process, the init's container first; a failed init ends what it has started.

        Raises:
            ShimError: It can't be started; its status is 1 then.
        """
        self._begin()
        self._making = asyncio.ensure_future(self._make())
        try:
            process = await self._making
        except BaseException as error:
            lost = self._exit is not None
            await self._give_up()
            if lost and isinstance(error, asyncio.CancelledError):
                raise ShimError("the container ended while the process was started") from None
            if isinstance(error, OSError):
                raise ShimError(f"failed to start the process: {error}") from error
            raise
        self._process = process
        pipes = process.pipes
        ends = ProcessEnds(pipes.stdin, pipes.stdout, pipes.stderr, process.close_stdin)
        self._relay = Relay(self._upstream, ends)
        self._relay.start()
        self._watch = asyncio.create_task(self._watch_end(process))
        if self._container_ended:
            await self.end_hard()

    async def kill(self, signal: int) -> None:
        """Send a signal; one that only asks the process to end is delivered in the background.

        Raises:
            NotFoundError: The process has ended.
            FailedPreconditionError: It is no signal that can be sent here.
            ShimError: A hard kill failed.
        """
        self._check_alive()
        process = self._process
        if process is None:
            await self._kill_unstarted()
            return
        options = self._launch.choose_signal(signal)
        if options is None:
            if not await _kill(process):
                raise NotFoundError("process already finished")
        elif self._launch.signals_wait:
            if not await process.signal(options):
                raise NotFoundError("process already finished")
        else:
            self._spawn(_deliver(process, options), f"hcs-signal-{process.pid}")

    async def terminate(self) -> None:
        """End a running process hard.

        Raises:
            ShimError: It could not be done.
        """
        if self._exit is None and self._process is not None:
            await _kill(self._process)

    async def resize(self, width: int, height: int) -> None:
        """Give the console another size; nothing for a process that does not run.

        Raises:
            ShimError: The service refuses.
        """
        if self._exit is None and self._process is not None and self._upstream.stdio.terminal:
            await self._process.resize(width & 0xFFFF, height & 0xFFFF)

    async def delete(self) -> None:
        """Let output drain, then give up the process's handle and the client's streams."""
        self.deleted = True
        try:
            if self._exit is None:
                await self._end_now()
            if self._relay is not None:
                await self._relay.drain(_DRAIN)
            if self._process is not None:
                await self._process.close()
            if self._watch is not None:
                await asyncio.wait((self._watch,))
        finally:
            await self._upstream.close()

    async def container_ended(self) -> None:
        """Hear that the container has ended: a process that waits to be started gets status 1."""
        self._container_ended = True
        if self._exit is None and self._process is None and not self._starting:
            await self._end_unstarted()

    async def end_hard(self) -> None:
        """Kill a process that runs; that it fails, or takes long, is logged."""
        if self._exit is None and self._process is not None:
            try:
                async with asyncio.timeout(_KILL):
                    await _kill(self._process)
            except TimeoutError:
                log.warning("the kill of process %d has not come back", self.pid)
            except (ShimError, OSError) as error:
                log.warning("process %d can't be killed: %s", self.pid, error)

    def lose(self) -> None:
        """Settle the end of a process that nothing will be heard of any more; its start fails."""
        self._settle(results.UNKNOWN_EXIT_CODE)
        if self._making is not None:
            self._making.cancel()

    async def _make(self) -> ComputeProcess:
        if self._launch.starts_container:
            await self._system.start()
            self._started_container = True
        return await self._system.create_process(
            self._launch.parameters, command_line=self._launch.command_line
        )

    async def _end_now(self) -> None:
        """End a process that is deleted while it runs, or was never started."""
        if self._process is None:
            self._settle(NEVER_RAN)
            return
        await self.end_hard()
        try:
            async with asyncio.timeout(_DRAIN):
                await self._ended.wait()
        except TimeoutError:
            log.warning("process %d is deleted, but has not told of its end", self.pid)
            self.lose()

    async def _give_up(self) -> None:
        """Clean up after a failed start: a container that was started for it goes, too."""
        await self._end_unstarted()
        if self._started_container:
            await _attempt(self._end_container())
            await _attempt(self._system.close())

    async def _end_container(self) -> None:
        """End the container: what it is made from must not go before it."""
        async with asyncio.timeout(_TERMINATION):
            await self._system.terminate()
            await self._system.wait()

    async def _watch_end(self, process: ComputeProcess) -> None:
        try:
            code = await process.wait()
        except ClosedError:
            return  # our handle's end is not the process's
        except HcsError as error:
            log.warning("%s", error)
            code = results.UNKNOWN_EXIT_CODE
        self._settle(code)


async def _kill(process: ComputeProcess) -> bool:
    """Kill it; False if there was nothing to kill."""
    try:
        return await process.kill()
    except HcsError as error:
        if results.is_already_stopped(error.result):
            return True
        raise


async def _deliver(process: ComputeProcess, options: Mapping[str, str | int]) -> None:
    try:
        if not await process.signal(options):
            log.info("process %d was gone before its signal", process.pid)
    except (ShimError, OSError) as error:
        log.warning("process %d did not get its signal: %s", process.pid, error)


async def _attempt(work: Awaitable[None]) -> None:
    try:
        await work
    except (ShimError, OSError) as error:
        log.warning("%s", error)
