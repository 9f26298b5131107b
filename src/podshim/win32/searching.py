"""Where Windows finds programs."""

from __future__ import annotations

import ctypes
from ctypes import c_void_p
from ctypes.wintypes import DWORD, LPCWSTR, LPWSTR, UINT
from typing import TYPE_CHECKING, Final

from podshim.win32.binding import Library, check

if TYPE_CHECKING:
    from podshim.win32.binding import Function

_FIRST_ROOM: Final = 512

_kernel32 = Library("kernel32.dll")
_search_path = _kernel32.function(
    "SearchPathW", DWORD, LPCWSTR, LPCWSTR, LPCWSTR, DWORD, LPWSTR, c_void_p
)
_system_directory = _kernel32.function("GetSystemDirectoryW", UINT, LPWSTR, UINT)
_windows_directory = _kernel32.function("GetWindowsDirectoryW", UINT, LPWSTR, UINT)


def search(path: str, name: str, extension: str) -> str | None:
    """Look for a file along a path.

    Args:
        path: Folders, separated by semicolons.
        name: The file's name, or a path to it.
        extension: What is appended to a name that has none.

    Returns:
        The file's path; None if there is none.
    """
    room = _FIRST_ROOM
    while True:
        buffer = ctypes.create_unicode_buffer(room)
        length = int(_search_path(path, name, extension, room, buffer, None))
        if length < room:
            return buffer.value if length else None
        room = length + 1


def system_folder() -> str:
    r"""Windows' folder for programs of its own, such as `C:\Windows\System32`.

    Raises:
        OSError: It can't be told.
    """
    return _folder(_system_directory)


def windows_folder() -> str:
    r"""Windows' folder, such as `C:\Windows`.

    Raises:
        OSError: It can't be told.
    """
    return _folder(_windows_directory)


def _folder(ask: Function) -> str:
    buffer = ctypes.create_unicode_buffer(_FIRST_ROOM)
    check(0 < ask(buffer, _FIRST_ROOM) < _FIRST_ROOM, ask.name)
    return buffer.value
