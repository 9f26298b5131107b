"""The NUMA topology of a VM."""

import logging

import pytest

from podshim.engines.hcs.vm.numa import NumaRequest, NumaTopology, topology
from podshim.errors import ShimError

EXPLICIT = NumaRequest(nodes=(0, 1), processors=(2, 2), memory_mb=(512, 1536))


def make(
    request: NumaRequest, *, build: int = 26100, overcommit: bool = False, memory_mb: int = 2048
) -> NumaTopology:
    return topology(request, build=build, overcommit=overcommit, processors=4, memory_mb=memory_mb)


@pytest.mark.parametrize(
    ("request_", "warning"),
    [
        (NumaRequest(), ""),
        (NumaRequest(max_memory_mb=5), "incomplete implicit"),
        (NumaRequest(preferred_nodes=(1,)), "incomplete implicit"),
        (NumaRequest(processors=(1,)), "incomplete explicit"),
    ],
)
def test_nothing_asked_for(
    request_: NumaRequest, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert make(request_, build=17763, overcommit=True) == NumaTopology()
    assert warning in caplog.text
    assert bool(warning) == bool(caplog.records)


def test_implicit() -> None:
    assert make(NumaRequest(max_processors=2, max_memory_mb=1024)) == NumaTopology(
        {"MaxSizePerNode": 1024}, {"count_per_node": {"max": 2}}
    )


def test_implicit_wins_over_explicit() -> None:
    request = NumaRequest(max_processors=2, max_memory_mb=1024, nodes=(0,))
    assert make(request).numa == {"MaxSizePerNode": 1024}


def test_explicit() -> None:
    made = make(EXPLICIT)
    assert made.processors is None
    assert made.numa == {
        "VirtualNodeCount": 2,
        "Settings": [
            {"CountOfProcessors": 2, "CountOfMemoryBlocks": 512, "MemoryBackingType": "Physical"},
            {
                "VirtualNodeNumber": 1,
                "PhysicalNodeNumber": 1,
                "VirtualSocketNumber": 1,
                "CountOfProcessors": 2,
                "CountOfMemoryBlocks": 1536,
                "MemoryBackingType": "Physical",
            },
        ],
    }


def test_explicit_anywhere() -> None:
    made = make(NumaRequest(nodes=(255, 255), processors=(2, 2), memory_mb=(1024, 1024)))
    assert made.numa is not None
    assert made.numa["VirtualNodeCount"] == 2


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            NumaRequest(max_processors=1),
            "max size per node must be set when max processors per numa node is set",
        ),
        (
            NumaRequest(nodes=(0, 1), processors=(4,), memory_mb=(1, 1)),
            (
                "mismatch in number of physical numa nodes and the corresponding processor"
                " and memory blocks count"
            ),
        ),
        (
            NumaRequest(nodes=(64,), processors=(4,), memory_mb=(2048,)),
            "vNUMA physical node number 64 exceeds maximum allowed value 64",
        ),
        (
            NumaRequest(nodes=(0,) * 66, processors=(1,) * 66, memory_mb=(1,) * 66),
            "vNUMA virtual node number 65 exceeds maximum allowed value 64",
        ),
        (
            NumaRequest(nodes=(255, 3), processors=(2, 2), memory_mb=(1024, 1024)),
            "vNUMA has a mix of wildcard (255) and non-wildcard (3) physical node numbers",
        ),
        (
            NumaRequest(nodes=(0, 1), processors=(2, 2), memory_mb=(2048, 0)),
            "vNUMA nodes with no memory are not allowed",
        ),
        (
            NumaRequest(nodes=(0,), processors=(0,), memory_mb=(2048,)),
            "partial resource allocation is not allowed",
        ),
        (
            NumaRequest(nodes=(0,), processors=(3,), memory_mb=(2048,)),
            (
                "failed to validate vNUMA settings: vNUMA total processor count 3 does not match"
                " UVM processor count 4"
            ),
        ),
        (
            NumaRequest(nodes=(0,), processors=(4,), memory_mb=(2047,)),
            (
                "failed to validate vNUMA settings: vNUMA total memory 2047 does not match UVM"
                " memory 2048"
            ),
        ),
    ],
)
def test_what_can_not_be(request_: NumaRequest, message: str) -> None:
    with pytest.raises(ShimError) as caught:
        make(request_)
    assert str(caught.value) == message


def test_the_host_must_be_new_enough_and_memory_physical() -> None:
    with pytest.raises(ShimError, match="vNUMA topology is not supported on 26099 version"):
        make(EXPLICIT, build=26099)
    with pytest.raises(ShimError, match="vNUMA supports only Physical memory backing type"):
        make(EXPLICIT, overcommit=True)
