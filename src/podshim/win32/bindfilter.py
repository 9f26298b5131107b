"""The bind filter: paths that lead elsewhere, within one job's silo."""

from __future__ import annotations

import os
import stat
from ctypes import c_void_p
from ctypes.wintypes import HANDLE, LONG, LPCWSTR, ULONG
from typing import TYPE_CHECKING, Final

from podshim.win32.binding import Library, check_hresult

if TYPE_CHECKING:
    from podshim.win32.handles import Handle

READ_ONLY: Final = 1
_USE_CURRENT_SILO_MAPPING: Final = 4

_setup = Library("bindfltapi.dll").function(
    "BfSetupFilter", LONG, HANDLE, ULONG, LPCWSTR, LPCWSTR, c_void_p, ULONG
)


def supported() -> bool:
    """Whether this Windows has the bind filter."""
    path = os.path.join(os.environ.get("SYSTEMROOT", ""), "system32", "bindfltapi.dll")
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def bind(job: Handle, root: str, target: str, *, read_only: bool = False) -> None:
    """Let a path lead to another one, for the processes of a silo.

    Args:
        job: The silo.
        root: The path, whose parent folder must be there.
        target: Where it leads.
        read_only: Whether nothing may be changed through it.

    Raises:
        OSError: It can't be.
    """
    flags = _USE_CURRENT_SILO_MAPPING | (READ_ONLY if read_only else 0)
    check_hresult(_setup(job.value, flags, root, target, None, 0), root)
