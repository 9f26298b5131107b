"""The two tables, walked as a whole against the contract, typed in here as data."""

import importlib.util
import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from podshim.errors import Code, ShimError
from podshim.task.lifecycle import (
    EXEC,
    INIT,
    Fact,
    InvalidTransitionError,
    Lifecycle,
    Operation,
    Rules,
    State,
)

REPOSITORY = Path(__file__).parents[2]

#: Refusals of an init by containerd's shim contract: for each operation the text in the states
#: created, created from checkpoint, running, paused, stopped, deleted; empty where it is allowed.
INIT_STATES = [
    State.CREATED,
    State.CREATED_FROM_CHECKPOINT,
    State.RUNNING,
    State.PAUSED,
    State.STOPPED,
    State.DELETED,
]
INIT_CONTRACT = {
    Operation.START: [
        "",
        "",
        "cannot start a running process",
        "cannot start a paused process",
        "cannot start a stopped process",
        "cannot start a deleted process",
    ],
    Operation.DELETE: [
        "",
        "",
        "cannot delete a running process",
        "cannot delete a paused process",
        "",
        "cannot delete a deleted process: not found",
    ],
    Operation.PAUSE: [
        "cannot pause task in created state",
        "cannot pause task in created state",
        "",
        "cannot pause a paused container",
        "cannot pause a stopped container",
        "cannot pause a deleted process",
    ],
    Operation.RESUME: [
        "cannot resume task in created state",
        "cannot resume task in created state",
        "cannot resume a running process",
        "",
        "cannot resume a stopped container",
        "cannot resume a deleted process",
    ],
    Operation.KILL: [
        "",
        "",
        "",
        "",
        "process already finished: not found",  # what the runtime's refusal is translated to
        "cannot kill a deleted process: not found",
    ],
    Operation.EXEC: [
        "",
        "cannot exec in a created state",
        "",
        "cannot exec in a paused state",
        "cannot exec in a stopped state",
        "cannot exec in a deleted state",
    ],
    Operation.CHECKPOINT: [
        "cannot checkpoint a task in created state",
        "cannot checkpoint a task in created state",
        "",
        "",
        "cannot checkpoint a stopped container",
        "cannot checkpoint a deleted process",
    ],
    Operation.UPDATE: [
        "",
        "",
        "",
        "",
        "cannot update a stopped container",
        "cannot update a deleted process",
    ],
    Operation.RESIZE: ["", "", "", "", "", "cannot resize a deleted process"],
}

#: The same of an exec: created, running, stopped, deleted.
EXEC_STATES = [State.CREATED, State.RUNNING, State.STOPPED, State.DELETED]
EXEC_CONTRACT = {
    Operation.START: [
        "",
        "cannot start a running process",
        "cannot start a stopped process",
        "cannot start a deleted process",
    ],
    Operation.DELETE: [
        "",
        "cannot delete a running process",
        "",
        "cannot delete a deleted process: not found",
    ],
    Operation.KILL: [
        "process not created: failed precondition",
        "",
        "process already finished: not found",
        "cannot kill a deleted process: not found",
    ],
    Operation.RESIZE: [
        "",
        "",
        "cannot resize a stopped container",
        "cannot resize a deleted process",
    ],
}

#: What a process whose start has failed refuses: it counts as created, but starts only once.
START_FAILED_INIT = {
    Operation.START: "cannot start a process that has failed to start",
    Operation.PAUSE: "cannot pause task in created state",
    Operation.RESUME: "cannot resume task in created state",
    Operation.CHECKPOINT: "cannot checkpoint a task in created state",
}
START_FAILED_EXEC = {
    Operation.START: "cannot start a process that has failed to start",
    Operation.KILL: "process not created: failed precondition",
}

CODES = {"not found": Code.NOT_FOUND, "failed precondition": Code.FAILED_PRECONDITION}

#: All legal moves; any other fact in any other state is refused.
MOVES = {
    "init": {
        (State.CREATED, Fact.STARTED): State.RUNNING,
        (State.CREATED, Fact.START_FAILED): State.START_FAILED,
        (State.CREATED, Fact.EXITED): State.STOPPED,
        (State.CREATED, Fact.DELETED): State.DELETED,
        (State.CREATED_FROM_CHECKPOINT, Fact.STARTED): State.RUNNING,
        (State.CREATED_FROM_CHECKPOINT, Fact.START_FAILED): State.START_FAILED,
        (State.CREATED_FROM_CHECKPOINT, Fact.EXITED): State.STOPPED,
        (State.CREATED_FROM_CHECKPOINT, Fact.DELETED): State.DELETED,
        (State.START_FAILED, Fact.EXITED): State.STOPPED,
        (State.START_FAILED, Fact.DELETED): State.DELETED,
        (State.RUNNING, Fact.PAUSE_BEGUN): State.PAUSING,
        (State.RUNNING, Fact.EXITED): State.STOPPED,
        (State.PAUSING, Fact.PAUSED): State.PAUSED,
        (State.PAUSING, Fact.PAUSE_FAILED): State.RUNNING,
        (State.PAUSING, Fact.EXITED): State.STOPPED,
        (State.PAUSED, Fact.RESUMED): State.RUNNING,
        (State.PAUSED, Fact.EXITED): State.STOPPED,
        (State.STOPPED, Fact.PAUSED): State.STOPPED,
        (State.STOPPED, Fact.PAUSE_FAILED): State.STOPPED,
        (State.STOPPED, Fact.RESUMED): State.STOPPED,
        (State.STOPPED, Fact.DELETED): State.DELETED,
    },
    "exec": {
        (State.CREATED, Fact.STARTED): State.RUNNING,
        (State.CREATED, Fact.START_FAILED): State.START_FAILED,
        (State.CREATED, Fact.DELETED): State.DELETED,
        (State.START_FAILED, Fact.DELETED): State.DELETED,
        (State.RUNNING, Fact.EXITED): State.STOPPED,
        (State.STOPPED, Fact.DELETED): State.DELETED,
    },
}


