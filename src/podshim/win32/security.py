"""Security descriptors: from their text and back, and the default of named pipes.

Theory of operation. A descriptor says who may do what with an object. Its text form is SDDL; the
binary form is memory that one function allocates and another frees: `Descriptor` owns it, with the
access list in it. It is only read by the call that makes an object and can be closed after that.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_void_p
from ctypes.wintypes import BOOL, DWORD, HANDLE, LONG, LPCWSTR

from podshim.win32.binding import Library, check, check_code, check_ntstatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_SDDL_REVISION = 1
_DESCRIPTOR_REVISION = 1
#: What of a descriptor is asked for or turned into text: DACL_SECURITY_INFORMATION.
_DACL = 4
_SE_KERNEL_OBJECT = 6

_kernel32 = Library("kernel32.dll")
_advapi32 = Library("advapi32.dll")
_ntdll = Library("ntdll.dll")
_local_free = _kernel32.function("LocalFree", c_void_p, c_void_p)
_get_process_heap = _kernel32.function("GetProcessHeap", HANDLE)
_heap_free = _kernel32.function("HeapFree", BOOL, HANDLE, DWORD, c_void_p)
_from_text = _advapi32.function(
    "ConvertStringSecurityDescriptorToSecurityDescriptorW",
    BOOL,
    LPCWSTR,
    DWORD,
    POINTER(c_void_p),
    POINTER(DWORD),
)
_to_text = _advapi32.function(
    "ConvertSecurityDescriptorToStringSecurityDescriptorW",
    BOOL,
    c_void_p,
    DWORD,
    DWORD,
    POINTER(c_void_p),
    POINTER(DWORD),
)
_get_security_info = _advapi32.function(
    "GetSecurityInfo",
    DWORD,
    HANDLE,
    ctypes.c_int,
    DWORD,
    POINTER(c_void_p),
    POINTER(c_void_p),
    POINTER(c_void_p),
    POINTER(c_void_p),
    POINTER(c_void_p),
)
_default_pipe_acl = _ntdll.function("RtlDefaultNpAcl", LONG, POINTER(c_void_p))
_create_descriptor = _ntdll.function("RtlCreateSecurityDescriptor", LONG, c_void_p, DWORD)
_set_dacl = _ntdll.function("RtlSetDaclSecurityDescriptor", LONG, c_void_p, BOOL, c_void_p, BOOL)


class SecurityAttributes(ctypes.Structure):
    """SECURITY_ATTRIBUTES: a descriptor, and whether the new handle is inheritable."""

    _fields_ = (
        ("nLength", DWORD),
        ("lpSecurityDescriptor", c_void_p),
        ("bInheritHandle", BOOL),
    )


class _AbsoluteDescriptor(ctypes.Structure):
    """SECURITY_DESCRIPTOR, whose members point elsewhere."""

    _fields_ = (
        ("Revision", ctypes.c_ubyte),
        ("Sbz1", ctypes.c_ubyte),
        ("Control", ctypes.c_ushort),
        ("Owner", c_void_p),
        ("Group", c_void_p),
        ("Sacl", c_void_p),
        ("Dacl", c_void_p),
    )


class Descriptor:
    """The owner of a security descriptor; a context manager. `from_sddl` and `of_pipes` make one.

    Args:
        address: Where it lies; 0 leaves the object's security to the system.
        local: What to free with `LocalFree`.
        heap: What to free with `HeapFree`.
        kept: What must live as long as it does.
    """

    __slots__ = ("_heap", "_kept", "_local", "address")

    def __init__(
        self,
        address: int,
        *,
        local: int | None = None,
        heap: int | None = None,
        kept: object = None,
    ) -> None:
        self.address = address
        self._local = local
        self._heap = heap
        self._kept = kept

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free it; it must not be used any more."""
        self.address = 0
        local, self._local = self._local, None
        if local:
            _local_free(local)
        heap, self._heap = self._heap, None
        if heap:
            _heap_free(_get_process_heap(), 0, heap)

    @property
    def sddl(self) -> str:
        """Its access list as text.

        Raises:
            OSError: Windows can't tell.
        """
        return _text_of(self.address)

    def attributes(self, *, inheritable: bool = False) -> SecurityAttributes:
        """As a call takes it that makes an object; valid while this is open.

        Args:
            inheritable: Whether the new handle passes to processes that are created with
                inheritance.
        """
        size = ctypes.sizeof(SecurityAttributes)
        return SecurityAttributes(size, self.address or None, inheritable)


def from_sddl(text: str) -> Descriptor:
    """The descriptor that an SDDL text says.

    Raises:
        OSError: It is no SDDL.
    """
    address = c_void_p()
    check(_from_text(text, _SDDL_REVISION, byref(address), None), text)
    value = address.value or 0
    return Descriptor(value, local=value)


def of_pipes() -> Descriptor:
    """The descriptor that named pipes have by default.

    Full access for the system, administrators and the owner, reading for all others. Where the
    system has no such list, the descriptor is left to it.

    Raises:
        OSError: It can't be made.
    """
    acl = c_void_p()
    check_ntstatus(_default_pipe_acl(byref(acl)) & 0xFFFFFFFF, "RtlDefaultNpAcl")
    if not acl.value:
        return Descriptor(0)
    absolute = _AbsoluteDescriptor()
    made = Descriptor(ctypes.addressof(absolute), heap=acl.value, kept=absolute)
    try:
        status = _create_descriptor(made.address, _DESCRIPTOR_REVISION)
        check_ntstatus(status & 0xFFFFFFFF, "RtlCreateSecurityDescriptor")
        status = _set_dacl(made.address, True, acl, False)  # noqa: FBT003 - as Windows declares it
        check_ntstatus(status & 0xFFFFFFFF, "RtlSetDaclSecurityDescriptor")
    except BaseException:
        made.close()
        raise
    return made


def sddl_of(handle: int) -> str:
    """The access list of a kernel object, as text.

    Raises:
        OSError: The handle does not allow to read it.
    """
    address = c_void_p()
    check_code(
        _get_security_info(
            handle, _SE_KERNEL_OBJECT, _DACL, None, None, None, None, byref(address)
        ),
        "GetSecurityInfo",
    )
    try:
        return _text_of(address.value or 0)
    finally:
        _local_free(address)


def _text_of(descriptor: int) -> str:
    text = c_void_p()
    check(
        _to_text(descriptor, _SDDL_REVISION, _DACL, byref(text), None),
        "ConvertSecurityDescriptorToStringSecurityDescriptor",
    )
    try:
        return ctypes.wstring_at(text.value or 0)
    finally:
        _local_free(text)
