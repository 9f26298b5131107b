"""A container in a compute system: its init, its execs, and what it is made from.

Theory of operation. `engine` has created the system and connected the init's streams; this object
acts on them. One task watches for the container's end: then processes that wait to be started end,
and running ones are killed. After the init's end the container is shut down, and terminated if that
takes too long; after that, resources go, and the handle last of all, because closing it would end a
container that still lives.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from podshim.engines.hcs import results
from podshim.engines.hcs.results import ClosedError, HcsError, LostServiceError
from podshim.errors import InvalidArgumentError, NotFoundError, ShimError
from podshim.task.runhcs.host import WindowsContainer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from podshim.api.runhcs_options_pb2 import ProcessDetails
    from podshim.api.runhcs_stats_pb2 import Statistics
    from podshim.engine import Stdio, TypedValue
    from podshim.engines.hcs.compute import ComputeSystem
    from podshim.engines.hcs.process import HcsContainerProcess
    from podshim.engines.hcs.timeouts import Timeouts
    from podshim.task.runhcs.host import Spec, WindowsProcess

log = logging.getLogger(__name__)

#: How long processes may take to tell of their ends after their container's, s.
_LAST_WORDS = 2.0


class Resources(Protocol):
    """What a container is made from, such as mounted layers."""

    async def release(self) -> None:
        """Give all of it back; raises ShimError or OSError if that fails."""


class Updates(Protocol):
    """How limits and mounts of a running container are changed."""

    async def update(self, resources: bytes) -> None:
        """See `WindowsContainer.update`."""

    async def add_mount(self, host_path: str, container_path: str, *, read_only: bool) -> None:
        """See `WindowsContainer.add_mount`."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a container consists of.

    Args:
        system: The compute system.
        resources: What it is made from.
        make_process: Makes a process of an OCI process and its streams: connects these.
        updates: How it is changed.
        timeouts: How long its end may take.
        measure: Measures it without asking the system; raises OSError where that can't be done.
    """

    system: ComputeSystem
    resources: Resources
    make_process: Callable[[str, Spec, Stdio], Awaitable[HcsContainerProcess]]
    updates: Updates
    timeouts: Timeouts
    measure: Callable[[], Awaitable[Statistics]] | None = None


class HcsContainer(WindowsContainer):
    """A container that the engine has created.

    Args:
        parts: What it consists of.
        init: Its first process.
    """

    def __init__(self, parts: Parts, init: HcsContainerProcess) -> None:
        self._parts = parts
        self._init = init
        self._processes = {init}
        self._ended = False
        self._watch = asyncio.create_task(self._watch_end(), name=f"hcs-{parts.system.id}")

    @property
    def init(self) -> HcsContainerProcess:
        """The container's first process."""
        return self._init

    async def exec(self, exec_id: str, spec: bytes, stdio: Stdio) -> HcsContainerProcess:
        """Prepare a further process; it gets a console if its spec says so, whatever `stdio` says.

        Raises:
            InvalidArgumentError: `spec` can't be an OCI process.
            ShimError: Its streams can't be connected.
        """
        process = await self._parts.make_process(exec_id, parse_process(spec), stdio)
        self._processes = {one for one in self._processes if not one.deleted} | {process}
        if self._ended:
            await process.container_ended()
        return process

    async def kill(self, signal: int, *, everyone: bool) -> None:
        """Send a signal to the init, or to all processes, of which the init is the last.

        Raises:
            ShimError: The init can't be signalled; of others, that is only logged.
        """
        others = self._processes - {self._init} if everyone else set()
        await kill_all(self._parts.system.id, others, self._init, signal)

    async def init_exited(self) -> None:
        """End the container, gracefully first; what can't be ended is logged."""
        system, timeouts = self._parts.system, self._parts.timeouts
        if system.closed or await self._end(system.shutdown, timeouts.shutdown):
            return
        if not await self._end(system.terminate, timeouts.terminate):
            log.error("container %s has not ended", system.id)
            await self._end_processes()

    async def delete(self) -> None:
        """Release what the container is made from, and its handle; failures are logged."""
        if not self._ended:
            await self._end(self._parts.system.terminate, self._parts.timeouts.terminate)
        await asyncio.gather(*(self._attempt(process.delete()) for process in self._processes))
        await self._attempt(self._parts.resources.release())
        await self._parts.system.close()
        await asyncio.wait((self._watch,))

    async def pids(self) -> Sequence[int]:
        """List the ids of all processes in the container.

        Raises:
            NotFoundError: The container is not there any more, or does not tell.
            ShimError: Any other reason.
        """
        return [one.process_id for one in await self.process_details()]

    async def process_details(self) -> Sequence[ProcessDetails]:
        """Tell of every process in the container; see `WindowsContainer.process_details`."""
        from podshim.engines.hcs.documents import properties

        return properties.process_details(await self._ask("ProcessList", "Properties"))

    async def statistics(self) -> Statistics:
        """Measure; see `WindowsContainer.statistics`."""
        from podshim.engines.hcs.documents import properties

        if self._parts.measure is not None:
            try:
                return await self._parts.measure()
            except OSError as error:
                log.debug("container %s: asking for figures: %s", self._parts.system.id, error)
        return properties.container_statistics(await self._ask("Statistics", "PropertiesV2"))

    async def stats(self) -> TypedValue:
        """Measure, as the message that containerd knows."""
        from podshim.engine import TypedValue

        message = await self.statistics()
        return TypedValue(message.DESCRIPTOR.full_name, message.SerializeToString())

    async def update(self, resources: bytes) -> None:
        """Change limits.

        Raises:
            ShimError: They can't be changed so.
        """
        await self._parts.updates.update(resources)

    async def add_mount(self, host_path: str, container_path: str, *, read_only: bool) -> None:
        """Map a further folder of the host into the running container.

        Raises:
            ShimError: It can't be mapped.
        """
        await self._parts.updates.add_mount(host_path, container_path, read_only=read_only)

    async def _attempt(self, work: Awaitable[None]) -> None:
        try:
            await work
        except (ShimError, OSError) as error:
            log.error("container %s: %s", self._parts.system.id, error)

    async def _ask(self, what: str, call: str) -> Mapping[str, object]:
        try:
            return await self._parts.system.properties([what], operation=f"hcs::System::{call}")
        except HcsError as error:
            if results.is_out_of_reach(error.result):
                raise NotFoundError(str(error)) from error
            raise

    async def _end(self, ask: Callable[[], Awaitable[None]], limit: float) -> bool:
        """Ask the container to end, and wait; whether it has."""
        system = self._parts.system
        try:
            async with asyncio.timeout(limit):
                await ask()
                await system.wait()
        except TimeoutError:
            log.warning("container %s: %s", system.id, results.TIMED_OUT)
            return False
        except (ClosedError, LostServiceError):
            return True  # nothing more can be done
        except (HcsError, OSError) as error:
            log.warning("%s", error)
            return False
        return True

    async def _watch_end(self) -> None:
        system = self._parts.system
        try:
            await system.wait()
        except ClosedError:
            pass
        except HcsError as error:
            log.warning("%s", error)
        else:
            if system.exit_error is not None:
                log.warning("%s", system.exit_error)
        await self._end_processes()

    async def _end_processes(self) -> None:
        """Settle the ends of all processes after their container's.

        They end with it, and tell so by themselves; what does not is killed, then given up.
        """
        self._ended = True
        processes = tuple(self._processes)
        for process in processes:
            await process.container_ended()
        late = await _late(processes, self._parts.timeouts.release)
        await asyncio.gather(*(process.end_hard() for process in late))
        for process in await _late(processes, _LAST_WORDS):
            log.warning(
                "process %d of %s has not told of its end", process.pid, self._parts.system.id
            )
            process.lose()


async def _late(
    processes: Sequence[HcsContainerProcess], limit: float
) -> list[HcsContainerProcess]:
    """Those of the processes that have not ended within so many seconds."""
    waits = {asyncio.ensure_future(process.wait()): process for process in processes}
    if not waits:
        return []
    try:
        _, late = await asyncio.wait(waits, timeout=limit)
        return [waits[wait] for wait in late]
    finally:
        for wait in waits:
            wait.cancel()


async def kill_all(
    container_id: str, others: Iterable[WindowsProcess], init: WindowsProcess, signal: int
) -> None:
    """Signal processes of a container, of which the init is the last.

    Raises:
        ShimError: The init can't be signalled; of the others, that is only logged.
    """
    for process in others:
        try:
            await process.kill(signal)
        except ShimError as error:
            log.warning("an exec of %s: %s", container_id, error)
    await init.kill(signal)


def parse_process(spec: bytes) -> Spec:
    """Read an OCI process.

    Raises:
        InvalidArgumentError: It is none.
    """
    try:
        process = json.loads(spec)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"request.Spec was not oci process: {error}") from error
    if not isinstance(process, dict):
        raise InvalidArgumentError("request.Spec was not oci process: it is no JSON object")
    return process
