"""`make demo-windows` does what it tells, and removes the Windows that it ran in."""

import signal
from pathlib import Path

import pytest

from support import demos
from windows.winebox import Box, recipe

DEMO = Path(__file__).resolve().parents[2] / "demo" / "windows"

pytestmark = pytest.mark.usefixtures("machine")


def worlds() -> set[str]:
    return {path.name for path in recipe.places().home.parent.glob("demo-*") if path.is_dir()}


def test_it_tells_its_story_to_the_end(machine: Box) -> None:
    before = worlds()
    status, output = demos.run(DEMO, 250)
    assert status == 0, output
    assert output.count("containerd-shim-demo-pod1-pipe") == 4, "one shim for the whole pod"
    assert "This is web." in output
    assert "ended with status 7" in output
    assert "  apple\n  fig\n  pear\n" in output
    assert '"SizeInMB": 256' in output
    assert output.count("exit status 255") == 2
    assert "I see the host: Windows_NT" in output
    assert "/tasks/exit" in output
    assert worlds() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_removes_its_windows(machine: Box, number: signal.Signals) -> None:
    before = worlds()
    status, output = demos.interrupt(DEMO, "A pod comes up", number)
    assert status == 128 + number, output
    assert worlds() == before
