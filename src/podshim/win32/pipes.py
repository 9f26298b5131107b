"""Named pipes of Windows: instances of a server, a client's end, and who is at the other end.

Theory of operation. Every client of a named pipe is connected to one *instance* of it, a handle
that the server made before. The native call makes instances, because only it tells "the first, and
there must be none yet" from "one more": a process that has made the first can be sure that the
name is its own. All instances are made for overlapped I/O, carry bytes, not messages, and refuse
clients of other machines.

A handle that was made without any access to data holds the name but accepts no client: the file
system of pipes makes it disconnected.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_void_p
from ctypes.wintypes import BOOL, DWORD, HANDLE, LARGE_INTEGER, LONG, LPCWSTR, ULONG, USHORT

from podshim.win32.binding import Library, check, check_ntstatus, failure, last_error
from podshim.win32.handles import INVALID_HANDLE_VALUE, Handle
from podshim.win32.security import SecurityAttributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podshim.win32.security import Descriptor

#: For how long a client that waits without saying how long does so, in ms.
DEFAULT_WAIT = 50
UNLIMITED = 0xFFFFFFFF

_GENERIC_READ = 0x80000000
_GENERIC_WRITE = 0x40000000
_READ_ATTRIBUTES = 0x80
_WRITE_ATTRIBUTES = 0x100
_SYNCHRONIZE = 0x00100000
_SHARE_READ_WRITE = 3
_FILE_OPEN = 1
_FILE_CREATE = 2
_OBJ_CASE_INSENSITIVE = 0x40
_REJECT_REMOTE_CLIENTS = 2
_OPEN_EXISTING = 3
_FLAG_OVERLAPPED = 0x40000000
_SQOS_PRESENT = 0x00100000  # with no level beside it: SECURITY_ANONYMOUS
_WIN32_PREFIX = "\\\\.\\pipe\\"
_NATIVE_PREFIX = "\\??\\pipe\\"

_kernel32 = Library("kernel32.dll")
_ntdll = Library("ntdll.dll")


class _UnicodeString(ctypes.Structure):
    _fields_ = (("Length", USHORT), ("MaximumLength", USHORT), ("Buffer", c_void_p))


class _ObjectAttributes(ctypes.Structure):
    _fields_ = (
        ("Length", ULONG),
        ("RootDirectory", HANDLE),
        ("ObjectName", POINTER(_UnicodeString)),
        ("Attributes", ULONG),
        ("SecurityDescriptor", c_void_p),
        ("SecurityQualityOfService", c_void_p),
    )


class _IoStatusBlock(ctypes.Structure):
    _fields_ = (("Status", c_void_p), ("Information", c_void_p))


_create_named_pipe = _ntdll.function(
    "NtCreateNamedPipeFile",
    LONG,
    POINTER(HANDLE),
    ULONG,  # access
    POINTER(_ObjectAttributes),
    POINTER(_IoStatusBlock),
    ULONG,  # share
    ULONG,  # disposition
    ULONG,  # options
    ULONG,  # pipe type
    ULONG,  # read mode
    ULONG,  # completion mode
    ULONG,  # instances
    ULONG,  # inbound quota
    ULONG,  # outbound quota
    POINTER(LARGE_INTEGER),
)
_create_file = _kernel32.function(
    "CreateFileW",
    HANDLE,
    LPCWSTR,
    DWORD,
    DWORD,
    POINTER(SecurityAttributes),
    DWORD,
    DWORD,
    HANDLE,
)
_get_pipe_info = _kernel32.function(
    "GetNamedPipeInfo",
    BOOL,
    HANDLE,
    POINTER(DWORD),
    POINTER(DWORD),
    POINTER(DWORD),
    POINTER(DWORD),
)
_disconnect = _kernel32.function("DisconnectNamedPipe", BOOL, HANDLE)
_client_process_id = _kernel32.function("GetNamedPipeClientProcessId", BOOL, HANDLE, POINTER(ULONG))


def create(
    path: str,
    descriptor: Descriptor,
    *,
    first: bool,
    reads: bool = True,
    writes: bool = True,
    instances: int = UNLIMITED,
    buffer: int = 0,
) -> Handle:
    r"""Make an instance of a named pipe, waiting for a client from now on.

    Args:
        path: `\\.\pipe\<name>`.
        descriptor: Who may connect.
        first: Whether there must be no pipe of the name yet; else there must be one.
        reads: Whether data flows from the client.
        writes: Whether data flows to the client; if neither, no client is accepted here.
        instances: How many there may be at a time.
        buffer: How many written bytes are kept, each way, until somebody reads them; 0 for none.

    Raises:
        OSError: It can't be made; a name that is taken is "access denied" or "already exists".
    """
    text = ctypes.create_unicode_buffer(_NATIVE_PREFIX + path.removeprefix(_WIN32_PREFIX))
    size = ctypes.sizeof(text)
    if size > 0xFFFF:
        raise failure(206, path)  # ERROR_FILENAME_EXCED_RANGE
    name = _UnicodeString(size - 2, size, ctypes.addressof(text))
    attributes = _ObjectAttributes(
        ctypes.sizeof(_ObjectAttributes),
        None,
        ctypes.pointer(name),
        _OBJ_CASE_INSENSITIVE,
        descriptor.address or None,
        None,
    )
    handle = HANDLE()
    status = _create_named_pipe(
        byref(handle),
        _server_access(reads=reads, writes=writes),
        byref(attributes),
        byref(_IoStatusBlock()),
        _share(reads=reads, writes=writes),
        _FILE_CREATE if first else _FILE_OPEN,
        0,  # not synchronous: overlapped
        _REJECT_REMOTE_CLIENTS,  # and FILE_PIPE_BYTE_STREAM_TYPE
        0,  # FILE_PIPE_BYTE_STREAM_MODE
        0,  # FILE_PIPE_QUEUE_OPERATION
        instances,
        buffer,
        buffer,
        byref(LARGE_INTEGER(-DEFAULT_WAIT * 10_000)),  # relative, in 100 ns
    )
    check_ntstatus(status & 0xFFFFFFFF, path)
    return Handle(handle.value, path)


def _server_access(*, reads: bool, writes: bool) -> int:
    access = _SYNCHRONIZE
    if reads:
        access |= _GENERIC_READ
    if writes:
        access |= _GENERIC_WRITE
    return access


def _share(*, reads: bool, writes: bool) -> int:
    """What the client may do: FILE_SHARE_WRITE to send, FILE_SHARE_READ to receive."""
    if reads == writes:
        return _SHARE_READ_WRITE
    return 2 if reads else 1


def open_client(path: str) -> Handle:
    """Connect to a named pipe of this machine, for overlapped reading and writing.

    The server learns nothing of who connects but the process's id.

    Raises:
        OSError: It can't be opened: "not found" where nobody serves, "pipe busy" where no instance
            is free now. Something that is no pipe is closed again and refused.
    """
    flags = _FLAG_OVERLAPPED | _SQOS_PRESENT
    value = _create_file(path, _GENERIC_READ | _GENERIC_WRITE, 0, None, _OPEN_EXISTING, flags, None)
    return _pipe(value, path)


def open_child_end(path: str, *, reads: bool) -> Handle:
    """Connect one way to a pipe of our own, for a child's plain I/O; the handle is inheritable.

    Args:
        path: The pipe.
        reads: Whether the child reads; else it writes.

    Raises:
        OSError: It can't be opened.
    """
    access = _GENERIC_READ | _WRITE_ATTRIBUTES if reads else _GENERIC_WRITE | _READ_ATTRIBUTES
    security = SecurityAttributes(ctypes.sizeof(SecurityAttributes), None, True)  # noqa: FBT003
    value = _create_file(path, access, 0, byref(security), _OPEN_EXISTING, _SQOS_PRESENT, None)
    return _pipe(value, path)


def _pipe(value: int | None, path: str) -> Handle:
    if value in {None, INVALID_HANDLE_VALUE}:
        raise failure(last_error(), path)
    handle = Handle(value, path)
    try:
        check(_get_pipe_info(handle.value, None, None, None, None), path)
    except BaseException:
        handle.close()
        raise
    return handle


def disconnect(handle: Handle) -> None:
    """Cut an instance off from its client, at once: what either has not read is lost.

    Raises:
        OSError: There is no client.
    """
    check(_disconnect(handle.value), handle.what)


def client_process_id(handle: Handle) -> int:
    """The process that connected to an instance.

    Raises:
        OSError: There is no client, or the system does not tell.
    """
    pid = ULONG()
    check(_client_process_id(handle.value, byref(pid)), handle.what)
    return int(pid.value)
