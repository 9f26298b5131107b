"""When a broken pipe is dialled again."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from podshim.engines.hcs.stdio.backoff import BackOff


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_pauses_grow_from_200_ms_to_a_minute() -> None:
    backoff = BackOff(0, lambda: 0.0, middle)
    pauses = [backoff.pause() for _ in range(20)]
    assert pauses[:4] == pytest.approx([0.2, 0.3, 0.45, 0.675])
    assert pauses[-1] == 60.0
    assert pauses == sorted(pauses, key=lambda pause: pause or 0)


def test_jitter_is_half_of_the_pause_either_way() -> None:
    asked = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    BackOff(0, lambda: 0.0, uniform).pause()
    assert asked == [pytest.approx((0.1, 0.3))]


def test_without_a_limit_it_never_ends() -> None:
    backoff = BackOff(0, iter(range(0, 10**9, 10**6)).__next__, middle)
    assert all(backoff.pause() is not None for _ in range(500))


@given(st.floats(0.01, 1000), st.floats(0, 1))
def test_no_attempt_comes_after_the_limit(limit: float, where: float) -> None:
    now = 100.0

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * where

    backoff = BackOff(limit, lambda: now, uniform)
    pauses = 0
    while (pause := backoff.pause()) is not None:
        now += pause
        pauses += 1
        assert now - 100.0 <= limit
        assert pauses < 1000
