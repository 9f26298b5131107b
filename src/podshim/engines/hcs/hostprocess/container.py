"""A HostProcess container: a job of the host, its processes, and its files.

Theory of operation. The init's end ends the container: its other processes are told that the system
shuts down, and ended hard if they don't heed it. Deleting it gives back the job, whose last handle
would end what is left, the account that was made for it, and its files, in this order.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, TypeVar

from podshim.engine import TypedValue
from podshim.engines.hcs.container import kill_all, parse_process
from podshim.engines.hcs.hostprocess import figures
from podshim.engines.hcs.hostprocess.measuring import measure
from podshim.engines.hcs.hostprocess.parameters import parameters_of
from podshim.engines.hcs.hostprocess.process import HostProcess
from podshim.engines.hcs.hostprocess.shortcomings import cause
from podshim.engines.hcs.stdio import connect
from podshim.errors import NotFoundError, ShimError, UnimplementedError
from podshim.task.runhcs.host import WindowsContainer
from podshim.win32.binding import ERROR_ACCESS_DENIED, ERROR_INVALID_HANDLE, code_of
from podshim.win32.systemprocesses import system_processes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from podshim.api.runhcs_options_pb2 import ProcessDetails
    from podshim.api.runhcs_stats_pb2 import Statistics
    from podshim.engine import Stdio
    from podshim.engines.hcs.hostprocess.job import HostJob
    from podshim.engines.hcs.hostprocess.launching import Launcher
    from podshim.engines.hcs.hostprocess.shortcomings import Shortcomings
    from podshim.task.runhcs.host import Spec

    Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

_CANT_MODIFY = "modify not supported for job containers"


class HostProcessContainer(WindowsContainer):
    """A HostProcess container; made by `create`, which makes its init, too.

    Args:
        job: Its job; owned.
        launcher: What its processes have in common; owned.
        release: Gives its files back; raises ShimError or OSError if that fails.
        shortcomings: What it does without.
        namespace: containerd's namespace.
        io_retry_timeout: See `ContainerRequest`.
    """

    def __init__(
        self,
        job: HostJob,
        launcher: Launcher,
        release: Callable[[], Awaitable[None]],
        shortcomings: Shortcomings,
        *,
        namespace: str,
        io_retry_timeout: float,
    ) -> None:
        self._job = job
        self._launcher = launcher
        self._release = release
        self._shortcomings = shortcomings
        self._namespace = namespace
        self._io_retry_timeout = io_retry_timeout
        self._init: HostProcess | None = None
        self._processes: set[HostProcess] = set()
        self._ended = False

    @property
    def id(self) -> str:
        """The container's id."""
        return self._job.container_id

    @property
    def init(self) -> HostProcess:
        """The container's first process."""
        if self._init is None:
            raise ShimError(f"container {self.id} has no init")
        return self._init

    async def make_init(self, process: Spec, stdio: Stdio) -> None:
        """Make the init, which waits to be started; called once, by `create`.

        Raises:
            InvalidArgumentError: `process` can't be an OCI process.
            ShimError: Its streams can't be connected.
        """
        self._init = await self._make("", process, stdio)

    async def exec(self, exec_id: str, spec: bytes, stdio: Stdio) -> HostProcess:
        """Prepare a further process.

        Raises:
            InvalidArgumentError: `spec` can't be an OCI process.
            ShimError: Its streams can't be connected.
        """
        process = await self._make(exec_id, parse_process(spec), stdio)
        if self._ended:
            await process.container_ended()
        return process

    async def kill(self, signal: int, *, everyone: bool) -> None:
        """Send a signal to the init, or to all processes, of which the init is the last.

        Raises:
            ShimError: The init can't be signalled; of others, that is only logged.
        """
        init = self.init
        await kill_all(self.id, self._processes - {init} if everyone else set(), init, signal)

    async def init_exited(self) -> None:
        """End the container, gracefully first; what can't be ended is logged."""
        self._ended = True
        try:
            await self._job.shut_down()
        except OSError as error:
            log.warning("container %s: %s", self.id, cause(error))
        for process in tuple(self._processes):
            await process.container_ended()

    async def delete(self) -> None:
        """Free the job, the account and the files; what fails is logged."""
        self._ended = True
        failed = False
        for process in tuple(self._processes):
            await process.delete()
        self._processes.clear()
        try:
            if self._job.job.pids():
                await self._job.terminate()
        except OSError as error:
            if code_of(error) != ERROR_INVALID_HANDLE:  # closed by an earlier call
                log.warning("container %s: %s", self.id, cause(error))
        self._job.close()
        for give_back in (self._launcher.close, self._release):
            try:
                await give_back()
            except (OSError, ShimError) as error:
                text = cause(error) if isinstance(error, OSError) else str(error)
                log.warning("container %s: %s", self.id, text)
                failed = True
        if failed:
            log.error("%s: failed to close one or more job container resources", self.id)

    async def pids(self) -> Sequence[int]:
        """List the ids of all processes in the job.

        Raises:
            NotFoundError: The container is not there any more.
        """
        return await self._ask(self._job.job.pids)

    async def process_details(self) -> Sequence[ProcessDetails]:
        """Tell of every process in the job; see `WindowsContainer.process_details`."""

        def ask() -> Sequence[ProcessDetails]:
            pids = self._job.job.pids()
            return figures.details(system_processes(), pids)

        return await self._ask(ask)

    async def statistics(self) -> Statistics:
        """Measure; see `WindowsContainer.statistics`."""
        found = await self._ask(lambda: measure(self._job.job, self._shortcomings))
        return figures.statistics(found, now=time.time_ns(), started=self._launcher.started)

    async def stats(self) -> TypedValue:
        """Measure, as the message that containerd knows."""
        message = await self.statistics()
        return TypedValue(message.DESCRIPTOR.full_name, message.SerializeToString())

    async def update(self, resources: bytes) -> None:
        """Change limits: jobs have theirs for life.

        Raises:
            UnimplementedError: An affinity is to be changed.
            ShimError: Anything else is.
        """
        try:
            cpu = json.loads(resources).get("cpu")
            has_affinity = bool(cpu.get("affinity"))
        except (AttributeError, ValueError, RecursionError):
            has_affinity = False
        if has_affinity:
            raise UnimplementedError("updating the CPU affinity of a job container")
        raise ShimError(_CANT_MODIFY)

    async def add_mount(
        self,
        host_path: str,  # noqa: ARG002 - the interface's names
        container_path: str,  # noqa: ARG002
        *,
        read_only: bool,  # noqa: ARG002
    ) -> None:
        """Map a further folder.

        Raises:
            ShimError: Always: a job's mounts are made with it.
        """
        raise ShimError(_CANT_MODIFY)

    async def _make(self, exec_id: str, process: Spec, stdio: Stdio) -> HostProcess:
        parameters = parameters_of(process)
        upstream = await connect(
            self.id, stdio, self._namespace, self._io_retry_timeout, exec_id=exec_id
        )
        made = HostProcess(self._launcher, parameters, upstream, is_init=not exec_id)
        self._processes = {one for one in self._processes if not one.deleted} | {made}
        return made

    async def _ask(self, question: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.to_thread(question)
        except OSError as error:
            text = f"container {self.id}: {cause(error)}"
            if code_of(error) in {ERROR_ACCESS_DENIED, ERROR_INVALID_HANDLE}:
                raise NotFoundError(text) from error
            raise ShimError(text) from error
