"""`shimdiag` on Windows: each test is one of `cases/case_shimdiag.py`."""

from pathlib import Path

import pytest

from windows.winebox.cases import Outcome

CASES = [Path(__file__).parent / "cases" / "case_shimdiag.py"]

pytestmark = pytest.mark.timeout(600)  # the first one makes the environment and runs all of them


def test_case(outcome: Outcome) -> None:
    outcome.check()
