r"""The real path of a folder of the host, as HCS wants it in a document.

Theory of operation. A mount's source may lead over symbolic links and junctions, which mean nothing
where HCS follows the path. Windows tells a file's final path once it is open: by preference below
its volume's GUID, which no drive letter can change. A network share has no volume, so its path is
told with letters and names; a file system that won't normalise a name tells it as it was opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from podshim.errors import ShimError
from podshim.win32 import files
from podshim.win32.binding import ERROR_ACCESS_DENIED, ERROR_PATH_NOT_FOUND, code_of

if TYPE_CHECKING:
    from podshim.win32.handles import Handle

_UNC = "\\\\?\\UNC\\"
_MOST_ATTEMPTS = 4


class Files(Protocol):
    """What is asked of Windows: `podshim.win32.files`, or a test's."""

    def open_without_access(self, path: str) -> Handle:
        """Open a file or folder."""

    def final_path(self, handle: Handle, flags: int) -> str:
        """Tell its final path."""


def resolve(path: str, windows: Files = files) -> str:
    r"""The final path of a file or folder that is there. Blocks, over a network perhaps for long.

    Args:
        path: Any path to it.
        windows: Who opens it and tells.

    Returns:
        `\\?\Volume{GUID}\...`, or `\\server\share\...`, or what else Windows calls it.

    Raises:
        ShimError: It can't be opened, or has no final path.
    """
    try:
        handle = windows.open_without_access(path)
    except OSError as error:
        raise ShimError(f"CreateFile {path}: {error.strerror}") from error
    with handle:
        try:
            found = _final(handle, windows)
        except OSError as error:
            text = f"GetFinalPathNameByHandle {path}: {error.strerror}"
            raise ShimError(text) from error
    return "\\\\" + found[len(_UNC) :] if found.startswith(_UNC) else found


def _final(handle: Handle, windows: Files) -> str:
    volume, name = files.VOLUME_NAME_GUID, files.FILE_NAME_NORMALIZED
    for _ in range(_MOST_ATTEMPTS - 1):
        try:
            return windows.final_path(handle, volume | name)
        except OSError as error:
            code = code_of(error)
            if code == ERROR_PATH_NOT_FOUND and volume != files.VOLUME_NAME_DOS:
                volume = files.VOLUME_NAME_DOS
            elif code == ERROR_ACCESS_DENIED and name != files.FILE_NAME_OPENED:
                name = files.FILE_NAME_OPENED
            else:
                raise
    return windows.final_path(handle, volume | name)
