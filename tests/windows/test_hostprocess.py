"""HostProcess containers on Windows: each test is one of `cases/case_hostprocess_*.py`."""

from pathlib import Path

from windows.winebox.cases import Outcome

CASES = sorted(Path(__file__).parent.glob("cases/case_hostprocess_*.py"))


def test_case(outcome: Outcome) -> None:
    outcome.check()
