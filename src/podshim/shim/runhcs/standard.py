"""The standard streams of a server: read, then given up one by one.

Theory of operation. They are how `start` and a new server talk: options come in on standard input,
reasons not to serve go out on standard output, and that it is closed means readiness. Afterwards
nothing may use them, but their numbers stay taken, by the null device: else the next file that is
opened would get one, and a stray line of output would end up in it. Standard error stays open to
the end: it is the bundle's `panic.log`, for last words alone.
"""

from __future__ import annotations

import os

STDIN = 0


def read_stdin(limit: int) -> bytes:
    """All of standard input, at most `limit` bytes; nothing from one that is closed.

    Waits for its end, for however long that takes.
    """
    parts = []
    try:
        while limit > 0 and (part := os.read(STDIN, min(limit, 1 << 16))):
            parts.append(part)
            limit -= len(part)
    except OSError:
        return b""
    return b"".join(parts)


def give_up(fd: int) -> None:
    """Close a standard stream and put the null device in its place.

    Raises:
        OSError: It can't be done.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        os.dup2(nothing, fd, inheritable=False)
    finally:
        os.close(nothing)
