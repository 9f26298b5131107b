"""Messages of the bridge to a VM's agent, and their bytes.

    type    u32 little-endian: request, response or notification; of what
    size    u32 little-endian: of the message, this header included
    id      u64 little-endian: a response has its request's
    then    JSON, which the host ends with a line end

Theory of operation. A `Decoder` is fed bytes as they come and gives whole messages. It keeps one
incomplete message at most, whose size is limited; a size that can't be ends the connection, because
nothing says where the next message begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from podshim.errors import ShimError

HEADER_SIZE = 16
#: The largest message that an agent may send.
MAX_MESSAGE = 0x10000

KIND_MASK = 0xF0000000
REQUEST = 0x10000000
RESPONSE = 0x20000000
NOTIFY = 0x30000000
_SYSTEM = 0x00100000
_SERVICE = 0x00200000

_HEADER = Struct("<IIQ")


class Rpc(IntEnum):
    """What an agent can be asked for; a message's type without its kind."""

    CREATE = _SYSTEM | 1 << 8 | 1
    START = _SYSTEM | 2 << 8 | 1
    SHUTDOWN_GRACEFUL = _SYSTEM | 3 << 8 | 1
    SHUTDOWN_FORCED = _SYSTEM | 4 << 8 | 1
    EXECUTE_PROCESS = _SYSTEM | 5 << 8 | 1
    WAIT_FOR_PROCESS = _SYSTEM | 6 << 8 | 1
    SIGNAL_PROCESS = _SYSTEM | 7 << 8 | 1
    RESIZE_CONSOLE = _SYSTEM | 8 << 8 | 1
    GET_PROPERTIES = _SYSTEM | 9 << 8 | 1
    MODIFY_SETTINGS = _SYSTEM | 10 << 8 | 1
    NEGOTIATE_PROTOCOL = _SYSTEM | 11 << 8 | 1
    DUMP_STACKS = _SYSTEM | 12 << 8 | 1
    DELETE_CONTAINER_STATE = _SYSTEM | 13 << 8 | 1
    UPDATE_CONTAINER = _SYSTEM | 14 << 8 | 1
    LIFECYCLE_NOTIFICATION = _SYSTEM | 15 << 8 | 1
    MODIFY_SERVICE_SETTINGS = _SERVICE | 1 << 8 | 1


#: A container has ended.
NOTIFY_CONTAINER = NOTIFY | _SYSTEM | 1 << 8 | 1


class BridgeError(ShimError):
    """The other end does not keep to the protocol: the connection is of no use any more."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Args:
        type: Its kind, and what it is about.
        id: Its number.
        payload: Its JSON text.
    """

    type: int
    id: int
    payload: bytes = b""

    @property
    def kind(self) -> int:
        """REQUEST, RESPONSE, NOTIFY, or a number that means nothing."""
        return self.type & KIND_MASK


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    size = HEADER_SIZE + len(message.payload)
    return _HEADER.pack(message.type, size, message.id) + message.payload


class Decoder:
    """Turns the bytes of one direction into messages: feed it, then take messages until none."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = bytearray()

    @property
    def buffered(self) -> int:
        """How many bytes of an incomplete message are kept."""
        return len(self._kept)

    def feed(self, data: bytes) -> None:
        """Add the next bytes."""
        self._kept += data

    def next_message(self) -> Message | None:
        """Take the next message, or None when more bytes are needed.

        Raises:
            BridgeError: Its size can't be.
        """
        if len(self._kept) < HEADER_SIZE:
            return None
        kind, size, number = _HEADER.unpack_from(self._kept)
        if not HEADER_SIZE <= size <= MAX_MESSAGE:
            raise BridgeError(f"bridge read failed: invalid message size {size}")
        if len(self._kept) < size:
            return None
        payload = bytes(self._kept[HEADER_SIZE:size])
        del self._kept[:size]
        return Message(kind, number, payload)
