"""A container as the shim API sees it: one init, its execs, one owner of their states.

Theory of operation. Operations that change the container hold the task's lock, one at a time; each
asks the life cycle's table, then the engine, then moves the state. Once begun they run to their
end, whoever goes away (`background`). Looking, waiting, signalling and resizing take no lock: a
slow operation never makes them wait.

The init's end is learnt by one watcher, and told in one order (containerd's shim contract):

    the engine says that it has ended      -> from now on no exec may start
    a start under way is settled           -> start is announced before exit
    a frozen container is thawed, what the init left behind is killed (`Container.init_exited`)
    all execs' exits have been announced   -> the init's is the last
    a last kill for want of memory is told -> it explains the exit that follows
    state, record on disk, TaskExit, and only then are waiters released

The watcher takes the lock only to thaw. A container that was never started is deleted by killing
its init first and letting all this happen: there is no second way of dying.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from podshim.bundle import ExitRecord
from podshim.engine import Exit, Stdio
from podshim.errors import AlreadyExistsError, NotFoundError, ShimError, UnimplementedError
from podshim.task.background import attempt
from podshim.task.lifecycle import INIT, Fact, Lifecycle, Operation, State
from podshim.task.process import (
    KILLED_STATUS,
    SIGKILL,
    Deleted,
    Exec,
    InFlight,
    Process,
    Roster,
    check_signal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any, TypeVar

    from podshim.engine import Container, CreateRequest, TypedValue
    from podshim.task.background import Background
    from podshim.task.events import Announcer, Event
    from podshim.task.outbox import TaskTrack

    T = TypeVar("T")

_log = logging.getLogger(__name__)

#: How long a killed init may take to be gone before its container is removed under it, in s.
END_TIMEOUT = 10.0

#: How long an engine may take to tell of the out-of-memory kill that ended an init, in s.
OOM_GRACE = 0.1


class Task:
    """One container.

    Args:
        request: What it was made of.
        container: The engine's container.
        track: The order of its events.
        announcer: What makes them.
        background: What its operations and watchers run in.
        forget: Called when it has been deleted.
    """

    def __init__(
        self,
        request: CreateRequest,
        container: Container,
        *,
        track: TaskTrack[Event],
        announcer: Announcer,
        background: Background,
        forget: Callable[[Task], None],
    ) -> None:
        first = State.CREATED_FROM_CHECKPOINT if request.checkpoint else State.CREATED
        self.id = request.id
        self.bundle = request.bundle
        self.init = Process(request.id, container.init, request.stdio, Lifecycle(INIT, first))
        self.execs: dict[str, Exec] = {}
        #: Whether a deletion that nothing forbids is under way.
        self.deleting = False
        self._container = container
        self._track = track
        self._announcer = announcer
        self._background = background
        self._forget = forget
        self._lock = asyncio.Lock()
        self._roster = Roster(request.id)
        #: containerd closes its connection when the deletion is done: kills are answered before.
        self._kills = InFlight()
        #: Clear while a start of the init is under way.
        self._settled = asyncio.Event()
        self._settled.set()
        self._deletion: asyncio.Task[Deleted] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._oom_watcher: asyncio.Task[None] | None = None
        announcer.created(track, request, self.init.pid)
        self._watcher = background.watch(self._watch_init(), f"watch of {self.id}")
        if self.init.pid:
            self._begin_oom_watch()

    def __repr__(self) -> str:
        return (
            f"<Task {self.id} {self.state.value} pid {self.init.pid},"
            f" {len(self._roster)} of {len(self.execs)} execs run>"
        )

    @property
    def state(self) -> State:
        """Where the init stands."""
        return self.init.state

    def process(self, exec_id: str) -> Process:
        """Find the init (by an empty id) or an exec.

        Raises:
            NotFoundError: There is no such exec.
        """
        return self.exec_of(exec_id) if exec_id else self.init

    def exec_of(self, exec_id: str) -> Exec:
        """Find an exec.

        Raises:
            NotFoundError: There is none of this id.
        """
        try:
            return self.execs[exec_id]
        except KeyError:
            raise NotFoundError(f"process does not exist {exec_id}") from None

    def state_of(self, process: Process) -> State:
        """Where the init or an exec stands as clients see it: an exec is frozen with its init."""
        frozen = process is not self.init and self.state in (State.PAUSING, State.PAUSED)
        return self.state if frozen else process.state

    # Operations. Those that change something hold the lock and run to their end.

    async def start(self, exec_id: str = "") -> int:
        """Let the init, or an exec, run.

        Returns:
            Its pid, also when it has ended already.

        Raises:
            ShimError: The state forbids it, or the engine's reason.
        """
        if exec_id:
            return await self.exec_of(exec_id).start()
        return await self._alone(self._start(), "start")

    async def exec(self, exec_id: str, spec: bytes, stdio: Stdio) -> None:
        """Prepare a further process.

        Args:
            exec_id: Its id, valid by the identifier rule.
            spec: The OCI `process` object as JSON.
            stdio: Its streams.

        Raises:
            AlreadyExistsError: The id is taken, if only by the task itself.
            ShimError: The state forbids it, or the engine's reason.
        """
        await self._alone(self._add_exec(exec_id, spec, stdio), f"exec {exec_id}")

    async def pause(self) -> None:
        """Freeze all processes.

        Raises:
            ShimError: The state forbids it, or the engine's reason.
        """
        await self._alone(self._pause(), "pause")

    async def resume(self) -> None:
        """Thaw all processes.

        Raises:
            ShimError: The state forbids it, or the engine's reason.
        """
        await self._alone(self._resume(), "resume")

    async def update(self, resources: bytes) -> None:
        """Change limits.

        Args:
            resources: The OCI resources object as JSON.

        Raises:
            ShimError: The state forbids it, or the engine's reason.
        """
        await self._alone(self._update(resources), "update")

    async def checkpoint(self, path: str, options: TypedValue | None) -> None:
        """Write the container's state into a folder.

        Raises:
            ShimError: The state forbids it, or the engine's reason.
        """
        await self._alone(self._checkpoint(path, options), "checkpoint")

    async def delete(self) -> Deleted:
        """Remove the container; callers that come while this goes on share its result.

        Raises:
            ShimError: It runs; or the engine's reason, then it can be tried again.
        """
        if self._deletion is None or self._deletion.done():
            self._deletion = self._background.begin(self._delete(), f"deletion of {self.id}")
        return await self._background.join(self._deletion)

    async def kill(self, exec_id: str, number: int, *, everyone: bool) -> None:
        """Send a signal to the init or an exec.

        Args:
            exec_id: Which exec; empty for the init.
            number: The signal.
            everyone: To all processes of the container; an exec's kill knows no such thing.

        Raises:
            NotFoundError: It has ended.
            ShimError: The state forbids it, or the engine's reason.
        """
        check_signal(number)
        try:
            await self._kill(exec_id, number, everyone=everyone)
        except ProcessLookupError:  # the kernel's own word, from an engine that passes it on
            raise NotFoundError("process already finished") from None

    async def _kill(self, exec_id: str, number: int, *, everyone: bool) -> None:
        if exec_id:
            await self.exec_of(exec_id).kill(number)
            return
        self.init.lifecycle.check(Operation.KILL)
        if not self.init.pid:
            raise NotFoundError("no such container")
        with self._kills:
            await self._container.kill(number, everyone=everyone)

    async def pids(self) -> Sequence[tuple[int, str]]:
        """List the host's pids in the container, each with its exec's id, or with an empty text.

        A container whose init has ended has the init's pid: containerd takes a task without pids
        for one that was never made, and after a restart removes it together with the exit status.
        """
        found: Sequence[int] = ()
        if not self._roster.init_gone:
            try:
                found = await self._container.pids()
            except ShimError:
                if not self._roster.init_gone:  # else that is why
                    raise
        if not found:
            return [(self.init.pid, "")] if self.init.pid else []
        running = [process for process in self.execs.values() if not process.ended.is_set()]
        names = {process.pid: process.name for process in running}
        return [(pid, names.get(pid, "")) for pid in found]

    async def stats(self) -> TypedValue:
        """Measure.

        Raises:
            ShimError: The engine's reason.
        """
        return await self._container.stats()

    def snapshot(self) -> list[str]:
        """Describe the task and its execs for people, a line each."""
        busy = ["deleting"] if self.deleting else ["busy"] if self._lock.locked() else []
        held = [f"{self._track.holding} events held"] if self._track.holding else []
        lines = [" ".join([repr(self), *busy, *held])]
        return lines + [f"  {process!r}" for process in self.execs.values()]

    # Behind them.

    async def _alone(self, operation: Coroutine[Any, Any, T], name: str) -> T:
        return await self._background.run_locked(self._lock, operation, f"{name} of {self.id}")

    def _check(self, operation: Operation) -> None:
        # An init that is gone will be stopped: what begins now would meet a dying container.
        dying = self._roster.init_gone and self.state is not State.DELETED
        self.init.lifecycle.check(operation, seen_as=State.STOPPED if dying else None)

    async def _start(self) -> int:
        self._check(Operation.START)
        self._settled.clear()
        self._track.promise_start()
        try:
            await self.init.process.start()
        except BaseException:
            self.init.lifecycle.move(Fact.START_FAILED)
            self._track.withdraw_start()
            self._settled.set()
            if self._roster.init_gone:  # that is why: let the caller find it stopped
                await self._ended_in_time()
            raise
        self.init.pid = self.init.process.pid
        self.init.lifecycle.move(Fact.STARTED)
        self._announcer.started(self._track, self.id, self.init.pid)
        self._settled.set()
        self._begin_oom_watch()
        return self.init.pid

    async def _add_exec(self, exec_id: str, spec: bytes, stdio: Stdio) -> None:
        self._check(Operation.EXEC)
        # In TaskExit an exec of the task's own name would pass for its init.
        if exec_id in self.execs or exec_id == self.id:
            raise AlreadyExistsError(f"id {exec_id}")
        process = await self._container.exec(exec_id, spec, stdio)
        self.execs[exec_id] = Exec(
            self.id,
            exec_id,
            process,
            stdio,
            roster=self._roster,
            track=self._track.exec(),
            announcer=self._announcer,
            background=self._background,
            forget=self._forget_exec,
        )

    def _forget_exec(self, process: Exec) -> None:
        del self.execs[process.name]

    async def _pause(self) -> None:
        self._check(Operation.PAUSE)
        self.init.lifecycle.move(Fact.PAUSE_BEGUN)
        try:
            await self._container.pause()
        except BaseException:
            self.init.lifecycle.move(Fact.PAUSE_FAILED)
            raise
        self.init.lifecycle.move(Fact.PAUSED)
        self._announcer.paused(self._track, self.id)

    async def _resume(self) -> None:
        self._check(Operation.RESUME)
        await self._container.resume()
        self.init.lifecycle.move(Fact.RESUMED)
        self._announcer.resumed(self._track, self.id)

    async def _update(self, resources: bytes) -> None:
        self._check(Operation.UPDATE)
        await self._container.update(resources)

    async def _checkpoint(self, path: str, options: TypedValue | None) -> None:
        self._check(Operation.CHECKPOINT)
        await self._container.checkpoint(path, options)
        self._announcer.checkpointed(self._track, self.id, path)

    # The end.

    async def _watch_init(self) -> None:
        end = await self.init.true_end(self._announcer.clock)
        self._roster.init_gone = True
        await self._settled.wait()
        await self._thaw()
        what = f"end what the init of {self.id} has left"
        if not await attempt(self._container.init_exited(), what):
            await self._roster.kill_all()
        await self._roster.drained()
        await self._last_oom(end)
        self._conclude(end)

    async def _thaw(self) -> None:
        if self.state not in (State.PAUSING, State.PAUSED):
            return
        async with self._lock:
            if self.state is State.PAUSED:
                await attempt(self._container.resume(), f"thaw {self.id}, whose init has ended")

    def _conclude(self, end: Exit) -> None:
        self.init.lifecycle.move(Fact.EXITED)
        self.init.exit = end
        self._record(end, deleted=False)
        self._announcer.exited(self._track, self.id, self.id, self.init.pid, end)
        self.init.ended.set()

    def _record(self, end: Exit, *, deleted: bool) -> None:
        # A hundred bytes, beside the files that containerd itself writes: not worth a thread.
        try:
            self.bundle.write_exit(ExitRecord(self.init.pid, end.status, end.at, deleted=deleted))
        except OSError as error:
            _log.warning("can't write down how %s ended: %s", self.id, error)

    def _begin_oom_watch(self) -> None:
        if self._oom_watcher is None:
            name = f"memory watch of {self.id}"
            self._oom_watcher = self._background.watch(self._watch_oom(), name)

    async def _watch_oom(self) -> None:
        while True:
            try:
                await self._container.wait_oom()
            except (UnimplementedError, NotFoundError):
                return
            self._announcer.out_of_memory(self._track, self.id)

    async def _last_oom(self, end: Exit) -> None:
        """Give an engine the time to tell of a last kill; one that says there is none is quick."""
        watcher = self._oom_watcher
        if watcher is not None and not watcher.done():
            await asyncio.wait([watcher], timeout=OOM_GRACE if end.status == KILLED_STATUS else 0)
            watcher.cancel()

    async def _ended_in_time(self) -> bool:
        try:
            async with asyncio.timeout(END_TIMEOUT):
                await self.init.ended.wait()
        except TimeoutError:
            return False
        return True

    async def _delete(self) -> Deleted:
        async with self._lock:
            self.init.lifecycle.check(Operation.DELETE)
            self.deleting = True
            try:
                # By the contract an init that was alive till now has no status to tell.
                answer = Deleted(self.init.pid, self.init.exit)
                if self.init.pid and not self.init.ended.is_set():
                    await end_unstarted(self._container, self.id)
                    if not await self._ended_in_time():
                        _log.warning("the init of %s outlived its kill", self.id)
                await self._kills.over(END_TIMEOUT)
                await self._remove(answer)
            finally:
                self.deleting = False
            return answer

    async def _remove(self, answer: Deleted) -> None:
        # Together: each may take as long as output that nobody reads is waited for.
        await asyncio.gather(*(process.discard() for process in self.execs.values()))
        await self.init.free()
        await self._container.delete()
        for watcher in (self._watcher, self._oom_watcher):
            if watcher is not None:
                watcher.cancel()
        if self.init.pid and not self.init.ended.is_set():
            self._conclude(Exit(KILLED_STATUS, self._announcer.clock()))
        self.init.lifecycle.move(Fact.DELETED)
        if self.init.exit is not None:
            self._record(self.init.exit, deleted=True)
        self._announcer.deleted(self._track, self.id, answer.pid, answer.exit)
        self.init.ended.set()
        self._forget(self)


async def end_unstarted(container: Container, name: str) -> None:
    """Kill an init that nobody has started; failing that, its container's deletion must do."""
    what = f"kill the init of {name} before its deletion"
    await attempt(container.kill(SIGKILL, everyone=False), what, NotFoundError)
