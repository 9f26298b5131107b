"""A container's cgroup: where it is, what it measures.

Theory of operation. `load` reads `/proc/PID/cgroup` and `/proc/self/mountinfo` and works out, purely, the
folders of the process's cgroup: one per controller on a legacy (v1) or hybrid host, one for all on a
unified (v2) host. The `Cgroup` that it returns is a plain value: it holds no descriptor, so there is
nothing to close.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podshim.engine import TypedValue


class Mode(Enum):
    """Which cgroup file system manages resources; a hybrid host counts as legacy."""

    LEGACY = "v1"
    UNIFIED = "v2"


@dataclass(frozen=True, slots=True)
class Host:
    """Where the kernel's file systems are; another place in tests."""

    proc: str = "/proc"
    cgroup: str = "/sys/fs/cgroup"
    hugepages: str = "/sys/kernel/mm/hugepages"


class Cgroup(ABC):
    """The cgroup of a container's init, as it was when it was loaded."""

    mode: Mode

    @property
    @abstractmethod
    def memory_folder(self) -> str | None:
        """Where the memory controller's files are; None where it has none."""

    @abstractmethod
    async def stats(self) -> TypedValue:
        """Measure now: `io.containerd.cgroups.v1.Metrics` or `.v2.Metrics`.

        Raises:
            NotFoundError: The cgroup is gone (`cgroup does not exist`).
            DeadlineExceededError: The kernel did not answer in time.
            OSError: A file can't be read.
        """

    async def enable_controllers(self) -> None:
        """Let every ancestor hand its controllers down (v2); what is refused is left as it is."""


async def load(pid: int, host: Host | None = None) -> Cgroup:
    """Find the cgroup of a live process.

    Args:
        pid: The host's process id, of a process that has not been reaped.
        host: Where the kernel's file systems are.

    Raises:
        NotFoundError: The process has ended, or no cgroup file system is mounted.
        DeadlineExceededError: The kernel did not answer in time.
        OSError: A file can't be read.
    """
    raise NotImplementedError
