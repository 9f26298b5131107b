r"""Where a HostProcess container's root file system appears, and paths that refer to it. Pure.

Where Windows can bind paths for one job alone, all containers see theirs at the same place
(`C:\hpc\`); otherwise each has a folder of its own there. Specs name the place by a variable, in
the manner of either shell of Windows, because they can't know it.
"""

from __future__ import annotations

import ntpath
from dataclasses import dataclass
from typing import Final

from podshim.errors import InvalidArgumentError

MOUNT_POINT: Final = "CONTAINER_SANDBOX_MOUNT_POINT"
_REFERENCES: Final = (f"%{MOUNT_POINT}%", f"$env:{MOUNT_POINT}")
_DEFAULT: Final = "C:\\hpc\\"


def without_drive(path: str) -> str:
    r"""A path without its drive: `C:\x` is `\x`, and `C:` alone is `.`."""
    if len(path) >= 2 and path[0].isalpha() and path[1] == ":":
        return path[2:] or "."
    return path


@dataclass(frozen=True, slots=True)
class Location:
    r"""Where a container's root file system appears.

    Args:
        path: The place, as the container is told; may end with a backslash.
        bound: Whether it appears there for the container's processes alone.
        volume: What appears there: `\\?\Volume{GUID}\`.
    """

    path: str
    bound: bool
    volume: str = ""

    @property
    def bare(self) -> str:
        """The place without a backslash at its end."""
        return self.path.rstrip("\\/")

    def under(self, path: str) -> str:
        """A path of the container's file system, as seen through this place.

        What leads out of it by `..` stays in it.
        """
        rest = ntpath.normpath("\\" + without_drive(path).lstrip("\\/"))
        return self.bare if rest == "\\" else self.bare + rest

    def substituted(self, text: str) -> str:
        """A text with this place for the variable that stands for it."""
        for reference in _REFERENCES:
            text = text.replace(reference, self.bare)
        return text

    def working_directory(self, wanted: str) -> str:
        """Where a process starts that wants to start somewhere, or does not care."""
        if not wanted:
            return self.path
        path = self.substituted(wanted)
        if self.bound or path != wanted:
            return path
        return self.under(wanted)

    def on_host(self, path: str) -> str:
        """Where we find what the container finds at a path."""
        place, found = ntpath.normpath(self.bare), ntpath.normpath(path)
        inside = f"{found}\\".lower().startswith(f"{place}\\".lower())
        if not self.bound or not self.volume or not inside:
            return path
        return self.volume.rstrip("\\") + "\\" + found[len(place) :].lstrip("\\")


def location_of(container_id: str, wanted: str, *, bound: bool) -> Location:
    r"""Where a container's root file system appears.

    Args:
        container_id: Its id.
        wanted: What an annotation says; empty for the default.
        bound: Whether paths can be bound for its processes alone.

    Raises:
        InvalidArgumentError: `wanted` is no absolute path of a drive.
    """
    if wanted:
        drive, rest = ntpath.splitdrive(wanted)
        if len(drive) != 2 or not rest.startswith(("\\", "/")) or "\0" in wanted:
            raise InvalidArgumentError(f"rootfs location '{wanted}' must be an absolute path")
    if bound:
        return Location(wanted or _DEFAULT, bound=True)
    if wanted:
        return Location(wanted.rstrip("\\/") + "\\" + container_id, bound=False)
    return Location(f"{_DEFAULT}{container_id}\\", bound=False)
