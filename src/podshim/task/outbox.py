"""Events in the one order that clients can rely on, whatever order they happen to come in.

Theory of operation. A task has a `TaskTrack`, an exec an `ExecTrack` of it. Whoever learns of a
step of a process's life posts its event on the track, which lets it go to the `Outbox`, the queue
to containerd, as soon as all that must precede it has gone, and holds it until then:

    a task       CREATE < START < EXIT < DELETE
    an exec      CREATE (exec-added) < START (exec-started) < EXIT, all after the task's CREATE
    between them every exec's EXIT < the task's EXIT
    notes        (paused, resumed, checkpointed, oom) after CREATE, never after DELETE

START may be left out: a task may exit or be deleted without it. That is why someone who is about
to start a process says so first, `promise_start`, and takes it back when it fails,
`withdraw_start`: while a start is promised, an exit waits for it, and so does a note, because a
program may run out of memory before its start has been told.

`Outbox.full_track` is the order of a contract that tells more: every init's exit, also of one that
was never started, so that the task's DELETE always waits for it; an exec's DELETE, after its EXIT
if it was started; and a task's DELETE again, whenever it is asked for again.

Each step can be posted once, and none can be posted after a later one has gone: that is refused, so
a process can't be reported dead twice. A track belongs to its task or exec and holds all that is
known of its order, so nothing is left behind when they go.

The queue is bounded. When it is full the oldest event makes room and is counted: a client that
comes back after so long needs the newest. All of it is pure; the clock and the wire are elsewhere.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Some 2 MiB of events; a node's busiest pod makes as many in hours.
LIMIT = 8192


class Step(IntEnum):
    """The steps of a process's life that are announced, in their order."""

    CREATE = 1
    START = 2
    EXIT = 3
    DELETE = 4


class EventOrderError(ShimError):
    """An event that was posted before, or whose time has passed: a bug, and not announced."""


class Outbox(Generic[T]):
    """The queue of events that may go out, oldest first.

    Args:
        limit: How many it keeps at most.
        on_ready: Called whenever an event has joined the queue.
    """

    def __init__(self, limit: int = LIMIT, on_ready: Callable[[], None] | None = None) -> None:
        self._limit = limit
        self._on_ready = on_ready
        self._queue: deque[T] = deque()
        #: How many events have been given up because the queue was full.
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._queue)

    def __repr__(self) -> str:
        return f"Outbox({len(self._queue)} of {self._limit} waiting, {self.evicted} evicted)"

    def track(self) -> TaskTrack[T]:
        """Begin the sequence of a new task."""
        return TaskTrack(self._release)

    def full_track(self) -> TaskTrack[T]:
        """Begin the sequence of a new task whose every exit and deletion is told."""
        return TaskTrack(self._release, full=True)

    @property
    def head(self) -> T | None:
        """The event that goes next, or None."""
        return self._queue[0] if self._queue else None

    def remove(self, event: T) -> None:
        """Take the head off, because it has been delivered or never can be.

        Args:
            event: What `head` was; if it has been evicted since, nothing happens.
        """
        if self._queue and self._queue[0] is event:
            self._queue.popleft()

    def _release(self, event: T) -> None:
        if len(self._queue) >= self._limit:
            self._queue.popleft()
            self.evicted += 1
        self._queue.append(event)
        if self._on_ready is not None:
            self._on_ready()


class _Track(Generic[T]):
    """What tasks and execs have in common: steps posted, held and gone."""

    def __init__(self, release: Callable[[T], None]) -> None:
        self._release = release
        self._posted: set[Step] = set()
        self._gone: list[Step] = []
        self._held: dict[Step, T] = {}
        self._promised = False

    def __repr__(self) -> str:
        gone = "<".join(step.name for step in self._gone)
        held = ",".join(step.name for step in sorted(self._held))
        return f"{type(self).__name__}({gone}, holds {held})"

    @property
    def holding(self) -> int:
        """How many events wait for something that must precede them."""
        return len(self._held)

    def _post(self, step: Step, event: T) -> None:
        if step in self._posted:
            raise EventOrderError(f"the {step.name} of a process was posted twice")
        if self._gone and step < self._gone[-1]:
            raise EventOrderError(f"a {step.name} was posted after {self._gone[-1].name} had gone")
        self._posted.add(step)
        self._held[step] = event
        if step is Step.START:
            self._promised = False

    def _next_may_go(self, step: Step) -> bool:
        raise NotImplementedError

    def has_gone(self, step: Step) -> bool:
        """Whether a step has been released."""
        return step in self._gone

    def let_next_go(self) -> bool:
        """Release the earliest step that is held, if it may go."""
        if not self._held:
            return False
        step = min(self._held)
        if not self._next_may_go(step):
            return False
        self._gone.append(step)
        self._release(self._held.pop(step))
        return True


