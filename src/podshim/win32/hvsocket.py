"""Hyper-V sockets: connections between a host and its virtual machines, by Winsock.

Theory of operation. A service is named by a VM's GUID and its own; the host listens, and the guest
connects. Not every Python knows this family's addresses, so binding and accepting call Winsock;
what comes out are ordinary `socket.socket`s, which Python reads and writes like any other.
"""

from __future__ import annotations

import ctypes
import socket
from ctypes import POINTER, byref, c_int, c_ubyte, c_uint16, c_void_p, sizeof
from typing import TYPE_CHECKING

from podshim.win32.binding import Library, failure

if TYPE_CHECKING:
    from uuid import UUID

AF_HYPERV = 34
HV_PROTOCOL_RAW = 1
_BACKLOG = 16
_INVALID_SOCKET = (1 << 64) - 1

WSAEAFNOSUPPORT = 10047


class _Address(ctypes.Structure):
    """SOCKADDR_HV."""

    _fields_ = (
        ("family", c_uint16),
        ("reserved", c_uint16),
        ("vm", c_ubyte * 16),
        ("service", c_ubyte * 16),
    )


_winsock = Library("ws2_32.dll")
_bind = _winsock.function("bind", c_int, c_void_p, POINTER(_Address), c_int)
_accept = _winsock.function("accept", c_void_p, c_void_p, POINTER(_Address), POINTER(c_int))
_last_error = _winsock.function("WSAGetLastError", c_int)


def listen(vm: UUID, service: UUID) -> socket.socket:
    """Listen for a VM's guest to connect to a service.

    Raises:
        OSError: This Windows has no such sockets, or it can't be listened.
    """
    listener = socket.socket(AF_HYPERV, socket.SOCK_STREAM, HV_PROTOCOL_RAW)
    try:
        address = _Address(family=AF_HYPERV, vm=_bytes(vm), service=_bytes(service))
        if _bind(listener.fileno(), byref(address), sizeof(address)):
            raise failure(_last_error(), f"hv-socket {service} of {vm}")
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def accept(listener: socket.socket) -> socket.socket:
    """Wait for a guest to connect; blocks until it does or the listener is closed.

    Raises:
        OSError: The listener was closed, or can't accept.
    """
    address, size = _Address(), c_int(sizeof(_Address))
    handle = _accept(listener.fileno(), byref(address), byref(size))
    if handle is None or handle == _INVALID_SOCKET:
        raise failure(_last_error(), "hv-socket")
    return socket.socket(AF_HYPERV, socket.SOCK_STREAM, HV_PROTOCOL_RAW, fileno=handle)


def _bytes(value: UUID) -> ctypes.Array[c_ubyte]:
    return (c_ubyte * 16).from_buffer_copy(value.bytes_le)
