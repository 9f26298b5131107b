"""The host's end of one bridge, without I/O.

Theory of operation. `open` begins a call and gives its id; ids rise from 0, and what `data_to_send`
gives must be written in order. Bytes from the agent go into `receive_data`; `next_event` then says
what they mean: the answer to a call, in whatever order they come, or the end of a container. A call
that nobody waits for any more stays open: its answer is taken and thrown away.

An answer to no call, a notification of something else, or text that is no JSON object means that
the two ends don't understand each other: `BridgeError`, and the connection must be given up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.vm.guest import wire
from podshim.engines.hcs.vm.guest.wire import BridgeError, Message, Rpc

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = dict[str, object]

#: The VM itself, where a container's id is wanted.
VM_ITSELF = "00000000-0000-0000-0000-000000000000"
_NO_ACTIVITY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call."""

    call: int
    document: Json


@dataclass(frozen=True, slots=True)
class ContainerEnded:
    """A container in the guest has ended."""

    container_id: str


class BridgeCore:
    """The protocol state of one bridge."""

    __slots__ = ("_calls", "_decoder", "_next_id", "_output")

    def __init__(self) -> None:
        self._decoder = wire.Decoder()
        self._calls: dict[int, Rpc] = {}
        self._next_id = 0
        self._output: list[bytes] = []

    @property
    def open_calls(self) -> int:
        """How many calls have no answer yet."""
        return len(self._calls)

    def open(self, rpc: Rpc, container_id: str, members: Mapping[str, object]) -> int:
        """Begin a call.

        Args:
            rpc: What to ask for.
            container_id: Of which container; `VM_ITSELF` of none.
            members: What else to send.

        Returns:
            The call's id.
        """
        document = {"ContainerId": container_id, "ActivityId": _NO_ACTIVITY, **members}
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
        payload = text.encode("utf-8", "replace")
        call = self._next_id
        self._next_id += 1
        self._calls[call] = rpc
        self._output.append(wire.encode(Message(wire.REQUEST | rpc, call, payload)))
        return call

    def data_to_send(self) -> bytes:
        """Take what must be written to the agent now."""
        output, self._output = self._output, []
        return b"".join(output)

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes from the agent; then take events until there is none."""
        self._decoder.feed(data)

    def receive_end(self) -> None:
        """Take the end of what the agent sends.

        Raises:
            BridgeError: It came in the middle of a message.
        """
        if self._decoder.buffered:
            raise BridgeError("bridge read failed: unexpected EOF")

    def next_event(self) -> Answer | ContainerEnded | None:
        """What the received bytes mean next, or None when more are needed.

        Raises:
            BridgeError: They mean nothing.
        """
        message = self._decoder.next_message()
        if message is None:
            return None
        if message.kind == wire.RESPONSE:
            rpc = self._calls.pop(message.id, None)
            if rpc is None or message.type & ~wire.KIND_MASK != rpc:
                raise BridgeError(
                    f"bridge received unknown rpc response for id {message.id}, type"
                    f" {message.type:#x}"
                )
            return Answer(message.id, _document(message))
        if message.kind != wire.NOTIFY:
            raise BridgeError(f"bridge received unknown message type {message.type:#x}")
        if message.type != wire.NOTIFY_CONTAINER:
            raise BridgeError(f"bridge received unknown notification message {message.type:#x}")
        container_id = _document(message).get("ContainerId", "")
        if not isinstance(container_id, str):
            raise BridgeError("bridge notification failed: ContainerId is no string")
        return ContainerEnded(container_id)


def _document(message: Message) -> Json:
    try:
        document = json.loads(message.payload or b"{}")
    except (ValueError, RecursionError) as error:
        raise BridgeError(f"bridge response unmarshal failed: {error}") from error
    if not isinstance(document, dict):
        raise BridgeError("bridge response unmarshal failed: it is no JSON object")
    return document
