"""The kernel's table of mounts, `/proc/self/mountinfo`, as values. Pure."""

from __future__ import annotations

import re
from typing import Final

_ESCAPE: Final = re.compile(r"\\([0-7]{3})")
_MOUNT_POINT_FIELD: Final = 4


def unescape(field: str) -> str:
    """Undo the kernel's octal escapes of space, tab, newline and backslash."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)


def mount_points(text: str) -> list[str]:
    """The paths at which something is mounted, oldest first; a stack of mounts counts each."""
    points = []
    for line in text.split("\n"):  # other line breaks may be in a path
        fields = line.split(" ")
        if len(fields) > _MOUNT_POINT_FIELD:
            points.append(unescape(fields[_MOUNT_POINT_FIELD]))
    return points


def below(points: list[str], folder: str) -> list[str]:
    """Those at a folder or below it, deepest first, each once."""
    prefix = folder.rstrip("/") + "/"
    found = {point for point in points if point == folder or point.startswith(prefix)}
    return sorted(found, key=lambda point: (-len(point), point))
