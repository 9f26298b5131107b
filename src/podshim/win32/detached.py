"""Processes that live on without whoever created them: no console, no job, three chosen streams.

Theory of operation. Windows gives a child every inheritable handle of its parent unless it is told
which; here it is always told, so that a child never holds a pipe open that somebody else waits for
the end of. The handles themselves must be inheritable for the moment of the creation: `inheritable`
makes such a copy. A child leaves its parent's job if that job lets it.

A shim's `start` uses this module: it is light.
"""

import ctypes
from ctypes import POINTER, Structure, byref, c_void_p, sizeof
from ctypes.wintypes import BOOL, DWORD, HANDLE, LPCWSTR, LPVOID, LPWSTR, UINT, WORD

from podshim.win32.attributes import AttributeList
from podshim.win32.binding import ERROR_ACCESS_DENIED, Library, check, code_of, failure, last_error
from podshim.win32.handles import Handle, is_handle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

STD_INPUT_HANDLE = 0xFFFFFFF6

_STILL_WAITING = 0x102
_DUPLICATE_SAME_ACCESS = 2
_INHERIT = 1
_USE_STD_HANDLES = 0x100
_DETACHED_PROCESS = 0x8
_NEW_PROCESS_GROUP = 0x200
_BREAKAWAY_FROM_JOB = 0x01000000
_EXTENDED_STARTUPINFO = 0x00080000
_GENERIC_READ = 0x80000000
_GENERIC_WRITE = 0x40000000
_SHARE_ALL = 7
_CREATE_ALWAYS = 2
_OPEN_EXISTING = 3
_ATTRIBUTE_NORMAL = 0x80
#: The longest command line, its end included.
_MAX_COMMAND_LINE = 32767
#: What must be quoted in a command line.
_SPECIAL = frozenset(' \t\n\v"')


class _StartupInfo(Structure):
    _fields_ = (
        ("cb", DWORD),
        ("reserved", LPWSTR),
        ("desktop", LPWSTR),
        ("title", LPWSTR),
        ("x", DWORD),
        ("y", DWORD),
        ("x_size", DWORD),
        ("y_size", DWORD),
        ("x_count_chars", DWORD),
        ("y_count_chars", DWORD),
        ("fill_attribute", DWORD),
        ("flags", DWORD),
        ("show_window", WORD),
        ("reserved2_size", WORD),
        ("reserved2", c_void_p),
        ("stdin", HANDLE),
        ("stdout", HANDLE),
        ("stderr", HANDLE),
        ("attributes", c_void_p),
    )


class _ProcessInformation(Structure):
    _fields_ = (("process", HANDLE), ("thread", HANDLE), ("pid", DWORD), ("tid", DWORD))


_kernel32 = Library("kernel32.dll")
_create_process = _kernel32.function(
    "CreateProcessW",
    BOOL,
    LPCWSTR,
    LPWSTR,
    LPVOID,
    LPVOID,
    BOOL,
    DWORD,
    LPVOID,
    LPCWSTR,
    POINTER(_StartupInfo),
    POINTER(_ProcessInformation),
)
_create_file = _kernel32.function(
    "CreateFileW", HANDLE, LPCWSTR, DWORD, DWORD, LPVOID, DWORD, DWORD, HANDLE
)
_duplicate_handle = _kernel32.function(
    "DuplicateHandle", BOOL, HANDLE, HANDLE, HANDLE, POINTER(HANDLE), DWORD, BOOL, DWORD
)
_get_current_process = _kernel32.function("GetCurrentProcess", HANDLE)
_get_std_handle = _kernel32.function("GetStdHandle", HANDLE, DWORD)
_terminate_process = _kernel32.function("TerminateProcess", BOOL, HANDLE, UINT)
_wait_for_single_object = _kernel32.function("WaitForSingleObject", DWORD, HANDLE, DWORD)
_get_exit_code = _kernel32.function("GetExitCodeProcess", BOOL, HANDLE, POINTER(DWORD))


class Process:
    """A process that has been created. Made by `create`.

    Args:
        pid: Its id.
        handle: Its handle; this object owns it, and as long as it does nobody else has that id.
    """

    __slots__ = ("_handle", "pid")

    def __init__(self, pid: int, handle: Handle) -> None:
        self.pid = pid
        self._handle = handle

    def wait(self, seconds: float) -> "int | None":
        """Wait for its end.

        Args:
            seconds: For how long.

        Returns:
            Its exit code; None if it has not ended.

        Raises:
            OSError: It can't be waited for.
        """
        result = _wait_for_single_object(self._handle.value, max(int(seconds * 1000), 0))
        if result == _STILL_WAITING:
            return None
        if result:
            raise failure(last_error(), self._handle.what)
        code = DWORD()
        check(_get_exit_code(self._handle.value, byref(code)), self._handle.what)
        return code.value

    def kill(self, seconds: float) -> None:
        """End it, and wait until it has ended.

        Args:
            seconds: For how long.
        """
        _terminate_process(self._handle.value, 1)  # of one that has ended: refused
        self.wait(seconds)

    def close(self) -> None:
        """Give the handle back; the process goes on."""
        self._handle.close()


