"""Strings that a DLL allocates and its caller frees (`CoTaskMemAlloc`)."""

from __future__ import annotations

import ctypes
from ctypes import c_void_p

from podshim.win32.binding import Library

_free = Library("ole32.dll").function("CoTaskMemFree", None, c_void_p)


def take_string(pointer: c_void_p) -> str:
    """Copy a string that a call gave out, and free it; of none, the empty one."""
    if not pointer.value:
        return ""
    try:
        return ctypes.wstring_at(pointer.value)
    finally:
        _free(pointer)
        pointer.value = None
