"""The ends of a client's fifo that the shim holds, and those that it gives to a container.

Theory of operation. containerd makes a fifo for each stream and keeps its end open while it lives.
The container gets the other end itself, so no byte passes through the shim; the shim only holds
ends of its own, each a separate open file description (non-blocking mode is a property of the
description, and the container's must block):

- output: a read end, so that a writer never meets a fifo without a reader (SIGPIPE) while the
  client is away: it waits, as with any full pipe; and a write end, so that a reader which comes
  and goes sees no end of file.
- input: a read end, so that the client never gets SIGPIPE while the process lives; and a write
  end, so that a client which goes away is not an end of file, until `close_stdin`.

When the process has ended clients wait for end of file before they ask for the deletion, so the
ends must go. But dropping the last one throws away what the fifo holds: with containerd gone at
that moment the output would be lost, and even an empty fifo would leave a returning client waiting
in open(2) for a writer. So the write end alone stays until a reader has been there *and* emptied
the fifo, or until the deletion. The kernel has no event for that; it is asked again, at intervals
from 1 ms up to a quarter of a second, which delays an end of file by no more than that.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import stat
import struct
import termios
from contextlib import ExitStack

from podshim.errors import ShimError

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.25


def close_fd(fd: int) -> int:
    """Close a descriptor unless it is -1; returns -1, to assign it."""
    if fd >= 0:
        os.close(fd)
    return -1


def open_path(path: str) -> int:
    """Get a handle of whatever is at a path, without opening it.

    A symbolic link is followed: the path comes from a client that may already name any file.

    Raises:
        ShimError: There is nothing, in the words of Go's shim.
    """
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ShimError(
            f'containerd-shim: opening file "{path}" failed: open {path}: {reason}'
        ) from error


def is_fifo(handle: int) -> bool:
    """Whether a handle is of a fifo."""
    return stat.S_ISFIFO(os.fstat(handle).st_mode)


def reopen(handle: int, flags: int) -> int:
    """Open the very file behind a handle, wherever its path leads by now.

    Raises:
        OSError: It can't be opened that way.
        ShimError: /proc led to another file.
    """
    fd = os.open(f"/proc/self/fd/{handle}", flags | os.O_CLOEXEC | os.O_NOCTTY)
    if not os.path.samestat(os.fstat(fd), os.fstat(handle)):
        os.close(fd)
        raise ShimError("a file was replaced while it was being opened")
    return fd


def give(fd: int, uid: int, gid: int) -> None:
    """Make a container's user the owner of its end, so that it may reopen /dev/stdout.

    Nothing is changed for 0:0: it is the owner already, unless an unprivileged client made the
    fifo, who must not lose it.
    """
    if uid or gid:
        os.fchown(fd, uid, gid)


def _is_emptied(writer: int) -> bool:
    """Whether a fifo has a reader and nothing left to read."""
    poll = select.poll()
    poll.register(writer, 0)
    if any(events & select.POLLERR for _, events in poll.poll(0)):
        return False
    waiting = fcntl.ioctl(writer, termios.FIONREAD, b"\0" * 4)
    return bool(struct.unpack("i", waiting)[0] == 0)


class OutputFifo:
    """A fifo to which a container's output goes. Used on the loop's thread.

    Args:
        handle: A handle of the fifo (see `open_path`); it stays the caller's.

    Raises:
        OSError: It can't be opened.
    """

    def __init__(self, handle: int) -> None:
        self._reader = reopen(handle, os.O_RDONLY | os.O_NONBLOCK)
        self._holding: asyncio.Task[None] | None = None
        try:
            self.writer = reopen(handle, os.O_WRONLY | os.O_NONBLOCK)
        except BaseException:
            os.close(self._reader)
            raise

    def container_end(self, uid: int, gid: int) -> int:
        """A write end that blocks, for the container; the caller closes it."""
        with ExitStack() as undo:
            fd = os.open(f"/proc/self/fd/{self.writer}", os.O_WRONLY | os.O_CLOEXEC)
            undo.callback(os.close, fd)
            give(fd, uid, gid)
            undo.pop_all()
        return fd

    def finish(self) -> None:
        """Nothing more will be written: let the reader see the end, once it has read everything."""
        if self.writer < 0 or self._holding is not None:
            return
        self._reader = close_fd(self._reader)
        if _is_emptied(self.writer):
            self.writer = close_fd(self.writer)
        else:
            self._holding = asyncio.get_running_loop().create_task(self._hold())

    async def _hold(self) -> None:
        pause = _FIRST_PAUSE
        while not _is_emptied(self.writer):
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        self.writer = close_fd(self.writer)

    def close(self) -> None:
        """Drop all ends now."""
        if self._holding is not None:
            self._holding.cancel()
        self._reader = close_fd(self._reader)
        self.writer = close_fd(self.writer)


class InputFifo:
    """A fifo from which a container's input comes. Used on the loop's thread.

    Args:
        handle: A handle of the fifo (see `open_path`); it stays the caller's.

    Raises:
        OSError: It can't be opened.
    """

    def __init__(self, handle: int) -> None:
        self.reader = reopen(handle, os.O_RDONLY | os.O_NONBLOCK)
        try:
            self._writer = reopen(handle, os.O_WRONLY | os.O_NONBLOCK)
        except BaseException:
            os.close(self.reader)
            raise

    def container_end(self, uid: int, gid: int) -> int:
        """A read end that blocks, for the container; the caller closes it."""
        with ExitStack() as undo:
            fd = os.open(f"/proc/self/fd/{self.reader}", os.O_RDONLY | os.O_CLOEXEC)
            undo.callback(os.close, fd)
            give(fd, uid, gid)
            undo.pop_all()
        return fd

    def release_writer(self) -> None:
        """Drop the hold: the last client's close is the end of file from now on."""
        self._writer = close_fd(self._writer)

    def close(self) -> None:
        """Drop all ends now."""
        self.release_writer()
        self.reader = close_fd(self.reader)


class InputFile:
    """Input that is no fifo but a file, or a device such as /dev/null: it ends by itself.

    Args:
        handle: A handle of the file (see `open_path`); it stays the caller's.

    Raises:
        OSError: It can't be opened.
    """

    def __init__(self, handle: int) -> None:
        self.reader = reopen(handle, os.O_RDONLY | os.O_NONBLOCK)

    def release_writer(self) -> None:
        """Do nothing: nobody waits for a last client to go."""

    def close(self) -> None:
        """Close the file."""
        self.reader = close_fd(self.reader)
