"""The Host Compute Service's own library, `computecore.dll`, call by call.

Theory of operation. `ComputeCore` says what the engine uses of it, in Python's terms: handles are
numbers, HRESULTs are unsigned, documents are text, and what a call gives out is returned.
`ComputeCoreDll` is the library itself; tests put another in its place. Calls block, some of them
for minutes: none is made on the loop.

A long-running request is an *operation*: made, handed to the call that begins it, waited for, and
closed. Strings that the library allocates are copied and freed here. An export that this Windows
lacks answers with the HRESULT of ERROR_PROC_NOT_FOUND.
"""

from __future__ import annotations

import ctypes
import weakref
from ctypes import POINTER, Structure, byref, c_uint32, c_void_p
from ctypes.wintypes import DWORD, LPCWSTR
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from podshim.win32.binding import Library, callback_type, code_of, failure, last_error
from podshim.win32.handles import is_handle
from podshim.win32.ole import take_string

if TYPE_CHECKING:
    from collections.abc import Callable

    from podshim.win32.binding import Function

_GENERIC_ALL = 0x10000000

#: HCS_EVENT_OPTIONS.
EVENTS_PLAIN = 0
EVENTS_WITH_MIGRATION = 4


@dataclass(frozen=True, slots=True)
class ProcessInformation:
    """HCS_PROCESS_INFORMATION: a new process's id, and pipe ends that are the caller's now.

    A pipe that was not asked for is None.
    """

    process_id: int
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """How a call or an operation ended: HRESULT, result document or empty, the new process."""

    result: int
    document: str = ""
    information: ProcessInformation | None = None


class SystemCall(Enum):
    """Exports that begin an operation on a compute system, with a document."""

    START = "HcsStartComputeSystem"
    SHUT_DOWN = "HcsShutDownComputeSystem"
    TERMINATE = "HcsTerminateComputeSystem"
    PAUSE = "HcsPauseComputeSystem"
    RESUME = "HcsResumeComputeSystem"
    SAVE = "HcsSaveComputeSystem"
    PROPERTIES = "HcsGetComputeSystemProperties"
    MODIFY = "HcsModifyComputeSystem"


class ProcessCall(Enum):
    """Exports that begin an operation on a process."""

    TERMINATE = "HcsTerminateProcess"
    SIGNAL = "HcsSignalProcess"
    INFORMATION = "HcsGetProcessInfo"
    PROPERTIES = "HcsGetProcessProperties"
    MODIFY = "HcsModifyProcess"


class ComputeCore(Protocol):
    """What the engine uses of `computecore.dll`; every method may block, and any thread may call.

    Methods that return an `int` return the HRESULT, unsigned, unless they say otherwise; those that
    return a pair, the HRESULT and a handle (0 for none, which may be there despite a failure).
    Events are delivered as `deliver(context, type, data)`, on any thread.
    """

    def create_operation(self) -> int:
        """Make an operation and return its handle; raises OSError."""

    def close_operation(self, operation: int) -> None:
        """Give an operation up; what it began goes on."""

    def cancel_operation(self, operation: int) -> int:
        """Ask for the end of what an operation began."""

    def operation_result(self, operation: int) -> Completion:
        """Tell how an operation ended, without waiting."""

    def wait_for_operation(
        self, operation: int, milliseconds: int, *, process: bool = False
    ) -> Completion:
        """Wait for an operation's end; with `process`, ask for the new process's information."""

    def enumerate_systems(self, query: str, operation: int) -> int:
        """Begin to list compute systems."""

    def create_system(self, system_id: str, document: str, operation: int) -> tuple[int, int]:
        """Begin to create a compute system."""

    def open_system(self, system_id: str) -> tuple[int, int]:
        """Open a compute system."""

    def close_system(self, system: int) -> None:
        """Close a system's handle; when it returns, no callback of it runs or will run."""

    def system_call(self, call: SystemCall, system: int, operation: int, document: str) -> int:
        """Begin an operation on a system."""

    def set_system_callback(self, system: int, options: int, context: int) -> int:
        """Have a system's events delivered."""

    def create_process(self, system: int, parameters: str, operation: int) -> tuple[int, int]:
        """Begin to create a process."""

    def open_process(self, system: int, process_id: int) -> tuple[int, int]:
        """Open a process."""

    def close_process(self, process: int) -> None:
        """Close a process's handle, as `close_system`."""

    def process_call(self, call: ProcessCall, process: int, operation: int, document: str) -> int:
        """Begin an operation on a process."""

    def set_process_callback(self, process: int, options: int, context: int) -> int:
        """Have a process's events delivered."""

    def service_properties(self, query: str) -> Completion:
        """Ask the service about itself."""

    def modify_service(self, settings: str) -> Completion:
        """Change the service's settings."""


