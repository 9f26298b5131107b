"""Credential guards over the stand-in: each test is one of `cases/case_credentials.py`."""

from pathlib import Path

import pytest

from windows.winebox import Box, cases

CASES = [Path(__file__).with_name("cases") / "case_credentials.py"]

pytestmark = pytest.mark.timeout(900)  # the first one makes the environment and runs all of them


@pytest.fixture(scope="module")
def outcomes(machine: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, cases.Outcome]:
    with machine.session() as box:
        return cases.run(box, CASES, tmp_path_factory.mktemp("credentials"))


@pytest.mark.parametrize("name", cases.names(CASES))
def test_case(outcomes: dict[str, cases.Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert outcome.verdict == "passed", outcome.text
