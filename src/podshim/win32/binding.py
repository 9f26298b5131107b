"""How functions of DLLs are declared: typed, loaded at the first call, with errors by return value.

Theory of operation. `Library("kernel32.dll")` names a library; `.function(...)` declares an export:

    _kernel32 = Library("kernel32.dll")
    _CloseHandle = _kernel32.function("CloseHandle", BOOL, HANDLE)

Nothing is loaded before the first call, and then from `system32` alone: a DLL that lies beside the
program or in the current folder is never taken. An export that is not there fails the call with
`ERROR_PROC_NOT_FOUND`, as a missing library does with `ERROR_MOD_NOT_FOUND`: features of newer
Windows are asked for, not assumed.

Windows reports failure in four ways, and there is a check for each: `check` for a BOOL or a handle
with `GetLastError`, `check_code` for a Win32 code, `check_hresult` for an HRESULT, `check_ntstatus`
for an NTSTATUS. All raise `OSError` whose `winerror` is the normalised code and whose text is
Windows' own. A thread's last error is ctypes' private copy: nothing in between can overwrite it.

`start` runs this module: it imports next to nothing.
"""

from __future__ import annotations

import ctypes
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # ctypes converts as declared: mypy knows nothing of it

ERROR_FILE_NOT_FOUND = 2
ERROR_PATH_NOT_FOUND = 3
ERROR_ACCESS_DENIED = 5
ERROR_INVALID_HANDLE = 6
ERROR_NOT_SUPPORTED = 50
ERROR_INVALID_PARAMETER = 87
ERROR_BROKEN_PIPE = 109
ERROR_INSUFFICIENT_BUFFER = 122
ERROR_MOD_NOT_FOUND = 126
ERROR_PROC_NOT_FOUND = 127
ERROR_ALREADY_EXISTS = 183
ERROR_PIPE_BUSY = 231
ERROR_NO_DATA = 232
ERROR_PIPE_NOT_CONNECTED = 233
ERROR_MORE_DATA = 234
ERROR_OPERATION_ABORTED = 995
ERROR_IO_PENDING = 997
ERROR_NOT_FOUND = 1168

_FACILITY_MASK = 0x1FFF0000
_FACILITY_WIN32 = 0x00070000


class Library:
    """A DLL of Windows, loaded from `system32` when one of its functions is first called.

    Args:
        name: Its file name, such as `kernel32.dll`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._loaded: ctypes.CDLL | None = None

    def __repr__(self) -> str:
        return f"Library({self.name!r})"

    # Any: ctypes takes and gives whatever the declared types convert.
    def function(self, name: str, result: Any, *arguments: Any) -> Function:
        """Declare an export.

        Args:
            name: Its name.
            result: The ctypes type of what it returns; None for nothing.
            arguments: The ctypes types of what it takes.
        """
        return Function(self, name, result, arguments)

    def load(self) -> ctypes.CDLL:
        """The library itself.

        Raises:
            OSError: There is none of this name in `system32`, or this is not Windows.
        """
        if self._loaded is None:
            self._loaded = _load(self.name)
        return self._loaded

    @property
    def present(self) -> bool:
        """Whether the library can be loaded."""
        try:
            self.load()
        except OSError:
            return False
        return True


class Function:
    """An export of a library; call it. Made by `Library.function`."""

    __slots__ = ("_arguments", "_found", "_library", "_result", "name")

    def __init__(
        self, library: Library, name: str, result: Any, arguments: tuple[Any, ...]
    ) -> None:
        self.name = name
        self._library = library
        self._result = result
        self._arguments = arguments
        self._found: Any = None

    def __repr__(self) -> str:
        return f"<Function {self._library.name}!{self.name}>"

    # Any: as declared; ctypes refuses what does not convert.
    def __call__(self, *values: Any) -> Any:
        """Call it.

        Raises:
            OSError: The library or the export is not there.
        """
        if self._found is None:
            self._found = self._find()
        return self._found(*values)

    @property
    def present(self) -> bool:
        """Whether this Windows has it."""
        if self._found is None:
            try:
                self._found = self._find()
            except OSError:
                return False
        return True

    def _find(self) -> Any:
        library = self._library.load()
        try:
            found = library[self.name]  # by item: not kept by ctypes, so its types are ours alone
        except AttributeError:
            raise failure(ERROR_PROC_NOT_FOUND, f"{self._library.name}!{self.name}") from None
        found.restype = self._result
        found.argtypes = self._arguments
        return found


def callback_type(result: Any, *arguments: Any) -> Any:
    """The ctypes type of a function of ours that Windows calls (WINAPI convention)."""
    if sys.platform == "win32":
        return ctypes.WINFUNCTYPE(result, *arguments)
    return ctypes.CFUNCTYPE(result, *arguments)


def last_error() -> int:
    """What `GetLastError` said after this thread's last call of a declared function."""
    if sys.platform == "win32":
        return ctypes.get_last_error()
    return ERROR_PROC_NOT_FOUND


