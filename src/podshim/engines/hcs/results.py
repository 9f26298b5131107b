"""What the Host Compute Service answers when it fails: codes, their classes, documents, texts.

Theory of operation. Every call returns an HRESULT. `binding.normalised` makes one unsigned code of
it: the Win32 code where that is what it carries, else all of it. The service spells its own
conditions in two ways, `0xC037nnnn` in its older library and `0x8037nnnn` in `computecore.dll`;
only the low half tells the condition, so that is what is compared here, and both are taken.

A failed operation may come with a document that lists events; they follow the error's text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.errors import ShimError
from podshim.win32.binding import (
    ERROR_ACCESS_DENIED,
    ERROR_INVALID_HANDLE,
    ERROR_NOT_FOUND,
    message_of,
    normalised,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


#: Spelled as the older library does: it is an error of ours, not an answer.
UNEXPECTED_EXIT = 0xC0370106
HCS_E_OPERATION_TIMEOUT = 0x80370118
HCS_E_SERVICE_DISCONNECT = 0x8037011E
HCS_E_PROCESS_ALREADY_STOPPED = 0x8037011F

_FACILITY_MASK = 0x1FFF0000
_FACILITY_HCS = 0x00370000

# Conditions of the service: the low halves of its codes.
_PENDING = 0x103
_INVALID_STATE = 0x105
_NOT_FOUND = 0x10E
_ALREADY_STOPPED = 0x110
_TIMEOUT = 0x118
_PROCESS_ALREADY_STOPPED = 0x11F

ALREADY_CLOSED = "hcsshim: the handle has already been closed"
TIMED_OUT = "hcsshim: timeout waiting for notification"
UNEXPECTED_VALUE = "unexpected value returned from hcs"
LOST_SERVICE = "lost communication with compute service"

#: What an unknown exit code is: -1, unsigned.
UNKNOWN_EXIT_CODE = 0xFFFFFFFF


def failed(hresult: int) -> bool:
    """Whether an HRESULT says failure."""
    return bool(hresult & 0x80000000)


def condition(code: int) -> int | None:
    """The service's condition behind a normalised code, in either spelling; None of another's."""
    if code >= 1 << 16 and code & _FACILITY_MASK == _FACILITY_HCS:
        return code & 0xFFFF
    return None


def is_not_exist(code: int) -> bool:
    """Whether a code says that the system, or the element, is not there."""
    return condition(code) == _NOT_FOUND or code == ERROR_NOT_FOUND


def is_already_stopped(code: int) -> bool:
    """Whether a code says that the system or process has already ended."""
    return (
        condition(code) in {_ALREADY_STOPPED, _PROCESS_ALREADY_STOPPED} or code == ERROR_NOT_FOUND
    )


def is_invalid_state(code: int) -> bool:
    """Whether a code says that the object is in no state for the operation."""
    return condition(code) == _INVALID_STATE


def is_timeout(code: int) -> bool:
    """Whether a wait for an operation ended before the operation."""
    return condition(code) == _TIMEOUT


def is_end_under_way(code: int) -> bool:
    """Whether a shutdown's or termination's code says that the end has come or is coming."""
    return condition(code) in {_ALREADY_STOPPED, _NOT_FOUND, _PENDING}


def is_process_gone(code: int) -> bool:
    """Whether a signal's code says that there is nobody left to take it."""
    return condition(code) in {_INVALID_STATE, _NOT_FOUND} or code == ERROR_NOT_FOUND


def is_out_of_reach(code: int) -> bool:
    """Whether a question about a container failed because it is gone, or does not tell."""
    return (
        is_not_exist(code)
        or is_invalid_state(code)
        or code in {ERROR_ACCESS_DENIED, ERROR_INVALID_HANDLE}
    )


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """One event of a failed operation's document."""

    message: str = ""
    stack_trace: str = ""
    provider: str = ""
    event_id: int = 0
    flags: int = 0
    source: str = ""

    def __str__(self) -> str:
        parts = [f"[Event Detail: {self.message}"]
        if self.stack_trace:
            parts.append(f"Stack Trace: {self.stack_trace}")
        if self.provider:
            parts.append(f"Provider: {self.provider}")
        if self.event_id:
            parts.append(f"EventID: {self.event_id}")
        if self.flags:
            parts.append(f"flags: {self.flags}")
        if self.source:
            parts.append(f"Source: {self.source}")
        return " ".join(parts) + "]"


