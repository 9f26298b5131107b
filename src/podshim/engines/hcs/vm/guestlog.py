"""What a guest writes into its log, as records of ours.

Theory of operation. A guest's agent sends JSON objects, a line each: time, level, message, and
whatever else is worth knowing. Each becomes a record of the same level, with the VM's id; nothing
is worse than an error here, whatever it was there. What is no such line, such as the last words of
an agent that has crashed, is kept together and becomes one error when the next record, or the end,
comes. Lines have a limit, and so has what is kept: a guest must not fill the host's memory.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podshim.transport.streams import ReadStream

_log = logging.getLogger(__name__)

MAX_LINE = 64 * 1024
#: How much of what is no record is kept.
MAX_RAW = 256 * 1024
_READ = 64 * 1024
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
}
_ETW = "ETW"
_STANDARD = frozenset({"time", "level", "msg"})
_MESSAGES = ("message", "Message")


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a guest's log.

    Args:
        level: Its level, as `logging` counts.
        message: What it says.
        time: When, as the guest says; empty if it does not.
        fields: All else.
    """

    level: int
    message: str
    time: str = ""
    fields: dict[str, object] = field(default_factory=dict)


class LogParser:
    """Turns the bytes of a guest's log into records."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._raw = bytearray()

    def feed(self, data: bytes) -> list[Record]:
        """Take the next bytes; the records that they complete."""
        records: list[Record] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._extend(line)
            records += self._take_line()
        self._extend(rest)
        return records

    def end(self) -> list[Record]:
        """Take the end; the last records."""
        return [*self._take_line(), *self._take_raw()]

    def _extend(self, data: bytes) -> None:
        room = MAX_LINE - len(self._line)
        self._line += data[:room]
        if len(data) > room:
            self._keep(bytes(self._line) + data[room:])
            self._line.clear()

    def _take_line(self) -> list[Record]:
        line = bytes(self._line)
        self._line.clear()
        if not line.strip():
            return []
        record = record_of(line)
        if record is None:
            self._keep(line + b"\n")
            return []
        return [*self._take_raw(), record]

    def _keep(self, data: bytes) -> None:
        self._raw += data[: MAX_RAW - len(self._raw)]

    def _take_raw(self) -> list[Record]:
        text = self._raw.decode("utf-8", "replace").strip()
        self._raw.clear()
        return [Record(logging.ERROR, "gcs terminated", fields={"stderr": text})] if text else []


def record_of(line: bytes) -> Record | None:
    """The record in a line; None if there is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    fields = {name: value for name, value in found.items() if name not in _STANDARD}
    message = found.get("msg", "")
    if fields.get("Source") == _ETW:
        for name in _MESSAGES:
            if isinstance(fields.get(name), str):
                message = fields.pop(name)
                break
    level, time = found.get("level", "info"), found.get("time", "")
    if not all(isinstance(value, str) for value in (message, level, time)):
        return None
    return Record(_LEVELS.get(level.lower(), logging.ERROR), message, time, fields)


async def forward(stream: ReadStream, vm_id: str) -> None:
    """Log what comes out of a guest's log stream, up to its end; then close it.

    Args:
        stream: The stream; owned.
        vm_id: The VM's id.
    """
    parser = LogParser()
    with stream:
        try:
            while data := await stream.read(_READ):
                _write(parser.feed(data), vm_id)
        except OSError as error:
            _log.info("VM %s: the log ends: %s", vm_id, error)
        _write(parser.end(), vm_id)


def _write(records: list[Record], vm_id: str) -> None:
    for record in records:
        extra = {"uvm-id": vm_id, "vm.time": record.time, "vm.fields": record.fields}
        _log.log(record.level, "VM %s: %s %s", vm_id, record.message, record.fields, extra=extra)
