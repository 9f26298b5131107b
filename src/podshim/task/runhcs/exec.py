"""A process of this contract as clients see it: created, running, exited.

Theory of operation. Everything that moves the state of a `ContainerExec` holds its lock: a start
for as long as it lasts, so that a kill or a deletion meanwhile waits and then finds the process
running or exited. Looking takes no lock: while a start hangs, `State` answers "created".

The end comes in one of two ways, and is never told twice:
- A process that never ran (its start failed, it was killed, deleted or lost its container before)
  is exited at once, gives back its streams, and releases its waiters. There is no exit event.
- A running process is exited as soon as the engine says so; then its output drains, for a bounded
  time; then the exit event is posted (for an init its task does that, much later), and only then
  are waiters released. So `State` may say "exited" a little before `Wait` returns.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from podshim.engine import Exit
from podshim.errors import FailedPreconditionError, NotFoundError
from podshim.task.background import attempt
from podshim.task.lifecycle import Fact, Lifecycle, Operation, State
from podshim.task.process import Life, Process
from podshim.task.runhcs.tables import PROCESS, STATE_TEXTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.task.background import Background
    from podshim.task.events import Announcer, Event
    from podshim.task.outbox import ExecTrack, TaskTrack
    from podshim.task.runhcs.host import WindowsProcess

_log = logging.getLogger(__name__)

#: What `State` tells of a process that has not exited.
NOT_EXITED_STATUS = 255
#: How a process ends that is forced to, or whose start fails.
FORCED_STATUS = 1
#: What is reported where the true status can't be known: -1 in 32 bits.
UNKNOWN_STATUS = 0xFFFFFFFF


class Exec(Life, ABC):
    """An init or an exec, with or without a process behind it."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.state_text} pid {self.pid}>"

    @property
    def state_text(self) -> str:
        """`created`, `running` or `exited`."""
        return STATE_TEXTS[self.state]

    @abstractmethod
    async def start(self) -> int:
        """Let it run; return its pid.

        Raises:
            FailedPreconditionError: It is not in the created state.
            ShimError: The engine's reason; it has exited with status 1.
        """

    @abstractmethod
    async def kill(self, signal: int) -> None:
        """Send it a signal; before its start that ends it.

        Raises:
            NotFoundError: It has exited.
            ShimError: The engine's reason.
        """

    @abstractmethod
    async def force_exit(self, status: int) -> None:
        """See to its end: with this status if it was not started, else by a hard kill."""

    @abstractmethod
    async def retire(self) -> None:
        """Make sure that it may be deleted: end it with status 0 if it was not started.

        Raises:
            FailedPreconditionError: It is running.
        """

    @abstractmethod
    async def resize(self, width: int, height: int) -> None:
        """Give its terminal another size, in characters; before its start or after its end nothing.

        Raises:
            FailedPreconditionError: It has no terminal.
        """

    @abstractmethod
    async def close_stdin(self) -> None:
        """Drop the connection that feeds its standard input; any number of times."""


def names_of(task: str, name: str, asked: str) -> Mapping[str, str]:
    """What the tables' texts call a process; `asked` is what clients call it."""
    return {"task": task, "exec": name, "asked": asked}