class TaskTrack(_Track[T]):
    """The sequence of one task and of its execs.

    Args:
        release: Lets an event go.
        full: Whether also unstarted inits exit, execs are deleted and deletions come again.
    """

    def __init__(self, release: Callable[[T], None], *, full: bool = False) -> None:
        super().__init__(release)
        self.full = full
        #: Execs with an event held, a start promised, or a life announced whose end is not.
        self._busy: dict[ExecTrack[T], None] = {}
        self._notes: list[T] = []
        #: Further deletions that wait for the first to go.
        self._again: list[T] = []

    @property
    def holding(self) -> int:
        """How many events of the task and its execs wait for something that must precede them."""
        own = len(self._held) + len(self._notes) + len(self._again)
        return own + sum(track.holding for track in self._busy)

    def exec(self) -> ExecTrack[T]:
        """Begin the sequence of a new exec."""
        return ExecTrack(self._release, self)

    def post(self, step: Step, event: T) -> None:
        """Announce a step of the init's life, now or when its time has come.

        Raises:
            EventOrderError: The step was posted before, or a later one has gone.
        """
        if self.full and step is Step.DELETE and step in self._posted:
            self._again.append(event)
        else:
            self._post(step, event)
        self._settle()

    def note(self, event: T) -> None:
        """Announce something that has no fixed place in the order, but waits for a promised START.

        Raises:
            EventOrderError: The task's deletion has been announced.
        """
        if Step.DELETE in self._gone:
            raise EventOrderError("an event was posted after DELETE had gone")
        self._notes.append(event)
        self._settle()

    def promise_start(self) -> None:
        """Say that START may come: until it does, or is withdrawn, notes and the exit wait."""
        self._promised = True

    def withdraw_start(self) -> None:
        """Say that the promised START will not come."""
        self._promised = False
        self._settle()

    def _next_may_go(self, step: Step) -> bool:
        if step is Step.CREATE:
            return True
        if Step.CREATE not in self._gone or (step > Step.START and self._promised):
            return False
        if step is Step.EXIT:
            return not self._busy
        if step is Step.DELETE:
            never_ran = Step.START not in self._gone and not self.full
            return never_ran or Step.EXIT in self._gone
        return True

    def _settle(self) -> None:
        """Release all that may go, until nothing more may."""
        moved = True
        while moved:
            self._let_notes_go()
            moved = self.let_next_go()
            if Step.DELETE in self._gone:
                for event in self._again:
                    self._release(event)
                self._again.clear()
            for track in list(self._busy):
                moved |= track.let_next_go()
                if not track.is_busy():
                    del self._busy[track]
                    moved = True

    def _let_notes_go(self) -> None:
        """Release the notes, if they may go: before a later step than those they wait for."""
        if Step.CREATE in self._gone and not self._promised and Step.START not in self._held:
            for event in self._notes:
                self._release(event)
            self._notes.clear()

    def attend(self, track: ExecTrack[T]) -> None:
        """See to what has changed for an exec."""
        self._busy[track] = None
        self._settle()


class ExecTrack(_Track[T]):
    """The sequence of one exec."""

    def __init__(self, release: Callable[[T], None], task: TaskTrack[T]) -> None:
        super().__init__(release)
        self._task = task

    def post(self, step: Step, event: T) -> None:
        """Announce a step of the exec's life: CREATE for exec-added, START, or EXIT.

        Raises:
            EventOrderError: The step was posted before or a later one has gone, the task's own exit
                has been announced and this is not the exec's deletion, or it is the DELETE that
                only execs of a full track have.
        """
        if step is Step.DELETE and not self._task.full:
            raise EventOrderError("the deletion of an exec is not announced")
        if step is not Step.DELETE and self._task.has_gone(Step.EXIT):
            raise EventOrderError(f"the {step.name} of an exec was posted after its task's EXIT")
        self._post(step, event)
        self._task.attend(self)

    def promise_start(self) -> None:
        """Say that START may come: until it does and has been followed by EXIT, the task's waits.

        Raises:
            EventOrderError: The task's own exit has been announced.
        """
        if self._task.has_gone(Step.EXIT):
            raise EventOrderError("the START of an exec was promised after its task's EXIT")
        self._promised = True
        self._task.attend(self)

    def withdraw_start(self) -> None:
        """Say that the promised START will not come."""
        self._promised = False
        self._task.attend(self)

    def _next_may_go(self, step: Step) -> bool:
        if step is Step.CREATE:
            return self._task.has_gone(Step.CREATE)
        if step is Step.DELETE:
            never_ran = Step.START not in self._gone and not self._promised
            return Step.CREATE in self._gone and (never_ran or Step.EXIT in self._gone)
        return Step(step - 1) in self._gone

    def is_busy(self) -> bool:
        """Whether the task's own exit must wait for something of this exec."""
        alive = Step.START in self._gone and Step.EXIT not in self._gone
        return bool(self._held) or self._promised or alive
