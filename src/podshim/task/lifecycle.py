"""What an init and an exec may do next: two tables and the small class that walks them.

Theory of operation. A process has one `State`. Clients ask for an `Operation`: the table says in
which states it is refused, with which text and class (containerd's shim contract; clients match
on both). What has come of it, or what the kernel did, is a `Fact`: the table says which state it
leads to, and a fact that can't be true in a state is a bug of ours, never ignored. So a check
comes before the engine is asked, and a move after it has answered:

    lifecycle.check(Operation.PAUSE)      # raises what the client gets to read
    lifecycle.move(Fact.PAUSE_BEGUN)
    await container.pause()
    lifecycle.move(Fact.PAUSED)

Every state belongs to both tables' alphabet; an exec just never gets to some. Nothing here knows
of containers, clocks or loops. `docs/lifecycle.md` is generated from the tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from podshim.errors import FailedPreconditionError, NotFoundError, ShimError

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(Enum):
    """Where a process stands."""

    CREATED = "created"
    CREATED_FROM_CHECKPOINT = "created from checkpoint"
    START_FAILED = "start failed"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPED = "stopped"
    DELETED = "deleted"


class Operation(Enum):
    """What a client may ask for."""

    START = "start"
    DELETE = "delete"
    PAUSE = "pause"
    RESUME = "resume"
    KILL = "kill"
    EXEC = "exec"
    CHECKPOINT = "checkpoint"
    UPDATE = "update"
    RESIZE = "resize"


class Fact(Enum):
    """What has happened to a process."""

    STARTED = "started"
    START_FAILED = "start failed"
    PAUSE_BEGUN = "pause begun"
    PAUSED = "paused"
    PAUSE_FAILED = "pause failed"
    RESUMED = "resumed"
    EXITED = "exited"
    DELETED = "deleted"


class InvalidTransitionError(ShimError):
    """A fact that can't be true in this state: a bug in the task layer or in an engine."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an operation is refused: the text without the class, and the class.

    Where a contract names the process in its texts, the text has a `{name}` for each of the names
    that its life cycle was given.
    """

    text: str
    error: type[ShimError] = ShimError


@dataclass(frozen=True, slots=True)
class Rules:
    """One table.

    Args:
        name: Whose it is.
        first: The states in which such a process may come into being.
        operations: What may be asked of it at all.
        refusals: For each state what is refused there; what is not listed is allowed.
        moves: Where each fact leads from each state in which it can be true.
    """

    name: str
    first: tuple[State, ...]
    operations: frozenset[Operation]
    refusals: Mapping[State, Mapping[Operation, Refusal]]
    moves: Mapping[State, Mapping[Fact, State]]


class Lifecycle:
    """The state of one process, walking one table. Not locked: it belongs to one event loop.

    Args:
        rules: The table.
        state: Where it begins.
        names: What the table's texts call the process.
    """

    __slots__ = ("_names", "_rules", "state")

    def __init__(
        self,
        rules: Rules,
        state: State = State.CREATED,
        names: Mapping[str, str] | None = None,
    ) -> None:
        if state not in rules.first:
            raise InvalidTransitionError(f"{rules.name} can't begin as {state.value!r}")
        self._rules = rules
        self._names = names
        self.state = state

    def __repr__(self) -> str:
        return f"Lifecycle({self._rules.name}, {self.state.value})"

    def check(self, operation: Operation, *, seen_as: State | None = None) -> None:
        """Refuse an operation that makes no sense now; change nothing.

        Args:
            operation: What is asked for.
            seen_as: Judge by this state instead: one that is certain to come, though not there yet.

        Raises:
            ShimError: The contract's refusal, of its class.
        """
        refusal = self._rules.refusals[seen_as or self.state].get(operation)
        if refusal is not None:
            text = refusal.text.format_map(self._names) if self._names else refusal.text
            raise refusal.error(text)

    def move(self, fact: Fact) -> None:
        """Take note of a fact.

        Raises:
            InvalidTransitionError: It can't be true in this state; the state stays.
        """
        following = self._rules.moves[self.state].get(fact)
        if following is None:
            raise InvalidTransitionError(
                f'invalid state transition "{self.state.value}" to "{fact.value}"'
            )
        self.state = following


_STARTABLE = {
    Fact.STARTED: State.RUNNING,
    Fact.START_FAILED: State.START_FAILED,
    Fact.EXITED: State.STOPPED,
    Fact.DELETED: State.DELETED,
}

#: A pause or resume that was under way when the process ended comes too late to matter.
_TOO_LATE = {
    Fact.PAUSED: State.STOPPED,
    Fact.PAUSE_FAILED: State.STOPPED,
    Fact.RESUMED: State.STOPPED,
}

_START_TWICE = Refusal("cannot start a process that has failed to start")
_ALREADY_FINISHED = Refusal("process already finished", NotFoundError)
_NOT_CREATED = Refusal("process not created", FailedPreconditionError)

_INIT_CREATED = {
    Operation.PAUSE: Refusal("cannot pause task in created state"),
    Operation.RESUME: Refusal("cannot resume task in created state"),
    Operation.CHECKPOINT: Refusal("cannot checkpoint a task in created state"),
}

INIT = Rules(
    name="init",
    first=(State.CREATED, State.CREATED_FROM_CHECKPOINT),
    operations=frozenset(Operation),
    refusals={
        State.CREATED: _INIT_CREATED,
        State.CREATED_FROM_CHECKPOINT: {
            **_INIT_CREATED,
            Operation.EXEC: Refusal("cannot exec in a created state"),
        },
        State.START_FAILED: {**_INIT_CREATED, Operation.START: _START_TWICE},
        State.RUNNING: {
            Operation.START: Refusal("cannot start a running process"),
            Operation.DELETE: Refusal("cannot delete a running process"),
            Operation.RESUME: Refusal("cannot resume a running process"),
        },
        # The task's lock is held while a pause runs: only a kill or a resize gets here.
        State.PAUSING: {
            Operation.START: Refusal("cannot start a paused process"),
            Operation.DELETE: Refusal("cannot delete a paused process"),
            Operation.PAUSE: Refusal("cannot pause a paused container"),
            Operation.EXEC: Refusal("cannot exec in a paused state"),
        },
        State.PAUSED: {
            Operation.START: Refusal("cannot start a paused process"),
            Operation.DELETE: Refusal("cannot delete a paused process"),
            Operation.PAUSE: Refusal("cannot pause a paused container"),
            Operation.EXEC: Refusal("cannot exec in a paused state"),
        },
        State.STOPPED: {
            Operation.START: Refusal("cannot start a stopped process"),
            Operation.PAUSE: Refusal("cannot pause a stopped container"),
            Operation.RESUME: Refusal("cannot resume a stopped container"),
            # Go asks the runtime, whose refusal it translates to this.
            Operation.KILL: _ALREADY_FINISHED,
            Operation.EXEC: Refusal("cannot exec in a stopped state"),
            Operation.CHECKPOINT: Refusal("cannot checkpoint a stopped container"),
            Operation.UPDATE: Refusal("cannot update a stopped container"),
        },
        State.DELETED: {
            Operation.START: Refusal("cannot start a deleted process"),
            Operation.DELETE: Refusal("cannot delete a deleted process", NotFoundError),
            Operation.PAUSE: Refusal("cannot pause a deleted process"),
            Operation.RESUME: Refusal("cannot resume a deleted process"),
            Operation.KILL: Refusal("cannot kill a deleted process", NotFoundError),
            Operation.EXEC: Refusal("cannot exec in a deleted state"),
            Operation.CHECKPOINT: Refusal("cannot checkpoint a deleted process"),
            Operation.UPDATE: Refusal("cannot update a deleted process"),
            Operation.RESIZE: Refusal("cannot resize a deleted process"),
        },
    },
    moves={
        State.CREATED: _STARTABLE,
        State.CREATED_FROM_CHECKPOINT: _STARTABLE,
        State.START_FAILED: {Fact.EXITED: State.STOPPED, Fact.DELETED: State.DELETED},
        State.RUNNING: {Fact.PAUSE_BEGUN: State.PAUSING, Fact.EXITED: State.STOPPED},
        State.PAUSING: {
            Fact.PAUSED: State.PAUSED,
            Fact.PAUSE_FAILED: State.RUNNING,
            Fact.EXITED: State.STOPPED,
        },
        State.PAUSED: {Fact.RESUMED: State.RUNNING, Fact.EXITED: State.STOPPED},
        State.STOPPED: {**_TOO_LATE, Fact.DELETED: State.DELETED},
        State.DELETED: {},
    },
)

EXEC = Rules(
    name="exec",
    first=(State.CREATED,),
    operations=frozenset({Operation.START, Operation.DELETE, Operation.KILL, Operation.RESIZE}),
    refusals={
        State.CREATED: {Operation.KILL: _NOT_CREATED},
        State.START_FAILED: {Operation.START: _START_TWICE, Operation.KILL: _NOT_CREATED},
        State.RUNNING: {
            Operation.START: Refusal("cannot start a running process"),
            Operation.DELETE: Refusal("cannot delete a running process"),
        },
        State.STOPPED: {
            Operation.START: Refusal("cannot start a stopped process"),
            Operation.KILL: _ALREADY_FINISHED,
            Operation.RESIZE: Refusal("cannot resize a stopped container"),
        },
        State.DELETED: {
            Operation.START: Refusal("cannot start a deleted process"),
            Operation.DELETE: Refusal("cannot delete a deleted process", NotFoundError),
            Operation.KILL: Refusal("cannot kill a deleted process", NotFoundError),
            Operation.RESIZE: Refusal("cannot resize a deleted process"),
        },
    },
    moves={
        State.CREATED: {
            Fact.STARTED: State.RUNNING,
            Fact.START_FAILED: State.START_FAILED,
            Fact.DELETED: State.DELETED,
        },
        State.START_FAILED: {Fact.DELETED: State.DELETED},
        State.RUNNING: {Fact.EXITED: State.STOPPED},
        State.STOPPED: {Fact.DELETED: State.DELETED},
        State.DELETED: {},
    },
)