def message_of(code: int) -> str:
    """Windows' own text for a Win32 code or an HRESULT, without a line end; its number if none."""
    if sys.platform == "win32":
        text = ctypes.FormatError(code if code < 1 << 31 else code - (1 << 32)).strip()
        if text and "no description" not in text.lower():
            return text
    return f"winapi error #{code}"


def failure(code: int, what: str = "") -> OSError:
    """The error for a normalised code (a Win32 code, or a whole HRESULT or NTSTATUS).

    Args:
        code: As an unsigned number.
        what: A path, a name or a function that it is about; it becomes the error's `filename`.
    """
    if sys.platform == "win32":
        # Python maps the Win32 code to the class and errno, such as FileNotFoundError.
        signed = code if code < 1 << 31 else code - (1 << 32)
        return OSError(0, message_of(code), what or None, signed)
    error = OSError(0, message_of(code), what or None)
    error.__dict__["winerror"] = code
    return error


def code_of(error: OSError) -> int:
    """The normalised code of an error that `failure` made, unsigned; 0 of another's."""
    code: int | None = getattr(error, "winerror", None)
    return 0 if code is None else code & 0xFFFFFFFF


def text_of(error: OSError) -> str:
    """An error as one line: what was done to which file, and why not, in Windows' own words.

    Python's text of Windows' errors lacks the full stop at their end, which tools match on.
    """
    code = code_of(error)
    why = message_of(code) if code else error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return why
    if error.filename2 is not None:
        return f"rename {error.filename} {error.filename2}: {why}"
    return f"open {error.filename}: {why}"


def check(result: Any, what: str = "") -> None:
    """Raise the last error if a BOOL is false, or a handle or pointer none.

    Raises:
        OSError: It is.
    """
    if not result:
        raise failure(last_error(), what)


def check_code(code: int, what: str = "") -> None:
    """Raise a Win32 code that is not 0.

    Raises:
        OSError: It is not.
    """
    if code:
        raise failure(code & 0xFFFFFFFF, what)


def normalised(hresult: int) -> int:
    """An HRESULT as one unsigned code: of facility Win32 the Win32 code, else all of it."""
    if hresult & _FACILITY_MASK == _FACILITY_WIN32:
        return hresult & 0xFFFF
    return hresult & 0xFFFFFFFF


def check_hresult(hresult: int, what: str = "") -> None:
    """Raise an HRESULT that says failure, normalised.

    Raises:
        OSError: It does.
    """
    if hresult & 0x80000000:
        raise failure(normalised(hresult), what)


def check_ntstatus(status: int, what: str = "") -> None:
    """Raise an NTSTATUS that says failure, as the Win32 code that Windows maps it to.

    Raises:
        OSError: It does.
    """
    if status & 0x80000000:
        raise failure(_rtl_nt_status_to_dos_error(status), what)


def _load(name: str) -> ctypes.CDLL:
    if sys.platform == "win32":
        # LOAD_LIBRARY_SEARCH_SYSTEM32
        return ctypes.WinDLL(name, use_last_error=True, winmode=0x800)
    raise failure(ERROR_MOD_NOT_FOUND, name)


_rtl_nt_status_to_dos_error = Library("ntdll.dll").function(
    "RtlNtStatusToDosError", ctypes.c_uint32, ctypes.c_uint32
)
