"""The manager drives Windows shims, podshim's and the original: see `cases/case_manager.py`."""

from pathlib import Path

import pytest

from windows.winebox import Box, UnavailableError, cases, original

CASES = [Path(__file__).parent / "cases" / "case_manager.py"]

pytestmark = pytest.mark.timeout(1800)  # the first ones make the environment and the original


@pytest.fixture(scope="module")
def outcomes(machine: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, cases.Outcome]:
    with machine.session() as box:
        return cases.run(box, CASES, tmp_path_factory.mktemp("manager"))


@pytest.fixture(scope="module")
def outcomes_of_the_original(
    machine: Box, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, cases.Outcome]:
    try:
        shim = original.executable(machine.at)
    except UnavailableError as err:
        pytest.skip(f"no original shim here: {err}")
    variables = {"PODSHIM_ORIGINAL_SHIM": machine.windows_path(shim)}
    with machine.session() as box:
        return cases.run(box, CASES, tmp_path_factory.mktemp("original"), env=variables)


@pytest.mark.parametrize("name", cases.names(CASES))
def test_case(outcomes: dict[str, cases.Outcome], name: str) -> None:
    assert outcomes[name].verdict == "passed", outcomes[name].text


@pytest.mark.parametrize("name", cases.names(CASES))
def test_original(outcomes_of_the_original: dict[str, cases.Outcome], name: str) -> None:
    outcome = outcomes_of_the_original[name]
    assert outcome.verdict == "passed", outcome.text
