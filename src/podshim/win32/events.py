"""Events: kernel objects that somebody sets and somebody waits for, known by name if they have one.

Waiting blocks; who waits on an event loop does it in a thread, and in pieces, to be able to stop.
"""

from __future__ import annotations

from ctypes import POINTER, byref, sizeof
from ctypes.wintypes import BOOL, DWORD, HANDLE, LPCWSTR

from podshim.win32 import security
from podshim.win32.binding import Library, check, failure, last_error
from podshim.win32.handles import Handle
from podshim.win32.security import SecurityAttributes

_WAIT_TIMEOUT = 0x102

_kernel32 = Library("kernel32.dll")
_create_event = _kernel32.function(
    "CreateEventW", HANDLE, POINTER(SecurityAttributes), BOOL, BOOL, LPCWSTR
)
_wait_for_single_object = _kernel32.function("WaitForSingleObject", DWORD, HANDLE, DWORD)


def named_event(name: str, sddl: str) -> Handle:
    r"""Make an event that is not set and goes back when one wait has ended, or open the one there.

    Args:
        name: Its name, such as `Global\something`.
        sddl: Who may do what with it.

    Raises:
        OSError: It can't be made or opened.
    """
    with security.from_sddl(sddl) as descriptor:
        attributes = SecurityAttributes(
            sizeof(SecurityAttributes), descriptor.address, bInheritHandle=0
        )
        value = _create_event(byref(attributes), 0, 0, name)
        check(value, name)
    return Handle(value, name)


def wait(event: Handle, seconds: float) -> bool:
    """Wait until an event is set. Blocks.

    Args:
        event: The event.
        seconds: For how long.

    Returns:
        Whether it was set.

    Raises:
        OSError: It can't be waited for.
    """
    result = _wait_for_single_object(event.value, int(seconds * 1000))
    if result == _WAIT_TIMEOUT:
        return False
    if result:
        raise failure(last_error(), event.what)
    return True
