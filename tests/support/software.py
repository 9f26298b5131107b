"""Which containerds are on this machine, and what a test needs of each."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

#: Where `scripts/get-containerd` puts what it gets.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "podshim", "containerd")
#: The programs beside containerd's that the end-to-end tests run.
PROGRAMS = ("runc", "crun", "busybox", "ip", "ps")


@dataclass(frozen=True)
class Installation:
    """One containerd.

    Args:
        name: What the tests call it: `system`, `debian13`, or a version.
        folder: Where its binaries are.
    """

    name: str
    folder: Path

    @property
    def path(self) -> str:
        """The PATH of its daemon: this project's shim, its own binaries, the system's."""
        return f"{Path(sys.executable).parent}:{self.folder}:{os.environ['PATH']}"

    @property
    def version(self) -> tuple[int, ...]:
        """Such as (1, 6, 20)."""
        command = [str(self.folder / "containerd"), "--version"]
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        found = re.search(r"\bv?(\d+)\.(\d+)\.(\d+)", output.stdout)
        assert found, output.stdout
        return tuple(map(int, found.groups()))


def installation(name: str) -> Installation | None:
    """The containerd of that name, or None when it is not there."""
    if name != "system":
        folder = CACHE / name / "bin"
        return Installation(name, folder) if (folder / "containerd").exists() else None
    found = shutil.which("containerd")
    return Installation(name, Path(found).parent) if found else None


def missing_programs() -> list[str]:
    """What of `PROGRAMS` is not there."""
    return [program for program in PROGRAMS if shutil.which(program) is None]
