"""Addresses, folders and the log's pipe. The names are those of `manager.linux`."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from typing import TYPE_CHECKING

from podshim.transport import pipes
from podshim.transport.address import PIPE

if TYPE_CHECKING:
    from podshim.ttrpc.client import Client
    from podshim.ttrpc.server import Server

#: What shims are told of where containerd lies.
CONTAINERD = "C:\\Program Files\\containerd\\bin\\containerd.exe"
#: How long a pipe that is not there yet is tried (s), as containerd does.
MISSING_FOR = 5.0
#: How long the log's pipe is tried in all (s).
LOG_TIMEOUT = 10.0
#: So much of what a shim logs is kept (bytes).
_MAX_LOG = 1 << 20

log = logging.getLogger("podshim.manager")


class LogReader:
    """The daemon's end of a shim's log: it connects to the shim's pipe and collects what comes.

    That there is no such pipe is no error: a shim that serves a pod has but one log.

    Args:
        namespace: containerd's namespace.
        container_id: The container's id.
    """

    def __init__(self, _folder: str, namespace: str, container_id: str) -> None:
        self.path = f"{PIPE}containerd-shim-{namespace}-{container_id}-log"
        self._text = bytearray()
        self._task: asyncio.Task[None] | None = None

    def begin(self, *, loses_first: bool) -> None:
        """Begin to look for the pipe: the shim is about to be started.

        Args:
            loses_first: Whether its server is known to lose its first client.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._collect(loses_first))

    @property
    def text(self) -> str:
        """What the shim has logged, the newest part of it."""
        return self._text.decode(errors="replace")

    def close(self) -> None:
        """Collect no more; again is no error."""
        if self._task is not None:
            self._task.cancel()

    async def _collect(self, loses_first: bool) -> None:
        try:
            with contextlib.ExitStack() as stack:
                for _ in range(1 + loses_first):
                    stream = stack.enter_context(
                        await pipes.dial(self.path, timeout=LOG_TIMEOUT, missing_for=MISSING_FOR)
                    )
                while part := await stream.read(1 << 16):
                    self._text += part
                    del self._text[:-_MAX_LOG]
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("%s: %s", self.path, error)


def grpc_address(folder: str) -> str:
    """Where a containerd with this folder would serve; it takes events at `.ttrpc` beside it."""
    name = hashlib.sha256(os.path.normcase(os.path.abspath(folder)).encode()).hexdigest()
    return f"{PIPE}podshim-manager-{name[:32]}"


async def connect(
    address: str,
    *,
    timeout: float,  # noqa: ASYNC109 - it bounds the retries too
    just_started: bool,
    loses_first: bool,
) -> Client:
    """Connect to a shim.

    Args:
        address: Its address.
        timeout: How long to try (s).
        just_started: Whether a pipe that is not there is tried for a while, as containerd does.
        loses_first: Whether its server is known to lose its first client.

    Raises:
        AddressError, TimeoutError, OSError: As `pipes.connect`.
    """
    missing_for = MISSING_FOR if just_started else 0.0
    if not loses_first:
        return await pipes.connect(address, timeout=timeout, missing_for=missing_for)
    lost = await pipes.dial(address, timeout=timeout, missing_for=missing_for)
    try:
        client = await pipes.connect(address, timeout=timeout)
    except BaseException:
        lost.close()
        raise
    asyncio.ensure_future(client.closed).add_done_callback(lambda _: lost.close())
    return client


async def serve(path: str, server: Server) -> pipes.Listener:
    """Serve at a pipe.

    Raises:
        AddressError, OSError: Somebody does, or it can't be done.
    """
    return await pipes.serve(pipes.listen(path), server)


def withdraw(path: str) -> None:
    """A pipe leaves nothing."""


def remove_stale(address: str) -> None:
    """A pipe goes with its server."""


def delete_folder(bundle: str) -> str:  # noqa: ARG001 - Linux' way needs it
    """Where `delete` runs: not in the bundle, which nobody could remove as long as it does."""
    return os.getcwd()


def give_to_group(path: str, group: int) -> None:
    """Folders have no group."""


def link(target: str, path: str) -> None:
    """Make a symbolic link to a folder where that is allowed: no shim reads it."""
    with contextlib.suppress(OSError):
        os.symlink(target, path, target_is_directory=True)


def clear(folder: str) -> None:
    """Nothing is mounted below a bundle."""
