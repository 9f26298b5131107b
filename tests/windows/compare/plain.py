"""Messages as plain values: what is set in them, with whatever `Any` members hold, read."""

import json
from typing import Any

from google.protobuf import any_pb2, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.internal import containers
from google.protobuf.message import DecodeError, Message

from podshim.api import events_pb2, runhcs_options_pb2, runhcs_stats_pb2
from windows.compare.normal import ZERO_TIME

_KNOWN: dict[str, type[Message]] = {
    "containerd.runhcs.v1.ProcessDetails": runhcs_options_pb2.ProcessDetails,
    "containerd.runhcs.stats.v1.Statistics": runhcs_stats_pb2.Statistics,
    **{
        f"containerd.events.{name}": getattr(events_pb2, name)
        for name in events_pb2.DESCRIPTOR.message_types_by_name
    },
}
_UNORDERED = frozenset({"tasks", "execs"})


def plain(message: Message) -> Any:
    """What is set in a message, as JSON could hold it."""
    if isinstance(message, any_pb2.Any):
        return _typed(message)
    if isinstance(message, timestamp_pb2.Timestamp):
        return ZERO_TIME if message.seconds == -62135596800 else str(message.seconds)
    counted = {one.name: "(a number)" for one in message.DESCRIPTOR.fields if _counts(one)}
    set_fields = {field.name: _value(field, value) for field, value in message.ListFields()}
    return {**set_fields, **counted}


def _counts(field: Any) -> bool:
    """Whether a machine counts what this member tells: never twice the same, or just zero."""
    return field.cpp_type == FieldDescriptor.CPPTYPE_UINT64 and not field.is_repeated


def _typed(message: any_pb2.Any) -> Any:
    kind = _KNOWN.get(message.type_url)
    if kind is None:
        return {"@type": message.type_url, "bytes": message.value.hex()}
    try:
        inner = plain(kind.FromString(message.value))
        if message.type_url.startswith("containerd.events."):
            return inner  # the topic says what it is
        return {"@type": message.type_url, **inner}
    except DecodeError:
        return {"@type": message.type_url, "undecodable": message.value.hex()}


def _value(field: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, list | containers.RepeatedCompositeFieldContainer) or (
        hasattr(value, "append")
    ):
        items = [_single(field, one) for one in value]
        # What diagnostics list has no order.
        return sorted(items, key=lambda one: one["id"]) if field.name in _UNORDERED else items
    if hasattr(value, "items"):
        return dict(sorted(value.items()))
    return _single(field, value)


def _single(field: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, Message):
        return plain(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    if isinstance(value, bytes):
        return value.hex()
    return value


def document(text: str) -> Any:
    """A JSON text's value, or the text itself if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text
