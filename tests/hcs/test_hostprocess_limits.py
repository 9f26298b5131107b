"""Limits of HostProcess containers, as jobs take them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from podshim.engines.hcs.documents.limits import Affinity
from podshim.engines.hcs.hostprocess.limits import (
    JobLimits,
    job_limits,
    job_weight,
    memory_bytes,
    rate_of_count,
)
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec.annotations import Annotations
from podshim.hcsspec.reading import Member


def limits_of(
    resources: dict[str, Any], annotations: dict[str, str] | None = None, build: int = 20348
) -> JobLimits:
    member = Member({"windows": {"resources": resources}})["windows"]["resources"]
    return job_limits(member, Annotations(annotations or {}), processors=4, build=build)


@pytest.mark.parametrize(
    ("processors", "count", "rate"),
    [(10, 1, 1000), (10, 5, 5000), (20, 5, 2500), (1, 1, 10000), (1, 0, 1)],
)
def test_a_number_of_processors_is_a_share(processors: int, count: int, rate: int) -> None:
    assert rate_of_count(processors, count) == rate


@given(st.integers(1, 2048), st.integers(0, 2048))
def test_a_share_is_one_that_jobs_take(processors: int, count: int) -> None:
    assert 1 <= rate_of_count(processors, min(count, processors)) <= 10000


@pytest.mark.parametrize(
    ("weight", "expected"), [(1, 1), (1250, 2), (5000, 5), (9999, 8), (10000, 9)]
)
def test_weights_of_jobs(weight: int, expected: int) -> None:
    assert job_weight(weight) == expected


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, JobLimits()),
        ({"memory": {"limit": (5 << 20) + 99}}, JobLimits(memory=5 << 20)),
        ({"cpu": {"count": 1}}, JobLimits(rate=2500)),
        ({"cpu": {"count": 99}}, JobLimits(rate=10000)),
        ({"cpu": {"maximum": 10000}}, JobLimits(rate=10000)),
        ({"cpu": {"shares": 10000}}, JobLimits(weight=9)),
        ({"storage": {"iops": 7, "bps": 8}}, JobLimits(iops=7, bandwidth=8)),
        ({"cpu": {"affinity": [{"mask": 3, "group": 1}]}}, JobLimits(affinity=(Affinity(3, 1),))),
    ],
)
def test_limits_of_a_spec(resources: dict[str, Any], expected: JobLimits) -> None:
    assert limits_of(resources) == expected


def test_annotations_come_first() -> None:
    found = limits_of(
        {"memory": {"limit": 1 << 20}, "cpu": {"shares": 100}},
        {
            "io.microsoft.container.memory.sizeinmb": "64",
            "io.microsoft.container.processor.weight": "5000",
            "io.microsoft.container.storage.qos.iopsmaximum": "11",
        },
    )
    assert found == JobLimits(memory=64 << 20, weight=5, iops=11)


@pytest.mark.parametrize(
    ("resources", "annotations", "text"),
    [
        ({"cpu": {"maximum": 10001}}, {}, "processor rate of `10001` is invalid"),
        ({"cpu": {"shares": 10001}}, {}, "processor weight value of `10001` is invalid"),
        (
            {},
            {"io.microsoft.container.processor.limit": "-4"},
            "processor rate of `-4` is invalid",
        ),
        (
            {"cpu": {"count": 1, "shares": 5}},
            {},
            (
                "invalid spec - Windows Container CPU Count: '1', Limit: '0', and Weight: '5' are"
                " mutually exclusive"
            ),
        ),
        (
            {},
            {"io.microsoft.container.memory.sizeinmb": str((1 << 64) - 1)},
            "memory limit specified exceeds the max size",
        ),
    ],
)
def test_limits_that_cant_be(
    resources: dict[str, Any], annotations: dict[str, str], text: str
) -> None:
    with pytest.raises(ShimError) as caught:
        limits_of(resources, annotations)
    assert str(caught.value) == text


def test_limits_of_a_wrong_type() -> None:
    with pytest.raises(InvalidArgumentError, match=r"windows\.resources\.cpu\.shares"):
        limits_of({"cpu": {"shares": "5"}})


def test_the_largest_memory_limit() -> None:
    assert memory_bytes((1 << 44) - 1) == ((1 << 44) - 1) << 20
    with pytest.raises(ShimError):
        memory_bytes(1 << 44)
