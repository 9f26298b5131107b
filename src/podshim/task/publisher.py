"""Sends events to containerd: in order, again and again until they are taken.

Theory of operation. One asyncio task takes the head of the outbox, forwards it over a connection of
its own, and removes it only when containerd has acknowledged it; then the next. So the order
holds, nothing is lost while containerd is away, and an event comes twice only where the
acknowledgement of the first was lost. Nothing ever waits for it: an event is put into the outbox,
and that is all that the rest of the shim does.

Failures, and what follows:
- containerd says that the event itself is wrong (InvalidArgument), or it is too large to send: that
  would be so for ever, and no event behind it would ever go out, so this one is dropped with a
  line in the log.
- it says anything else, or nothing in time, or the connection is gone, or we fail in a way that
  nobody foresaw: a new connection, the same event, after a pause that doubles from 10 ms. While
  nobody listens the pause stays short, for a look at a Unix socket costs nothing and containerd
  comes back at some moment; a containerd that listens and fails is given more time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, TypeAlias

from google.protobuf.any_pb2 import Any

from podshim.api import events_service_pb2, events_service_ttrpc, types_pb2
from podshim.errors import Code
from podshim.task.events import timestamp
from podshim.task.outbox import LIMIT, Outbox
from podshim.ttrpc.frames import MAX_PAYLOAD
from podshim.ttrpc.status import ProtocolError, StatusError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from podshim.task.events import Event
    from podshim.ttrpc.client import Client

    Connect: TypeAlias = Callable[[], Awaitable[Client]]

_log = logging.getLogger(__name__)

#: How long containerd may take for one event, in s.
FORWARD_TIMEOUT = 5.0

#: Pauses between attempts, in s: the first, and the longest for either kind of failure.
FIRST_PAUSE = 0.01
LONGEST_PAUSE_ABSENT = 0.25
LONGEST_PAUSE_FAILING = 2.0

NAMESPACE_KEY = "containerd-namespace-ttrpc"


class Publisher:
    """The one sender of a shim's events. Belongs to one event loop.

    Args:
        connect: Opens a connection to containerd's events service, within a time of its own; any
            OSError means that nobody listens. None if there is no address: events are then dropped.
        namespace: containerd's namespace of the shim's containers.
        limit: How many events are kept while containerd is away.
    """

    def __init__(self, connect: Connect | None, namespace: str, *, limit: int = LIMIT) -> None:
        self.outbox: Outbox[Event] = Outbox(limit, self._wake)
        self._connect = connect
        self._namespace = namespace
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._draining = False
        self._evicted = 0

    def __repr__(self) -> str:
        link = "connected" if self._client is not None else "not connected"
        return f"<Publisher {link}, {self.outbox!r}>"

    def start(self) -> None:
        """Begin to send; called once, in the running loop."""
        name = "publisher of events"
        self._task = asyncio.get_running_loop().create_task(self._run(), name=name)

    async def drain(self, grace: float) -> bool:
        """Give what is queued a last chance; it is given up at once if nobody listens.

        Args:
            grace: How long that may take, in s.

        Returns:
            Whether everything has been delivered.
        """
        self._draining = True
        self._ready.set()
        if self._task is not None:
            empty = asyncio.ensure_future(self._empty.wait())
            waiting = [self._task, empty]
            await asyncio.wait(waiting, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            empty.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await empty
        if self.outbox:
            _log.warning("%d events were not delivered", len(self.outbox))
        return not self.outbox

    async def close(self) -> None:
        """Stop at once; what is still queued is lost."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._hang_up()

    def _wake(self) -> None:
        self._empty.clear()
        self._ready.set()

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            event = await self._next()
            if event is None:
                return
            longest = await self._deliver(event)
            if longest is None:
                pause = FIRST_PAUSE
            elif self._draining and longest == LONGEST_PAUSE_ABSENT:
                return
            else:
                await asyncio.sleep(min(pause, longest))
                pause = min(2 * pause, longest)

    async def _next(self) -> Event | None:
        """Wait for something to send; None once everything is sent and no more will come."""
        while (event := self.outbox.head) is None:
            self._empty.set()
            if self._draining:
                return None
            self._ready.clear()
            await self._ready.wait()
        if self.outbox.evicted != self._evicted:
            lost = self.outbox.evicted - self._evicted
            self._evicted = self.outbox.evicted
            _log.error("%d events dropped: containerd has been away for too long", lost)
        return event

    async def _deliver(self, event: Event) -> float | None:
        """Try once. None if the event is dealt with, else the longest pause before the next try."""
        try:
            return await self._try(event)
        except Exception:  # noqa: BLE001 - no memory, a bug: without a sender all would be lost
            _log.exception("sending %s failed", event.topic)
            self._hang_up()
            return LONGEST_PAUSE_FAILING

    async def _try(self, event: Event) -> float | None:
        if self._connect is None:
            _log.info("no address of containerd to send %s to", event.topic)
            self.outbox.remove(event)
            return None
        try:
            if self._client is None:
                self._client = await self._connect()
        except OSError as error:
            _log.debug("containerd's events service can't be reached: %s", error)
            return LONGEST_PAUSE_ABSENT
        try:
            await self._forward(self._client, event)
        except StatusError as error:
            if not _hopeless(error, event):
                _log.warning("containerd does not take %s: %s", event.topic, error)
                self._hang_up()
                return LONGEST_PAUSE_FAILING
            _log.error("containerd refuses %s, which is dropped: %s", event.topic, error)
        except (OSError, ProtocolError) as error:
            _log.info("lost containerd's events service: %s", error)
            self._hang_up()
            return LONGEST_PAUSE_ABSENT
        self.outbox.remove(event)
        return None

    async def _forward(self, client: Client, event: Event) -> None:
        message = Any(type_url=event.message.type_url, value=event.message.value)
        envelope = types_pb2.Envelope(
            timestamp=timestamp(event.at),
            namespace=self._namespace,
            topic=event.topic,
            event=message,
        )
        await events_service_ttrpc.EventsStub(client).forward(
            events_service_pb2.ForwardRequest(envelope=envelope),
            timeout=FORWARD_TIMEOUT,
            metadata={NAMESPACE_KEY: (self._namespace,)},
        )

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _hopeless(error: StatusError, event: Event) -> bool:
    """Whether an event that was refused so would be refused again."""
    too_large = len(event.message.value) > MAX_PAYLOAD // 2
    return error.code is Code.INVALID_ARGUMENT or (
        error.code is Code.RESOURCE_EXHAUSTED and too_large
    )
