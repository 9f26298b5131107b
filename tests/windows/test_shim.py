"""The real binary in containerd's hand, on Windows: the tests are `cases/case_shim_*.py`."""

from pathlib import Path

import pytest

from windows.winebox import Box, cases

CASES = sorted((Path(__file__).parent / "cases").glob("case_shim_*.py"))

pytestmark = pytest.mark.timeout(900)  # the first one makes the environment and runs all of them


@pytest.fixture(scope="module")
def outcomes(machine: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, cases.Outcome]:
    with machine.session() as box:
        return cases.run(box, CASES, tmp_path_factory.mktemp("shim"))


@pytest.mark.parametrize("name", cases.names(CASES))
def test_case(outcomes: dict[str, cases.Outcome], name: str) -> None:
    outcome = outcomes[name]
    if outcome.verdict == "skipped":
        pytest.skip(outcome.text)
    assert outcome.verdict == "passed", outcome.text
