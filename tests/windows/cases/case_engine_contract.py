"""The library's binding over the stand-in keeps the promises that the fake keeps, too."""

import gc
from collections.abc import Callable

import pytest

from podshim.engines.hcs.computecore import ComputeCoreDll, SystemCall
from windows.cases import core_contract


@pytest.mark.parametrize("promise", core_contract.PROMISES)
def test_the_stand_in_keeps(promise: Callable[[core_contract.MakeCore], None]) -> None:
    promise(ComputeCoreDll)


def test_an_event_may_come_when_nobody_listens_any_more() -> None:
    heard = core_contract.Heard()
    witness = ComputeCoreDll(heard.deliver)
    with core_contract.created(witness) as (name, system):
        assert core_contract.call(witness, SystemCall.START, system) == 0
        gone = ComputeCoreDll(lambda *_: None)
        result, other = gone.open_system(name)
        assert result == 0
        assert gone.set_system_callback(other, 4, 1) == 0
        del gone  # its handle is still open
        gc.collect()
        assert witness.set_system_callback(system, 4, 2) == 0
        assert core_contract.call(witness, SystemCall.TERMINATE, system) == 0
        assert [context for context, _, _ in heard.wait()] == [2]
        witness.close_system(other)  # waits for the callback
