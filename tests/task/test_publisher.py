"""Events reach a real ttrpc server on a Unix socket, in order, each once, whatever befalls it."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from google.protobuf.empty_pb2 import Empty

from podshim.api import events_pb2, events_service_ttrpc
from podshim.bundle import Bundle
from podshim.engine import CreateRequest, Exit
from podshim.errors import Code
from podshim.task import publisher as publisher_module
from podshim.task.events import Announcer, Event, typed
from podshim.task.publisher import Publisher
from podshim.transport import unix
from podshim.transport.address import parse_endpoint
from podshim.ttrpc import Server, StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from podshim.api.events_service_pb2 import ForwardRequest
    from podshim.api.types_pb2 import Envelope
    from podshim.task.outbox import TaskTrack
    from podshim.ttrpc import CallContext, Client

LONG = 30.0


class Containerd(events_service_ttrpc.EventsService):
    """containerd's events service, which can go away, come back, refuse, and forget to answer."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.taken: list[Envelope] = []
        self.contexts: list[CallContext] = []
        self.answers: list[Callable[[], object]] = []
        self.changed = asyncio.Event()
        self.server: Server | None = None
        self.listener: unix.Listener | None = None

    async def forward(self, request: ForwardRequest, context: CallContext) -> Empty:
        self.contexts.append(context)
        self.taken.append(request.envelope)
        self.changed.set()
        if self.answers:
            result = self.answers.pop(0)()
            if asyncio.iscoroutine(result):
                await result
        return Empty()

    async def come(self) -> None:
        self.server = Server([events_service_ttrpc.events_service(self)])
        self.listener = await unix.serve(unix.listen(self.path), self.server, same_user=True)

    async def go(self) -> None:
        if self.server is None or self.listener is None:
            return
        self.listener.close()
        await self.listener.wait_closed()
        self.server.close()
        await self.server.wait_closed()
        os.unlink(self.path)
        self.server = self.listener = None

    async def has(self, count: int) -> None:
        async with asyncio.timeout(LONG):
            while len(self.taken) < count:
                self.changed.clear()
                await self.changed.wait()

    @property
    def ids(self) -> list[str]:
        return [
            events_pb2.TaskExit.FromString(envelope.event.value).id
            if envelope.topic == "/tasks/exit"
            else envelope.topic
            for envelope in self.taken
        ]


class Sender:
    """A publisher, and a task whose execs end one after another."""

    def __init__(self, path: str, limit: int = 8192) -> None:
        self.connections = 0
        self.tried_often = asyncio.Event()
        self.now = 1_700_000_000_123_456_789
        self.publisher = Publisher(self.connect, "k8s.io", limit=limit)
        self.announcer = Announcer(lambda: self.now)
        self.track: TaskTrack[Event] = self.publisher.outbox.track()
        self._target = parse_endpoint(path)

    async def connect(self) -> Client:
        self.connections += 1
        if self.connections == 3:
            self.tried_often.set()
        return await unix.connect(self._target, timeout=LONG)

    def say(self, *names: str) -> None:
        for name in names:
            message = events_pb2.TaskExit(container_id="c1", id=name, exit_status=7)
            self.publisher.outbox._release(Event("/tasks/exit", typed(message), self.now))

    async def sent(self) -> None:
        async with asyncio.timeout(LONG):
            await self.publisher._empty.wait()


@pytest_asyncio.fixture
async def containerd(tmp_path: Path) -> AsyncIterator[Containerd]:
    containerd = Containerd(str(tmp_path / "s.ttrpc"))
    yield containerd
    await containerd.go()


@pytest_asyncio.fixture
async def sender(containerd: Containerd) -> AsyncIterator[Sender]:
    sender = Sender(containerd.path)
    sender.publisher.start()
    yield sender
    await sender.publisher.close()