def create(
    program: str, words: "Sequence[str]", folder: str, streams: "tuple[Handle, Handle, Handle]"
) -> Process:
    """Create a process with our environment, detached from us.

    Args:
        program: The path of its executable.
        words: Its command line, its own name first.
        folder: Its current folder.
        streams: Its standard input, output and error, inheritable; they stay the caller's.

    Raises:
        OSError: It can't be created.
    """
    line = command_line(words)
    if len(line) >= _MAX_COMMAND_LINE:
        raise failure(206, program)  # ERROR_FILENAME_EXCED_RANGE
    flags = _DETACHED_PROCESS | _NEW_PROCESS_GROUP | _EXTENDED_STARTUPINFO
    handles = [stream.value for stream in streams]
    info = _StartupInfo(cb=sizeof(_StartupInfo), flags=_USE_STD_HANDLES)
    with AttributeList(1) as attributes:
        attributes.inherit(handles)
        info.attributes = attributes.address
        info.stdin, info.stdout, info.stderr = handles
        try:
            return _create(program, line, folder, flags | _BREAKAWAY_FROM_JOB, info)
        except OSError as error:
            if code_of(error) != ERROR_ACCESS_DENIED:
                raise
        return _create(program, line, folder, flags, info)  # a job that keeps its processes


def _create(program: str, line: str, folder: str, flags: int, info: _StartupInfo) -> Process:
    made = _ProcessInformation()
    writable = ctypes.create_unicode_buffer(line)
    check(
        _create_process(
            program, writable, None, None, _INHERIT, flags, None, folder, byref(info), byref(made)
        ),
        program,
    )
    Handle(made.thread, "thread").close()
    return Process(made.pid, Handle(made.process, f"process {made.pid}"))


def inheritable(handle: int, what: str) -> Handle:
    """A copy of a handle that children can inherit.

    Args:
        handle: The handle; it stays its owner's.
        what: What it is, for errors.

    Raises:
        OSError: There is no such handle.
    """
    copy = HANDLE()
    ours = _get_current_process()
    check(
        _duplicate_handle(ours, handle, ours, byref(copy), 0, _INHERIT, _DUPLICATE_SAME_ACCESS),
        what,
    )
    return Handle(copy.value, what)


def standard_input() -> Handle:
    """An inheritable copy of our own standard input, or of nothing if we have none.

    Raises:
        OSError: It can't be made.
    """
    ours = _get_std_handle(STD_INPUT_HANDLE)
    if is_handle(ours):
        try:
            return inheritable(ours, "standard input")
        except OSError:  # closed by whoever had it before
            pass
    nothing = Handle(
        _create_file("NUL", _GENERIC_READ, _SHARE_ALL, None, _OPEN_EXISTING, 0, None), "NUL"
    )
    nothing.set_inheritable(inheritable=True)
    return nothing


def new_file(path: str) -> Handle:
    """Make or empty a file that others may read, rename and remove while it is open.

    Args:
        path: Where.

    Returns:
        A handle to write it, inheritable.

    Raises:
        OSError: It can't be made.
    """
    found = _create_file(
        path, _GENERIC_WRITE, _SHARE_ALL, None, _CREATE_ALWAYS, _ATTRIBUTE_NORMAL, None
    )
    if not is_handle(found):
        raise failure(last_error(), path)
    file = Handle(found, path)
    file.set_inheritable(inheritable=True)
    return file


def command_line(words: "Sequence[str]") -> str:
    """Words as a command line, so that a program which splits it as usual gets them back.

    Args:
        words: The words, the program's name first.

    Raises:
        OSError: A word can't be part of one: it has a NUL.
    """
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    if "\0" in word:
        raise failure(87, repr(word))  # ERROR_INVALID_PARAMETER
    if word and _SPECIAL.isdisjoint(word):
        return word
    parts = []
    backslashes = 0
    for character in word:
        if character == "\\":
            backslashes += 1
            continue
        # Backslashes are themselves, except before a quote.
        parts.append("\\" * (2 * backslashes + 1 if character == '"' else backslashes))
        parts.append(character)
        backslashes = 0
    return '"' + "".join(parts) + "\\" * (2 * backslashes) + '"'
