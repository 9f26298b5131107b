"""The real binary in containerd's hand, on Windows: the tests are `cases/case_shim_*.py`."""

from pathlib import Path

from windows.winebox.cases import Outcome

CASES = sorted((Path(__file__).parent / "cases").glob("case_shim_*.py"))


def test_case(outcome: Outcome) -> None:
    outcome.check()
