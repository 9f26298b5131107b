"""Volumes at folders."""

from __future__ import annotations

from ctypes.wintypes import BOOL, LPCWSTR

from podshim.win32.binding import Library, check

_kernel32 = Library("kernel32.dll")
_set = _kernel32.function("SetVolumeMountPointW", BOOL, LPCWSTR, LPCWSTR)
_delete = _kernel32.function("DeleteVolumeMountPointW", BOOL, LPCWSTR)


def _with_backslash(path: str) -> str:
    return path if path.endswith("\\") else path + "\\"


def mount_volume(folder: str, volume: str) -> None:
    r"""Let a volume appear at an empty folder.

    Args:
        folder: The folder.
        volume: `\\?\Volume{GUID}`, with or without a backslash at its end.

    Raises:
        OSError: It can't, or this Windows has no such thing.
    """
    check(_set(_with_backslash(folder), _with_backslash(volume)), folder)


def unmount_volume(folder: str) -> None:
    """Let the volume at a folder disappear from there; the folder stays.

    Raises:
        OSError: There is none.
    """
    check(_delete(_with_backslash(folder)), folder)
