"""`make demo-windows` does what it tells, and removes the Windows that it ran in."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from windows.winebox import Box, recipe

DEMO = Path(__file__).resolve().parents[2] / "demo" / "windows"

pytestmark = [pytest.mark.usefixtures("machine"), pytest.mark.timeout(300)]


def worlds() -> set[str]:
    return {path.name for path in recipe.places().home.parent.glob("demo-*") if path.is_dir()}


def start() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(DEMO)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_it_tells_its_story_to_the_end(machine: Box) -> None:
    before = worlds()
    with start() as demo:
        output, _ = demo.communicate(timeout=250)
    assert demo.returncode == 0, output
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
    output = ""
    with start() as demo:
        assert demo.stdout
        for line in demo.stdout:
            output += line
            if "A pod comes up" in line:
                os.killpg(demo.pid, number)  # as a terminal does
                break
        output += demo.stdout.read()
    assert demo.returncode == 128 + number, output
    assert worlds() == before
