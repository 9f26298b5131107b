"""A task with a container.

Theory of operation. What changes the container (start of the init, making of execs, updates, its
deletion) holds one lock. The teardown begins when the init has ended, or will never start:

    container.init_exited      ends the container, and with it every other process in it
    all execs have ended       and told their exits; what the engine fails to end is given up
    container.delete           frees everything; no exec is in the making, and none ever will be
    the task's own VM closes
    the init's exit is told, `closed` is set

A VM that ends under its containers ends all their processes, and the same way is gone.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from podshim.api.runhcs_options_pb2 import ProcessDetails
from podshim.api.runhcs_stats_pb2 import Statistics
from podshim.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError, ShimError
from podshim.hcsspec.predicates import is_host_process, is_isolated, is_lcow
from podshim.task.background import attempt
from podshim.task.identifiers import check_identifier
from podshim.task.lifecycle import Operation, State
from podshim.task.process import SIGKILL, Deleted
from podshim.task.runhcs import hostprocess, update
from podshim.task.runhcs.exec import FORCED_STATUS, AdditionalExec, InitExec
from podshim.task.runhcs.task import Surroundings, Task, not_isolated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podshim.engine import CreateRequest, Stdio, TypedValue
    from podshim.task.events import Event
    from podshim.task.outbox import TaskTrack
    from podshim.task.runhcs.exec import Exec
    from podshim.task.runhcs.host import Spec, UtilityVM, WindowsContainer

_log = logging.getLogger(__name__)

_TEARDOWN_TIMEOUT = (
    "waiting for container resource cleanup: hcsshim: timeout waiting for notification"
)


class ContainerTask(Task):
    """One container and its processes.

    Args:
        request: What it was made of.
        container: The engine's container.
        spec: Its spec as it was taken.
        track: The order of its events.
        surroundings: What the shim's tasks share.
        vm: The VM that it lives in; None for the host.
        owns_vm: Whether the VM ends with it.
    """

    init: InitExec

    def __init__(
        self,
        request: CreateRequest,
        container: WindowsContainer,
        spec: Spec,
        *,
        track: TaskTrack[Event],
        surroundings: Surroundings,
        vm: UtilityVM | None,
        owns_vm: bool,
    ) -> None:
        init = InitExec(
            request.id,
            container.init,
            track=track,
            announcer=surroundings.announcer,
            background=surroundings.background,
        )
        self._container = container
        self._spec = spec
        self._execs: dict[str, AdditionalExec] = {}
        self._changes = asyncio.Lock()
        super().__init__(
            request, init, track=track, surroundings=surroundings, vm=vm, owns_vm=owns_vm
        )
        self._announcer.created(track, request, self.init.pid)

    @property
    def execs(self) -> Mapping[str, Exec]:
        """The additional processes by id."""
        return self._execs

    @property
    def told_execs(self) -> Sequence[Exec]:
        """The additional processes: diagnosis knows the init by its task."""
        return list(self._execs.values())

    @property
    def _dying(self) -> bool:
        return self.init.state is State.STOPPED

    # Looking.

    async def pids(self) -> Sequence[ProcessDetails]:
        """As `Task.pids`."""
        try:
            self._check_alive()
            found = await self._container.process_details()
        except NotFoundError as error:
            raise NotFoundError(f"failed to fetch pids: {error.detail}") from error
        living = [each for each in self._execs.values() if not each.ended.is_set()]
        names = {process.pid: process.name for process in [*living, self.init] if process.pid}
        answer = []
        for details in found:
            named = ProcessDetails()
            named.CopyFrom(details)
            named.exec_id = names.get(details.process_id, "")
            answer.append(named)
        return answer

    async def statistics(self) -> Statistics:
        """As `Task.statistics`; those of the VM only if it is the task's own."""
        answer = Statistics()
        try:
            self._check_alive()
            answer.CopyFrom(await self._container.statistics())
        except NotFoundError as error:
            raise NotFoundError(f"failed to fetch stats: {error.detail}") from error
        if self.vm is not None and self.owns_vm:
            measured = await self.vm.statistics()
            if measured is not None:
                answer.vm.CopyFrom(measured)
        return answer

    def processor_count(self) -> int:
        """As `Task.processor_count`."""
        if self.vm is None:
            raise not_isolated()
        if not self.owns_vm:
            raise ShimError("not implemented")
        return self.vm.processor_count

    def _check_alive(self) -> None:
        if self._dying:
            raise NotFoundError(f"the container of task '{self.id}' has ended")

    # Changing.

    async def start(self, exec_id: str) -> int:
        """As `Task.start`."""
        if exec_id:
            return await self.process(exec_id).start()
        async with self._changes:
            return await self.init.start()

    async def exec(self, exec_id: str, spec: bytes, stdio: Stdio) -> None:
        """As `Task.exec`."""
        async with self._changes:
            # Events and `State` call the init by the task's id: no exec may have it.
            if exec_id in {"", self.id} or exec_id in self._execs:
                raise AlreadyExistsError(f"exec: '{exec_id}' in task: '{self.id}' already exists")
            check_identifier(exec_id)
            self.init.lifecycle.check(Operation.EXEC)
            if is_isolated(self._spec) and is_host_process(self._spec):
                spec = hostprocess.adjusted_exec(spec, self._spec)
            process = await self._container.exec(exec_id, spec, stdio)
            if self._dying:
                await attempt(process.delete(), f"free exec {exec_id} in {self.id}")
                self.init.lifecycle.check(Operation.EXEC)
            self._execs[exec_id] = AdditionalExec(
                self.id,
                exec_id,
                process,
                init=self.init,
                track=self._track.exec(),
                announcer=self._announcer,
                background=self._background,
            )

    async def kill(self, exec_id: str, signal: int, *, everyone: bool) -> None:
        """As `Task.kill`; of everyone's failures only that of the init is told."""
        process = self.process(exec_id)
        if everyone and exec_id:
            raise FailedPreconditionError(
                f"cannot signal all for non-empty exec: '{exec_id}'",
            )
        if everyone:
            for each in list(self._execs.values()):
                await attempt(each.kill(signal), f"signal {signal} to {each!r}", NotFoundError)
        if signal == SIGKILL and not exec_id and self.vm is not None:
            name = f"watchdog of {self.id}"
            self._background.watch(self._close_vm_unless_ended(self.vm), name)
        await process.kill(signal)

    async def update(self, resources: TypedValue, annotations: Mapping[str, str]) -> None:
        """As `Task.update`: what owns its VM updates that, not the container."""
        wanted = update.decode(self.id, resources)
        async with self._changes:
            if self._dying:
                raise FailedPreconditionError(f"the container of task '{self.id}' has ended")
            if self.vm is not None and self.owns_vm:
                await update.change_vm(self.vm, wanted, annotations)
            else:
                await update.change_container(self._container, wanted, is_linux=is_lcow(self._spec))

    async def _delete(self, exec_id: str) -> Deleted:
        process = self.process(exec_id)
        await process.retire()
        if exec_id:
            self.process(exec_id)  # it may have gone with its task meanwhile
            track = self._execs.pop(exec_id).track
            return self._deleted(track, process, exec_id)
        for each in list(self._execs.values()):
            await each.force_exit(FORCED_STATUS)
        try:
            async with asyncio.timeout(self._limits.deletion):
                await self.closed.wait()
        except TimeoutError:
            raise ShimError(_TEARDOWN_TIMEOUT) from None
        self._execs.clear()
        if self.vm is not None and not self.owns_vm:
            what = f"let the guest forget {self.id}"
            await attempt(self.vm.forget_container(self.id), what)
        return self._deleted(self._track, process, "")

    # The end.

    async def _take_down(self) -> None:
        await attempt(self._container.init_exited(), f"end the container of {self.id}")
        async with self._changes:  # no exec is in the making, and there will be none
            await self._end_execs()
            await attempt(self._container.delete(), f"free the container of {self.id}")

    async def _end_execs(self) -> None:
        left = [process for process in self._execs.values() if not process.ended.is_set()]
        for process in left:
            if process.state is State.CREATED:
                await process.force_exit(FORCED_STATUS)
        if left:
            waits = [asyncio.ensure_future(process.ended.wait()) for process in left]
            await asyncio.wait(waits, timeout=self._limits.stragglers)
            for wait in waits:
                wait.cancel()
        for process in left:
            await process.give_up()

    async def _force_all(self) -> None:
        for process in [*self._execs.values(), self.init]:
            await process.force_exit(FORCED_STATUS)
        try:
            async with asyncio.timeout(self._limits.stragglers):
                await self.init.ended.wait()
        except TimeoutError:
            await self.init.give_up()

    async def _close_vm_unless_ended(self, vm: UtilityVM) -> None:
        try:
            async with asyncio.timeout(self._limits.watchdog):
                await self.init.ended.wait()
        except TimeoutError:
            _log.warning("%r outlives SIGKILL: closing its VM", self)
            await attempt(vm.close(), f"close the VM of {self.id}")
