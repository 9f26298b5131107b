"""Messages of the bridge, and which answer is to which call."""

import json
import struct

import pytest
from hypothesis import given, strategies as st

from hcs.vm_guest_support import CONTAINER_ENDED, RESPONSE, TYPES
from podshim.engines.hcs.vm.guest import wire
from podshim.engines.hcs.vm.guest.core import VM_ITSELF, Answer, BridgeCore, ContainerEnded
from podshim.engines.hcs.vm.guest.sockets import vsock_service
from podshim.engines.hcs.vm.guest.wire import BridgeError, Message, Rpc


def message(kind: int, number: int, text: str = "{}") -> bytes:
    payload = text.encode()
    return struct.pack("<IIQ", kind, 16 + len(payload), number) + payload


def test_types_of_requests() -> None:
    assert {rpc.value for rpc in Rpc} - {0x00100E01, 0x00100F01} == set(TYPES.values())
    assert wire.REQUEST | Rpc.CREATE == 0x10100101
    assert wire.RESPONSE | Rpc.MODIFY_SETTINGS == 0x20100A01
    assert wire.REQUEST | Rpc.MODIFY_SERVICE_SETTINGS == 0x10200101
    assert wire.NOTIFY_CONTAINER == 0x30100101


def test_bytes_of_a_message() -> None:
    encoded = wire.encode(Message(0x10100101, 7, b"{}\n"))
    assert encoded == bytes.fromhex("01011010130000000700000000000000") + b"{}\n"


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.binary())),
    st.integers(1, 40),
)
def test_messages_survive_any_cuts(parts: list[tuple[int, int, bytes]], step: int) -> None:
    messages = [Message(*part) for part in parts]
    data = b"".join(map(wire.encode, messages))
    decoder = wire.Decoder()
    found = []
    for start in range(0, len(data), step):
        decoder.feed(data[start : start + step])
        while (one := decoder.next_message()) is not None:
            found.append(one)
    assert found == messages
    assert decoder.buffered == 0


@pytest.mark.parametrize("size", [0, 15, 0x10001, 0xFFFFFFFF])
def test_sizes_that_can_not_be(size: int) -> None:
    decoder = wire.Decoder()
    decoder.feed(struct.pack("<IIQ", 0x20100101, size, 0))
    with pytest.raises(BridgeError, match=f"bridge read failed: invalid message size {size}"):
        decoder.next_message()


def test_the_largest_message() -> None:
    decoder = wire.Decoder()
    decoder.feed(wire.encode(Message(1, 2, b"x" * (0x10000 - 16))))
    found = decoder.next_message()
    assert found is not None
    assert len(found.payload) == 0x10000 - 16


def test_a_request() -> None:
    core = BridgeCore()
    assert core.open(Rpc.START, "c&<1>", {"ProcessId": 5}) == 0
    kind, size, number = struct.unpack_from("<IIQ", data := core.data_to_send())
    assert (kind, size, number) == (0x10100201, len(data), 0)
    assert data[16:] == (
        b'{"ContainerId":"c&<1>","ActivityId":"00000000-0000-0000-0000-000000000000",'
        b'"ProcessId":5}\n'
    )
    assert core.data_to_send() == b""


def test_answers_come_in_any_order() -> None:
    core = BridgeCore()
    calls = [core.open(Rpc.START, VM_ITSELF, {}), core.open(Rpc.DUMP_STACKS, VM_ITSELF, {})]
    assert calls == [0, 1]
    core.receive_data(message(RESPONSE | TYPES["DumpStacks"], 1, '{"GuestStacks": "x"}'))
    core.receive_data(message(RESPONSE | TYPES["Start"], 0, '{"Result": -1}\n'))
    assert core.next_event() == Answer(1, {"GuestStacks": "x"})
    assert core.open_calls == 1
    assert core.next_event() == Answer(0, {"Result": -1})
    assert core.next_event() is None


def test_a_notification() -> None:
    core = BridgeCore()
    core.receive_data(message(CONTAINER_ENDED, 9, json.dumps({"ContainerId": "c"})))
    assert core.next_event() == ContainerEnded("c")


@pytest.mark.parametrize(
    ("kind", "number", "text", "complaint"),
    [
        (0x20100201, 5, "{}", "bridge received unknown rpc response for id 5, type 0x20100201"),
        (0x20100301, 0, "{}", "bridge received unknown rpc response for id 0, type 0x20100301"),
        (0x30100201, 0, "{}", "bridge received unknown notification message 0x30100201"),
        (0x10100201, 0, "{}", "bridge received unknown message type 0x10100201"),
        (0x40000000, 0, "{}", "bridge received unknown message type 0x40000000"),
        (0x20100201, 0, "{", "bridge response unmarshal failed: "),
        (0x20100201, 0, "[]", "bridge response unmarshal failed: it is no JSON object"),
        (0x30100101, 0, '{"ContainerId": 5}', "ContainerId is no string"),
    ],
)
def test_what_makes_no_sense(kind: int, number: int, text: str, complaint: str) -> None:
    core = BridgeCore()
    core.open(Rpc.START, VM_ITSELF, {})
    core.receive_data(message(kind, number, text))
    with pytest.raises(BridgeError, match=complaint):
        core.next_event()


def test_an_end_in_the_middle() -> None:
    core = BridgeCore()
    core.receive_end()
    core.receive_data(b"\x01")
    assert core.next_event() is None
    with pytest.raises(BridgeError, match="unexpected EOF"):
        core.receive_end()


@given(st.binary(max_size=200))
def test_any_bytes_make_sense_or_an_error(data: bytes) -> None:
    core = BridgeCore()
    core.open(Rpc.START, VM_ITSELF, {})
    core.receive_data(data)
    try:
        while core.next_event() is not None:
            pass
    except BridgeError:
        pass


def test_services_of_vsock_ports() -> None:
    assert str(vsock_service(0x40000001)) == "40000001-facb-11e6-bd58-64006a7986d3"
    assert str(vsock_service(109)) == "0000006d-facb-11e6-bd58-64006a7986d3"
