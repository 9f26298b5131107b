"""The client's end without I/O: requests in, bytes out; bytes in, events out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.wrappers_pb2 import BytesValue, StringValue
from hypothesis import given, strategies as st

from podshim.api import ttrpc_pb2
from podshim.errors import Code
from podshim.ttrpc.client_connection import ClientConnection
from podshim.ttrpc.events import Event, MessageReceived, RemoteClosed, StreamFailed
from podshim.ttrpc.frames import MAX_PAYLOAD
from podshim.ttrpc.status import ConnectionLost, ProtocolError, StatusError
from ttrpc.ttrpc_support import (
    BLOB,
    JOIN,
    SAY,
    SPELL,
    TALK,
    field,
    frame,
    request,
    status,
    string,
    unmarshal_error,
)

if TYPE_CHECKING:
    from google.protobuf.message import Message

REQUEST, RESPONSE, DATA = 1, 2, 3
CLOSED, OPEN, NO_DATA = 1, 2, 4


def events(client: ClientConnection, *wire: bytes) -> list[Event]:
    found = []
    for piece in wire:
        client.receive_data(piece)
        while (event := client.next_event()) is not None:
            found.append(event)
    return found


def failure(client: ClientConnection, *wire: bytes) -> StatusError | ProtocolError:
    before = client.open_streams
    (event,) = events(client, *wire)
    assert isinstance(event, StreamFailed)
    assert client.open_streams == before - 1
    return event.error


def test_a_unary_call_on_the_wire() -> None:
    client = ClientConnection()
    assert client.open(SAY, StringValue(value="hi")) == 1
    assert client.data_to_send() == (
        b"\x00\x00\x00\x1e\x00\x00\x00\x01\x01\x00"
        b"\x0a\x11podshim.test.Echo\x12\x03Say\x1a\x04\x0a\x02hi"
    )  # fmt: skip
    wire = b"\x00\x00\x00\x07\x00\x00\x00\x01\x02\x00\x12\x05\x0a\x03hi!"
    assert events(client, wire) == [MessageReceived(1, StringValue(value="hi!"), last=True)]
    assert client.open_streams == 0


def test_timeout_and_metadata() -> None:
    client = ClientConnection()
    client.open(SAY, StringValue(), timeout_nano=10**9, metadata={"Key": ["1", "2"], "other": "x"})
    entries = [("key", "1"), ("key", "2"), ("other", "x")]
    payload = request("Say") + bytes.fromhex("20 80 94 eb dc 03")
    for key, value in entries:
        payload += field(5, field(1, key.encode()) + field(2, value.encode()))
    assert client.data_to_send() == frame(1, REQUEST, 0, payload)


def test_ids_are_odd_and_rise() -> None:
    client = ClientConnection()
    assert [client.open(SAY, StringValue()) for _ in range(3)] == [1, 3, 5]


def test_a_connection_whose_ids_are_used_up_is_finished() -> None:
    client = ClientConnection()
    client._next_id = 0xFFFFFFFF
    assert client.open(SAY, StringValue()) == 0xFFFFFFFF
    with pytest.raises(ConnectionLost):
        client.open(SAY, StringValue())


def test_a_refused_request_uses_no_id() -> None:
    client = ClientConnection()
    with pytest.raises(StatusError, match=r"exceed maximum message size of 4194304$") as caught:
        client.open(BLOB, BytesValue(value=bytes(MAX_PAYLOAD)))
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    with pytest.raises(StatusError, match="marshal called with nil"):
        client.open(SAY)
    with pytest.raises(TypeError, match="BytesValue given where StringValue is due"):
        client.open(SAY, BytesValue())
    with pytest.raises(ValueError, match="takes its messages after the request"):
        client.open(TALK, StringValue())
    assert client.data_to_send() == b""
    assert client.open_streams == 0
    assert client.open(SAY, StringValue()) == 1


@pytest.mark.parametrize(
    ("payload", "code", "text"),
    [
        (status(5, "task c1: not found"), Code.NOT_FOUND, "task c1: not found"),
        (status(99, "odd"), Code.UNKNOWN, "odd"),
        (status(4, "late") + field(2, b"\xff"), Code.DEADLINE_EXCEEDED, "late"),
    ],
)
def test_a_status_ends_a_call(payload: bytes, code: Code, text: str) -> None:
    client = ClientConnection()
    client.open(SAY, StringValue())
    error = failure(client, frame(1, RESPONSE, 0, payload))
    assert isinstance(error, StatusError)
    assert (error.code, error.message, str(error)) == (code, text, text)


def test_details_come_with_a_status() -> None:
    client = ClientConnection()
    client.open(SAY, StringValue())
    detail = field(3, field(1, b"t") + field(2, b"v"))
    payload = field(1, bytes([0x08, 13]) + field(2, b"x") + detail)
    error = failure(client, frame(1, RESPONSE, 0, payload))
    assert isinstance(error, StatusError)
    assert [(each.type_url, each.value) for each in error.details] == [("t", b"v")]


@pytest.mark.parametrize("prefix", [b"", field(1, b""), field(1, b"\x08\x00")])
def test_no_status_and_code_zero_are_success(prefix: bytes) -> None:
    client = ClientConnection()
    client.open(SAY, StringValue())
    (event,) = events(client, frame(1, RESPONSE, 0, prefix + field(2, string("x"))))
    assert event == MessageReceived(1, StringValue(value="x"), last=True)


@pytest.mark.parametrize(
    ("payload", "message"),
    [(b"\xff", ttrpc_pb2.Response), (field(2, b"\xff"), StringValue)],
    ids=["envelope", "message"],
)
def test_an_answer_that_does_not_parse(payload: bytes, message: type[Message]) -> None:
    client = ClientConnection()
    client.open(SAY, StringValue())
    error = failure(client, frame(1, RESPONSE, 0, payload))
    assert isinstance(error, StatusError)
    assert error.code is Code.INTERNAL
    assert str(error) == f"ttrpc: error unmarshalling payload: {unmarshal_error(message)}"


@pytest.mark.parametrize(("kind", "name"), [(REQUEST, "request"), (DATA, "data"), (9, "unknown")])
def test_other_frames_than_a_response_fail_a_unary_call(kind: int, name: str) -> None:
    client = ClientConnection()
    client.open(SAY, StringValue())
    error = failure(client, frame(1, kind))
    assert isinstance(error, ProtocolError)
    assert str(error) == f'unexpected "{name}" message received: protocol error'


def test_frames_of_other_types_fail_a_stream() -> None:
    client = ClientConnection()
    client.open(TALK)
    error = failure(client, frame(1, 4))
    assert str(error) == 'unexpected "unknown" message received: protocol error'


def test_data_from_a_server_that_does_not_stream() -> None:
    client = ClientConnection()
    client.open(JOIN)
    error = failure(client, frame(1, DATA, 0, string("x")))
    assert isinstance(error, ProtocolError)
    assert str(error) == "received data from non-streaming server: protocol error"


def test_a_client_stream_on_the_wire() -> None:
    client = ClientConnection()
    client.open(JOIN)
    client.send_message(1, StringValue(value="a"))
    client.send_message(1, StringValue())
    client.close_send(1)
    client.close_send(1)
    assert client.data_to_send() == (
        frame(1, REQUEST, OPEN, request("Join"))
        + frame(1, DATA, 0, string("a"))
        + frame(1, DATA)
        + frame(1, DATA, CLOSED | NO_DATA)
    )
    with pytest.raises(ProtocolError, match=r"^ttrpc: stream closed$"):
        client.send_message(1, StringValue())
    (event,) = events(client, frame(1, RESPONSE, 0, field(2, string("a"))))
    assert event == MessageReceived(1, StringValue(value="a"), last=True)
    with pytest.raises(ProtocolError, match=r"^ttrpc: stream closed$"):
        client.close_send(1)


def test_a_server_stream_on_the_wire() -> None:
    client = ClientConnection()
    client.open(SPELL, StringValue(value="ab"))
    assert client.data_to_send() == frame(1, REQUEST, CLOSED, request("Spell", string("ab")))
    with pytest.raises(
        ProtocolError, match=r"^protocol error: cannot send data from non-streaming client$"
    ):
        client.send_message(1, StringValue())
    with pytest.raises(ProtocolError, match=r"^protocol error: cannot close non-streaming client$"):
        client.close_send(1)
    assert events(
        client,
        frame(1, DATA, 0, string("a")),
        frame(1, DATA, NO_DATA),
        frame(1, DATA),
        frame(1, DATA, CLOSED | NO_DATA),
    ) == [
        MessageReceived(1, StringValue(value="a")),
        MessageReceived(1, StringValue()),
        RemoteClosed(1),
    ]
    assert client.open_streams == 0


def test_the_last_message_may_come_with_the_close() -> None:
    client = ClientConnection()
    client.open(SPELL, StringValue())
    wire = frame(1, DATA, CLOSED, string("z"))
    assert events(client, wire) == [MessageReceived(1, StringValue(value="z"), last=True)]


def test_a_response_may_end_a_stream_well() -> None:
    client = ClientConnection()
    client.open(SPELL, StringValue())
    client.open(SPELL, StringValue())
    assert events(client, frame(1, RESPONSE)) == [RemoteClosed(1)]
    assert events(client, frame(3, RESPONSE, 0, field(2, string("z")))) == [
        MessageReceived(3, StringValue(value="z"), last=True)
    ]


def test_an_oversize_frame_fails_its_call_alone() -> None:
    client = ClientConnection()
    client.open(SAY, StringValue())
    client.open(SAY, StringValue())
    error = failure(client, bytes.fromhex("00400001 00000001 02 00"))
    assert isinstance(error, StatusError)
    assert error.code is Code.RESOURCE_EXHAUSTED
    assert str(error) == "message length 4194305 exceed maximum message size of 4194304"
    assert events(client, bytes(4194305)) == []
    assert len(events(client, frame(3, RESPONSE))) == 1


def test_what_comes_for_streams_that_are_not_in_use_is_dropped() -> None:
    client = ClientConnection()
    stream_id = client.open(SAY, StringValue())
    client.drop(stream_id)
    client.drop(stream_id)
    oversize = bytes.fromhex("00400001 00000001 02 00") + bytes(4194305)
    assert events(client, frame(1, RESPONSE), frame(7, DATA), frame(2, 77), oversize) == []


pieces = st.one_of(
    st.binary(max_size=30),
    st.builds(
        frame,
        st.integers(0, 11),
        st.integers(0, 4),
        st.integers(0, 7),
        st.one_of(st.binary(max_size=10), st.sampled_from([status(5, "x"), string("x")])),
    ),
)


@given(st.lists(pieces, max_size=40))
def test_nothing_that_a_server_sends_raises_or_confuses(wire: list[bytes]) -> None:
    client = ClientConnection()
    waiting = {client.open(method, StringValue()) for method in (SAY, SPELL)}
    waiting |= {client.open(method) for method in (JOIN, TALK)}
    for piece in wire:
        for event in events(client, piece):
            assert event.stream_id in waiting
            over = isinstance(event, RemoteClosed | StreamFailed)
            if over or (isinstance(event, MessageReceived) and event.last):
                waiting.remove(event.stream_id)
        assert client.open_streams == len(waiting)
        assert client.buffered <= MAX_PAYLOAD
