"""Counting what a test made: processes, mounts, sockets, descriptors, threads, memory.

Zombies count as gone, and so do those about to become one: who reaps them, and when, is their new
parent's affair.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from support.private import mounts

_SHIM = b"containerd-shim-"
#: The kernel's flag of a process that runs no code of its own any more.
_PF_EXITING = 0x4


@dataclass(frozen=True, slots=True)
class Process:
    """A process that lives."""

    pid: int
    parent: int
    session: int
    words: tuple[bytes, ...]

    @property
    def name(self) -> str:
        """The file name of the program, or of the script that it runs."""
        return " ".join(os.fsdecode(word) for word in self.words)


def process(pid: int) -> Process | None:
    """A process, or None when it has gone or is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent, _, session, _, _, flags = stat.rpartition(")")[2].split()[:7]
    if state in "ZX" or int(flags) & _PF_EXITING:
        return None
    return Process(pid, int(parent), int(session), tuple(words))


def processes() -> dict[int, Process]:
    """All processes of this pid namespace."""
    pids = map(int, filter(str.isdigit, os.listdir("/proc")))
    return {pid: found for pid in pids if (found := process(pid))}


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    return process(pid) is not None


def shims() -> dict[int, Process]:
    """The shim processes: those whose command line starts with a shim's binary.

    A script's interpreter stands before it, hence the first words.
    """
    return {
        pid: found
        for pid, found in processes().items()
        if any(os.path.basename(word).startswith(_SHIM) for word in found.words[:6])
    }


def children(parent: int) -> dict[int, Process]:
    """The children of a process."""
    return {pid: found for pid, found in processes().items() if found.parent == parent}


def mounts_below(folder: Path) -> list[str]:
    """The mount points at or below a folder, in this mount namespace."""
    return [target for target in mounts() if Path(target).is_relative_to(folder)]


def descriptors(pid: int) -> dict[int, str]:
    """What the descriptors of a process are open on."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            continue  # closed meanwhile
    return found


def threads(pid: int) -> int:
    """How many threads a process has."""
    return len(os.listdir(f"/proc/{pid}/task"))


def private_memory(pid: int) -> int:
    """How many bytes of memory a process has for itself alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def sockets() -> list[Path]:
    """The sockets of shims."""
    folder = Path("/run/containerd/s")
    return sorted(folder.iterdir()) if folder.is_dir() else []


def cgroup_values(pid: int, file: str) -> list[int]:
    """A number that the cgroups (version 1) of a process have in a file, for each that has it."""
    values = []
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        candidate = Path(f"/sys/fs/cgroup/{controllers}{path}/{file}")
        if controllers and candidate.exists():
            values.append(int(candidate.read_text()))
    return values


def zombies(parent: int) -> list[int]:
    """The children of a process that have ended and that it has not reaped."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, its_parent = stat.rpartition(")")[2].split()[:2]
        if state == "Z" and int(its_parent) == parent:
            found.append(pid)
    return found
