"""The frame codec: layout, limits, and any bytes in any pieces."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

import podshim
from podshim.ttrpc import frames
from podshim.ttrpc.frames import MAX_PAYLOAD, Decoder, Frame, Oversize, OversizeError, encode


def decode(*pieces: bytes) -> list[Frame | Oversize]:
    decoder = Decoder()
    events: list[Frame | Oversize] = []
    for piece in pieces:
        decoder.feed(piece)
        while (event := decoder.next_frame()) is not None:
            events.append(event)
        assert decoder.buffered <= MAX_PAYLOAD
    return events


def test_layout() -> None:
    wire = b"\x00\x00\x00\x03\x00\x00\x00\x05\x03\x01abc"
    assert encode(5, frames.DATA, frames.REMOTE_CLOSED, b"abc") == wire
    assert decode(wire) == [Frame(5, 3, 1, b"abc")]


def test_integers_are_unsigned_and_big_endian() -> None:
    wire = b"\x00\x00\x01\x02\xff\xff\xff\xfe\xff\xff" + bytes(258)
    assert encode(0xFFFFFFFE, 0xFF, 0xFF, bytes(258)) == wire
    assert decode(wire) == [Frame(0xFFFFFFFE, 0xFF, 0xFF, bytes(258))]


def test_an_empty_payload_is_a_frame() -> None:
    wire = bytes.fromhex("00000000 00000001 01 02")
    assert encode(1, frames.REQUEST, frames.REMOTE_OPEN) == wire
    assert decode(wire, wire) == [Frame(1, 1, 2)] * 2


def test_exactly_the_limit_is_allowed() -> None:
    payload = bytes(4194304)
    wire = encode(1, frames.RESPONSE, 0, payload)
    assert wire[:10] == bytes.fromhex("00400000 00000001 02 00")
    assert decode(wire) == [Frame(1, 2, 0, payload)]
    assert decode(wire[:4_000_000], wire[4_000_000:]) == [Frame(1, 2, 0, payload)]


def test_one_more_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(
        OversizeError, match=r"^message length 4194305 exceed maximum message size of 4194304$"
    ) as caught:
        encode(1, frames.REQUEST, 0, bytes(4194305))
    assert caught.value.length == 4194305


def test_an_oversize_frame_is_reported_with_its_header_and_discarded() -> None:
    header = bytes.fromhex("00400001 00000007 03 00")
    decoder = Decoder()
    decoder.feed(header[:9])
    assert decoder.next_frame() is None
    decoder.feed(header[9:])
    assert decoder.next_frame() == Oversize(7, 3, 4194305)
    remaining = 4194305
    while remaining:
        piece = bytes(min(remaining, 65536))
        remaining -= len(piece)
        decoder.feed(piece)
        assert decoder.next_frame() is None
        assert decoder.buffered == 0
    decoder.feed(bytes.fromhex("00000001 00000009 02 00 41"))
    assert decoder.next_frame() == Frame(9, 2, 0, b"A")


def test_the_largest_length_there_is_costs_no_memory() -> None:
    decoder = Decoder()
    decoder.feed(bytes.fromhex("ffffffff 00000001 03 00"))
    assert decoder.next_frame() == Oversize(1, 3, 0xFFFFFFFF)
    piece = bytes(1 << 24)
    for _ in range(255):
        decoder.feed(piece)
        assert decoder.next_frame() is None
        assert decoder.buffered == 0
    decoder.feed(piece)
    # One byte of the last piece was not announced: it begins the next header.
    assert decoder.next_frame() is None
    assert decoder.buffered == 1


def test_frames_that_are_not_taken_are_kept() -> None:
    wire = encode(1, frames.DATA, 0, b"abc")
    decoder = Decoder()
    decoder.feed(wire + wire)
    assert decoder.next_frame() == Frame(1, 3, 0, b"abc")
    decoder.feed(wire[:5])
    decoder.feed(wire[5:])
    assert decoder.next_frame() == Frame(1, 3, 0, b"abc")
    assert decoder.next_frame() == Frame(1, 3, 0, b"abc")
    assert decoder.next_frame() is None
    assert decoder.buffered == 0


def test_values_compare_and_print() -> None:
    one = Frame(1, 2, 3, b"abc")
    assert one == Frame(1, 2, 3, b"abc")
    assert one != b"abc"
    for other in (Frame(2, 2, 3, b"abc"), Frame(1, 1, 3, b"abc"), Frame(1, 2, 0, b"abc")):
        assert one != other
    assert one != Frame(1, 2, 3, b"abd")
    assert repr(one) == "Frame(stream_id=1, kind=2, flags=0x03, payload=3 bytes)"
    assert repr(Oversize(1, 3, 5_000_000)) == "Oversize(stream_id=1, kind=3, length=5000000)"
    assert Oversize(1, 3, 5_000_000) != Oversize(1, 3, 5_000_001)
    for value in (one, Oversize(1, 3, 5_000_000)):
        with pytest.raises(TypeError):
            hash(value)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


some_frames = st.lists(
    st.builds(
        Frame,
        st.integers(0, 0xFFFFFFFF),
        st.integers(0, 255),
        st.integers(0, 255),
        st.binary(max_size=40),
    ),
    max_size=8,
)
places = st.lists(st.integers(0, 1000), max_size=20)


@given(some_frames, places)
def test_any_pieces_give_the_frames_that_were_sent(sent: list[Frame], where: list[int]) -> None:
    wire = b"".join(encode(f.stream_id, f.kind, f.flags, f.payload) for f in sent)
    assert decode(*cut(wire, where)) == sent


@given(st.binary(max_size=300), places)
def test_garbage_in_any_pieces_gives_the_same_and_never_raises(
    data: bytes, where: list[int]
) -> None:
    whole = decode(data)
    assert decode(*cut(data, where)) == whole
    assert decode(*[data[i : i + 1] for i in range(len(data))]) == whole


large_pieces = st.sampled_from(
    [
        bytes.fromhex("003fffff 00000001 03 00"),
        bytes.fromhex("00400001 00000001 03 00"),
        b"\xff" * (1 << 20),
        b"\x00" * 1000,
    ]
)


@given(st.lists(st.one_of(st.binary(max_size=64), large_pieces), max_size=30))
def test_no_stream_makes_it_keep_more_than_a_frame(pieces: list[bytes]) -> None:
    decoder = Decoder()
    for piece in pieces:
        decoder.feed(piece)
        while decoder.next_frame() is not None:
            pass
        assert decoder.buffered <= MAX_PAYLOAD


def test_a_payload_in_tiny_pieces_takes_its_size_and_little_more() -> None:
    decoder = Decoder()
    decoder.feed(bytes.fromhex("00010000 00000001 03 00"))
    for _ in range(0xFFFF):
        decoder.feed(b"x")
        assert decoder.next_frame() is None
    # One growing buffer, not a list of pieces with an object for each.
    assert sys.getsizeof(decoder._partial) < 0x10000 * 1.2
    decoder.feed(b"x")
    assert decoder.next_frame() == Frame(1, 3, 0, b"x" * 0x10000)
    assert sys.getsizeof(decoder._partial) < 100


def test_the_module_is_light() -> None:
    source = Path(podshim.__file__).parent.parent
    program = (
        f"import sys; sys.path.insert(0, {str(source)!r})\n"
        "import podshim.ttrpc.frames\n"
        "print(*sorted(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, check=True, text=True
    )
    heavy = {"asyncio", "dataclasses", "enum", "google", "json", "re", "socket", "typing"}
    loaded = set(run.stdout.split())
    assert "podshim.ttrpc.frames" in loaded
    assert not heavy & loaded
    assert {name for name in loaded if name.startswith("podshim")} == {
        "podshim",
        "podshim.ttrpc",
        "podshim.ttrpc.frames",
    }
