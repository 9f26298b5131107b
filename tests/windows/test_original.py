"""The original shim runs here, over the stand-in: each test is one of `cases/case_original.py`."""

from pathlib import Path

import pytest

from windows.winebox.cases import Outcome

CASES = [Path(__file__).parent / "cases" / "case_original.py"]


@pytest.fixture(scope="module")
def variables(original_shim: dict[str, str]) -> dict[str, str]:
    return original_shim


def test_case(outcome: Outcome) -> None:
    outcome.check()
