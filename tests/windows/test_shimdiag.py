"""`shimdiag` on Windows: each test is one of `cases/case_shimdiag.py`."""

from pathlib import Path

import pytest

from windows.winebox import Box, cases

CASES = [Path(__file__).parent / "cases" / "case_shimdiag.py"]

pytestmark = pytest.mark.timeout(600)  # the first one makes the environment and runs all of them


@pytest.fixture(scope="module")
def outcomes(machine: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, cases.Outcome]:
    with machine.session() as box:
        return cases.run(box, CASES, tmp_path_factory.mktemp("shimdiag"))


@pytest.mark.parametrize("name", cases.names(CASES))
def test_case(outcomes: dict[str, cases.Outcome], name: str) -> None:
    outcome = outcomes[name]
    if outcome.verdict == "skipped":
        pytest.skip(outcome.text)
    assert outcome.verdict == "passed", outcome.text
