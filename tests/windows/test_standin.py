"""The stand-in HCS does what its README says: each test is one of `cases/case_standin_*.py`."""

from pathlib import Path

from windows.winebox.cases import Outcome

CASES = sorted(Path(__file__).parent.glob("cases/case_standin_*.py"))


def test_case(outcome: Outcome) -> None:
    outcome.check()
