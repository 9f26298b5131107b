"""The manager drives Windows shims, podshim's and the original: see `cases/case_manager.py`."""

from pathlib import Path

import pytest

from windows.winebox import Box, cases

CASES = [Path(__file__).parent / "cases" / "case_manager.py"]


@pytest.fixture(scope="module")
def outcomes_of_the_original(
    machine: Box, original_shim: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, cases.Outcome]:
    with machine.session() as box:
        return cases.run(box, CASES, tmp_path_factory.mktemp("original"), env=original_shim)


def test_case(outcome: cases.Outcome) -> None:
    outcome.check()


@pytest.mark.parametrize("name", cases.names(CASES))
def test_original(outcomes_of_the_original: dict[str, cases.Outcome], name: str) -> None:
    outcomes_of_the_original[name].check()
