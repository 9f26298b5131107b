"""The relay of standard streams on Windows: each test is one of `cases/case_stdio.py`."""

from pathlib import Path

import pytest

from windows.winebox.cases import Outcome

CASES = sorted(Path(__file__).parent.glob("cases/case_stdio.py"))

pytestmark = pytest.mark.timeout(900)  # the first one makes the environment and runs all of them


def test_case(outcome: Outcome) -> None:
    outcome.check()
