"""`make demo` does what it tells, and leaves nothing behind, interrupted or not."""

import re
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import census, demos
from support.private import mounts
from support.software import Installation
from support.waiting import eventually

DEMO = Path(__file__).resolve().parents[2] / "demo"


@pytest.fixture(autouse=True)
def unchanged(find: Callable[[str], Installation]) -> Iterator[None]:
    """Neither a process nor a mount nor a socket is left at its end."""
    find("system")
    before = _state()
    yield
    eventually(lambda: _state() == before, "all is as it was")


def _state() -> object:
    return set(census.processes()), mounts(), census.sockets()


def _left(output: str) -> list[Path]:
    """Folders and cgroups that still have the name which the demo gave itself."""
    found = re.search("podshim-demo-[0-9a-f]{8}", output)
    assert found, output
    cgroups = Path("/sys/fs/cgroup").glob(f"*/{found[0]}*")
    return [*cgroups, *Path(tempfile.gettempdir()).glob(f"{found[0]}*")]


def test_it_tells_its_story_to_the_end() -> None:
    status, output = demos.run(DEMO, 100)
    assert status == 0, output
    assert output.count('"exit_status":137') == 6, "three exits and three deletions"
    assert "line 4\n" in output
    assert "status 7" in output
    assert _left(output) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("place", ["This is containerd", "  line 4", "  $ ctr task ls"])
def test_interrupted_it_clears_up(place: str, number: signal.Signals) -> None:
    status, output = demos.interrupt(DEMO, place, number)
    assert status == 128 + number, output
    assert _left(output) == []
