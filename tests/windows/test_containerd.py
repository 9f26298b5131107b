"""containerd for Windows, Go's own build of it, runs our shim: see `cases/case_containerd.py`."""

from pathlib import Path

import pytest

from windows.winebox import Box, UnavailableError, cases, containerd

CASES = [Path(__file__).parent / "cases" / "case_containerd.py"]

pytestmark = pytest.mark.timeout(1800)  # the first one may build containerd


@pytest.fixture(scope="module")
def outcomes(machine: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, cases.Outcome]:
    try:
        folder = containerd.folder(machine.at)
    except UnavailableError as err:
        pytest.skip(f"no containerd for Windows here: {err}")
    variables = {"PODSHIM_CONTAINERD": machine.windows_path(folder)}
    with machine.session() as box:
        return cases.run(box, CASES, tmp_path_factory.mktemp("containerd"), env=variables)


@pytest.mark.parametrize("name", cases.names(CASES))
def test_case(outcomes: dict[str, cases.Outcome], name: str) -> None:
    assert outcomes[name].verdict == "passed", outcomes[name].text
