"""How long the service may take, and how people change that by environment variables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The longest wait that is not for ever, in ms.
_LONGEST = 0xFFFFFFFE

#: More digits than these no limit needs.
_SECONDS = re.compile(r"[0-9]{1,18}")

_VARIABLES = {
    "create": "HCSSHIM_TIMEOUT_SYSTEMCREATE",
    "start": "HCSSHIM_TIMEOUT_SYSTEMSTART",
    "pause": "HCSSHIM_TIMEOUT_SYSTEMPAUSE",
    "resume": "HCSSHIM_TIMEOUT_SYSTEMRESUME",
    "save": "HCSSHIM_TIMEOUT_SYSTEMSAVE",
    "watchdog": "HCSSHIM_TIMEOUT_SYSCALLWATCHER",
    "guest_connection": "HCSSHIM_TIMEOUT_GCSCONNECTION",
}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds.

    Args:
        create, start, pause, resume, save: Of these operations on a system.
        call: Of every other operation.
        watchdog: After how long a call that has not come back is logged.
        shutdown, terminate: How long a container may take to end after these.
        close: How long to wait for the closing of a handle.
        release: After how long a process that is said to be gone counts as ended.
        guest_connection: For a VM's guest to connect.
    """

    create: float = 240.0
    start: float = 240.0
    pause: float = 240.0
    resume: float = 240.0
    save: float = 240.0
    call: float = 240.0
    watchdog: float = 240.0
    shutdown: float = 30.0
    terminate: float = 30.0
    close: float = 30.0
    release: float = 1.0
    guest_connection: float = 120.0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Timeouts:
        """The limits, as far as variables with positive decimal numbers of seconds change them."""
        changed: dict[str, float] = {}
        for name, variable in _VARIABLES.items():
            text = environment.get(variable, "")
            if _SECONDS.fullmatch(text) and int(text) > 0:
                changed[name] = float(int(text))
        return cls(**changed)


def wait_milliseconds(seconds: float | None) -> int:
    """How long to wait, as Windows wants it: 0 if the time is over, all bits set for ever."""
    if seconds is None:
        return 0xFFFFFFFF
    return max(0, min(int(seconds * 1000), _LONGEST))
