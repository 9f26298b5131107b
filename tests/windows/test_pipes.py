"""Named pipes work on Windows: each test is one of `cases/case_pipe*.py`."""

from pathlib import Path

from windows.winebox.cases import Outcome

CASES = [Path(__file__).parent / "cases" / name for name in ("case_pipes.py", "case_pipe_serve.py")]


def test_case(outcome: Outcome) -> None:
    outcome.check()
