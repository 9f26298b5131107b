"""How events of the Host Compute Service reach the loop.

Theory of operation. The service calls back on threads of its own, several at a time, and must not
be kept waiting. All it gets from us as context is a number; the table tells who that is. A callback
looks the number up and posts the event to the loop, nothing else. A number that is in no table any
more is a late event of a handle that is being closed: it is dropped. A number is given up only
after the handle's close has returned, for until then a callback may run.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class EventType(IntEnum):
    """HCS_EVENT_TYPE."""

    SYSTEM_EXITED = 0x00000001
    SYSTEM_CRASH_INITIATED = 0x00000002
    SYSTEM_CRASH_REPORT = 0x00000003
    SYSTEM_RDP_ENHANCED_MODE_STATE_CHANGED = 0x00000004
    SYSTEM_SILO_JOB_CREATED = 0x00000005
    SYSTEM_GUEST_CONNECTION_CLOSED = 0x00000006
    PROCESS_EXITED = 0x00010000
    OPERATION_CALLBACK = 0x01000000
    SERVICE_DISCONNECT = 0x02000000
    GROUP_VM_LIFECYCLE = 0x80000002
    GROUP_LIVE_MIGRATION = 0x80000003
    GROUP_OPERATION_INFO = 0xC0000001


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its type (`EventType`, or a number that is none) and its document, or empty."""

    type: int
    data: str = ""


class Notifications:
    """The table of those who hear events; `deliver` may be called on any thread.

    Args:
        loop: Where receivers are called.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._receivers: dict[int, Callable[[Event], None]] = {}
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._receivers)

    def register(self, receiver: Callable[[Event], None]) -> int:
        """Let `receiver` hear, on the loop, what comes for the number that is returned."""
        with self._lock:
            number = next(self._numbers)
            self._receivers[number] = receiver
        return number

    def unregister(self, number: int) -> None:
        """Give a number up; what has been posted before is dropped, too."""
        with self._lock:
            self._receivers.pop(number, None)

    def deliver(self, number: int, kind: int, data: str) -> None:
        """Post an event to the receiver of that number, if there is one; never raises, or waits."""
        with self._lock:
            known = number in self._receivers
        if known:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._receive, number, Event(kind, data))

    def _receive(self, number: int, event: Event) -> None:
        with self._lock:
            receiver = self._receivers.get(number)
        if receiver is not None:
            receiver(event)
