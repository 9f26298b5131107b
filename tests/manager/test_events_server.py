"""The server of events, kind and unkind, with the shim's part played by the test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from podshim.api import events_pb2, events_service_pb2, events_service_ttrpc, types_pb2
from podshim.errors import Code, DeadlineExceededError
from podshim.manager.dialects import pack
from podshim.manager.events import EventsServer
from podshim.transport.address import parse_endpoint
from podshim.transport.unix import connect
from podshim.ttrpc.status import ConnectionLost, StatusError

EXIT = events_pb2.TaskExit(container_id="c", id="c", pid=7, exit_status=3)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EventsServer]:
    async with EventsServer(str(tmp_path / "events.sock")) as server:
        yield server
    assert not any(tmp_path.iterdir())


def envelope(
    message: Message, topic: str = "/tasks/exit", *, namespace: str = "n", at: int = 5
) -> types_pb2.Envelope:
    made = types_pb2.Envelope(namespace=namespace, topic=topic, event=pack(message))
    made.timestamp.FromNanoseconds(at)
    return made


async def send(server: EventsServer, *envelopes: types_pb2.Envelope) -> None:
    async with await connect(parse_endpoint(server.path), timeout=30) as client:
        stub = events_service_ttrpc.EventsStub(client)
        for one in envelopes:
            await stub.forward(events_service_pb2.ForwardRequest(envelope=one), timeout=30)


async def test_events_are_kept_in_order(server: EventsServer) -> None:
    added = events_pb2.TaskExecAdded(container_id="c", exec_id="e")
    ended = events_pb2.TaskExit(container_id="c", id="e")
    other = events_pb2.TaskStart(container_id="d")
    await send(
        server,
        envelope(added, "/tasks/exec-added"),
        envelope(other, "/tasks/start"),
        envelope(ended),
        envelope(EXIT, at=1_000_000_007),
    )
    assert server.topics("c") == ["/tasks/exec-added", "/tasks/exit", "/tasks/exit"]
    assert [event.exec_id for event in server.of("c")] == ["e", "e", ""]
    event = await server.wait("/tasks/exit", "c")
    assert (event.message, event.at, event.namespace) == (EXIT, 1_000_000_007, "n")
    assert (await server.wait("/tasks/exit", "c", "e")).message == ended


async def test_an_event_of_another_type_is_kept_as_it_is(server: EventsServer) -> None:
    await send(server, envelope(types_pb2.Mount(type="x"), "/a/b"))
    (event,) = server.recorded
    assert event.message == pack(types_pb2.Mount(type="x"))
    assert (event.container_id, event.exec_id) == ("", "")


@pytest.mark.parametrize(
    "bad",
    [
        envelope(EXIT, namespace=""),
        envelope(EXIT, namespace="a/b"),
        envelope(EXIT, "tasks/exit"),
        envelope(EXIT, "/"),
        envelope(EXIT, "/tasks/?"),
        envelope(EXIT, at=0),
        types_pb2.Envelope(namespace="n", topic="/a", event=pack(EXIT)),
        types_pb2.Envelope(namespace="n", topic="/a", timestamp=envelope(EXIT).timestamp),
    ],
)
async def test_what_containerd_refuses(server: EventsServer, bad: types_pb2.Envelope) -> None:
    if not bad.HasField("event"):
        bad.event.type_url = "containerd.events.TaskExit"
        bad.event.value = b"\xff"
    with pytest.raises(StatusError) as caught:
        await send(server, bad)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert server.recorded == []


async def test_refusing(server: EventsServer) -> None:
    server.refuse(1)
    with pytest.raises(StatusError) as caught:
        await send(server, envelope(EXIT))
    assert caught.value.code is Code.UNAVAILABLE
    assert [event.message for event in server.refused] == [EXIT]
    assert server.recorded == []
    await send(server, envelope(EXIT))
    assert server.topics("c") == ["/tasks/exit"]


async def test_losing_acknowledgements(server: EventsServer) -> None:
    server.lose_acknowledgements(1)
    with pytest.raises(ConnectionLost):
        await send(server, envelope(EXIT))
    assert server.topics("c") == ["/tasks/exit"]
    await server.settled()
    await send(server, envelope(EXIT))
    assert server.topics("c") == ["/tasks/exit"] * 2


async def test_being_away(server: EventsServer) -> None:
    await send(server, envelope(EXIT))
    async with server.away():
        with pytest.raises(FileNotFoundError):
            await send(server, envelope(EXIT))
        await server.stop()
    await server.start()
    await send(server, envelope(EXIT))
    assert len(server.recorded) == 2


async def test_an_event_that_does_not_come(server: EventsServer) -> None:
    await send(server, envelope(EXIT))
    text = r"no /tasks/oom c among \[\('/tasks/exit', 'c', ''\)\]"
    with pytest.raises(DeadlineExceededError, match=text):
        await server.wait("/tasks/oom", "c", timeout=0.05)
