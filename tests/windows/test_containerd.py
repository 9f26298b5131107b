"""containerd for Windows, Go's own build of it, runs our shim: see `cases/case_containerd.py`."""

from pathlib import Path

import pytest

from windows.winebox import Box, UnavailableError, containerd
from windows.winebox.cases import Outcome

CASES = [Path(__file__).parent / "cases" / "case_containerd.py"]


@pytest.fixture(scope="module")
def variables(machine: Box) -> dict[str, str]:
    try:
        folder = containerd.folder(machine.at)
    except UnavailableError as err:
        pytest.skip(f"no containerd for Windows here: {err}")
    return {"PODSHIM_CONTAINERD": machine.windows_path(folder)}


def test_case(outcome: Outcome) -> None:
    outcome.check()
