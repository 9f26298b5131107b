"""The demo tells the whole story, and leaves nothing behind, interrupted or not."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "demo"


def begin(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(DEMO)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
        start_new_session=True,
    )


def cgroups() -> set[str]:
    return {str(path) for path in Path("/sys/fs/cgroup").glob("**/podshim-demo-*")}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short folder: sockets live in it."""
    with tempfile.TemporaryDirectory(prefix="d-") as path:
        before = cgroups()
        yield Path(path)
        assert os.listdir(path) == []
        assert cgroups() == before


def test_the_demo_tells_its_story(folder: Path) -> None:
    with begin(folder) as demo:
        output, _ = demo.communicate(timeout=100)
    assert demo.returncode == 0, output
    for words in (
        "Three containers, one shim",
        "line 4",
        "status 7",
        '{"container_id":"talker","id":"talker","exit_status":137}',
        "The end",
    ):
        assert words in output


def test_an_interrupted_demo_cleans_up(folder: Path) -> None:
    with begin(folder) as demo:
        assert demo.stdout
        for line in demo.stdout:
            if "One process serves them all" in line:
                break
        os.killpg(demo.pid, signal.SIGINT)
        rest = demo.stdout.read()
        demo.wait(60)
    assert demo.returncode == 130, rest
    assert "interrupted" in rest
