"""The engine over the stand-in HCS, on Windows: each test is one of `cases/case_engine_*.py`."""

from pathlib import Path

import pytest

from windows.winebox.cases import Outcome

CASES = sorted(Path(__file__).parent.glob("cases/case_engine_*.py"))

pytestmark = pytest.mark.timeout(900)  # the first one makes the environment and runs all of them


def test_case(outcome: Outcome) -> None:
    outcome.check()
