"""The library's binding over the stand-in keeps the promises that the fake keeps, too."""

from collections.abc import Callable

import pytest

from podshim.engines.hcs.computecore import ComputeCoreDll
from windows.cases import core_contract


@pytest.mark.parametrize("promise", core_contract.PROMISES)
def test_the_stand_in_keeps(promise: Callable[[core_contract.MakeCore], None]) -> None:
    promise(ComputeCoreDll)
