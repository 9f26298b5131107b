"""Ending what a dead shim left, against a service in memory."""

from collections.abc import Callable

import pytest

from hcs.core_fake import FakeCore, Fault
from podshim.engines.hcs.cleanup import force_delete
from podshim.errors import ShimError
from windows.cases.core_contract import created


def core_with(fault: Fault | None = None) -> FakeCore:
    core = FakeCore(lambda *_: None)
    if fault is not None:
        core.faults["HcsTerminateComputeSystem"] = fault
    return core


def delete(core: FakeCore, *, lose: bool = False) -> list[str]:
    """Delete the container c1 of a service that survives; what was said."""
    said: list[str] = []

    def make(deliver: Callable[[int, int, str], None]) -> FakeCore:
        core._deliver = deliver
        if lose:
            deliver(1, 0x02000000, "")
        return core

    force_delete("c1", said.append, make_core=make, limit=0.01 if core.faults else 20)
    return said


def test_a_container_that_is_left_is_terminated() -> None:
    core = core_with()
    with created(core, "c1"):
        assert delete(core) == []
    assert "HcsTerminateComputeSystem" in core.calls
    assert core.open_handles == 0


def test_a_container_that_is_gone_is_fine() -> None:
    core = core_with()
    assert delete(core) == []
    assert core.calls == ["HcsOpenComputeSystem"]


def test_a_refused_termination_is_said_and_not_waited_for() -> None:
    core = core_with(Fault(0x80070057))
    with created(core, "c1"):
        (line,) = delete(core)
    assert line.startswith("failed to terminate 'c1': hcs::System::Terminate c1: ")
    assert core.open_handles == 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault(0, stage="completion"),
        Fault(0x80370110),
        Fault(0xC0370110),
        Fault(0x8037010E),
        Fault(0xC0370103),
    ],
)
def test_a_container_that_does_not_tell_of_its_end_is_an_error(fault: Fault) -> None:
    core = core_with(fault)
    with created(core, "c1"):
        with pytest.raises(ShimError) as caught:
            delete(core)
        assert str(caught.value) == "timed out waiting for 'c1' to terminate"
    assert core.open_handles == 0


def test_a_lost_service_is_said() -> None:
    core = core_with(Fault(0, stage="completion"))
    with created(core, "c1"):
        (line,) = delete(core, lose=True)
    wait = "hcs::System::waitBackground c1: lost communication with compute service"
    assert line == f"failed to wait for 'c1' to terminate: {wait}"
