"""The server: one object, made of its parameters and the descriptors that it is given.

Theory of operation. `ShimServer.run` opens the engine, offers the task services on the listening
socket, says that it serves, and waits for a reason to leave: containerd has told it to go and no
task is left, somebody called `stop`, nobody has needed it for a long time, or the socket is of no
use any more. Then everything is taken down in the opposite order of its making, each part within a
bounded time. The socket's file goes first, so that nobody comes to a server that is leaving; what
containers still run are left as they are.

The object reads no environment, no command line and no clock but the loop's, and sets nothing on
the process: the same server runs in a fresh interpreter, in a fork of a warm one, and twice in one
test. A grouped server outlives the bundle that it was started for: nothing here relies on that
folder.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engine import Environment
from podshim.shim.idle import PATIENCE
from podshim.shim.leaving import leave
from podshim.shim.need import CountingServer, until_useless
from podshim.shim.rendezvous import BACKLOG, Rendezvous, RendezvousError
from podshim.shim.spawn import READY
from podshim.task.publisher import Publisher
from podshim.task.registry import Registry
from podshim.task.service import services
from podshim.task.stacks import describe_tasks
from podshim.transport import unix
from podshim.transport.address import AddressError, parse_endpoint

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator

    from podshim import ttrpc
    from podshim.bundle import Bundle
    from podshim.engine import Engine

#: How long each step of the taking down may last, in s. The usual end takes no time at all.
SOCKET_TIMEOUT = 2.0
CALLS_TIMEOUT = 2.0
EVENTS_TIMEOUT = 3.0
TASKS_TIMEOUT = 5.0
#: What operations that are cut short have on top of it to undo what they had begun.
TASKS_GRACE = 3.0
ENGINE_TIMEOUT = 5.0
CONNECT_TIMEOUT = 5.0

_log = logging.getLogger("podshim.shim")


@dataclass(frozen=True, slots=True)
class ServeParameters:
    """What a server is told.

    Args:
        namespace: containerd's namespace of all its containers.
        shim_id: The id of the task or sandbox that it was started for.
        ttrpc_address: Where events go; empty for nowhere.
        debug: Whether to be talkative.
        patience: After how many s a server that nobody needs leaves.
    """

    namespace: str
    shim_id: str
    ttrpc_address: str = ""
    debug: bool = False
    patience: float = PATIENCE


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a server is given, and owns from then on.

    Args:
        listener: The listening socket.
        ready_fd: Where it says that it serves; -1 if nobody wants to know.
    """

    listener: socket.socket
    ready_fd: int = -1


class ShimServer:
    """A shim's server. Make it and run it on an event loop, once.

    Args:
        engine: The engine's class.
        parameters: What it is told.
        inherited: What it is given.

    Raises:
        OSError: The socket is none.
    """

    def __init__(
        self, engine: type[Engine], parameters: ServeParameters, inherited: Inherited
    ) -> None:
        self._parameters = parameters
        self._socket = inherited.listener
        self._socket_file = _SocketFile(inherited.listener.getsockname())
        self._ready_fd = inherited.ready_fd
        self._engine = engine(
            Environment(parameters.namespace, parameters.shim_id, debug=parameters.debug)
        )
        self._publisher = Publisher(_connector(parameters.ttrpc_address), parameters.namespace)
        self._registry = Registry(self._engine, self._publisher.outbox)
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Let `run` come to its end. Call it on the loop's thread."""
        self._stop.set()

    def bundles(self) -> Iterator[Bundle]:
        """The bundles of the tasks that there are now."""
        return (task.bundle for task in self._registry)

    def describe(self) -> str:
        """What it is doing, for people: its tasks, and where every coroutine stands."""
        return "\n".join([repr(self._publisher), *self._registry.snapshot(), describe_tasks()])

    async def run(self) -> None:
        """Serve until there is a reason to leave.

        Raises:
            Exception: It could not serve. What goes wrong on leaving is logged.
        """
        async with AsyncExitStack() as stack:
            stack.callback(self._close_inherited)
            await self._engine.open()
            stack.push_async_callback(leave, self._engine.close, ENGINE_TIMEOUT)
            self._publisher.start()
            stack.push_async_callback(leave, self._stop_publishing, EVENTS_TIMEOUT + 1)
            stack.push_async_callback(leave, self._close_tasks, TASKS_TIMEOUT + TASKS_GRACE)
            server = CountingServer(services(self._registry))
            # Whoever connects from now on sees this process as its peer, not the one that bound it.
            self._socket.listen(BACKLOG)
            listener = await unix.serve(self._socket, server, same_user=True)
            stack.push_async_callback(leave, listener.wait_closed, CALLS_TIMEOUT)
            stack.push_async_callback(server.shutdown, CALLS_TIMEOUT)
            stack.callback(listener.close)
            stack.push_async_callback(leave, self._socket_file.remove, SOCKET_TIMEOUT + 1)
            self._say_ready()
            _log.info("shim serves", extra={"shim": self._parameters.shim_id})
            reason = await self._reason_to_leave(server, listener)
            # Not only at its turn below: calls may still come while others are waited for.
            self._registry.retire()
            _log.info("shim leaves", extra={"shim": self._parameters.shim_id, "reason": reason})

    async def _reason_to_leave(self, server: CountingServer, listener: unix.Listener) -> str:
        """Wait for it."""
        useless = until_useless(server, lambda: len(self._registry), self._parameters.patience)
        reasons = {
            asyncio.create_task(self._registry.finished.wait()): "told to",
            asyncio.create_task(self._stop.wait()): "signal",
            asyncio.create_task(useless): "nobody needs it",
            asyncio.create_task(listener.wait_closed()): "its socket failed",
        }
        try:
            await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
            return next(reason for task, reason in reasons.items() if task.done())
        finally:
            for task in reasons:
                task.cancel()
            await asyncio.wait(reasons)

    def _say_ready(self) -> None:
        """Tell the helper that started us.

        Raises:
            BrokenPipeError: It is gone, so nobody will ever learn our address.
        """
        if self._ready_fd >= 0:
            os.write(self._ready_fd, READY)
            os.close(self._ready_fd)
            self._ready_fd = -1

    def _close_inherited(self) -> None:
        self._socket.close()
        if self._ready_fd >= 0:
            os.close(self._ready_fd)
            self._ready_fd = -1

    async def _close_tasks(self) -> None:
        await self._registry.close(TASKS_TIMEOUT)

    async def _stop_publishing(self) -> None:
        try:
            await self._publisher.drain(EVENTS_TIMEOUT)
        finally:
            await self._publisher.close()


class _SocketFile:
    """The file of the listening socket, as long as it is still ours.

    Args:
        path: Where it was bound.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        facts = os.stat(path, follow_symlinks=False)
        self._identity = facts.st_dev, facts.st_ino

    async def remove(self) -> None:
        """Remove it, unless somebody else's is there by now."""
        await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        folder, _, name = self._path.rpartition("/")
        try:
            with (
                Rendezvous(folder or "/", make=False) as rendezvous,
                rendezvous.locked(SOCKET_TIMEOUT),
            ):
                rendezvous.remove(name, self._identity)
        except (OSError, RendezvousError) as error:
            _log.warning("the socket's file stays: %s", error)


def _connector(address: str) -> Callable[[], Awaitable[ttrpc.Client]] | None:
    """What opens a connection to containerd's events service; None if there is none."""
    if not address:
        return None
    try:
        target = parse_endpoint(address)
    except AddressError as error:
        _log.warning("no events: %s", error)
        return None
    return lambda: unix.connect(target, timeout=CONNECT_TIMEOUT)
