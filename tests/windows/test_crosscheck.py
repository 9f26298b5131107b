"""Our shim and the original in one pod: see `cases/case_crosscheck.py`."""

from pathlib import Path

import pytest

from windows.winebox.cases import Outcome

CASES = [Path(__file__).parent / "cases" / "case_crosscheck.py"]


@pytest.fixture(scope="module")
def variables(original_shim: dict[str, str]) -> dict[str, str]:
    return original_shim


def test_case(outcome: Outcome) -> None:
    outcome.check()
