"""A server that nobody needs leaves; any other never does."""

from __future__ import annotations

from hypothesis import given, strategies as st

from podshim.shim.idle import IdlePolicy


def test_leaves_when_nobody_ever_came() -> None:
    policy = IdlePolicy(100, patience=300)
    assert not policy.observe(399, tasks=0, connections=0, accepted=0)
    assert policy.observe(400, tasks=0, connections=0, accepted=0)


def test_a_task_keeps_it_for_ever() -> None:
    policy = IdlePolicy(0, patience=300)
    assert not policy.observe(10_000, tasks=1, connections=0, accepted=1)
    assert not policy.observe(10_299, tasks=0, connections=0, accepted=1)
    assert policy.observe(10_300, tasks=0, connections=0, accepted=1)


def test_a_connection_between_two_looks_counts() -> None:
    policy = IdlePolicy(0, patience=300)
    assert not policy.observe(299, tasks=0, connections=0, accepted=1)
    assert not policy.observe(598, tasks=0, connections=0, accepted=1)
    assert policy.observe(599, tasks=0, connections=0, accepted=1)


steps = st.lists(
    st.tuples(st.floats(0, 500), st.integers(0, 1), st.integers(0, 1), st.integers(0, 1))
)


@given(steps)
def test_never_leaves_while_it_is_of_use(history: list[tuple[float, int, int, int]]) -> None:
    now, accepted = 0.0, 0
    policy = IdlePolicy(now, patience=300)
    last_use = now
    for wait, tasks, connections, came in history:
        now += wait
        accepted += came
        if tasks or connections or came:
            last_use = now
        leaves = policy.observe(now, tasks=tasks, connections=connections, accepted=accepted)
        assert leaves == (now - last_use >= 300)
