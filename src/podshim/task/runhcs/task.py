"""A task of this contract, whatever is behind it: a container, or nothing but a pod's name.

Theory of operation. A `Task` has an init, perhaps further execs, and may live in a utility VM. Its
end has one order, whoever causes it: the init exits; what belonged to the task is taken down; the
init's exit event is posted; `closed` is set. `Wait` for the init is a wait for `closed`. A watcher
sees to that from the beginning, so there is no way for a task to end but this.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from podshim.engine import Exit
from podshim.errors import NotFoundError, ShimError
from podshim.task.background import attempt
from podshim.task.process import Deleted
from podshim.task.runhcs.exec import UNKNOWN_STATUS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podshim.api.runhcs_options_pb2 import ProcessDetails
    from podshim.api.runhcs_stats_pb2 import Statistics
    from podshim.bundle import Bundle
    from podshim.engine import CreateRequest, Stdio, TypedValue
    from podshim.task.background import Background
    from podshim.task.events import Announcer, Event
    from podshim.task.outbox import ExecTrack, TaskTrack
    from podshim.task.process import Life
    from podshim.task.runhcs.exec import Exec
    from podshim.task.runhcs.host import UtilityVM


@dataclass(frozen=True, slots=True)
class Limits:
    """How long this contract waits, in s.

    Args:
        deletion: A deletion for the end of the task's teardown.
        watchdog: A VM for the end of an init in it that was sent SIGKILL.
        stragglers: A teardown for processes whose container has ended, and for an init whose VM
            has.
    """

    deletion: float = 30.0
    watchdog: float = 30.0
    stragglers: float = 30.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every task of a shim is given.

    Args:
        announcer: Makes its events.
        background: Runs its watchers and its teardown.
        limits: How long to wait for what.
    """

    announcer: Announcer
    background: Background
    limits: Limits


def not_isolated() -> ShimError:
    """The error of what only a task in a utility VM can do."""
    return ShimError("task is not isolated")


