"""containerd's side of events: a server that takes them, keeps them, and can be unkind.

Theory of operation. Shims call `Forward` at the address that `TTRPC_ADDRESS` names. `EventsServer`
listens there, holds every envelope against containerd's own rules, and keeps what it accepts in
the order in which it came. A test may let it go away and come back, refuse, or take an event
without saying so, and see what a shim makes of that.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from google.protobuf import empty_pb2
from google.protobuf.message import DecodeError, Message

from podshim.api import events_pb2, events_service_ttrpc
from podshim.errors import Code, DeadlineExceededError, InvalidArgumentError
from podshim.manager import platform
from podshim.task.identifiers import check_identifier
from podshim.ttrpc.server import Server
from podshim.ttrpc.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType
    from typing import Self

    from podshim.api import events_service_pb2, types_pb2
    from podshim.ttrpc.service import CallContext

_PACKAGE = "containerd.events."
#: How long waiting for an event takes at most, unless told otherwise (s).
TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Event:
    """One event as a shim sent it.

    Args:
        topic: Such as `/tasks/exit`.
        namespace: containerd's namespace.
        at: When the shim says that it happened (ns since the epoch).
        message: Its content: a message of `containerd.events`, or an `Any` of another type.
    """

    topic: str
    namespace: str
    at: int
    message: Message

    @property
    def container_id(self) -> str:
        """Which container it is about; empty if it does not say."""
        return str(getattr(self.message, "container_id", ""))

    @property
    def exec_id(self) -> str:
        """Which exec it is about; empty for the init."""
        text = getattr(self.message, "exec_id", "") or getattr(self.message, "id", "")
        return "" if text == self.container_id else str(text)


def read_envelope(envelope: types_pb2.Envelope) -> Event:
    """Check an envelope as containerd does, and open it.

    Raises:
        InvalidArgumentError: containerd would refuse it.
    """
    check_identifier(envelope.namespace)
    if not envelope.topic.startswith("/"):
        raise InvalidArgumentError(f"topic {envelope.topic!r} must start with '/'")
    for part in envelope.topic[1:].split("/"):
        check_identifier(part)
    at = envelope.timestamp.seconds * 10**9 + envelope.timestamp.nanos
    if not envelope.HasField("timestamp") or at == 0:
        raise InvalidArgumentError("timestamp must be set on forwarded event")
    name = envelope.event.type_url.rpartition("/")[2]
    message: Message = envelope.event
    kind = getattr(events_pb2, name.removeprefix(_PACKAGE), None)
    if name.startswith(_PACKAGE) and isinstance(kind, type) and issubclass(kind, Message):
        try:
            message = kind.FromString(envelope.event.value)
        except DecodeError as error:
            raise InvalidArgumentError(f"event {name}: {error}") from error
    return Event(envelope.topic, envelope.namespace, at, message)


class EventsServer(events_service_ttrpc.EventsService):
    """Takes events at a socket while it is entered.

    Args:
        path: Where to listen, as `TTRPC_ADDRESS` says it; nothing may be there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        #: Every event that was accepted, in the order of arrival, repetitions included.
        self.recorded: list[Event] = []
        #: Every event that was refused by `refuse`, likewise.
        self.refused: list[Event] = []
        self._refusals = 0
        self._losses = 0
        self._changed = asyncio.Condition()
        self._listener: platform.Listener | None = None
        self._server: Server | None = None
        self._restarts: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.settled()
        await self.stop()

    async def start(self) -> None:
        """Listen, unless it does."""
        if self._listener is None:
            self._server = Server([events_service_ttrpc.events_service(self)])
            self._listener = await platform.serve(self.path, self._server)

    async def stop(self) -> None:
        """Go away: no listener, no connection. What was recorded stays; again is no error."""
        listener, server = self._listener, self._server
        self._listener = self._server = None
        if listener is None or server is None:
            return
        listener.close()
        platform.withdraw(self.path)
        await listener.wait_closed()
        server.close()
        await server.wait_closed()

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Be gone for the time of the block, as a containerd that restarts."""
        await self.stop()
        try:
            yield
        finally:
            await self.start()

    def refuse(self, count: int) -> None:
        """Answer the next `count` events with UNAVAILABLE instead of taking them."""
        self._refusals = count

    def lose_acknowledgements(self, count: int) -> None:
        """Take the next `count` events, but end the connection instead of answering."""
        self._losses = count

    async def settled(self) -> None:
        """Wait until it listens again after a lost acknowledgement."""
        if self._restarts:
            await asyncio.wait(self._restarts)

    def of(self, container_id: str) -> list[Event]:
        """The events about one container so far."""
        return [event for event in self.recorded if event.container_id == container_id]

    def topics(self, container_id: str) -> list[str]:
        """The topics of the events about one container so far, in order."""
        return [event.topic for event in self.of(container_id)]

    async def wait(
        self,
        topic: str,
        container_id: str,
        exec_id: str = "",
        *,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - with an error that tells what came instead
    ) -> Event:
        """The first event with a topic about one process, past or to come.

        Args:
            topic: Such as `/tasks/exit`.
            container_id: The container.
            exec_id: The exec; empty for the init.
            timeout: How long to wait (s).

        Raises:
            DeadlineExceededError: There was none; the text tells what came instead.
        """

        def found(event: Event) -> bool:
            about = (event.topic, event.container_id, event.exec_id)
            return about == (topic, container_id, exec_id)

        await self.wait_until(
            lambda: any(map(found, self.recorded)), f"{topic} {container_id}", timeout=timeout
        )
        return next(filter(found, self.recorded))

    async def wait_until(
        self,
        condition: Callable[[], bool],
        wanted: str,
        *,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - as for `wait`
    ) -> None:
        """Wait until a condition on what came holds; it is tried after every event.

        Args:
            condition: Looks at `recorded` and `refused`.
            wanted: What to call it in the error.
            timeout: How long to wait (s).

        Raises:
            DeadlineExceededError: It did not come to hold.
        """
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            came = [(event.topic, event.container_id, event.exec_id) for event in self.recorded]
            raise DeadlineExceededError(f"no {wanted} among {came}") from None

    async def forward(
        self,
        request: events_service_pb2.ForwardRequest,
        context: CallContext,  # noqa: ARG002 - the service's signature
    ) -> empty_pb2.Empty:
        """Take an event; called by the server."""
        event = read_envelope(request.envelope)
        if self._refusals > 0:
            self._refusals -= 1
            await self._keep(self.refused, event)
            raise StatusError(Code.UNAVAILABLE, "refused")
        lose = self._losses > 0
        self._losses -= lose
        await self._keep(self.recorded, event)
        if lose:
            await self._restart()
        return empty_pb2.Empty()

    async def _keep(self, where: list[Event], event: Event) -> None:
        async with self._changed:
            where.append(event)
            self._changed.notify_all()

    async def _restart(self) -> NoReturn:
        """End all connections, this call's too, and listen again."""

        async def restart() -> None:
            await self.stop()
            await self.start()

        task = asyncio.create_task(restart())
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)
        await asyncio.Event().wait()
        raise AssertionError("the end of the connection cancels this call")
