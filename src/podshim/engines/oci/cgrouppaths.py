"""Where a process's cgroup is, from the kernel's own tables (pure; proc(5), cgroups(7)).

Theory of operation. `/proc/PID/cgroup` names the process's cgroup in each hierarchy;
`/proc/self/mountinfo` tells where the hierarchies are mounted. A mount shows a hierarchy from some
cgroup on down, its *root*, which is not `/` when the shim itself runs in a container; a cgroup
outside of it has no folder there. A mount that another one hides doesn't count: a test machine, or
a container in a container, may have both versions mounted on the same place.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OCTAL: Final = re.compile(r"\\([0-7]{3})")


class Mode(Enum):
    """Which cgroup file system manages resources; a hybrid host counts as legacy."""

    LEGACY = "v1"
    UNIFIED = "v2"


@dataclass(frozen=True, slots=True)
class CgroupMount:
    """A mount of a cgroup hierarchy, or of a part of it.

    Args:
        root: The cgroup that the mount shows as its top.
        point: Where it is mounted.
        controllers: What is bound to it (v1); empty means the unified hierarchy (v2).
    """

    root: str
    point: str
    controllers: frozenset[str] = frozenset()

    def folder(self, path: str) -> str | None:
        """Where this mount shows the cgroup `path`; None when it lies outside."""
        # A `..` is how the kernel tells of a cgroup above the reader's cgroup namespace.
        if ".." in (*self.root.split("/"), *path.split("/")):
            return None
        below = os.path.relpath(path, self.root)
        return None if below.startswith("..") else os.path.normpath(f"{self.point}/{below}")


@dataclass(frozen=True, slots=True)
class Location:
    """Where a process's cgroup is.

    Args:
        mode: Which kind of hierarchy.
        folders: Its folder by controller; on a unified host there is one, with an empty key.
    """

    mode: Mode
    folders: Mapping[str, str]


class _Row(NamedTuple):
    """A line of mountinfo."""

    id: str
    parent: str
    root: str
    point: str
    kind: str
    options: str


def _rows(mountinfo: str) -> Iterator[_Row]:
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if len(fields) >= 6 and len(rest) >= 3:
            yield _Row(fields[0], fields[1], fields[3], fields[4], rest[0], rest[2])


def _above(path: str) -> Iterator[str]:
    """All folders above a path, the nearest first."""
    while path not in {"/", ""}:
        path = path.rpartition("/")[0] or "/"
        yield path


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def parse_mounts(mountinfo: str) -> list[CgroupMount]:
    """Read the visible cgroup mounts from the text of a `mountinfo` file, in its order."""
    rows = {row.id: row for row in _rows(mountinfo)}
    taken = {(row.parent, row.point) for row in rows.values() if row.parent != row.id}

    def hidden(row: _Row) -> bool:
        if (row.id, row.point) in taken:
            return True  # something is mounted right on it
        at: _Row | None = row
        seen: set[str] = set()
        while at is not None and at.id not in seen:
            if any((at.parent, point) in taken for point in _above(at.point)):
                return True  # something is mounted between it and what it is mounted on
            seen.add(at.id)
            at = rows.get(at.parent)
        return False

    return [
        CgroupMount(
            _unescape(row.root),
            _unescape(row.point),
            frozenset(row.options.split(",") if row.kind == "cgroup" else ()),
        )
        for row in rows.values()
        if row.kind in {"cgroup", "cgroup2"} and not hidden(row)
    ]


def parse_membership(text: str) -> dict[str, str]:
    """Read `/proc/PID/cgroup`: the path by controller; the unified hierarchy's key is empty."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if path.startswith("/"):
            paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def locate(membership: str, mountinfo: str, *, top: str = "/sys/fs/cgroup") -> Location | None:
    """Find the folders of a process's cgroup.

    Args:
        membership: The text of `/proc/PID/cgroup`.
        mountinfo: The text of `/proc/self/mountinfo`.
        top: Where the cgroup file systems are by convention: a `cgroup2` mounted right there makes
            the host a unified one, and a mount below it is preferred to others.

    Returns:
        The location; None when no mount shows the cgroup.
    """
    mounts = parse_mounts(mountinfo)
    paths = parse_membership(membership)
    for mount in mounts:
        if mount.point == top and not mount.controllers:
            folder = mount.folder(paths[""]) if "" in paths else None
            return None if folder is None else Location(Mode.UNIFIED, {"": folder})
    folders: dict[str, str] = {}
    for mount in sorted(mounts, key=lambda item: not item.point.startswith(f"{top}/")):
        for name in mount.controllers & paths.keys():
            if (folder := mount.folder(paths[name])) is not None:
                folders.setdefault(name, folder)
    return Location(Mode.LEGACY, folders) if folders else None
