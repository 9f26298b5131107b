"""Credential guards over the stand-in: each test is one of `cases/case_credentials.py`."""

from pathlib import Path

from windows.winebox.cases import Outcome

CASES = [Path(__file__).with_name("cases") / "case_credentials.py"]


def test_case(outcome: Outcome) -> None:
    outcome.check()