class Task(ABC):
    """One task.

    Args:
        request: What it was made of.
        init: Its first process.
        track: The order of its events.
        surroundings: What the shim's tasks share.
        vm: The VM that it lives in, if so.
        owns_vm: Whether the VM ends with it.
    """

    #: Whether there is a container behind it.
    has_container: ClassVar[bool] = True

    def __init__(
        self,
        request: CreateRequest,
        init: Exec,
        *,
        track: TaskTrack[Event],
        surroundings: Surroundings,
        vm: UtilityVM | None,
        owns_vm: bool,
    ) -> None:
        self.id = request.id
        self.bundle: Bundle = request.bundle
        self.init = init
        self.vm = vm
        self.owns_vm = owns_vm and vm is not None
        #: Set when the task has ended and all that belonged to it is gone.
        self.closed = asyncio.Event()
        self._track = track
        self._announcer = surroundings.announcer
        self._background = surroundings.background
        self._limits = surroundings.limits
        self._deletions: dict[str, asyncio.Task[Deleted]] = {}
        self._vm_watcher: asyncio.Task[None] | None = None
        self._background.watch(self._watch_init(), f"teardown of {self.id}")
        if vm is not None:
            name = f"watch of the VM of {self.id}"
            self._vm_watcher = self._background.watch(self._watch_vm(vm), name)

    def __repr__(self) -> str:
        closed = " closed" if self.closed.is_set() else ""
        return (
            f"<{type(self).__name__} {self.id} {self.init.state_text} pid {self.init.pid}{closed}>"
        )

    # What clients look at.

    @property
    @abstractmethod
    def execs(self) -> Mapping[str, Exec]:
        """The additional processes by id."""

    @property
    @abstractmethod
    def told_execs(self) -> Sequence[Exec]:
        """The processes that diagnosis lists."""

    def process(self, exec_id: str) -> Exec:
        """Find the init (by an empty id) or an exec.

        Raises:
            NotFoundError: There is no such exec.
        """
        if not exec_id:
            return self.init
        found = self.execs.get(exec_id)
        if found is None:
            raise NotFoundError(f"exec: '{exec_id}' in task: '{self.id}' not found")
        return found

    async def wait(self, exec_id: str) -> Life:
        """Wait for the end of an exec, or for that of the whole task."""
        process = self.process(exec_id)
        await (process.ended if exec_id else self.closed).wait()
        return process

    @abstractmethod
    async def pids(self) -> Sequence[ProcessDetails]:
        """Tell of every process; those that clients know tell their `exec_id`.

        Raises:
            NotFoundError: The container is gone.
            ShimError: The engine's reason.
        """

    @abstractmethod
    async def statistics(self) -> Statistics:
        """Measure.

        Raises:
            NotFoundError: The container is gone.
            ShimError: The engine's reason.
        """

    @abstractmethod
    def processor_count(self) -> int:
        """The processors of its VM.

        Raises:
            ShimError: It has no VM of its own.
        """

    def snapshot(self) -> list[str]:
        """Describe the task and its execs for people, a line each."""
        held = f" {self._track.holding} events held" if self._track.holding else ""
        return [f"{self!r}{held}", *(f"  {process!r}" for process in self.execs.values())]

    # What clients do to it. Whoever calls these sees to it that they are not cancelled.

    async def start(self, exec_id: str) -> int:
        """Let the init or an exec run; return its pid."""
        return await self.process(exec_id).start()

    @abstractmethod
    async def exec(self, exec_id: str, spec: bytes, stdio: Stdio) -> None:
        """Prepare a further process.

        Raises:
            AlreadyExistsError: The id is taken, or empty.
            FailedPreconditionError: The init is not running.
            ShimError: The engine's reason.
        """

    @abstractmethod
    async def kill(self, exec_id: str, signal: int, *, everyone: bool) -> None:
        """Send a signal to the init, or an exec, or to everyone in the task.

        Raises:
            NotFoundError: There is no such process, or it has exited.
            FailedPreconditionError: An exec and everyone, or no signal.
            ShimError: The engine's reason.
        """

    @abstractmethod
    async def update(self, resources: TypedValue, annotations: Mapping[str, str]) -> None:
        """Change limits, or what else an update may carry.

        Raises:
            ShimError: Of a type that can't be, or the engine's reason.
        """

    async def delete(self, exec_id: str) -> Deleted:
        """Delete the init, which is the task, or an exec; concurrent callers share the result.

        Raises:
            FailedPreconditionError: It runs.
            ShimError: The task's teardown takes too long; it can be tried again.
        """
        deletion = self._deletions.get(exec_id)
        if deletion is None:
            name = f"deletion of {exec_id or self.id}"
            deletion = self._background.begin(self._delete(exec_id), name)
            self._deletions[exec_id] = deletion
            deletion.add_done_callback(lambda _: self._deletions.pop(exec_id))
        return await self._background.join(deletion)

    @abstractmethod
    async def _delete(self, exec_id: str) -> Deleted: ...

    def _deleted(
        self, track: TaskTrack[Event] | ExecTrack[Event], process: Exec, exec_id: str
    ) -> Deleted:
        self._announcer.deleted(track, self.id, process.pid, process.exit, exec_id)
        return Deleted(process.pid, process.exit)

    # The end.

    @abstractmethod
    async def _take_down(self) -> None:
        """Take down what belonged to the task but its VM; failures are logged."""

    @abstractmethod
    async def _force_all(self) -> None:
        """End every process because the VM has ended."""

    async def _close_vm(self) -> None:
        if self.vm is not None and self.owns_vm:
            await attempt(self.vm.close(), f"close the VM of {self.id}")

    async def _watch_init(self) -> None:
        await self.init.ended.wait()
        operation = self._background.begin(self._close(), f"end of {self.id}")
        await self._background.join(operation)

    async def _close(self) -> None:
        await self._take_down()
        if self._vm_watcher is not None:
            self._vm_watcher.cancel()
        await self._close_vm()
        end = self.init.exit or Exit(UNKNOWN_STATUS, self._announcer.clock())
        self._announcer.exited(self._track, self.id, self.id, self.init.pid, end)
        self.closed.set()

    async def _watch_vm(self, vm: UtilityVM) -> None:
        await attempt(vm.wait(), f"wait for the VM of {self.id}")
        operation = self._background.begin(self._force_all(), f"end of all in {self.id}")
        await self._background.join(operation)
