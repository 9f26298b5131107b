"""Unmounting what is left below a folder, so that the folder can be removed safely."""

from __future__ import annotations

import ctypes
import errno
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
    for line in mountinfo.split("\n"):  # other line breaks may be in a path
        fields = line.split(" ")
        if len(fields) < 5:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
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
    with open("/proc/self/mountinfo", "rb") as file:
        points = mounted_below(os.path.realpath(folder), os.fsdecode(file.read()))
    for point in points:
        if libc.umount2(os.fsencode(point), _MNT_DETACH | _UMOUNT_NOFOLLOW) != 0:
            number = ctypes.get_errno()
            if number != errno.EINVAL:  # that went with another mount, as propagation has it
                raise OSError(number, os.strerror(number), point)
