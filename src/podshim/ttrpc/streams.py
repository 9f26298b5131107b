"""What may happen on one stream, and when it is over.

Theory of operation. A stream begins with the client's Request and ends with one closing frame of
the server, whatever the client has said by then; an error status is a closing frame as well. In
between, either side may send messages as far as the method's kind lets it. All that is state, is
here, as a table; this file does not know which side we are. A move that the table does not have
is refused and changes nothing: what the peer attempts becomes an error status, what this program
attempts is a bug.

A method whose client does not stream begins with the client done: its Request is all it says.
Therefore Data on a running unary call is the same mistake as Data after a half-close.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from podshim.ttrpc.service import Kind
from podshim.ttrpc.status import ProtocolError

if TYPE_CHECKING:
    from podshim.ttrpc.service import MethodDescriptor


class State(Enum):
    """How far a stream has come."""

    OPEN = "open"
    CLIENT_DONE = "client done"
    OVER = "over"


class Move(Enum):
    """What one side does on a stream."""

    CLIENT_MESSAGE = "client message"
    CLIENT_CLOSE = "client close"
    SERVER_MESSAGE = "server message"
    SERVER_END = "server end"


#: Where a stream of each kind begins.
INITIAL = MappingProxyType(
    {
        Kind.UNARY: State.CLIENT_DONE,
        Kind.SERVER_STREAM: State.CLIENT_DONE,
        Kind.CLIENT_STREAM: State.OPEN,
        Kind.BIDI: State.OPEN,
    }
)

#: Where a move leads. Saying a second time that the client is done does no harm.
NEXT = MappingProxyType(
    {
        (State.OPEN, Move.CLIENT_MESSAGE): State.OPEN,
        (State.OPEN, Move.CLIENT_CLOSE): State.CLIENT_DONE,
        (State.OPEN, Move.SERVER_MESSAGE): State.OPEN,
        (State.OPEN, Move.SERVER_END): State.OVER,
        (State.CLIENT_DONE, Move.CLIENT_CLOSE): State.CLIENT_DONE,
        (State.CLIENT_DONE, Move.SERVER_MESSAGE): State.CLIENT_DONE,
        (State.CLIENT_DONE, Move.SERVER_END): State.OVER,
    }
)


class Stream:
    """One stream.

    Args:
        stream_id: Its id.
        method: The method that it is a call of.
    """

    __slots__ = ("method", "state", "stream_id")

    # Any: a connection has streams of all methods in one table.
    def __init__(self, stream_id: int, method: MethodDescriptor[Any, Any]) -> None:
        self.stream_id = stream_id
        self.method = method
        self.state = INITIAL[method.kind]

    def __repr__(self) -> str:
        return f"Stream({self.stream_id}, {self.method}, {self.state.value})"

    def allows(self, move: Move) -> bool:
        """Whether the move is in the table, for this kind of method and in this state."""
        if move is Move.SERVER_MESSAGE and not self.method.kind.server_streams:
            return False
        return (self.state, move) in NEXT

    def move(self, move: Move) -> None:
        """Make a move.

        Raises:
            ProtocolError: The table does not have it; nothing has changed.
        """
        if not self.allows(move):
            raise ProtocolError(
                f"{move.value} on a {self.method.kind.value} that is {self.state.value}"
            )
        self.state = NEXT[self.state, move]
