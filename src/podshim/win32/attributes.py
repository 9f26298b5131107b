"""Attribute lists: what a new process gets beyond what `STARTUPINFO` can say.

`start` runs this module: it imports next to nothing.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_size_t, c_void_p, sizeof
from ctypes.wintypes import BOOL, DWORD, HANDLE

from podshim.win32.binding import Library, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

_HANDLE_LIST = 0x20002
_JOB_LIST = 0x2000D
_PSEUDO_CONSOLE = 0x20016

_kernel32 = Library("kernel32.dll")
_initialize = _kernel32.function(
    "InitializeProcThreadAttributeList", BOOL, c_void_p, DWORD, DWORD, POINTER(c_size_t)
)
_update = _kernel32.function(
    "UpdateProcThreadAttribute",
    BOOL,
    c_void_p,
    DWORD,
    c_size_t,
    c_void_p,
    c_size_t,
    c_void_p,
    c_void_p,
)
_delete = _kernel32.function("DeleteProcThreadAttributeList", None, c_void_p)


class AttributeList:
    """A list of attributes for the creation of one process; a context manager that frees it.

    Args:
        slots: How many attributes it can hold.

    Raises:
        OSError: It can't be made.
    """

    def __init__(self, slots: int = 3) -> None:
        size = c_size_t()
        _initialize(None, slots, 0, byref(size))  # fails, and tells the size
        self._memory = ctypes.create_string_buffer(size.value)
        check(_initialize(self._memory, slots, 0, byref(size)), "attribute list")
        # The system keeps pointers to the values until the list is deleted.
        self._values: list[object] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _delete(self._memory)

    @property
    def address(self) -> int:
        """Where it is, for `STARTUPINFOEX`; valid until it is freed."""
        return ctypes.addressof(self._memory)

    def inherit(self, handles: Sequence[int]) -> None:
        """Let the process inherit these handles and no others; there must be one.

        Raises:
            OSError: They are not inheritable.
        """
        self._add_handles(_HANDLE_LIST, handles)

    def join(self, jobs: Sequence[int]) -> None:
        """Let the process begin its life in these jobs.

        Raises:
            OSError: These are no jobs.
        """
        self._add_handles(_JOB_LIST, jobs)

    def attach(self, console: int) -> None:
        """Give the process a pseudo console.

        Raises:
            OSError: It can't be.
        """
        # Unlike all others, this value is the attribute itself, not its address.
        check(
            _update(self._memory, 0, _PSEUDO_CONSOLE, console, sizeof(c_void_p), None, None),
            "pseudo console attribute",
        )

    def _add_handles(self, attribute: int, handles: Sequence[int]) -> None:
        values = (HANDLE * len(handles))(*handles)
        self._values.append(values)
        check(
            _update(self._memory, 0, attribute, byref(values), sizeof(values), None, None),
            f"attribute {attribute:#x}",
        )
