"""`shimdiag` on Windows: each test is one of `cases/case_shimdiag.py`."""

from pathlib import Path

from windows.winebox.cases import Outcome

CASES = [Path(__file__).parent / "cases" / "case_shimdiag.py"]


def test_case(outcome: Outcome) -> None:
    outcome.check()
