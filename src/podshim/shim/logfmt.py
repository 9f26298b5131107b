"""Log records as containerd writes them: lines of `key=value`, one for each record.

What is logged is the caller's responsibility: values of environments and annotations never are.
"""

from __future__ import annotations

import logging
import time

#: How much of an exception's text, and of its traceback, fits in a line with all that is escaped.
MAX_ERROR = 1000
MAX_STACK = 2400
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+")
_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {
    "message",
    "asctime",
    "taskName",
}
_LEVELS = {"warning": "warning", "critical": "fatal"}


class LogfmtFormatter(logging.Formatter):
    """`time="..." level=info msg="..." key=value`: what `extra` adds to a record becomes keys."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        level = record.levelname.lower()
        fields = {
            "time": timestamp(record.created),
            "level": _LEVELS.get(level, level),
            "msg": record.getMessage(),
        }
        for key, value in record.__dict__.items():
            if key not in _STANDARD:
                fields[key] = str(value)
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            fields["error"] = f"{type(error).__name__}: {error}"[:MAX_ERROR]
            # What is told last, where it was raised, is worth more than how it came to that.
            fields["stack"] = self.formatException(record.exc_info)[-MAX_STACK:]
        return " ".join(f"{key}={quote(value)}" for key, value in fields.items())


def timestamp(seconds: float) -> str:
    """A time as containerd's log writes it, in UTC."""
    whole = int(seconds)
    nanos = int((seconds - whole) * 1e9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{nanos:09d}Z"


def quote(value: str) -> str:
    """A value as logfmt has it: bare if that is safe, else quoted, always on one line."""
    if value and _BARE.issuperset(value):
        return value
    parts = ['"']
    for character in value:
        if character in '"\\':
            parts.append("\\" + character)
        elif character.isprintable():
            parts.append(character)
        else:
            parts.append(character.encode("unicode_escape").decode())
    parts.append('"')
    return "".join(parts)
