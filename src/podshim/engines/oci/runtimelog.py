"""What an OCI runtime wrote into its log: the cause of a failure, for the caller.

Theory of operation: with `--log FILE --log-format json` a runtime appends one JSON object per
line. The last entry of level `error` names the cause best. A container's commands share the file,
so `position` is taken before a command and only what was written after it counts: an error of an
earlier command is never reported again. Nothing else ever shortens the file, and a probe that fails
every few seconds lengthens it for as long as its pod lives: `trim` empties it when it has grown.
"""

from __future__ import annotations

import json
import os

#: The most that is read of one command's entries; the cause stands at their end.
MAX_READ = 1 << 20

#: A log that is longer is emptied before the next command; it lies on a tmpfs.
MAX_LOG = 4 << 20


def trim(path: str) -> None:
    """Empty a log that has grown long; call it while no command writes to it."""
    try:
        if os.stat(path).st_size > MAX_LOG:
            os.truncate(path, 0)
    except OSError:  # there is none
        return


def position(path: str) -> int:
    """The present end of the log; 0 when there is none yet."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def read_since(path: str, start: int) -> bytes:
    """Read what was appended after `start`, at most its last `MAX_READ` bytes.

    Raises:
        OSError: The log can't be read.
    """
    with open(path, "rb", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        if start > end:  # somebody made it anew
            start = 0
        file.seek(max(start, end - MAX_READ))
        return file.read(MAX_READ)


def last_error(log: bytes) -> str:
    """Find the text of the last error entry, stripped; empty when there is none.

    Lines that are no JSON objects are passed over: a half line where reading began, or what a
    runtime printed before it understood the options.
    """
    for line in reversed(log.splitlines()):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and entry.get("level") == "error":
            return str(entry.get("msg", "")).strip()
    return ""
