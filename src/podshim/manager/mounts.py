"""Unmounting what is left below a folder, so that the folder can be removed safely."""

from __future__ import annotations

import ctypes
import os
import re

_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8


def mounted_below(folder: str, mountinfo: str) -> list[str]:
    """The mount points at and below a folder, those that were made last first.

    Args:
        folder: An absolute path without symbolic links.
        mountinfo: The text of `/proc/self/mountinfo`.
    """
    points = []
    for line in mountinfo.splitlines():
        escaped = line.split(" ")[4]
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), escaped)
        if point == folder or point.startswith(folder.rstrip("/") + "/"):
            points.append(point)
    return points[::-1]


def unmount_below(folder: str) -> None:
    """Unmount everything at and below a folder, busy or not.

    Args:
        folder: The folder; it need not exist.

    Raises:
        OSError: Something can't be unmounted.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/mountinfo", encoding="latin-1") as file:
        points = mounted_below(os.path.realpath(folder), file.read())
    for point in points:
        path = point.encode("latin-1")
        if libc.umount2(path, _MNT_DETACH | _UMOUNT_NOFOLLOW) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), point)
