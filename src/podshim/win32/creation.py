"""Creating processes: with a token, in a job, with given handles or a pseudo console."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_uint32, c_void_p, sizeof
from ctypes.wintypes import BOOL, DWORD, HANDLE, LPCWSTR, LPWSTR, WORD
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from podshim.win32.attributes import AttributeList
from podshim.win32.binding import ERROR_INVALID_PARAMETER, Library, check, failure
from podshim.win32.handles import Handle

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNICODE_ENVIRONMENT: Final = 0x400
_EXTENDED_STARTUPINFO: Final = 0x80000
_BREAKAWAY_FROM_JOB: Final = 0x1000000
_USE_STD_HANDLES: Final = 0x100


class _StartupInfo(Structure):
    _fields_ = (
        ("cb", c_uint32),
        ("lpReserved", LPWSTR),
        ("lpDesktop", LPWSTR),
        ("lpTitle", LPWSTR),
        ("dwX", c_uint32),
        ("dwY", c_uint32),
        ("dwXSize", c_uint32),
        ("dwYSize", c_uint32),
        ("dwXCountChars", c_uint32),
        ("dwYCountChars", c_uint32),
        ("dwFillAttribute", c_uint32),
        ("dwFlags", c_uint32),
        ("wShowWindow", WORD),
        ("cbReserved2", WORD),
        ("lpReserved2", c_void_p),
        ("hStdInput", HANDLE),
        ("hStdOutput", HANDLE),
        ("hStdError", HANDLE),
        ("lpAttributeList", c_void_p),
    )


class _ProcessInformation(Structure):
    _fields_ = (
        ("hProcess", HANDLE),
        ("hThread", HANDLE),
        ("dwProcessId", c_uint32),
        ("dwThreadId", c_uint32),
    )


_REST: Final = (
    LPCWSTR,
    LPWSTR,
    c_void_p,
    c_void_p,
    BOOL,
    DWORD,
    c_void_p,
    LPCWSTR,
    POINTER(_StartupInfo),
    POINTER(_ProcessInformation),
)
_create = Library("kernel32.dll").function("CreateProcessW", BOOL, *_REST)
_create_as_user = Library("advapi32.dll").function("CreateProcessAsUserW", BOOL, HANDLE, *_REST)


@dataclass(frozen=True, slots=True)
class NewProcess:
    """What is to be created.

    Args:
        application: The program's path.
        command_line: Its command line, the program's name included.
        environment: Its variables as `NAME=value`.
        folder: Where it starts.
        token: Whose rights it gets; None for ours.
        job: The job that it is born in.
        stdin: The handle that it reads, inheritable; None for none.
        stdout: The handle that it writes, likewise.
        stderr: Likewise.
        console: A pseudo console that it gets instead of the three; 0 for none.
    """

    application: str
    command_line: str
    environment: Sequence[str]
    folder: str
    token: Handle | None
    job: Handle
    stdin: Handle | None = None
    stdout: Handle | None = None
    stderr: Handle | None = None
    console: int = 0


def environment_block(variables: Sequence[str]) -> str:
    """Variables as a process takes them: each ended by a NUL, and one more at the end.

    Raises:
        OSError: One of them contains a NUL.
    """
    if any("\0" in variable for variable in variables):
        raise failure(ERROR_INVALID_PARAMETER, "environment")
    return "".join(f"{variable}\0" for variable in variables) or "\0"


def create_process(new: NewProcess) -> tuple[Handle, int]:
    """Create a process, which runs at once.

    Returns:
        The process, owned by the caller, and its id.

    Raises:
        OSError: It can't be created.
    """
    if "\0" in new.application + new.command_line + new.folder:
        raise failure(ERROR_INVALID_PARAMETER, "command line")
    streams = (new.stdin, new.stdout, new.stderr)
    given = [stream.value for stream in streams if stream is not None]
    info = _StartupInfo(cb=sizeof(_StartupInfo), dwFlags=_USE_STD_HANDLES)
    info.hStdInput, info.hStdOutput, info.hStdError = (
        None if stream is None else stream.value for stream in streams
    )
    block = ctypes.create_unicode_buffer(environment_block(new.environment))
    line = ctypes.create_unicode_buffer(new.command_line)
    made = _ProcessInformation()
    with AttributeList() as attributes:
        if given:
            attributes.inherit(list(dict.fromkeys(given)))
        attributes.join([new.job.value])
        if new.console:
            attributes.attach(new.console)
        info.lpAttributeList = attributes.address
        arguments = (
            new.application,
            line,
            None,
            None,
            bool(given),
            _UNICODE_ENVIRONMENT | _EXTENDED_STARTUPINFO | _BREAKAWAY_FROM_JOB,
            block,
            new.folder,
            byref(info),
            byref(made),
        )
        if new.token is None:
            done = _create(*arguments)
        else:
            done = _create_as_user(new.token.value, *arguments)
        check(done, new.application)
    Handle(made.hThread, "thread").close()
    return Handle(made.hProcess, f"process {made.dwProcessId}"), int(made.dwProcessId)
