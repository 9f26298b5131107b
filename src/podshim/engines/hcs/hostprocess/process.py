"""A process of a HostProcess container: one of the host's, born in the container's job.

Theory of operation. Its client's streams are connected when it is made. `start` settles whom it
runs as, its variables and its program, creates it with pipes or a pseudo console, and starts a
relay. Its end is the system's news, settled once; so is the end of one that never ran.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from podshim.engines.hcs.hostprocess.shortcomings import cause
from podshim.engines.hcs.hostprocess.streams import console_streams, pipe_streams
from podshim.engines.hcs.signals import signal_options
from podshim.engines.hcs.stdio import Relay
from podshim.engines.hcs.streamed import NEVER_RAN, StreamedProcess
from podshim.errors import ShimError
from podshim.hcsspec import builds
from podshim.transport.proactor import signalled
from podshim.win32 import running
from podshim.win32.binding import ERROR_ACCESS_DENIED, code_of
from podshim.win32.creation import create_process

if TYPE_CHECKING:
    from podshim.engines.hcs.hostprocess.launching import Launcher
    from podshim.engines.hcs.hostprocess.parameters import Parameters
    from podshim.engines.hcs.hostprocess.streams import ProcessStreams
    from podshim.engines.hcs.stdio import Upstream
    from podshim.win32.handles import Handle

log = logging.getLogger(__name__)

#: The status of a process that was killed.
_KILLED: Final = 1
_UNKNOWN: Final = 0xFFFFFFFF
_DRAIN: Final = 1.0
#: Seconds until the system tells of the end of a process that it has ended.
_END_LIMIT: Final = 5.0

_EVENTS: Final = {
    "CtrlC": running.CTRL_C,
    "CtrlBreak": running.CTRL_BREAK,
    "CtrlClose": running.CTRL_CLOSE,
    "CtrlLogOff": running.CTRL_LOGOFF,
    "CtrlShutdown": running.CTRL_SHUTDOWN,
}


class HostProcess(StreamedProcess):
    """An init or exec of a HostProcess container.

    Args:
        launcher: What all processes of the container have in common.
        parameters: What it shall be.
        upstream: The client's streams, connected; owned from now on.
        is_init: Whether its failed start is the container's end.
    """

    def __init__(
        self,
        launcher: Launcher,
        parameters: Parameters,
        upstream: Upstream,
        *,
        is_init: bool,
    ) -> None:
        super().__init__(upstream)
        self._launcher = launcher
        self._parameters = parameters
        self._is_init = is_init
        self._pid = 0
        self._process: Handle | None = None
        self._streams: ProcessStreams | None = None
        self._relay: Relay | None = None
        self._watch: asyncio.Task[None] | None = None
        self._signals: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int:
        """The host's process id; 0 before the start."""
        return self._pid

    async def start(self) -> None:
        """Create the process, which runs at once.

        Raises:
            ShimError: It can't be created; its status is 1 then.
        """
        self._begin()
        try:
            await self._create()
        except BaseException as error:
            await self._end_unstarted()
            if self._is_init:
                await self._launcher.give_up()
            if isinstance(error, OSError):
                raise ShimError(f"failed to start host process: {cause(error)}") from error
            raise
        if self._container_ended:
            await self.terminate()

    async def kill(self, signal: int) -> None:
        """Send a signal; one that only asks the process to end is delivered in the background.

        Raises:
            NotFoundError: The process has ended.
            FailedPreconditionError: It is no signal that can be sent here.
            ShimError: A hard kill failed.
        """
        self._check_alive()
        if self._process is None:
            await self._kill_unstarted()
            return
        supported = self._launcher.build >= builds.RS5
        options = signal_options(signal, supported=supported)
        if options is None:
            await self.terminate()
            return
        event = _EVENTS[str(options["Signal"])]
        task = asyncio.create_task(self._deliver(self._process, event))
        self._signals.add(task)
        task.add_done_callback(self._signals.discard)

    async def terminate(self) -> None:
        """End a running process hard.

        Raises:
            ShimError: It could not be done.
        """
        if self._exit is not None or self._process is None:
            return
        try:
            if not running.has_ended(self._process):
                running.terminate(self._process, _KILLED)
        except OSError as error:
            # One that is just ending does not allow it any more.
            if code_of(error) != ERROR_ACCESS_DENIED:
                raise ShimError(f"failed to kill process {self._pid}: {cause(error)}") from error

    async def resize(self, width: int, height: int) -> None:
        """Give the console another size; nothing for a process that does not run.

        Raises:
            ShimError: It has none, or the system refuses.
        """
        if self._exit is not None or self._streams is None:
            return
        console = self._streams.console
        if console is None:
            raise ShimError("no pseudo console assigned for process")
        try:
            await asyncio.to_thread(console.resize, width & 0xFFFF, height & 0xFFFF)
        except OSError as error:
            text = f"failed to resize pseudo console for job container: {cause(error)}"
            raise ShimError(text) from error

    async def delete(self) -> None:
        """Let output drain, then give up the process's handle and the client's streams."""
        self.deleted = True
        try:
            if self._exit is None:
                await self._end_now()
            if self._relay is not None:
                await self._relay.drain(_DRAIN)
            if self._signals:
                await asyncio.wait(self._signals)
            await self._release()
        finally:
            await self._upstream.close()

    async def container_ended(self) -> None:
        """End with the container: a process that waits gets status 1, a running one is killed."""
        self._container_ended = True
        if self._exit is not None:
            return
        if self._process is not None:
            try:
                await self.terminate()
            except ShimError as error:
                log.warning("%s", error)
        elif not self._starting:
            await self._end_unstarted()

    async def _create(self) -> None:
        new = await self._launcher.prepare(self._parameters)
        size = self._parameters.width, self._parameters.height
        if self._parameters.terminal:
            streams = await console_streams(*size)
        else:
            streams = pipe_streams(self._upstream)
        try:
            process, pid = await asyncio.to_thread(
                create_process, self._launcher.with_streams(new, streams)
            )
        except BaseException:
            streams.close_ours()
            await streams.close_console()
            raise
        finally:
            streams.close_child()
        self._process, self._pid, self._streams = process, pid, streams
        self._relay = Relay(self._upstream, streams.ends())
        self._relay.start()
        self._watch = asyncio.create_task(self._watch_end(process, streams))

    async def _watch_end(self, process: Handle, streams: ProcessStreams) -> None:
        try:
            await signalled(process)
            code = running.exit_code(process)
        except OSError as error:
            log.warning("the end of process %d can't be told: %s", self._pid, cause(error))
            code = _UNKNOWN
        self._settle(code)
        await streams.close_console()

    async def _end_now(self) -> None:
        """End a process that is deleted while it runs, or was never started."""
        if self._process is None:
            self._settle(NEVER_RAN)
            return
        await self.container_ended()
        try:
            async with asyncio.timeout(_END_LIMIT):
                await self._ended.wait()
        except TimeoutError:
            log.error("process %d is given up, but has not ended", self._pid)
            self._settle(_UNKNOWN)

    async def _release(self) -> None:
        if self._watch is not None:
            _, late = await asyncio.wait((self._watch,), timeout=2 * _END_LIMIT)
            for task in late:
                task.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._process is not None:
            self._process.close()

    async def _deliver(self, process: Handle, event: int) -> None:
        try:
            await asyncio.to_thread(running.send_control, process, event)
        except OSError as error:
            # A process that is just ending does not allow it any more.
            level = logging.INFO if code_of(error) == ERROR_ACCESS_DENIED else logging.WARNING
            log.log(level, "process %d did not get its signal: %s", self._pid, cause(error))
