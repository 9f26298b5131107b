"""An init or an exec: its state, its end, and who may wait for it.

Theory of operation. A `Life` is a life cycle and a latch, `ended`; a `Process` adds the engine's
process. The latch is set when there is nothing to wait for any more, and never before the exit is
recorded and its event is in the outbox, so that whoever was waiting finds all of it done.

An `Exec` starts, ends and goes under a lock of its own, so fifty of them start at a time. Its exit
is watched only once its start has returned: a process that died meanwhile still yields start, then
exit. The `Roster` counts the execs of one task that are starting or running, because the init's
end may only be told when the last of theirs has been, and refuses new ones once the init is gone.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from podshim.engine import Exit
from podshim.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from podshim.task.background import attempt
from podshim.task.events import timestamp
from podshim.task.lifecycle import EXEC, Fact, Lifecycle, Operation, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from podshim import engine
    from podshim.engine import Stdio
    from podshim.task.background import Background
    from podshim.task.events import Announcer, Event
    from podshim.task.outbox import ExecTrack

_log = logging.getLogger(__name__)

#: What is reported of a process whose true end nobody can tell.
UNKNOWN_STATUS = 255
#: The number that containerd's clients send on every platform.
SIGKILL = 9
KILLED_STATUS = 128 + SIGKILL
_LAST_SIGNAL = 127
_LAST_STATUS = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion answers: the pid, and how the process had ended before it was asked for."""

    pid: int
    exit: Exit | None


def check_signal(number: int) -> None:
    """Refuse what can't be a signal on any platform.

    Raises:
        InvalidArgumentError: It isn't within 0 to 127.
    """
    if not 0 <= number <= _LAST_SIGNAL:
        raise InvalidArgumentError(f"unknown signal {number}")


def check_end(end: Exit) -> None:
    """Refuse what no message can carry, such as the -9 of Python's `subprocess`.

    Raises:
        ValueError, TypeError: The status is not within 32 bits, or the time is none.
    """
    if not 0 <= end.status <= _LAST_STATUS:
        raise ValueError(f"{end.status} is no exit status")
    timestamp(end.at)


class InFlight:
    """Counts what is under way, for somebody who must wait until nothing is. A context manager."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    def __enter__(self) -> None:
        self._count += 1
        self._none.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._none.set()

    async def over(self, limit: float) -> None:
        """Wait until nothing is under way, but no longer than `limit` s."""
        try:
            async with asyncio.timeout(limit):
                await self._none.wait()
        except TimeoutError:
            _log.warning("went on without waiting for what was under way")


class Life:
    """What clients know of a process, whatever is behind it.

    Args:
        name: The task's id for its init, else the exec's.
        stdio: The streams, as the client gave them.
        lifecycle: Its state.
        pid: Its pid; 0 as long as there is none.
    """

    def __init__(self, name: str, stdio: Stdio, lifecycle: Lifecycle, pid: int = 0) -> None:
        self.name = name
        self.stdio = stdio
        self.lifecycle = lifecycle
        #: The last pid known: it stays when the process has ended.
        self.pid = pid
        #: How it ended; None before that, and for ever when it never ran.
        self.exit: Exit | None = None
        #: Set when there is nothing to wait for any more.
        self.ended = asyncio.Event()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.state.value} pid {self.pid}>"

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.lifecycle.state

    async def wait(self) -> Exit | None:
        """Wait for the end.

        Returns:
            How it ended, or None if it never ran: its start failed, or it was deleted unstarted.
        """
        await self.ended.wait()
        return self.exit


class Process(Life):
    """A process that an engine runs: an init or an exec.

    Args:
        name: The task's id for its init, else the exec's.
        process: The engine's process.
        stdio: The streams, as the client gave them.
        lifecycle: Its state.
    """

    #: What is reported where the engine can't tell.
    unknown_status: ClassVar[int] = UNKNOWN_STATUS

    def __init__(
        self, name: str, process: engine.Process, stdio: Stdio, lifecycle: Lifecycle
    ) -> None:
        super().__init__(name, stdio, lifecycle, process.pid)
        self.process = process
        self._freed = False

    async def true_end(self, clock: Callable[[], int]) -> Exit:
        """Wait for the engine's word; an engine that fails to give it has lost the process."""
        try:
            end = await self.process.wait()
            check_end(end)
            return end
        except Exception:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            _log.exception("the end of %r can't be known", self)
            return Exit(self.unknown_status, clock())

    async def resize(self, width: int, height: int) -> None:
        """Give its terminal another size, in characters; without one, or after its end, do nothing.

        Raises:
            ShimError: An exec has ended.
        """
        self.lifecycle.check(Operation.RESIZE)
        if not self.ended.is_set():
            await self.process.resize(width, height)

    async def close_stdin(self) -> None:
        """Drop the shim's hold on standard input; any number of times, also after the end."""
        if not self._freed:
            await self.process.close_stdin()

    async def free(self) -> None:
        """Give back what the engine holds for it, once; after a failure it can be tried again."""
        if not self._freed:
            await self.process.delete()
            self._freed = True