def events_of(document: str) -> tuple[ErrorEvent, ...]:
    """The events of a failed operation's document; none of one that can't be read as such."""
    return tuple(_events(document))


def _events(document: str) -> Iterator[ErrorEvent]:
    try:
        parsed = json.loads(document)
    except (ValueError, RecursionError):
        return
    listed = parsed.get("ErrorEvents") if isinstance(parsed, dict) else None
    if not isinstance(listed, list):
        return
    for event in listed:
        if isinstance(event, dict):
            yield ErrorEvent(
                message=_text(event, "Message"),
                stack_trace=_text(event, "StackTrace"),
                provider=_text(event, "Provider"),
                event_id=_number(event, "EventId"),
                flags=_number(event, "Flags"),
                source=_text(event, "Source"),
            )


def _text(event: dict[str, object], name: str) -> str:
    return value if isinstance(value := event.get(name), str) else ""


def _number(event: dict[str, object], name: str) -> int:
    return value if isinstance(value := event.get(name), int) else 0


class HcsError(ShimError):
    """A call of the Host Compute Service failed.

    Args:
        operation: What was called, such as `hcs::System::Start`.
        subject: What it was called on: a system's id, `<system>:<pid>`, or empty for the service.
        result: The normalised code; 0 for a failure that has none.
        reason: The text of a failure without a code.
        events: What the service told of it.
        text: Turns a code into the system's message.
    """

    def __init__(
        self,
        operation: str,
        subject: str,
        result: int,
        *,
        reason: str = "",
        events: tuple[ErrorEvent, ...] = (),
        text: Callable[[int], str] = message_of,
    ) -> None:
        head = f"{operation} {subject}" if subject else operation
        super().__init__("\n".join([f"{head}: {reason or text(result)}", *map(str, events)]))
        self.operation = operation
        self.result = result
        self.events = events


class ClosedError(HcsError):
    """The handle that was called or waited on has been closed by us: says nothing of its object."""

    def __init__(self, operation: str, subject: str, reason: str = ALREADY_CLOSED) -> None:
        super().__init__(operation, subject, ERROR_INVALID_HANDLE, reason=reason)


class LostServiceError(HcsError):
    """The service has gone: nothing more will be heard of the object."""

    def __init__(self, operation: str, subject: str) -> None:
        super().__init__(operation, subject, HCS_E_SERVICE_DISCONNECT, reason=LOST_SERVICE)


def check(hresult: int, document: str, operation: str, subject: str) -> None:
    """Raise what a call or an operation answered, if that is a failure.

    Raises:
        HcsError: It is.
    """
    if failed(hresult):
        raise HcsError(operation, subject, normalised(hresult), events=events_of(document))


def exit_code_of(data: str) -> int:
    """The exit code in a `ProcessExited` event's data, unsigned; -1 where it does not tell."""
    try:
        status = json.loads(data)
    except (ValueError, RecursionError):
        return UNKNOWN_EXIT_CODE
    if not isinstance(status, dict) or status.get("LastWaitResult", 0) != 0:
        return UNKNOWN_EXIT_CODE
    code = status.get("ExitCode", 0)
    return code & 0xFFFFFFFF if isinstance(code, int) else UNKNOWN_EXIT_CODE


def exit_type_of(data: str) -> str | None:
    """The `ExitType` in a `SystemExited` event's data; None where that can't be read."""
    try:
        status = json.loads(data)
    except (ValueError, RecursionError):
        return None
    kind = status.get("ExitType", "") if isinstance(status, dict) else None
    return kind if isinstance(kind, str) else None
