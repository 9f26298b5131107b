"""What a container's process and a pod's pretended one may do next: this contract's two tables.

Theory of operation. This contract knows three states: created, running and exited (`STOPPED`). No
state comes after that: a deleted init goes on answering, unless its pod has forgotten it. A start
that fails ends the process, and so does a kill before the start; both are no refusals but moves.

The texts name the process as their place in the protocol wants it: `{exec}` is its own id, which
for an init is the task's, `{asked}` what a client calls it, which for an init is empty.
"""

from __future__ import annotations

from podshim.errors import FailedPreconditionError, NotFoundError, UnimplementedError
from podshim.task.lifecycle import Fact, Operation, Refusal, Rules, State

#: What diagnosis and errors call the states.
STATE_TEXTS = {State.CREATED: "created", State.RUNNING: "running", State.STOPPED: "exited"}

_PROCESS = "exec: '{exec}' in task: '{task}'"


def _not_startable(state: State) -> Refusal:
    text = f"{_PROCESS} is in invalid state: '{STATE_TEXTS[state]}' for start"
    return Refusal(text, FailedPreconditionError)


_RUNS = Refusal(
    "exec: '{asked}' in task: '{task}' is in invalid state: 'running' for delete",
    FailedPreconditionError,
)
_GONE = Refusal(f"{_PROCESS} not found", NotFoundError)
_NO_EXECS_NOW = Refusal(
    "exec: '' in task: '{task}' must be running to create additional execs",
    FailedPreconditionError,
)
_NO_EXECS = Refusal("WCOW Pod task should never issue exec", UnimplementedError)
_NO_TERMINAL = Refusal(f"{_PROCESS} is not a tty", FailedPreconditionError)

_MOVES = {
    State.CREATED: {Fact.STARTED: State.RUNNING, Fact.EXITED: State.STOPPED},
    State.RUNNING: {Fact.EXITED: State.STOPPED},
    State.STOPPED: {},
}

#: An init or an exec in a container.
PROCESS = Rules(
    name="process",
    first=(State.CREATED,),
    operations=frozenset({Operation.START, Operation.DELETE, Operation.KILL, Operation.EXEC}),
    refusals={
        State.CREATED: {Operation.EXEC: _NO_EXECS_NOW},
        State.RUNNING: {
            Operation.START: _not_startable(State.RUNNING),
            Operation.DELETE: _RUNS,
        },
        State.STOPPED: {
            Operation.START: _not_startable(State.STOPPED),
            Operation.KILL: _GONE,
            Operation.EXEC: _NO_EXECS_NOW,
        },
    },
    moves={
        **_MOVES,
        State.CREATED: {**_MOVES[State.CREATED], Fact.START_FAILED: State.STOPPED},
    },
)

#: The init of a pod sandbox that has no container.
SANDBOX = Rules(
    name="sandbox",
    first=(State.CREATED,),
    operations=frozenset(
        {Operation.START, Operation.DELETE, Operation.KILL, Operation.EXEC, Operation.RESIZE}
    ),
    refusals={
        State.CREATED: {Operation.EXEC: _NO_EXECS, Operation.RESIZE: _NO_TERMINAL},
        State.RUNNING: {
            Operation.START: _not_startable(State.RUNNING),
            Operation.DELETE: _RUNS,
            Operation.EXEC: _NO_EXECS,
            Operation.RESIZE: _NO_TERMINAL,
        },
        State.STOPPED: {
            Operation.START: _not_startable(State.STOPPED),
            Operation.KILL: _GONE,
            Operation.EXEC: _NO_EXECS,
            Operation.RESIZE: _NO_TERMINAL,
        },
    },
    moves=_MOVES,
)