class _ProcessInformation(Structure):
    _fields_ = (
        ("process_id", DWORD),
        ("reserved", DWORD),
        ("stdin", c_void_p),
        ("stdout", c_void_p),
        ("stderr", c_void_p),
    )


class _Event(Structure):
    _fields_ = (("type", c_uint32), ("data", c_void_p))


_Callback = callback_type(None, POINTER(_Event), c_void_p)
_OutString = POINTER(c_void_p)
_OutHandle = POINTER(c_void_p)
_OutInformation = POINTER(_ProcessInformation)

_core = Library("computecore.dll")
_create_operation = _core.function("HcsCreateOperation", c_void_p, c_void_p, c_void_p)
_close_operation = _core.function("HcsCloseOperation", None, c_void_p)
_cancel_operation = _core.function("HcsCancelOperation", c_uint32, c_void_p)
_get_result = _core.function("HcsGetOperationResult", c_uint32, c_void_p, _OutString)
_wait = _core.function("HcsWaitForOperationResult", c_uint32, c_void_p, DWORD, _OutString)
_wait_with_information = _core.function(
    "HcsWaitForOperationResultAndProcessInfo",
    c_uint32,
    c_void_p,
    DWORD,
    _OutInformation,
    _OutString,
)
_enumerate = _core.function("HcsEnumerateComputeSystems", c_uint32, LPCWSTR, c_void_p)
_create_system = _core.function(
    "HcsCreateComputeSystem", c_uint32, LPCWSTR, LPCWSTR, c_void_p, c_void_p, _OutHandle
)
_open_system = _core.function("HcsOpenComputeSystem", c_uint32, LPCWSTR, DWORD, _OutHandle)
_close_system = _core.function("HcsCloseComputeSystem", None, c_void_p)
_set_system_callback = _core.function(
    "HcsSetComputeSystemCallback", c_uint32, c_void_p, c_uint32, c_void_p, _Callback
)
_system_calls = {
    call: _core.function(call.value, c_uint32, c_void_p, c_void_p, LPCWSTR)
    for call in SystemCall
    if call is not SystemCall.MODIFY
}
_modify_system = _core.function(
    SystemCall.MODIFY.value, c_uint32, c_void_p, c_void_p, LPCWSTR, c_void_p
)
_create_process = _core.function(
    "HcsCreateProcess", c_uint32, c_void_p, LPCWSTR, c_void_p, c_void_p, _OutHandle
)
_open_process = _core.function("HcsOpenProcess", c_uint32, c_void_p, DWORD, DWORD, _OutHandle)
_close_process = _core.function("HcsCloseProcess", None, c_void_p)
_set_process_callback = _core.function(
    "HcsSetProcessCallback", c_uint32, c_void_p, c_uint32, c_void_p, _Callback
)
_process_calls = {
    call: _core.function(call.value, c_uint32, c_void_p, c_void_p, LPCWSTR)
    for call in ProcessCall
    if call is not ProcessCall.INFORMATION
}
_get_process_information = _core.function(
    ProcessCall.INFORMATION.value, c_uint32, c_void_p, c_void_p
)
_service_properties = _core.function("HcsGetServiceProperties", c_uint32, LPCWSTR, _OutString)
_modify_service = _core.function("HcsModifyServiceSettings", c_uint32, LPCWSTR, _OutString)

#: For ever: Windows may call each while a handle is open, perhaps until the process's end.
_callbacks: list[object] = []


