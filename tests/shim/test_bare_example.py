"""The README's shim is the one in examples/, and it is a whole shim."""

import os
import sys
from pathlib import Path

import pytest

from podshim.manager import Manager

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "containerd-shim-bare-v1.py"


def test_the_readme_shows_the_example() -> None:
    assert f"```python\n{EXAMPLE.read_text()}```" in (ROOT / "README.md").read_text()


async def test_the_example_runs_a_container_from_start_to_delete(
    private_world: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The script names `python3`: here that is the one that podshim is installed for.
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable), prepend=os.pathsep)
    async with (
        Manager(str(EXAMPLE), namespace="bare") as manager,
        manager.task("b1", ["/bin/sh", "-c", "echo a; echo b >&2; exit 9"], root=str(tmp_path)) as (
            shim,
            task,
        ),
    ):
        await task.start()
        assert await task.stdout.read_all() == b"a\nb\n"
        # What is in there containerd's log would have as the shim's own last words.
        assert Path(shim.bundle.path, "panic.log").read_bytes() == b""
        assert (await task.wait()).status == 9
        await manager.events.wait("/tasks/exit", "b1")
        assert (await task.delete()).status == 9
        await manager.events.wait("/tasks/delete", "b1")
        assert manager.events.topics("b1") == [
            "/tasks/create",
            "/tasks/start",
            "/tasks/exit",
            "/tasks/delete",
        ]