def at(rules: Rules, state: State) -> Lifecycle:
    lifecycle = Lifecycle(rules)
    lifecycle.state = state
    return lifecycle


def refusal(rules: Rules, state: State, operation: Operation) -> tuple[Code, str]:
    lifecycle = at(rules, state)
    try:
        lifecycle.check(operation)
    except ShimError as error:
        assert lifecycle.state is state
        return error.code, str(error)
    return Code.OK, ""


def expected(text: str) -> tuple[Code, str]:
    if not text:
        return Code.OK, ""
    return CODES.get(text.rpartition(": ")[2], Code.UNKNOWN), text


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("state", INIT_STATES)
def test_an_init_refuses_what_the_contract_says(state: State, operation: Operation) -> None:
    text = INIT_CONTRACT[operation][INIT_STATES.index(state)]
    assert refusal(INIT, state, operation) == expected(text)


@pytest.mark.parametrize("operation", list(EXEC_CONTRACT))
@pytest.mark.parametrize("state", EXEC_STATES)
def test_an_exec_refuses_what_the_contract_says(state: State, operation: Operation) -> None:
    text = EXEC_CONTRACT[operation][EXEC_STATES.index(state)]
    assert refusal(EXEC, state, operation) == expected(text)


@pytest.mark.parametrize(("rules", "texts"), [(INIT, START_FAILED_INIT), (EXEC, START_FAILED_EXEC)])
def test_a_failed_start_leaves_a_process_that_can_only_go(
    rules: Rules, texts: dict[Operation, str]
) -> None:
    for operation in rules.operations:
        text = texts.get(operation, "")
        assert refusal(rules, State.START_FAILED, operation) == expected(text)


def test_while_a_pause_runs_the_container_counts_as_paused() -> None:
    for operation in Operation:
        while_pausing = refusal(INIT, State.PAUSING, operation)
        assert while_pausing == refusal(INIT, State.PAUSED, operation)


@pytest.mark.parametrize("rules", [INIT, EXEC])
def test_exactly_the_legal_moves_are_made(rules: Rules) -> None:
    reachable = set(rules.moves)
    for state, fact in itertools.product(reachable, Fact):
        lifecycle = at(rules, state)
        following = MOVES[rules.name].get((state, fact))
        if following is None:
            with pytest.raises(InvalidTransitionError) as caught:
                lifecycle.move(fact)
            assert str(caught.value) == (
                f'invalid state transition "{state.value}" to "{fact.value}"'
            )
            assert lifecycle.state is state
        else:
            lifecycle.move(fact)
            assert lifecycle.state is following


@pytest.mark.parametrize("rules", [INIT, EXEC])
def test_a_table_is_complete_and_names_only_what_it_knows(rules: Rules) -> None:
    states = set(rules.first)
    for moves in rules.moves.values():
        states |= set(moves.values())
    assert states == set(rules.moves) == set(rules.refusals)
    for refused in rules.refusals.values():
        assert set(refused) <= rules.operations


def test_it_begins_only_where_it_may() -> None:
    Lifecycle(INIT, State.CREATED_FROM_CHECKPOINT)
    with pytest.raises(InvalidTransitionError, match="exec can't begin as 'created from"):
        Lifecycle(EXEC, State.CREATED_FROM_CHECKPOINT)
    with pytest.raises(InvalidTransitionError, match="init can't begin as 'running'"):
        Lifecycle(INIT, State.RUNNING)


def test_a_check_can_judge_by_the_state_to_come() -> None:
    lifecycle = at(INIT, State.RUNNING)
    lifecycle.check(Operation.PAUSE)
    with pytest.raises(Exception, match="cannot pause a stopped container"):
        lifecycle.check(Operation.PAUSE, seen_as=State.STOPPED)


@settings(deadline=None)
@given(st.sampled_from([INIT, EXEC]), st.lists(st.sampled_from(Fact), max_size=30))
def test_nothing_comes_back_from_the_dead(rules: Rules, facts: list[Fact]) -> None:
    lifecycle = Lifecycle(rules)
    exits = 0
    for fact in facts:
        before = lifecycle.state
        try:
            lifecycle.move(fact)
        except InvalidTransitionError:
            assert lifecycle.state is before
            continue
        exits += fact is Fact.EXITED
        if before is State.STOPPED:
            assert lifecycle.state in (State.STOPPED, State.DELETED)
        assert before is not State.DELETED
    assert exits <= 1


def test_the_documentation_is_current() -> None:
    path = REPOSITORY / "tools" / "lifecycle_doc.py"
    spec = importlib.util.spec_from_file_location("lifecycle_doc", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (REPOSITORY / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    assert written == module.document(), "run: python tools/lifecycle_doc.py"
