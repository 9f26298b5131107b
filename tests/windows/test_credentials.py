"""Credential guards over the stand-in: each test is one of `cases/case_credentials.py`."""

from pathlib import Path

import pytest

from windows.winebox.cases import Outcome

CASES = [Path(__file__).with_name("cases") / "case_credentials.py"]

pytestmark = pytest.mark.timeout(900)  # the first one makes the environment and runs all of them


def test_case(outcome: Outcome) -> None:
    outcome.check()
