"""What a connection tells its user: the events that come out when bytes go in.

Both ends speak of a stream's peer with the same three events; `RequestReceived` is a server's
alone. After `StreamFailed`, or on a client after the last message or `RemoteClosed`, no further
event names that stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from podshim.ttrpc.service import Handler, MethodDescriptor
    from podshim.ttrpc.status import ProtocolError, StatusError


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A client calls a method that is served.

    Args:
        stream_id: The stream of this call.
        method: The method.
        handler: What the service has registered for it.
        message: The message that came with the request; None when the client streams and has
            sent none yet.
        last: Whether the client has said already that it sends no more.
        timeout_nano: The time left to the client's deadline (ns): 0 for no deadline, negative
            when it has passed already.
        metadata: Keys in lower case, each with its values in order.
    """

    stream_id: int
    method: MethodDescriptor[Any, Any]  # Any: of every message type
    handler: Handler
    message: Message | None
    last: bool
    timeout_nano: int
    metadata: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """The peer sent a message.

    Args:
        stream_id: The stream.
        message: The message, parsed.
        last: Whether the peer sends no more on this stream.
    """

    stream_id: int
    message: Message
    last: bool = False


@dataclass(frozen=True, slots=True)
class RemoteClosed:
    """The peer sends no more on this stream, and nothing went wrong."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class StreamFailed:
    """The stream is over before its time.

    On a server, the client has broken a rule and has been answered; on a client, the server's
    status, or what was wrong with what it sent.

    Args:
        stream_id: The stream.
        error: Why.
    """

    stream_id: int
    error: StatusError | ProtocolError


Event: TypeAlias = RequestReceived | MessageReceived | RemoteClosed | StreamFailed