class ContainerExec(Process, Exec):
    """A process in a container: what an init and an exec have in common.

    Args:
        task: The task's id.
        name: Its own id; for an init the task's.
        asked: What clients call it; empty for an init.
        process: The engine's process.
        track: The order of its events.
        announcer: What makes them.
        background: What its watcher runs in.
    """

    unknown_status = UNKNOWN_STATUS
    process: WindowsProcess

    def __init__(
        self,
        task: str,
        name: str,
        asked: str,
        process: WindowsProcess,
        *,
        track: TaskTrack[Event] | ExecTrack[Event],
        announcer: Announcer,
        background: Background,
    ) -> None:
        lifecycle = Lifecycle(PROCESS, names=names_of(task, name, asked))
        super().__init__(name, process, process.stdio, lifecycle)
        self.pid = 0
        self._task = task
        self._track = track
        self._announcer = announcer
        self._lock = asyncio.Lock()
        self._ran = False
        self._watcher = background.watch(self._watch(), f"watch of {name} in {task}")

    @abstractmethod
    def _tell_start(self) -> None: ...

    @abstractmethod
    def _tell_exit(self, end: Exit) -> None: ...

    async def start(self) -> int:
        """As `Exec.start`; its start event is posted before this returns."""
        async with self._lock:
            self.lifecycle.check(Operation.START)
            self._track.promise_start()
            try:
                await self.process.start()
            except BaseException:
                self._track.withdraw_start()
                await self._end_unstarted(Fact.START_FAILED, FORCED_STATUS)
                raise
            self.pid = self.process.pid
            self.lifecycle.move(Fact.STARTED)
            self._ran = True
            self._tell_start()
            return self.pid

    async def kill(self, signal: int) -> None:
        """As `Exec.kill`; a start under way is waited for."""
        async with self._lock:
            self.lifecycle.check(Operation.KILL)
            if self.state is State.CREATED:
                await self._end_unstarted(Fact.EXITED, FORCED_STATUS)
                return
        try:
            await self.process.kill(signal)
        except NotFoundError as error:
            _log.debug("%r: %s", self, error)
            raise NotFoundError(f"exec: '{self.name}' in task: '{self._task}' not found") from error

    async def force_exit(self, status: int) -> None:
        """As `Exec.force_exit`; a start under way is waited for, a failing kill is logged."""
        async with self._lock:
            if self.state is State.CREATED:
                await self._end_unstarted(Fact.EXITED, status)
                return
        if self.state is State.RUNNING:
            await attempt(self.process.terminate(), f"end {self!r}", NotFoundError)

    async def retire(self) -> None:
        """As `Exec.retire`; a start under way is waited for."""
        async with self._lock:
            self.lifecycle.check(Operation.DELETE)
            if self.state is State.CREATED:
                await self._end_unstarted(Fact.EXITED, 0)

    async def resize(self, width: int, height: int) -> None:
        """As `Exec.resize`."""
        if not self.stdio.terminal:
            text = f"exec: '{self.name}' in task: '{self._task}' is not a tty"
            raise FailedPreconditionError(text)
        if self.state is State.RUNNING:
            await self.process.resize(width, height)

    async def give_up(self) -> None:
        """End it here, though its engine does not say so, or does not stop to drain its output."""
        if self.ended.is_set() or self.state is State.CREATED:
            return
        self._watcher.cancel()
        _log.warning("%r has not ended with its container", self)
        if self.state is State.RUNNING:
            end = Exit(UNKNOWN_STATUS, self._announcer.clock())
            self._move_to_exit(end)
            await self._conclude(end)
            return
        if self._ran and self.exit is not None:
            self._tell_exit(self.exit)
        self.ended.set()

    async def _watch(self) -> None:
        end = await self.true_end(self._announcer.clock)
        async with self._lock:
            if self.state is State.CREATED:  # its container ended before it could start
                await self._end_unstarted(Fact.EXITED, FORCED_STATUS)
                return
            if self.state is State.STOPPED:  # it never ran
                return
            self._move_to_exit(end)
        await self._conclude(end)

    def _move_to_exit(self, end: Exit) -> None:
        self.lifecycle.move(Fact.EXITED)
        self.exit = end

    async def _conclude(self, end: Exit) -> None:
        await attempt(self.free(), f"free {self!r}")
        self._tell_exit(end)
        self.ended.set()

    async def _end_unstarted(self, fact: Fact, status: int) -> None:
        self.lifecycle.move(fact)
        self.exit = Exit(status, self._announcer.clock())
        try:
            await attempt(self.free(), f"free {self!r}")
        finally:
            self.ended.set()


class InitExec(ContainerExec):
    """The first process of a task."""

    _track: TaskTrack[Event]

    def __init__(
        self,
        task: str,
        process: WindowsProcess,
        *,
        track: TaskTrack[Event],
        announcer: Announcer,
        background: Background,
    ) -> None:
        super().__init__(
            task, task, "", process, track=track, announcer=announcer, background=background
        )

    def _tell_start(self) -> None:
        self._announcer.started(self._track, self._task, self.pid)

    def _tell_exit(self, end: Exit) -> None:
        """The task tells it, when all that belongs to the container is gone."""


class AdditionalExec(ContainerExec):
    """A further process of a task.

    Args:
        init: The task's init: without it none starts.
        track: The order of its own events.
    """

    _track: ExecTrack[Event]

    def __init__(
        self,
        task: str,
        name: str,
        process: WindowsProcess,
        *,
        init: InitExec,
        track: ExecTrack[Event],
        announcer: Announcer,
        background: Background,
    ) -> None:
        super().__init__(
            task, name, name, process, track=track, announcer=announcer, background=background
        )
        self._init = init
        announcer.exec_added(track, task, name)

    @property
    def track(self) -> ExecTrack[Event]:
        """The order of its events, where its deletion is posted."""
        return self._track

    async def start(self) -> int:
        """As `Exec.start`; when its init is gone it is over before it began."""
        if self._init.state is State.STOPPED and self.state is State.CREATED:
            await self.force_exit(FORCED_STATUS)
        return await super().start()

    def _tell_start(self) -> None:
        self._announcer.exec_started(self._track, self._task, self.name, self.pid)

    def _tell_exit(self, end: Exit) -> None:
        self._announcer.exited(self._track, self._task, self.name, self.pid, end)
