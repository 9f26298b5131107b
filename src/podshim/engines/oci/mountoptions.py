"""What the option strings of a mount mean to the kernel. Pure.

Theory of operation. containerd hands mounts over as fstab has them: a type, a source and a list of
options. Some options are flags of mount(2), some are its propagation flags, which need a call of
their own, a few are for the shim (loop device, id mapping), and the rest is data for the file
system. Data must fit into a page, which dozens of overlay layers don't: `compact` makes their
paths relative to a folder to which the mounting thread changes first.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from podshim.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_SYNCHRONOUS: Final = 0x10
MS_REMOUNT: Final = 0x20
MS_MANDLOCK: Final = 0x40
MS_DIRSYNC: Final = 0x80
MS_NOATIME: Final = 0x400
MS_NODIRATIME: Final = 0x800
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_UNBINDABLE: Final = 1 << 17
MS_PRIVATE: Final = 1 << 18
MS_SLAVE: Final = 1 << 19
MS_SHARED: Final = 1 << 20
MS_RELATIME: Final = 1 << 21
MS_STRICTATIME: Final = 1 << 24

#: Option: the flags that it sets.
SETTING: Final = {
    "bind": MS_BIND,
    "rbind": MS_BIND | MS_REC,
    "dirsync": MS_DIRSYNC,
    "mand": MS_MANDLOCK,
    "noatime": MS_NOATIME,
    "nodev": MS_NODEV,
    "nodiratime": MS_NODIRATIME,
    "noexec": MS_NOEXEC,
    "nosuid": MS_NOSUID,
    "relatime": MS_RELATIME,
    "remount": MS_REMOUNT,
    "ro": MS_RDONLY,
    "strictatime": MS_STRICTATIME,
    "sync": MS_SYNCHRONOUS,
    "defaults": 0,
}

#: Option: the flags that it clears.
CLEARING: Final = {
    "async": MS_SYNCHRONOUS,
    "atime": MS_NOATIME,
    "dev": MS_NODEV,
    "diratime": MS_NODIRATIME,
    "exec": MS_NOEXEC,
    "nomand": MS_MANDLOCK,
    "norelatime": MS_RELATIME,
    "nostrictatime": MS_STRICTATIME,
    "rw": MS_RDONLY,
    "suid": MS_NOSUID,
}

#: Option: the propagation flags that a call of their own sets.
PROPAGATION: Final = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}

#: From how many bytes of options on overlay's lower folders are made relative.
COMPACT_MARGIN: Final = 512


@dataclass(frozen=True, slots=True)
class IdMap:
    """A mapping of user ids and one of group ids, in the form of `/proc/PID/uid_map`."""

    uids: str
    gids: str


@dataclass(frozen=True, slots=True)
class Options:
    """What a list of options asks for.

    Args:
        flags: For mount(2).
        propagation: Flags for a second call; 0 for none.
        data: What is left for the file system, in its order.
        loop: Whether the source is a file to be put behind a loop device.
        direct_io: Whether that device bypasses the page cache.
        idmap: How ids are mapped, if they are.
    """

    flags: int = 0
    propagation: int = 0
    data: tuple[str, ...] = ()
    loop: bool = False
    direct_io: bool = False
    idmap: IdMap | None = None


def _id_map(option: str, value: str) -> str:
    """Turn `container:host:length[,...]` into lines of a map file."""
    lines = []
    for entry in value.split(","):
        numbers = entry.split(":")
        if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
            raise InvalidArgumentError(f"mount option {option!r} is not a list of id mappings")
        lines.append(" ".join(numbers))
    return "\n".join(lines) + "\n"


def parse(options: Sequence[str]) -> Options:
    """Understand a list of options.

    Raises:
        InvalidArgumentError: An id mapping is broken or only one of two, or containerd left an
            option of its own in the list.
    """
    flags = propagation = 0
    loop = direct_io = False
    maps: dict[str, str] = {}
    data = []
    for option in options:
        key, _, value = option.partition("=")
        if option in SETTING:
            flags |= SETTING[option]
        elif option in CLEARING:
            flags &= ~CLEARING[option]
        elif option in PROPAGATION:
            propagation |= PROPAGATION[option]
        elif option == "loop":
            loop = True
        elif option == "direct-io":
            direct_io = True
        elif key in {"uidmap", "gidmap"}:
            maps[key] = _id_map(option, value)
        elif option.startswith("X-containerd."):
            raise InvalidArgumentError(
                f'internal mount option "{option}" was not consumed by the mount manager'
            )
        else:
            data.append(option)
    if len(maps) == 1:
        raise InvalidArgumentError("mount options uidmap and gidmap go only together")
    idmap = IdMap(maps["uidmap"], maps["gidmap"]) if maps else None
    return Options(flags, propagation, tuple(data), loop, direct_io, idmap)


def common_parent(folders: Sequence[str]) -> str:
    """The folder that all of some absolute paths lie in, by their common prefix; `/` if none."""
    # Cutting the common prefix at its last slash makes it a folder.
    first, last = min(folders, default=""), max(folders, default="")
    return posixpath.dirname(_common_prefix(first, last)) or "/"


def _common_prefix(first: str, last: str) -> str:
    length = next(
        (index for index, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )
    return first[:length]


def lower_folders(data: Sequence[str]) -> list[str]:
    """The lower folders among overlay's options."""
    for option in data:
        if option.startswith("lowerdir="):
            return option.removeprefix("lowerdir=").split(":")
    return []


def with_lower_folders(data: Sequence[str], folders: Sequence[str]) -> tuple[str, ...]:
    """Overlay's options with other lower folders, which come last."""
    others = [option for option in data if not option.startswith("lowerdir=")]
    return (*others, "lowerdir=" + ":".join(folders))


def compact(data: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Make overlay's lower folders relative to the folder that they share.

    Returns:
        That folder, empty when nothing can be gained, and the options.
    """
    folders = lower_folders(data)
    parent = common_parent(folders) if len(folders) > 1 else "/"
    prefix = parent + "/"
    # An escaped colon was split wrongly: such paths are left alone.
    usable = parent not in {"/", "."} and all(
        folder.startswith(prefix) and len(folder) > len(prefix) and "\\" not in folder
        for folder in folders
    )
    if not usable:
        return "", tuple(data)
    return parent, with_lower_folders(data, [folder.removeprefix(prefix) for folder in folders])