class ComputeCoreDll:
    """`computecore.dll` of this Windows.

    Events that come after its end are dropped, though handles are open that a callback is set on.

    Args:
        deliver: Takes events, on any thread; it must neither wait nor raise.
    """

    def __init__(self, deliver: Callable[[int, int, str], None]) -> None:
        self._deliver = deliver
        receiver = weakref.WeakMethod(self._receive)

        def receive(event: ctypes._Pointer[_Event], context: int | None) -> None:
            if (here := receiver()) is not None:
                here(event, context)

        self._callback = _Callback(receive)
        _callbacks.append(self._callback)

    def _receive(self, event: ctypes._Pointer[_Event], context: int | None) -> None:
        told = event.contents
        data = ctypes.wstring_at(told.data) if told.data else ""
        self._deliver(context or 0, told.type, data)

    def create_operation(self) -> int:
        """See `ComputeCore`."""
        operation: int | None = _create_operation(None, None)
        if not operation:
            raise failure(last_error(), "HcsCreateOperation")
        return operation

    def close_operation(self, operation: int) -> None:
        """See `ComputeCore`."""
        _close_operation(operation)

    def cancel_operation(self, operation: int) -> int:
        """See `ComputeCore`."""
        return _call(_cancel_operation, operation)

    def operation_result(self, operation: int) -> Completion:
        """See `ComputeCore`."""
        return _call_for_document(_get_result, operation)

    def wait_for_operation(
        self, operation: int, milliseconds: int, *, process: bool = False
    ) -> Completion:
        """See `ComputeCore`."""
        if not process:
            return _call_for_document(_wait, operation, milliseconds)
        raw = _ProcessInformation()
        done = _call_for_document(_wait_with_information, operation, milliseconds, byref(raw))
        return replace(
            done,
            information=ProcessInformation(
                raw.process_id,
                *(end if is_handle(end) else None for end in (raw.stdin, raw.stdout, raw.stderr)),
            ),
        )

    def enumerate_systems(self, query: str, operation: int) -> int:
        """See `ComputeCore`."""
        return _call(_enumerate, query, operation)

    def create_system(self, system_id: str, document: str, operation: int) -> tuple[int, int]:
        """See `ComputeCore`."""
        return _call_for_handle(_create_system, system_id, document, operation, None)

    def open_system(self, system_id: str) -> tuple[int, int]:
        """See `ComputeCore`."""
        return _call_for_handle(_open_system, system_id, _GENERIC_ALL)

    def close_system(self, system: int) -> None:
        """See `ComputeCore`."""
        _close_system(system)

    def system_call(self, call: SystemCall, system: int, operation: int, document: str) -> int:
        """See `ComputeCore`."""
        if call is SystemCall.MODIFY:
            return _call(_modify_system, system, operation, document, None)
        return _call(_system_calls[call], system, operation, document)

    def set_system_callback(self, system: int, options: int, context: int) -> int:
        """See `ComputeCore`."""
        return _call(_set_system_callback, system, options, context, self._callback)

    def create_process(self, system: int, parameters: str, operation: int) -> tuple[int, int]:
        """See `ComputeCore`."""
        return _call_for_handle(_create_process, system, parameters, operation, None)

    def open_process(self, system: int, process_id: int) -> tuple[int, int]:
        """See `ComputeCore`."""
        return _call_for_handle(_open_process, system, process_id, _GENERIC_ALL)

    def close_process(self, process: int) -> None:
        """See `ComputeCore`."""
        _close_process(process)

    def process_call(self, call: ProcessCall, process: int, operation: int, document: str) -> int:
        """See `ComputeCore`."""
        if call is ProcessCall.INFORMATION:
            return _call(_get_process_information, process, operation)
        return _call(_process_calls[call], process, operation, document)

    def set_process_callback(self, process: int, options: int, context: int) -> int:
        """See `ComputeCore`."""
        return _call(_set_process_callback, process, options, context, self._callback)

    def service_properties(self, query: str) -> Completion:
        """See `ComputeCore`."""
        return _call_for_document(_service_properties, query)

    def modify_service(self, settings: str) -> Completion:
        """See `ComputeCore`."""
        return _call_for_document(_modify_service, settings)


def _call(function: Function, *values: object) -> int:
    try:
        result: int = function(*values)
    except OSError as error:  # the library or the export is not there
        return 0x80070000 | (code_of(error) & 0xFFFF)
    return result


def _call_for_document(function: Function, *values: object) -> Completion:
    text = c_void_p()
    result = _call(function, *values, byref(text))
    return Completion(result, take_string(text))


def _call_for_handle(function: Function, *values: object) -> tuple[int, int]:
    handle = c_void_p()
    result = _call(function, *values, byref(handle))
    return result, handle.value or 0
