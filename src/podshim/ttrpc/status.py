"""How a call ends when it does not end well.

A call fails in one of three ways, and a caller may want to tell them apart: the server answered
with a status (`StatusError`), the connection went away before it answered (`ConnectionLost`), or
the peer, or this program, broke the protocol (`ProtocolError`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.errors import Code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.any_pb2 import Any as TypedMessage


class StatusError(Exception):
    """The status that ended a call, other than OK.

    A client raises it for what the server answered, and for what is refused or given up locally
    with the same meaning (too large a message, a deadline). A handler may raise it to answer
    with just this code and text.

    Args:
        code: The status code.
        message: The text, without any decoration.
        details: Further messages about the error, each a `google.protobuf.Any`.
    """

    def __init__(self, code: Code, message: str, details: Iterable[TypedMessage] = ()) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details = tuple(details)

    def __str__(self) -> str:
        return self.message


class ConnectionLost(ConnectionError):  # noqa: N818 - named for what happened, as asyncio does
    """The connection ended, so the call has no answer; whether the server acted is unknown."""

    def __init__(self) -> None:
        super().__init__("ttrpc: closed")


class ProtocolError(Exception):
    """The peer, or the caller, did what the protocol does not allow on this stream."""


def code_of(number: int) -> Code:
    """The status code with this number; a number that nobody has defined is UNKNOWN."""
    try:
        return Code(number)
    except ValueError:
        return Code.UNKNOWN
