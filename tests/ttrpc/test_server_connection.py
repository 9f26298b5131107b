"""The server's end without I/O: bytes in, events and bytes out, the bytes written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.any_pb2 import Any as TypedMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import BytesValue, StringValue
from hypothesis import given, strategies as st

from podshim.api import ttrpc_pb2
from podshim.errors import Code
from podshim.ttrpc.events import Event, MessageReceived, RemoteClosed, RequestReceived, StreamFailed
from podshim.ttrpc.frames import MAX_PAYLOAD
from podshim.ttrpc.server_connection import ServerConnection
from podshim.ttrpc.service import Kind, MethodDescriptor, Service
from podshim.ttrpc.status import ProtocolError, StatusError
from ttrpc.ttrpc_support import (
    BLOB,
    JOIN,
    SAY,
    SERVICE,
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
    from podshim.ttrpc.service import CallContext

REQUEST, RESPONSE, DATA = 1, 2, 3
CLOSED, OPEN, NO_DATA = 1, 2, 4
NOT_UTF8 = field(1, b"\xff")
EMPTY = MethodDescriptor(SERVICE, "Empty", Kind.SERVER_STREAM, Empty, Empty)


async def handler(_argument: object, _context: CallContext) -> None:
    """Stands for all handlers: the core only passes it on."""


METHODS = (SAY, BLOB, JOIN, SPELL, TALK, EMPTY)
SERVICES = {SERVICE: Service(SERVICE, {method.name: (method, handler) for method in METHODS})}


def connection(max_streams: int = 100) -> ServerConnection:
    return ServerConnection(SERVICES, max_streams=max_streams)


def events(server: ServerConnection, *wire: bytes) -> list[Event]:
    found = []
    for piece in wire:
        server.receive_data(piece)
        while (event := server.next_event()) is not None:
            found.append(event)
    return found


def refusal(stream_id: int, code: int, text: str) -> bytes:
    return frame(stream_id, RESPONSE, 0, status(code, text))


def usable(server: ServerConnection, stream_id: int = 1001) -> bool:
    """Whether a further call is taken."""
    (event,) = events(server, frame(stream_id, REQUEST, 0, request("Say", string("x"))))
    return isinstance(event, RequestReceived) and server.data_to_send() == b""


def test_a_unary_call_on_the_wire() -> None:
    server = connection()
    wire = (
        b"\x00\x00\x00\x1e\x00\x00\x00\x01\x01\x00"
        b"\x0a\x11podshim.test.Echo\x12\x03Say\x1a\x04\x0a\x02hi"
    )  # fmt: skip
    (event,) = events(server, wire)
    assert event == RequestReceived(
        stream_id=1,
        method=SAY,
        handler=handler,
        message=StringValue(value="hi"),
        last=True,
        timeout_nano=0,
        metadata={},
    )
    assert server.open_streams == 1
    server.finish(1, StringValue(value="hi!"))
    assert server.data_to_send() == (
        b"\x00\x00\x00\x07\x00\x00\x00\x01\x02\x00\x12\x05\x0a\x03hi!"
    )  # fmt: skip
    assert server.data_to_send() == b""
    assert server.open_streams == 0


def test_timeout_and_metadata() -> None:
    entries = [("Key", "1"), ("other", "x"), ("key", "2")]
    payload = request("Say", string("x")) + bytes.fromhex("20 80 94 eb dc 03")  # 10**9
    for key, value in entries:
        payload += field(5, field(1, key.encode()) + field(2, value.encode()))
    (event,) = events(connection(), frame(1, REQUEST, 0, payload))
    assert isinstance(event, RequestReceived)
    assert event.timeout_nano == 1_000_000_000
    assert event.metadata == {"key": ("1", "2"), "other": ("x",)}


def test_a_deadline_that_has_passed_is_negative() -> None:
    minus_one = b"\x20" + b"\xff" * 9 + b"\x01"
    (event,) = events(connection(), frame(1, REQUEST, 0, request("Say") + minus_one))
    assert isinstance(event, RequestReceived)
    assert event.timeout_nano == -1


@pytest.mark.parametrize(
    ("wire", "answer"),
    [
        (
            frame(2, REQUEST, 0, request("Say")),
            refusal(2, 3, "StreamID must be odd for client initiated streams"),
        ),
        (frame(0, DATA), refusal(0, 3, "StreamID must be odd for client initiated streams")),
        (frame(8, 99), refusal(8, 3, "StreamID must be odd for client initiated streams")),
        (frame(3, DATA, 0, b"x"), refusal(3, 3, "StreamID is no longer active")),
        (frame(3, DATA, CLOSED | NO_DATA), refusal(3, 3, "StreamID is no longer active")),
        (
            frame(1, REQUEST, 0, b"\xff"),
            refusal(1, 3, f"unmarshal request error: {unmarshal_error(ttrpc_pb2.Request)}"),
        ),
        (
            frame(1, REQUEST, 0, NOT_UTF8),
            refusal(
                1, 3, f"unmarshal request error: {unmarshal_error(ttrpc_pb2.Request, NOT_UTF8)}"
            ),
        ),
        (frame(1, REQUEST, 0, b""), refusal(1, 12, "service ")),
        (
            frame(1, REQUEST, 0, request("Say", service="a.B")),
            refusal(1, 12, "service a.B"),
        ),
        (frame(1, REQUEST, 0, request("Sing")), refusal(1, 12, "method Sing")),
        (
            frame(1, REQUEST, 0, request("Say", b"\xff")),
            refusal(1, 13, f"ttrpc: error unmarshalling payload: {unmarshal_error(StringValue)}"),
        ),
    ],
    ids=[
        "even id",
        "id zero",
        "even id of a type to come",
        "data on an unknown id",
        "close of an unknown id",
        "garbled request",
        "not utf-8",
        "empty request",
        "unknown service",
        "unknown method",
        "garbled message",
    ],
)
def test_a_frame_that_breaks_a_rule_is_answered_and_the_connection_goes_on(
    wire: bytes, answer: bytes
) -> None:
    server = connection()
    assert events(server, wire) == []
    assert server.data_to_send() == answer
    assert server.open_streams == 0
    assert usable(server)


@pytest.mark.parametrize("stream_id", [1, 3, 5])
def test_ids_must_rise(stream_id: int) -> None:
    server = connection()
    events(server, frame(5, REQUEST, 0, request("Say")))
    server.finish(5, StringValue())
    server.data_to_send()
    assert events(server, frame(stream_id, REQUEST, 0, request("Say"))) == []
    text = "StreamID cannot be re-used and must increment"
    assert server.data_to_send() == refusal(stream_id, 3, text)
    assert usable(server)


def test_ids_may_leap() -> None:
    server = connection()
    assert len(events(server, frame(0xFFFFFFFF, REQUEST, 0, request("Say")))) == 1


def test_a_request_that_does_not_parse_uses_its_id_up() -> None:
    server = connection()
    events(server, frame(5, REQUEST, 0, b"\xff"), frame(3, REQUEST, 0, request("Say")))
    text = "StreamID cannot be re-used and must increment"
    assert server.data_to_send().endswith(refusal(3, 3, text))


def test_reusing_the_id_of_a_running_call_ends_it() -> None:
    server = connection()
    events(server, frame(1, REQUEST, 0, request("Say")))
    (event,) = events(server, frame(1, REQUEST, 0, request("Say")))
    assert isinstance(event, StreamFailed)
    assert server.open_streams == 0
    with pytest.raises(ProtocolError, match="stream 1 is over"):
        server.finish(1, StringValue())


@pytest.mark.parametrize("method", ["Say", "Spell"])
def test_data_on_a_call_whose_client_does_not_stream(method: str) -> None:
    server = connection()
    events(server, frame(1, REQUEST, 0, request(method)))
    (event,) = events(server, frame(1, DATA, 0, string("x")))
    text = "data handling error: ttrpc: stream closed"
    assert isinstance(event, StreamFailed)
    assert str(event.error) == text
    assert server.data_to_send() == refusal(1, 3, text)
    assert usable(server)


@pytest.mark.parametrize("method", ["Say", "Spell"])
def test_a_needless_half_close_does_no_harm(method: str) -> None:
    server = connection()
    events(server, frame(1, REQUEST, 0, request(method)))
    half_close = frame(1, DATA, CLOSED | NO_DATA)
    assert events(server, half_close, half_close, frame(1, DATA, NO_DATA)) == []
    assert server.data_to_send() == b""
    assert server.open_streams == 1


def test_a_client_stream_on_the_wire() -> None:
    server = connection()
    (begin,) = events(server, frame(1, REQUEST, OPEN, request("Join")))
    assert isinstance(begin, RequestReceived)
    assert begin.message is None
    assert not begin.last
    assert events(
        server,
        frame(1, DATA, 0, string("a")),
        frame(1, DATA, 0, b""),
        frame(1, DATA, NO_DATA),
        frame(1, DATA, CLOSED | NO_DATA),
    ) == [
        MessageReceived(1, StringValue(value="a")),
        MessageReceived(1, StringValue()),
        RemoteClosed(1),
    ]
    server.finish(1, StringValue(value="a"))
    assert server.data_to_send() == frame(1, RESPONSE, 0, field(2, string("a")))


def test_the_first_message_of_a_client_stream_may_come_with_its_request() -> None:
    server = connection()
    (begin,) = events(server, frame(1, REQUEST, OPEN, request("Join", string("a"))))
    assert isinstance(begin, RequestReceived)
    assert begin.message == StringValue(value="a")
    assert not begin.last


def test_a_request_may_say_that_the_client_is_done() -> None:
    server = connection()
    (begin,) = events(server, frame(1, REQUEST, CLOSED, request("Join")))
    assert isinstance(begin, RequestReceived)
    assert begin.last
    (event,) = events(server, frame(1, DATA, 0, string("a")))
    assert isinstance(event, StreamFailed)


def test_the_last_message_may_be_empty() -> None:
    server = connection()
    events(server, frame(1, REQUEST, OPEN, request("Join")))
    assert events(server, frame(1, DATA, CLOSED)) == [MessageReceived(1, StringValue(), last=True)]


@pytest.mark.parametrize("flags", [CLOSED, CLOSED | NO_DATA])
def test_a_close_with_data(flags: int) -> None:
    server = connection()
    events(server, frame(1, REQUEST, OPEN, request("Talk")))
    (event,) = events(server, frame(1, DATA, flags, string("a")))
    assert isinstance(event, StreamFailed)
    assert server.data_to_send() == refusal(1, 3, "data close message cannot include data")
    assert usable(server)


def test_data_after_a_half_close() -> None:
    server = connection()
    events(server, frame(1, REQUEST, OPEN, request("Talk")), frame(1, DATA, CLOSED | NO_DATA))
    (event,) = events(server, frame(1, DATA, 0, string("a")))
    assert isinstance(event, StreamFailed)
    text = "data handling error: ttrpc: stream closed"
    assert server.data_to_send() == refusal(1, 3, text)


def test_data_that_does_not_parse() -> None:
    server = connection()
    events(server, frame(1, REQUEST, OPEN, request("Talk")))
    (event,) = events(server, frame(1, DATA, 0, b"\xff"))
    assert isinstance(event, StreamFailed)
    text = f"ttrpc: error unmarshalling payload: {unmarshal_error(StringValue)}"
    assert server.data_to_send() == refusal(1, 13, text)


def test_a_server_stream_on_the_wire() -> None:
    server = connection()
    (begin,) = events(server, frame(1, REQUEST, CLOSED, request("Spell", string("ab"))))
    assert isinstance(begin, RequestReceived)
    assert begin.message == StringValue(value="ab")
    assert begin.last
    server.send_message(1, StringValue(value="a"))
    server.send_message(1, StringValue())
    server.finish(1)
    assert server.data_to_send() == (
        frame(1, DATA, 0, string("a")) + frame(1, DATA) + frame(1, DATA, CLOSED | NO_DATA)
    )
    assert events(server, frame(1, DATA, 0, string("a"))) == []
    assert server.data_to_send() == refusal(1, 3, "StreamID is no longer active")


def test_an_empty_request_reaches_a_server_stream() -> None:
    (begin,) = events(connection(), frame(1, REQUEST, CLOSED, request("Empty")))
    assert isinstance(begin, RequestReceived)
    assert begin.message == Empty()


def test_an_error_ends_a_stream_of_any_kind_with_a_response() -> None:
    for method in METHODS:
        server = connection()
        events(server, frame(1, REQUEST, OPEN, request(method.name)))
        server.fail(1, StatusError(Code.NOT_FOUND, "gone: not found"))
        assert server.data_to_send() == refusal(1, 5, "gone: not found")
        assert server.open_streams == 0


def test_what_a_handler_may_not_do_changes_nothing() -> None:
    server = connection()
    events(server, frame(1, REQUEST, 0, request("Say")))
    with pytest.raises(ProtocolError, match="a unary method has one response"):
        server.send_message(1, StringValue())
    with pytest.raises(StatusError, match=r"^ttrpc: marshal called with nil$") as caught:
        server.finish(1, None)
    assert caught.value.code is Code.UNKNOWN
    with pytest.raises(TypeError, match="BytesValue given where StringValue is due"):
        server.finish(1, BytesValue())
    with pytest.raises(ProtocolError, match="stream 3 is over"):
        server.fail(3, StatusError(Code.UNKNOWN, "x"))
    assert server.data_to_send() == b""
    server.finish(1, StringValue())
    assert server.data_to_send() == frame(1, RESPONSE)


def test_an_oversize_answer_is_refused_and_the_stream_goes_on() -> None:
    server = connection()
    events(server, frame(1, REQUEST, 0, request("Blob")))
    with pytest.raises(StatusError, match=r"exceed maximum message size of 4194304$") as caught:
        server.finish(1, BytesValue(value=bytes(MAX_PAYLOAD)))
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert server.data_to_send() == b""
    server.fail(1, caught.value)
    assert server.data_to_send()[8] == RESPONSE


def test_the_largest_answer_fits() -> None:
    server = connection()
    events(server, frame(1, REQUEST, 0, request("Blob")))
    # Two tags with lengths of four bytes each: the message's and the response's.
    server.finish(1, BytesValue(value=bytes(MAX_PAYLOAD - 10)))
    assert server.data_to_send()[:10] == bytes.fromhex("00400000 00000001 02 00")


def test_an_oversize_frame_fails_its_stream_alone() -> None:
    server = connection()
    events(server, *(frame(i, REQUEST, OPEN, request("Talk")) for i in (1, 3)))
    (event,) = events(server, bytes.fromhex("00400001 00000001 03 00"))
    text = "message length 4194305 exceed maximum message size of 4194304"
    assert isinstance(event, StreamFailed)
    assert server.data_to_send() == refusal(1, 8, text)
    assert events(server, bytes(4194305)) == []
    assert events(server, frame(3, DATA, 0, string("a"))) == [
        MessageReceived(3, StringValue(value="a"))
    ]


def test_size_is_checked_before_everything_else() -> None:
    server = connection()
    assert events(server, bytes.fromhex("00400001 00000002 63 00"), bytes(4194305)) == []
    text = "message length 4194305 exceed maximum message size of 4194304"
    assert server.data_to_send() == refusal(2, 8, text)
    assert usable(server)


@pytest.mark.parametrize("kind", [0, RESPONSE, 4, 255])
def test_frames_of_other_types_are_ignored(kind: int) -> None:
    server = connection()
    events(server, frame(1, REQUEST, OPEN, request("Talk")))
    assert events(server, frame(1, kind, 0, b"x"), frame(77, kind, 7, b"\xff")) == []
    assert server.data_to_send() == b""
    assert server.open_streams == 1
    assert usable(server, 3)


def test_there_is_a_limit_to_open_calls() -> None:
    server = connection(max_streams=2)
    wire = [frame(i, REQUEST, 0, request("Say")) for i in (1, 3, 5)]
    assert len(events(server, *wire)) == 2
    text = "too many calls open on one connection (limit 2)"
    assert server.data_to_send() == refusal(5, 8, text)
    server.finish(1, StringValue())
    server.data_to_send()
    assert usable(server)


def test_any_text_reaches_the_caller() -> None:
    server = connection()
    events(server, *(frame(i, REQUEST, 0, request("Say")) for i in (1, 3, 5)))
    server.fail(1, StatusError(Code.INTERNAL, "no file \udcff"))
    assert server.data_to_send() == refusal(1, 13, "no file \\udcff")
    server.fail(3, StatusError(Code.INTERNAL, "ü" * 5_000_000))
    answer = ttrpc_pb2.Response.FromString(server.data_to_send()[10:])
    assert answer.status.message == "ü" * 32768
    server.fail(5, StatusError(Code.OK, "not ok at all"))
    assert server.data_to_send() == refusal(5, 2, "not ok at all")


def test_details_are_sent_unless_they_are_too_large() -> None:
    server = connection()
    events(server, *(frame(i, REQUEST, 0, request("Say")) for i in (1, 3)))
    server.fail(1, StatusError(Code.INTERNAL, "x", [TypedMessage(type_url="t", value=b"v")]))
    answer = ttrpc_pb2.Response.FromString(server.data_to_send()[10:])
    assert [detail.value for detail in answer.status.details] == [b"v"]
    server.fail(3, StatusError(Code.INTERNAL, "x", [TypedMessage(value=bytes(5_000_000))]))
    assert server.data_to_send() == refusal(3, 13, "x")


pieces = st.one_of(
    st.binary(max_size=30),
    st.builds(
        frame,
        st.integers(0, 9),
        st.integers(0, 4),
        st.integers(0, 7),
        st.one_of(
            st.binary(max_size=10),
            st.sampled_from([request(m.name, p) for m in METHODS for p in (None, string("x"))]),
        ),
    ),
)


@given(st.lists(pieces, max_size=40))
def test_nothing_that_a_client_sends_raises_or_confuses(wire: list[bytes]) -> None:
    server = connection(max_streams=3)
    running: set[int] = set()
    for piece in wire:
        for event in events(server, piece):
            match event:
                case RequestReceived():
                    assert event.stream_id not in running
                    running.add(event.stream_id)
                case StreamFailed():
                    running.remove(event.stream_id)
                case _:
                    assert event.stream_id in running
        assert server.open_streams == len(running) <= 3
        assert server.buffered <= MAX_PAYLOAD
    for stream_id in running:
        server.fail(stream_id, StatusError(Code.UNKNOWN, "end"))
    assert server.open_streams == 0


def test_a_service_must_hold_together() -> None:
    with pytest.raises(ValueError, match=r"^/podshim.test.Echo/Say is registered as /a.B/Say$"):
        Service("a.B", {"Say": (SAY, handler)})
    with pytest.raises(ValueError, match="registered as"):
        Service(SERVICE, {"Sing": (SAY, handler)})
    assert repr(SERVICES[SERVICE]).startswith("Service('podshim.test.Echo', ['Say', ")