async def test_the_envelope(containerd: Containerd, sender: Sender) -> None:
    await containerd.come()
    happened = sender.now
    sender.announcer.exited(sender.track, "c1", "c1", 77, Exit(9, 5_000_000_001))
    sender.now += 10_000_000_000
    sender.announcer.created(sender.track, CreateRequest("c1", Bundle("/b")), 77)
    await containerd.has(2)
    envelope = containerd.taken[1]
    assert envelope.topic == "/tasks/exit"
    assert envelope.namespace == "k8s.io"
    assert envelope.timestamp.ToNanoseconds() == happened
    assert envelope.event.type_url == "containerd.events.TaskExit"
    message = events_pb2.TaskExit.FromString(envelope.event.value)
    assert (message.container_id, message.id, message.pid) == ("c1", "c1", 77)
    assert (message.exit_status, message.exited_at.ToNanoseconds()) == (9, 5_000_000_001)
    (context, _) = containerd.contexts
    assert context.metadata["containerd-namespace-ttrpc"] == ("k8s.io",)
    assert context.deadline is not None
    left = context.deadline - asyncio.get_running_loop().time()
    assert left <= publisher_module.FORWARD_TIMEOUT


async def test_one_after_another_over_one_connection(
    containerd: Containerd, sender: Sender
) -> None:
    await containerd.come()
    running = 0

    async def alone() -> None:
        nonlocal running
        running += 1
        await asyncio.sleep(0)
        assert running == 1
        running -= 1

    containerd.answers = [alone] * 20
    names = [f"e{number}" for number in range(20)]
    sender.say(*names)
    await sender.sent()
    assert containerd.ids == names
    assert sender.connections == 1


async def test_nobody_is_there_at_first(containerd: Containerd, sender: Sender) -> None:
    sender.say("e1", "e2")
    async with asyncio.timeout(LONG):
        await sender.tried_often.wait()
    sender.say("e3")
    await containerd.come()
    await containerd.has(3)
    assert containerd.ids == ["e1", "e2", "e3"]


