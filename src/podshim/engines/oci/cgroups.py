"""A container's cgroup: what it measures, and what it may hand down.

Theory of operation. `load` reads where a process's cgroup is (`cgrouppaths` says how) and returns a
`Cgroup`, a plain value that names folders: it holds no descriptor, so there is nothing to close.
`stats` reads all files of interest, and `metrics_v1` or `metrics_v2` makes the message of their
contents. The kernel may take its time for statistics, so everything that touches a file runs in a
thread of its own, with a deadline; the methods that do, and block, are named beside each other.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Final

from podshim.engine import TypedValue
from podshim.engines.oci.blocking import Caller, in_thread
from podshim.engines.oci.cgroupfiles import page_size
from podshim.engines.oci.cgrouppaths import Mode, locate
from podshim.errors import NotFoundError, ShimError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

log = logging.getLogger(__name__)

#: Seconds for each look at the kernel's files, which answer in milliseconds.
LIMIT: Final = 10.0

#: No file here is larger on any host that works; a node with 10,000 mounts has 3 MB of mountinfo.
MAX_SIZE: Final = 64 << 20

#: `flags` of `/proc/PID/stat`: the process is ending, and on v1 no longer tells its cgroup.
_PF_EXITING: Final = 0x4

#: A file that isn't there, is of a removed cgroup or process, or of a feature that is turned off.
_ABSENT: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ESRCH, errno.EOPNOTSUPP}
)

_GONE: Final = "cgroup does not exist"


@dataclass(frozen=True, slots=True)
class Host:
    """Where the kernel's file systems are; another place in tests."""

    proc: str = "/proc"
    cgroup: str = "/sys/fs/cgroup"
    hugepages: str = "/sys/kernel/mm/hugepages"


class Cgroup(ABC):
    """The cgroup of a container's init, as it was when it was loaded."""

    mode: ClassVar[Mode]
    measuring: Caller

    @property
    @abstractmethod
    def memory_folder(self) -> str | None:
        """Where the memory controller's files are; None where it has none."""

    async def stats(self) -> TypedValue:
        """Measure now: `io.containerd.cgroups.v1.Metrics` or `.v2.Metrics`.

        Raises:
            NotFoundError: The cgroup is gone (`cgroup does not exist`).
            DeadlineExceededError: The kernel did not answer in time.
            OSError: A file can't be read.
        """
        # Clients ask every few seconds: what hangs in the kernel must not become a crowd.
        return await self.measuring.run(
            self.measure, limit=LIMIT, what="reading the cgroup's statistics"
        )

    @abstractmethod
    async def enable_controllers(self) -> None:
        """Let every ancestor hand its controllers down (v2); what is refused is left as it is."""

    @abstractmethod
    def measure(self) -> TypedValue:
        """Do what `stats` does; it blocks."""


@dataclass(frozen=True, slots=True)
class LegacyCgroup(Cgroup):
    """A cgroup of version 1: a folder for each controller."""

    mode = Mode.LEGACY

    folders: Mapping[str, str]
    host: Host = field(default_factory=Host)
    measuring: Caller = field(default_factory=Caller, compare=False, repr=False)

    @property
    def memory_folder(self) -> str | None:
        """Where the memory controller's files are; None where it is not mounted."""
        return self.folders.get("memory")

    async def enable_controllers(self) -> None:
        """Do nothing: whatever is mounted is on, everywhere."""

    def measure(self) -> TypedValue:
        """Do what `stats` does; it blocks."""
        from podshim.engines.oci import metrics_v1

        sizes = page_sizes(self.host.hugepages)
        names = {**metrics_v1.FILES, "hugetlb": metrics_v1.hugetlb_files(sizes)}
        files: dict[str, str] = {}
        existing = False
        for controller, folder in self.folders.items():
            if controller in names and os.path.isdir(folder):
                existing = True
                files |= read_files(folder, names[controller])
        if not existing:
            raise NotFoundError(_GONE)
        partitions = read_file(os.path.join(self.host.proc, "partitions")) or ""
        message = metrics_v1.metrics(files, page_sizes=sizes, partitions=partitions)
        return TypedValue(message.DESCRIPTOR.full_name, message.SerializeToString())


