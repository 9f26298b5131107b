"""The two tables, walked as a whole against the contract, typed in here as data."""

import itertools

import pytest
from hypothesis import given, strategies as st

from podshim.errors import Code, ShimError
from podshim.task.lifecycle import (
    Fact,
    InvalidTransitionError,
    Lifecycle,
    Operation,
    Rules,
    State,
)
from podshim.task.runhcs.exec import names_of
from podshim.task.runhcs.tables import PROCESS, SANDBOX, STATE_TEXTS

STATES = [State.CREATED, State.RUNNING, State.STOPPED]
MOVES = {
    (State.CREATED, Fact.STARTED): State.RUNNING,
    (State.CREATED, Fact.EXITED): State.STOPPED,
    (State.RUNNING, Fact.EXITED): State.STOPPED,
}

#: For each table and operation: code and text in the states created, running, exited.
NO_START = "exec: 'e' in task: 't' is in invalid state: '{}' for start: failed precondition"
NO_DELETE = (
    9,
    "exec: '' in task: 't' is in invalid state: 'running' for delete: failed precondition",
)
GONE = (5, "exec: 'e' in task: 't' not found: not found")
NO_EXEC = (
    9,
    "exec: '' in task: 't' must be running to create additional execs: failed precondition",
)
NEVER = (12, "WCOW Pod task should never issue exec: not implemented")
NO_TTY = (9, "exec: 'e' in task: 't' is not a tty: failed precondition")
COMMON = {
    Operation.START: [None, (9, NO_START.format("running")), (9, NO_START.format("exited"))],
    Operation.DELETE: [None, NO_DELETE, None],
    Operation.KILL: [None, None, GONE],
}
CONTRACTS = [
    (PROCESS, {**COMMON, Operation.EXEC: [NO_EXEC, None, NO_EXEC]}),
    (SANDBOX, {**COMMON, Operation.EXEC: [NEVER] * 3, Operation.RESIZE: [NO_TTY] * 3}),
]

both = pytest.mark.parametrize("rules", [PROCESS, SANDBOX], ids=lambda rules: rules.name)


def reach(rules: Rules, state: State) -> Lifecycle:
    lifecycle = Lifecycle(rules, names=names_of("t", "e", ""))
    for fact in {State.CREATED: [], State.RUNNING: [Fact.STARTED]}.get(state, [Fact.EXITED]):
        lifecycle.move(fact)
    return lifecycle


@pytest.mark.parametrize(("rules", "contract"), CONTRACTS, ids=["process", "sandbox"])
def test_every_operation_in_every_state(
    rules: Rules, contract: dict[Operation, list[tuple[int, str] | None]]
) -> None:
    assert set(contract) == rules.operations
    for operation, answers in contract.items():
        for state, answer in zip(STATES, answers, strict=True):
            lifecycle = reach(rules, state)
            if answer is None:
                lifecycle.check(operation)
            else:
                with pytest.raises(ShimError) as caught:
                    lifecycle.check(operation)
                assert (caught.value.code, str(caught.value)) == (Code(answer[0]), answer[1])
            assert lifecycle.state is state


@both
def test_every_fact_in_every_state(rules: Rules) -> None:
    for state, fact in itertools.product(STATES, Fact):
        lifecycle = reach(rules, state)
        following = MOVES.get((state, fact))
        if rules is PROCESS and (state, fact) == (State.CREATED, Fact.START_FAILED):
            following = State.STOPPED
        if following is None:
            with pytest.raises(InvalidTransitionError):
                lifecycle.move(fact)
            assert lifecycle.state is state
        else:
            lifecycle.move(fact)
            assert lifecycle.state is following


@both
def test_a_process_can_only_begin_as_created(rules: Rules) -> None:
    for state in set(State) - {State.CREATED}:
        with pytest.raises(InvalidTransitionError):
            Lifecycle(rules, state)


@both
@given(facts=st.lists(st.sampled_from(list(Fact))))
def test_no_way_leads_back_or_out(rules: Rules, facts: list[Fact]) -> None:
    lifecycle = Lifecycle(rules)
    for fact in facts:
        before = STATES.index(lifecycle.state)
        try:
            lifecycle.move(fact)
        except InvalidTransitionError:
            assert STATES.index(lifecycle.state) == before
        else:
            assert STATES.index(lifecycle.state) > before


def test_the_states_have_the_contract_s_names() -> None:
    assert [STATE_TEXTS[state] for state in STATES] == ["created", "running", "exited"]
