"""A pod's sandbox without a container: one that lives in its VM alone, or in nothing at all.

Theory of operation. containerd gives every pod a sandbox to create, start, signal and delete. A
Windows pod in a utility VM, and one of HostProcess containers, need no container to hold the pod
together, so this pretends one: a process with pid 1 that never does anything and ends when it is
signalled. What is real is the VM, which ends with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.api.runhcs_options_pb2 import ProcessDetails
from podshim.api.runhcs_stats_pb2 import Statistics
from podshim.engine import Exit, Stdio
from podshim.errors import FailedPreconditionError
from podshim.task.background import attempt
from podshim.task.lifecycle import Fact, Lifecycle, Operation, State
from podshim.task.runhcs import update
from podshim.task.runhcs.exec import FORCED_STATUS, Exec, names_of
from podshim.task.runhcs.tables import SANDBOX
from podshim.task.runhcs.task import Surroundings, Task, not_isolated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podshim.engine import CreateRequest, TypedValue
    from podshim.task.events import Announcer, Event
    from podshim.task.outbox import TaskTrack
    from podshim.task.process import Deleted
    from podshim.task.runhcs.host import UtilityVM

#: What the pretended process has for a pid once it is started.
PID = 1


class SandboxExec(Exec):
    """The pretended process.

    Args:
        task: The task's id.
        track: The order of its events.
        announcer: What makes them.
    """

    def __init__(self, task: str, track: TaskTrack[Event], announcer: Announcer) -> None:
        super().__init__(task, Stdio(), Lifecycle(SANDBOX, names=names_of(task, task, "")))
        self._track = track
        self._announcer = announcer

    async def start(self) -> int:
        """As `Exec.start`."""
        self.lifecycle.check(Operation.START)
        self.pid = PID
        self.lifecycle.move(Fact.STARTED)
        self._announcer.started(self._track, self.name, self.pid)
        return self.pid

    async def kill(self, signal: int) -> None:  # noqa: ARG002 - any number ends it
        """As `Exec.kill`: whatever the signal, it ends well if it ran."""
        self.lifecycle.check(Operation.KILL)
        self._exit(FORCED_STATUS if self.state is State.CREATED else 0)

    async def force_exit(self, status: int) -> None:  # noqa: ARG002 - always the same
        """As `Exec.force_exit`, but always with status 1."""
        if self.state is not State.STOPPED:
            self._exit(FORCED_STATUS)

    async def retire(self) -> None:
        """As `Exec.retire`, but with status 1."""
        self.lifecycle.check(Operation.DELETE)
        await self.force_exit(FORCED_STATUS)

    async def resize(self, width: int, height: int) -> None:  # noqa: ARG002 - there is no terminal
        """As `Exec.resize`: always refused."""
        self.lifecycle.check(Operation.RESIZE)

    async def close_stdin(self) -> None:
        """Nothing: there is no stream."""

    def _exit(self, status: int) -> None:
        self.lifecycle.move(Fact.EXITED)
        self.exit = Exit(status, self._announcer.clock())
        self.ended.set()


class SandboxTask(Task):
    """The pretended container.

    Args:
        request: What was asked for.
        namespace: The network namespace that its VM has been given; empty for none.
        track: The order of its events.
        surroundings: What the shim's tasks share.
        vm: The pod's VM, which it owns; None for a pod on the host.
    """

    has_container = False
    init: SandboxExec

    def __init__(
        self,
        request: CreateRequest,
        namespace: str,
        *,
        track: TaskTrack[Event],
        surroundings: Surroundings,
        vm: UtilityVM | None,
    ) -> None:
        init = SandboxExec(request.id, track, surroundings.announcer)
        super().__init__(request, init, track=track, surroundings=surroundings, vm=vm, owns_vm=True)
        self._namespace = namespace
        self._announcer.created(track, request, 0)

    @property
    def execs(self) -> Mapping[str, Exec]:
        """There are none, ever."""
        return {}

    @property
    def told_execs(self) -> Sequence[Exec]:
        """The pretended process."""
        return [self.init]

    async def pids(self) -> Sequence[ProcessDetails]:
        """As `Task.pids`: the pretended process."""
        return [ProcessDetails(process_id=self.init.pid, exec_id=self.id)]

    async def statistics(self) -> Statistics:
        """As `Task.statistics`: those of the VM, or none."""
        measured = await self.vm.statistics() if self.vm is not None else None
        return Statistics(vm=measured)

    def processor_count(self) -> int:
        """As `Task.processor_count`."""
        if self.vm is None:
            raise not_isolated()
        return self.vm.processor_count

    async def exec(self, exec_id: str, spec: bytes, stdio: Stdio) -> None:  # noqa: ARG002 - refused
        """As `Task.exec`: always refused."""
        self.init.lifecycle.check(Operation.EXEC)

    async def kill(self, exec_id: str, signal: int, *, everyone: bool) -> None:
        """As `Task.kill`; everyone is the pretended process."""
        process = self.process(exec_id)
        if everyone and exec_id:
            text = f"cannot signal all for non-empty exec: '{exec_id}'"
            raise FailedPreconditionError(text)
        await process.kill(signal)

    async def update(self, resources: TypedValue, annotations: Mapping[str, str]) -> None:
        """As `Task.update`: changes the VM."""
        if self.vm is None:
            raise not_isolated()
        wanted = update.decode(self.id, resources)
        if self.init.state is State.STOPPED:
            raise FailedPreconditionError(f"the VM of task '{self.id}' has ended")
        await update.change_vm(self.vm, wanted, annotations)

    async def _delete(self, exec_id: str) -> Deleted:
        process = self.process(exec_id)
        await process.retire()
        return self._deleted(self._track, process, "")

    async def _take_down(self) -> None:
        if self.vm is not None and self._namespace:
            what = f"take the network of {self.id} down"
            await attempt(self.vm.tear_down_network(self._namespace), what)

    async def _force_all(self) -> None:
        await self.init.force_exit(FORCED_STATUS)
