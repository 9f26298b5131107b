"""The real binary in containerd's hand, on Windows: the tests are `cases/case_shim_*.py`."""

from pathlib import Path

import pytest

from windows.winebox.cases import Outcome

CASES = sorted((Path(__file__).parent / "cases").glob("case_shim_*.py"))

pytestmark = pytest.mark.timeout(900)  # the first one makes the environment and runs all of them


def test_case(outcome: Outcome) -> None:
    outcome.check()
