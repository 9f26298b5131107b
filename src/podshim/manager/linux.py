"""What the manager does in Linux' way: sockets, folders, the log's fifo. See `platform`."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from podshim.bundle import LOG_FIFO
from podshim.manager.mounts import unmount_below
from podshim.transport import unix
from podshim.transport.address import parse

if TYPE_CHECKING:
    from podshim.ttrpc.client import Client
    from podshim.ttrpc.server import Server

#: Where containerd lies.
CONTAINERD = "/usr/bin/containerd"
_PASSABLE_BY_GROUP = 0o710
#: So much of what a shim logs is kept (bytes).
_MAX_LOG = 1 << 20


class LogReader:
    """The daemon's end of a shim's `log` fifo: collects what the shim says, as it comes.

    Args:
        folder: The bundle; the fifo is made there, and opened so that the shim never waits.
    """

    def __init__(self, folder: str, _namespace: str, _container_id: str) -> None:
        path = os.path.join(folder, LOG_FIFO)
        os.mkfifo(path, 0o700)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._text = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._take)

    def begin(self, *, loses_first: bool) -> None:
        """The shim is about to be started: here it need not be waited for."""

    @property
    def text(self) -> str:
        """What the shim has logged, the newest part of it."""
        if self._fd >= 0:
            self._take()
        return self._text.decode(errors="replace")

    def _take(self) -> None:
        try:
            while part := os.read(self._fd, 1 << 16):
                self._text += part
                del self._text[:-_MAX_LOG]
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Collect no more; again is no error."""
        if self._fd >= 0:
            self._take()
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


def grpc_address(folder: str) -> str:
    """Where a containerd with this folder would serve; it takes events at `.ttrpc` beside it."""
    return os.path.join(folder, "containerd.sock")


async def connect(
    address: str,
    *,
    timeout: float,  # noqa: ASYNC109 - it bounds the retries too
    just_started: bool,  # noqa: ARG001 - a socket is there when `start` has ended
    loses_first: bool,  # noqa: ARG001 - no socket's server does
) -> Client:
    """Connect to a shim.

    Args:
        address: Its address.
        timeout: How long to try (s).
        just_started: Whether it may still be on its way there.
        loses_first: Whether its server is known to lose its first client.

    Raises:
        AddressError, OSError: As `unix.connect`.
    """
    return await unix.connect(address, timeout=timeout)


async def serve(path: str, server: Server) -> unix.Listener:
    """Serve at a path.

    Raises:
        OSError: Somebody does, or it can't be done.
    """
    return await unix.serve(unix.listen(path), server, same_user=True)


def withdraw(path: str) -> None:
    """Remove what a listener at a path leaves."""
    os.unlink(path)


def remove_stale(address: str) -> None:
    """Remove the file of a shim's socket if nobody listens there any more."""
    target = parse(address)
    if target.abstract:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)
        try:
            probe.connect(target.sockaddr)
        except ConnectionRefusedError:
            os.unlink(target.name)
        except (FileNotFoundError, BlockingIOError):
            pass


def delete_folder(bundle: str) -> str:
    """Where `delete` runs."""
    return bundle


def give_to_group(path: str, group: int) -> None:
    """Let a group pass through a folder."""
    os.chown(path, -1, group)
    os.chmod(path, _PASSABLE_BY_GROUP)


def link(target: str, path: str) -> None:
    """Make a symbolic link to a folder."""
    os.symlink(target, path)


def clear(folder: str) -> None:
    """Undo what a shim may have left mounted below a folder.

    Raises:
        OSError: Something can't be unmounted.
    """
    unmount_below(folder)