@pytest.mark.parametrize("step", ["_connect", "_forward"])
async def test_a_failure_that_nobody_foresaw_does_not_end_the_sending(
    containerd: Containerd, sender: Sender, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(publisher_module, "LONGEST_PAUSE_FAILING", 0.01)
    await containerd.come()
    ordinary = getattr(sender.publisher, step)
    lacks = [MemoryError(), RuntimeError("a bug")]

    async def lacking(*arguments: object) -> object:
        if lacks:
            raise lacks.pop()
        return await ordinary(*arguments)

    monkeypatch.setattr(sender.publisher, step, lacking)
    sender.say("e1", "e2")
    await sender.sent()
    assert containerd.ids == ["e1", "e2"]


async def test_five_thousand_events_across_restarts(containerd: Containerd, sender: Sender) -> None:
    names = [f"e{number}" for number in range(5000)]
    sender.say(*names[:2000])
    await containerd.come()
    await containerd.has(500)
    await containerd.go()
    sender.say(*names[2000:])
    await containerd.come()
    await containerd.has(3000)
    await containerd.go()
    await containerd.come()
    await sender.sent()
    assert sorted(set(containerd.ids), key=containerd.ids.index) == names
    assert len(containerd.ids) <= 5002  # an acknowledgement may be lost with each connection


async def test_a_lost_acknowledgement_means_twice(containerd: Containerd, sender: Sender) -> None:
    await containerd.come()

    def cut() -> None:
        assert containerd.server is not None
        containerd.server.close()
        containerd.server = Server([events_service_ttrpc.events_service(containerd)])
        assert containerd.listener is not None
        containerd.listener._server = containerd.server

    containerd.answers = [lambda: None, cut]
    sender.say("e1", "e2", "e3")
    await sender.sent()
    assert containerd.ids == ["e1", "e2", "e2", "e3"]
    assert sender.connections == 2


def refuse(code: Code) -> Callable[[], object]:
    def answer() -> None:
        raise StatusError(code, "no")

    return answer


async def test_what_is_wrong_in_itself_is_dropped(
    containerd: Containerd, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    await containerd.come()
    containerd.answers = [refuse(Code.INVALID_ARGUMENT)]
    sender.say("e1", "e2")
    await sender.sent()
    assert containerd.ids == ["e1", "e2"]
    assert "containerd refuses /tasks/exit, which is dropped: no" in caplog.text


async def test_what_is_too_large_to_send_is_dropped(
    containerd: Containerd, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    await containerd.come()
    sender.say("x" * (4 << 20), "e2")
    await sender.sent()
    assert containerd.ids == ["e2"]
    assert "exceed maximum message size" in caplog.text


@pytest.mark.parametrize(
    "code", [Code.UNAVAILABLE, Code.UNKNOWN, Code.UNIMPLEMENTED, Code.RESOURCE_EXHAUSTED]
)
async def test_any_other_refusal_is_tried_again(
    containerd: Containerd, sender: Sender, code: Code
) -> None:
    await containerd.come()
    containerd.answers = [refuse(code), refuse(code)]
    sender.say("e1", "e2")
    await sender.sent()
    assert containerd.ids == ["e1", "e1", "e1", "e2"]


async def test_no_answer_in_time(
    containerd: Containerd, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "FORWARD_TIMEOUT", 0.05)
    await containerd.come()

    async def hang() -> None:
        monkeypatch.setattr(publisher_module, "FORWARD_TIMEOUT", LONG)  # for what follows
        await asyncio.sleep(LONG)

    containerd.answers = [hang]
    sender.say("e1", "e2")
    await sender.sent()
    assert containerd.ids == ["e1", "e1", "e2"]
    assert sender.connections >= 2


async def test_pauses_grow_to_a_limit_and_begin_anew(
    containerd: Containerd, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)
        if len(pauses) == 7:
            await containerd.come()

    monkeypatch.setattr(asyncio, "sleep", note)
    sender.say("e1")
    await sender.sent()
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.25, 0.25]
    containerd.answers = [refuse(Code.UNAVAILABLE)] * 9
    sender.say("e2")
    await sender.sent()
    assert pauses[7:] == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.0]


async def test_draining_sends_what_is_left(containerd: Containerd, sender: Sender) -> None:
    await containerd.come()
    sender.say(*(f"e{number}" for number in range(50)))
    assert await sender.publisher.drain(LONG)
    assert len(containerd.taken) == 50


async def test_draining_an_empty_queue_takes_no_time(sender: Sender) -> None:
    assert await sender.publisher.drain(LONG)


async def test_draining_gives_up_at_once_if_nobody_is_there(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    sender.say("e1", "e2")
    assert not await sender.publisher.drain(LONG * 100)
    assert "2 events were not delivered" in caplog.text


async def test_draining_is_bounded(containerd: Containerd, sender: Sender) -> None:
    await containerd.come()
    containerd.answers = [lambda: asyncio.sleep(LONG)]
    sender.say("e1")
    assert not await sender.publisher.drain(0.05)


async def test_without_an_address_events_go_nowhere() -> None:
    publisher = Publisher(None, "default")
    publisher.start()
    message = typed(events_pb2.TaskOOM(container_id="c1"))
    publisher.outbox._release(Event("/tasks/oom", message, 1))
    async with asyncio.timeout(LONG):
        await publisher._empty.wait()
    assert len(publisher.outbox) == 0
    assert repr(publisher) == ("<Publisher not connected, Outbox(0 of 8192 waiting, 0 evicted)>")
    assert await publisher.drain(LONG)
    await publisher.close()


async def test_what_had_to_be_given_up_is_told(
    containerd: Containerd, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Sender(containerd.path, limit=3)
    sender.say("e1", "e2", "e3", "e4", "e5")
    with caplog.at_level(logging.ERROR):
        sender.publisher.start()
        await containerd.come()
        await sender.sent()
    assert containerd.ids == ["e3", "e4", "e5"]
    assert "2 events dropped: containerd has been away for too long" in caplog.text
    await sender.publisher.close()


async def test_closing_before_starting_and_without_anything() -> None:
    publisher = Publisher(None, "default")
    assert await publisher.drain(0.0)
    await publisher.close()


async def test_it_says_whether_it_is_connected(containerd: Containerd, sender: Sender) -> None:
    await containerd.come()
    sender.say("e1")
    await sender.sent()
    assert repr(sender.publisher).startswith("<Publisher connected, ")