class Roster:
    """The execs of one task that are starting or running.

    Args:
        task: The task's id.
    """

    def __init__(self, task: str) -> None:
        self._task = task
        self._present: set[Exec] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        #: Set at once when the init has ended, long before that is told to anybody.
        self.init_gone = False

    def __len__(self) -> int:
        return len(self._present)

    def enter(self, process: Exec) -> None:
        """Count an exec that is about to start.

        Raises:
            FailedPreconditionError: The init is gone.
        """
        if self.init_gone:
            raise FailedPreconditionError(f"container {self._task} init process is not running")
        self._present.add(process)
        self._empty.clear()

    def leave(self, process: Exec) -> None:
        """Count an exec no longer: its exit has been announced, or its start has failed."""
        self._present.discard(process)
        if not self._present:
            self._empty.set()

    async def kill_all(self) -> None:
        """Kill those that run; those that are starting are killed when they have."""
        for process in [process for process in self._present if process.state is State.RUNNING]:
            await process.kill_straggler()

    async def drained(self) -> None:
        """Wait until no exec is starting or running."""
        await self._empty.wait()


class Exec(Process):
    """A further process in a task.

    Args:
        task: The task's id.
        name: The exec's id.
        process: The engine's process.
        stdio: The streams, as the client gave them.
        roster: The task's.
        track: The order of its events.
        announcer: What makes them.
        background: What its start, its watcher and its deletion run in.
        forget: Called when it has been deleted.
    """

    def __init__(
        self,
        task: str,
        name: str,
        process: engine.Process,
        stdio: Stdio,
        *,
        roster: Roster,
        track: ExecTrack[Event],
        announcer: Announcer,
        background: Background,
        forget: Callable[[Exec], None],
    ) -> None:
        super().__init__(name, process, stdio, Lifecycle(EXEC))
        self._task = task
        self._roster = roster
        self._track = track
        self._announcer = announcer
        self._background = background
        self._forget = forget
        self._lock = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self._deletion: asyncio.Task[Deleted] | None = None
        announcer.exec_added(track, task, name)

    async def start(self) -> int:
        """Let it run.

        Returns:
            Its pid, also when it has ended already.

        Raises:
            FailedPreconditionError: The init is gone.
            ShimError: The state forbids it, or the engine's reason; then it stays for `delete`.
        """
        name = f"start of exec {self.name} in {self._task}"
        return await self._background.run_locked(self._lock, self._start(), name)

    async def _start(self) -> int:
        self.lifecycle.check(Operation.START)
        self._roster.enter(self)
        self._track.promise_start()
        try:
            await self.process.start()
        except BaseException:
            self.lifecycle.move(Fact.START_FAILED)
            self._track.withdraw_start()
            self.ended.set()
            self._roster.leave(self)
            raise
        self.pid = self.process.pid
        self.lifecycle.move(Fact.STARTED)
        self._announcer.exec_started(self._track, self._task, self.name, self.pid)
        name = f"watch of exec {self.name} in {self._task}"
        self._watcher = self._background.watch(self._watch(), name)
        if self._roster.init_gone:
            # It was still starting when all others were killed.
            await self.kill_straggler()
        return self.pid

    async def kill_straggler(self) -> None:
        """Kill it because its container's init is gone; a failure is logged."""
        await attempt(self.process.kill(SIGKILL), f"kill {self!r} after its init", NotFoundError)

    async def _watch(self) -> None:
        self._conclude(await self.true_end(self._announcer.clock))

    def _conclude(self, end: Exit) -> None:
        self.lifecycle.move(Fact.EXITED)
        self.exit = end
        self._announcer.exited(self._track, self._task, self.name, self.pid, end)
        self.ended.set()
        self._roster.leave(self)

    async def kill(self, number: int) -> None:
        """Send it a signal.

        Raises:
            FailedPreconditionError: It has not been started.
            NotFoundError: It has ended.
        """
        self.lifecycle.check(Operation.KILL)
        await self.process.kill(number)

    async def delete(self) -> Deleted:
        """Free an exec that does not run; callers that come while this goes on share its result.

        Raises:
            ShimError: It runs; or the engine's reason, then it can be tried again.
        """
        if self._deletion is None or self._deletion.done():
            name = f"deletion of exec {self.name} in {self._task}"
            self._deletion = self._background.begin(self._delete(), name)
        return await self._background.join(self._deletion)

    async def _delete(self) -> Deleted:
        async with self._lock:
            self.lifecycle.check(Operation.DELETE)
            await self.free()
            self._gone()
            return Deleted(self.pid, self.exit)

    async def discard(self) -> None:
        """Free it because its container goes, whatever state it is in; a failure is logged."""
        async with self._lock:
            if self.state is State.DELETED:
                return
            if self._watcher is not None:
                self._watcher.cancel()
            if self.state is State.RUNNING:
                self._conclude(Exit(KILLED_STATUS, self._announcer.clock()))
            await attempt(self.free(), f"free {self!r} before its container goes")
            self._gone()

    def _gone(self) -> None:
        self.lifecycle.move(Fact.DELETED)
        self.ended.set()
        self._forget(self)
