"""Our shim and the original in one pod: see `cases/case_crosscheck.py`."""

from pathlib import Path

import pytest

from windows.winebox import Box, UnavailableError, cases, original

CASES = [Path(__file__).parent / "cases" / "case_crosscheck.py"]

pytestmark = pytest.mark.timeout(1800)  # the first one may build the original


@pytest.fixture(scope="module")
def outcomes(machine: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, cases.Outcome]:
    try:
        shim = original.executable(machine.at)
    except UnavailableError as err:
        pytest.skip(f"no original shim here: {err}")
    variables = {"PODSHIM_ORIGINAL_SHIM": machine.windows_path(shim)}
    with machine.session() as box:
        return cases.run(box, CASES, tmp_path_factory.mktemp("crosscheck"), env=variables)


@pytest.mark.parametrize("name", cases.names(CASES))
def test_case(outcomes: dict[str, cases.Outcome], name: str) -> None:
    outcome = outcomes[name]
    if outcome.verdict == "skipped":
        pytest.skip(outcome.text)
    assert outcome.verdict == "passed", outcome.text
