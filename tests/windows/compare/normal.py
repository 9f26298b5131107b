"""What can't be the same twice gets a name that says which one it is.

A name counts in the order of appearance, so that equal things stay recognisably equal: the process
that an event speaks of is the one that `Start` answered.
"""

import re
from typing import Any

_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# A file's name before it is renamed.
_TEMPORARY = re.compile(r"(?:(?<=\\)\d{6,}|(?<=[\\/])\.[a-z.]+\.\d+)(?=\W)")
_PID = re.compile(r"(?<=\$T:)\d+(?=: )")  # in the text of an error about a process
_PID_MEMBERS = frozenset({"pid", "shim_pid", "task_pid", "process_id", "process", "ProcessId"})
_TIME_MEMBERS = frozenset({"created_at", "timestamp", "container_start_time", "exited_at"})
ZERO_TIME = "0001-01-01"  # what a client sees of a time that was never set


class Names:
    """The names that one observation's pids and GUIDs got so far.

    Args:
        token: the letters that `$T` stands for.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._pids: dict[int, str] = {}
        self._guids: dict[str, str] = {}

    def of(self, value: Any, member: str = "") -> Any:
        """A copy of a plain value in which everything has its name."""
        if isinstance(value, dict):
            return {self.text(key): self.of(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return [self.of(one, member) for one in value]
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return self.pid(value) if member in _PID_MEMBERS else value
        if member in _TIME_MEMBERS and value != ZERO_TIME:
            return "(a time)"
        return self.text(value)

    def pid(self, number: float) -> float | str:
        """A process's name; 0 and 1 are numbers that the contract names."""
        if number in {0, 1}:
            return number
        return self._pids.setdefault(int(number), f"(pid {len(self._pids) + 1})")

    def text(self, text: str) -> str:
        """A text with the case's letters and all GUIDs named."""

        def guid(match: re.Match[str]) -> str:
            return self._guids.setdefault(match[0].lower(), f"(guid {len(self._guids) + 1})")

        text = _TEMPORARY.sub("(temporary)", text.replace(self._token, "$T"))
        text = _PID.sub(lambda match: str(self.pid(int(match[0]))), text)
        return _GUID.sub(guid, text)
