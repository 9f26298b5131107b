"""The Windows shim lives as containerd wants: each test is one of `cases/case_process_*.py`."""

from pathlib import Path

import pytest

from windows.winebox import Box, cases

CASES = sorted(Path(__file__).parent.glob("cases/case_process_*.py"))

pytestmark = pytest.mark.timeout(1800)  # the first one makes the environment and runs all of them
LIMIT = 1500.0  # for all of them, in s: a busy machine makes many processes slowly


@pytest.fixture(scope="module")
def outcomes(machine: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, cases.Outcome]:
    with machine.session() as box:
        return cases.run(box, CASES, tmp_path_factory.mktemp("process"), timeout=LIMIT)


@pytest.mark.parametrize("name", cases.names(CASES))
def test_case(outcomes: dict[str, cases.Outcome], name: str) -> None:
    outcome = outcomes[name]
    if outcome.verdict == "skipped":
        pytest.skip(outcome.text)
    assert outcome.verdict == "passed", outcome.text
