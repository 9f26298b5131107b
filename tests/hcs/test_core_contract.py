"""The fake of `computecore.dll` keeps the promises that the stand-in keeps, too."""

from collections.abc import Callable

import pytest

from hcs.core_fake import FakeCore
from windows.cases import core_contract


@pytest.mark.parametrize("promise", core_contract.PROMISES)
def test_the_fake_keeps(promise: Callable[[core_contract.MakeCore], None]) -> None:
    promise(FakeCore)