@dataclass(frozen=True, slots=True)
class UnifiedCgroup(Cgroup):
    """A cgroup of version 2: one folder, below the mount point `host.cgroup`."""

    mode = Mode.UNIFIED

    folder: str
    host: Host = field(default_factory=Host)
    measuring: Caller = field(default_factory=Caller, compare=False, repr=False)

    @property
    def memory_folder(self) -> str | None:
        """Where the memory controller's files are, if it is enabled here."""
        return self.folder

    async def enable_controllers(self) -> None:
        """Let every ancestor hand its controllers down; what is refused is left as it is."""
        try:
            await in_thread(self.enable, limit=LIMIT, what="enabling the cgroup's controllers")
        except (OSError, ShimError) as error:
            log.warning("can't enable the controllers above %s: %s", self.folder, error)

    def measure(self) -> TypedValue:
        """Do what `stats` does; it blocks."""
        from podshim.engines.oci import metrics_v2

        sizes = page_sizes(self.host.hugepages)
        files = read_files(self.folder, [*metrics_v2.FILES, *metrics_v2.hugetlb_files(sizes)])
        if not os.path.isdir(self.folder):
            raise NotFoundError(_GONE)
        message = metrics_v2.metrics(files, page_sizes=sizes)
        return TypedValue(message.DESCRIPTOR.full_name, message.SerializeToString())

    def enable(self) -> None:
        """Do what `enable_controllers` does; it blocks."""
        ancestor = self.host.cgroup
        wanted = (read_file(os.path.join(ancestor, "cgroup.controllers")) or "").split()
        below = self.folder.removeprefix(ancestor).strip("/")
        for name in below.split("/") if below else ():
            _enable_children(os.path.join(ancestor, "cgroup.subtree_control"), wanted)
            ancestor = os.path.join(ancestor, name)


def _enable_children(path: str, wanted: Iterable[str]) -> None:
    """Turn on what is off in one `cgroup.subtree_control`, one by one: any may be refused."""
    enabled = (read_file(path) or "").split()
    for controller in wanted:
        if controller in enabled:
            continue
        try:
            with open(path, "r+b", buffering=0) as file:
                file.write(f"+{controller}".encode())
        except OSError as error:
            # Usual in a user namespace, a read-only mount, or a host whose root has processes.
            log.debug("can't enable controller %s in %s: %s", controller, path, error)


def read_files(folder: str, names: Sequence[str]) -> dict[str, str]:
    """Read those of a folder's files that there are.

    Raises:
        OSError: One is there but can't be read.
    """
    found = ((name, read_file(os.path.join(folder, name))) for name in names)
    return {name: text for name, text in found if text is not None}


def read_file(path: str) -> str | None:
    """Read one of the kernel's files; None when it is absent.

    Raises:
        OSError: It is there but can't be read, or is far too large.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            content = bytearray()
            while chunk := file.read(65536):
                content += chunk
                if len(content) > MAX_SIZE:
                    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    return content.decode(errors="replace")


@functools.lru_cache(maxsize=8)
def page_sizes(folder: str) -> tuple[str, ...]:
    """The host's huge page sizes, such as `2MB`, which don't change while it runs."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return ()
    return tuple(size for size in map(page_size, names) if size)


def find(pid: int, host: Host) -> Cgroup:
    """Do what `load` does; it blocks."""
    membership = read_file(os.path.join(host.proc, str(pid), "cgroup"))
    # In this order: a process that is alive after its membership was read told the truth.
    stat = read_file(os.path.join(host.proc, str(pid), "stat"))
    if membership is None or stat is None or _is_ending(stat):
        raise NotFoundError(f"cgroup of process {pid}, which has ended")
    mountinfo = read_file(os.path.join(host.proc, "self", "mountinfo")) or ""
    location = locate(membership, mountinfo, top=host.cgroup)
    if location is None:
        raise NotFoundError(_GONE)
    # What measures it is imported now, in this thread: when somebody asks for the first time, weeks
    # later, the package on disk may be another version than the one that runs.
    unified = location.mode is Mode.UNIFIED
    import_module(f"podshim.engines.oci.{'metrics_v2' if unified else 'metrics_v1'}")
    if unified:
        return UnifiedCgroup(location.folders[""], host)
    return LegacyCgroup(location.folders, host)


def _is_ending(stat: str) -> bool:
    """Whether the text of `/proc/PID/stat` has the flag of an ending process, or no sense."""
    # The name in parentheses may contain anything, spaces and parentheses included.
    fields = stat.rpartition(")")[2].split()
    return len(fields) < 7 or not fields[6].isdecimal() or bool(int(fields[6]) & _PF_EXITING)


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
    place = host or Host()
    return await in_thread(
        lambda: find(pid, place), limit=LIMIT, what=f"finding the cgroup of process {pid}"
    )
