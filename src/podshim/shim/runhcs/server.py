"""The server of Windows' contract: one object, made of its parameters and a carrier.

Theory of operation. `Server.run` opens the engine, offers the three services of the contract on the
pipe, says that it serves, and waits: for the Shutdown that containerd sends when the last task is
deleted, for the pipe to fail, or until nobody has needed it for a long time (what asked for it may
have died before `Create`). Then everything is taken down in the opposite order of its making,
each part within a bounded time; what still runs ends with the handles that hold it, at the latest
with the process.

A Shutdown is either graceful, which gives calls that are under way 3 s and fails if they are not
done by then, or it is now: then they get a moment to be answered, among them Shutdown itself.

The object reads no environment and no command line, and sets nothing on the process.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from podshim.engine import Environment
from podshim.errors import DeadlineExceededError, ShimError
from podshim.shim.idle import PATIENCE
from podshim.shim.leaving import leave
from podshim.shim.need import CountingServer, until_useless
from podshim.task.publisher import Publisher
from podshim.task.runhcs.service import services
from podshim.task.runhcs.slot import Slot
from podshim.transport import pipes
from podshim.transport.address import AddressError, parse_pipe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from podshim import ttrpc
    from podshim.task.runhcs.host import WindowsEngine

#: How long calls that are under way may take after a graceful Shutdown, and after one now, in s.
GRACE = 3.0
MOMENT = 0.5

#: How long each step of the taking down may last, in s. The usual end takes no time at all.
EVENTS_TIMEOUT = 3.0
TASKS_TIMEOUT = 5.0
#: What operations that are under way have until they are cut short: they have had the calls' time.
TASKS_GRACE = 0.5
ENGINE_TIMEOUT = 5.0
CONNECT_TIMEOUT = 5.0

_log = logging.getLogger("podshim.shim")


@dataclass(frozen=True, slots=True)
class ServeParameters:
    """What a server is told.

    Args:
        namespace: containerd's namespace of all its containers.
        shim_id: The id of the pod or single task that it serves.
        is_sandbox: Whether it is a pod's.
        address: The pipe to serve on.
        ttrpc_address: Where events go; empty for nowhere.
        debug: Whether to be talkative.
        scrub_logs: Whether secrets are taken out of documents before they are logged.
        patience: After how many s a server leaves that has no task and that nobody is connected to.
    """

    namespace: str
    shim_id: str
    is_sandbox: bool
    address: str
    ttrpc_address: str = ""
    debug: bool = False
    scrub_logs: bool = True
    patience: float = PATIENCE


class Listener(Protocol):
    """Accepts connections for a server (`transport.pipes.Listener`)."""

    def close(self) -> None:
        """Accept no more."""

    async def wait_closed(self) -> None:
        """Wait until nothing is accepted any more."""


class Carrier:
    """What carries the server's calls: Windows' named pipes. Tests have one of their own."""

    async def serve(self, address: str, server: ttrpc.Server) -> Listener:
        """Serve on an address that nobody serves on, from now on.

        Raises:
            OSError, AddressError: It is taken, or is none.
        """
        return await pipes.serve(pipes.listen(address), server)

    def connector(self, address: str) -> Callable[[], Awaitable[ttrpc.Client]]:
        """What opens a connection to an address.

        Raises:
            AddressError: It is none.
        """
        target = parse_pipe(address)
        return lambda: pipes.connect(target, timeout=CONNECT_TIMEOUT)


class Server:
    """A shim's server. Make it and run it on an event loop, once.

    Args:
        engine: The engine's class.
        parameters: What it is told.
        carrier: What carries its calls.
    """

    def __init__(
        self,
        engine: type[WindowsEngine],
        parameters: ServeParameters,
        carrier: Carrier | None = None,
    ) -> None:
        self._parameters = parameters
        self._carrier = carrier or Carrier()
        self._engine = engine(
            Environment(
                parameters.namespace,
                parameters.shim_id,
                debug=parameters.debug,
                scrub_logs=parameters.scrub_logs,
            )
        )
        self._publisher = Publisher(self._connector(), parameters.namespace)
        self._slot = Slot(
            self._engine,
            self._publisher.outbox,
            task_id=parameters.shim_id,
            is_sandbox=parameters.is_sandbox,
        )

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until told to go.

        Args:
            ready: Called once it serves.

        Raises:
            DeadlineExceededError: Calls were still under way 3 s after a graceful Shutdown.
            Exception: It could not serve, or its pipe failed. What goes wrong on leaving is logged.
        """
        async with AsyncExitStack() as stack:
            await self._engine.open()
            stack.push_async_callback(leave, self._engine.close, ENGINE_TIMEOUT)
            self._publisher.start()
            stack.push_async_callback(leave, self._stop_publishing, EVENTS_TIMEOUT + 1)
            stack.push_async_callback(leave, self._close_slot, TASKS_TIMEOUT)
            server = CountingServer(services(self._slot))
            stack.callback(server.close)
            listener = await self._carrier.serve(self._parameters.address, server)
            stack.callback(listener.close)
            ready()
            _log.debug("serving", extra={"socket": self._parameters.address})
            graceful = await self._reason_to_leave(server, listener)
            listener.close()
            done = await server.shutdown(GRACE if graceful else MOMENT)
            if graceful and not done:
                raise DeadlineExceededError(f"calls were still under way after {GRACE:g} s")

    async def _reason_to_leave(self, server: CountingServer, listener: Listener) -> bool:
        """Wait for it; return whether calls that are under way may end first."""
        told = self._slot.shutdown_requested
        closed = asyncio.create_task(listener.wait_closed())
        useless = asyncio.create_task(
            until_useless(server, lambda: int(self._slot.in_use), self._parameters.patience)
        )
        try:
            await asyncio.wait((told, useless, closed), return_when=asyncio.FIRST_COMPLETED)
            if told.done():
                _log.debug("told to go", extra={"graceful": told.result()})
                return told.result()
            if useless.done():
                _log.info("nobody needs this server")
                return False
            raise ShimError("the pipe failed: no new connections can be served")
        finally:
            for task in (closed, useless):
                task.cancel()
            await asyncio.wait((closed, useless))

    def _connector(self) -> Callable[[], Awaitable[ttrpc.Client]] | None:
        """What opens a connection to containerd's events service; None if there is none."""
        address = self._parameters.ttrpc_address
        if not address:
            return None
        try:
            return self._carrier.connector(address)
        except AddressError as error:
            _log.warning("no events: %s", error)
            return None

    async def _close_slot(self) -> None:
        await self._slot.close(TASKS_GRACE)

    async def _stop_publishing(self) -> None:
        try:
            await self._publisher.drain(EVENTS_TIMEOUT)
        finally:
            await self._publisher.close()
