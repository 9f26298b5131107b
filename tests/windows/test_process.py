"""The Windows shim lives as containerd wants: each test is one of `cases/case_process_*.py`."""

from pathlib import Path

from windows.winebox.cases import Outcome

CASES = sorted(Path(__file__).parent.glob("cases/case_process_*.py"))
LIMIT = 1500.0  # for all of them, in s: a busy machine makes many processes slowly


def test_case(outcome: Outcome) -> None:
    outcome.check()
