"""The table of moves: what it has is made, what it has not is refused and changes nothing."""

from __future__ import annotations

from itertools import product

import pytest
from google.protobuf.empty_pb2 import Empty

from podshim.ttrpc.service import Kind, MethodDescriptor
from podshim.ttrpc.status import ProtocolError
from podshim.ttrpc.streams import INITIAL, NEXT, Move, State, Stream


def stream(kind: Kind) -> Stream:
    return Stream(1, MethodDescriptor("s.S", "M", kind, Empty, Empty))


#: Written by hand from the protocol: for each kind, what may be done at first.
FIRST = {
    Kind.UNARY: {Move.CLIENT_CLOSE, Move.SERVER_END},
    Kind.SERVER_STREAM: {Move.CLIENT_CLOSE, Move.SERVER_MESSAGE, Move.SERVER_END},
    Kind.CLIENT_STREAM: {Move.CLIENT_MESSAGE, Move.CLIENT_CLOSE, Move.SERVER_END},
    Kind.BIDI: set(Move),
}


@pytest.mark.parametrize("kind", Kind)
def test_what_a_fresh_stream_allows(kind: Kind) -> None:
    assert {move for move in Move if stream(kind).allows(move)} == FIRST[kind]


@pytest.mark.parametrize(("kind", "state", "move"), list(product(Kind, State, Move)))
def test_every_move_in_every_state(kind: Kind, state: State, move: Move) -> None:
    subject = stream(kind)
    subject.state = state
    legal = (state, move) in NEXT and (move is not Move.SERVER_MESSAGE or kind.server_streams)
    assert subject.allows(move) is legal
    if legal:
        subject.move(move)
        assert subject.state is NEXT[state, move]
    else:
        with pytest.raises(ProtocolError, match=move.value):
            subject.move(move)
        assert subject.state is state


def test_nothing_follows_the_end() -> None:
    assert not [move for state, move in NEXT if state is State.OVER]


def test_after_a_half_close_the_client_is_silent() -> None:
    subject = stream(Kind.BIDI)
    subject.move(Move.CLIENT_CLOSE)
    assert not subject.allows(Move.CLIENT_MESSAGE)
    assert subject.allows(Move.CLIENT_CLOSE)
    assert subject.allows(Move.SERVER_MESSAGE)


def test_the_tables_are_whole_and_can_not_be_changed() -> None:
    assert set(INITIAL) == set(Kind)
    with pytest.raises(TypeError):
        NEXT[State.OVER, Move.SERVER_END] = State.OVER  # type: ignore[index]  # the point of it
