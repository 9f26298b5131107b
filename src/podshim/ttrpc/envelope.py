"""The envelope of a call: what a Request and a Response frame carry (ttrpc's request.proto).

Pure functions between the envelope's bytes and plain values. Strings that protobuf can't hold are
mended, not refused: the text of an error must reach the caller, whatever is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError, Message

from podshim.api import ttrpc_pb2
from podshim.errors import Code
from podshim.ttrpc.status import StatusError, code_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeVar

    M = TypeVar("M", bound=Message)

#: No status text is longer (bytes), so that a status always fits in a frame.
MAX_STATUS_TEXT = 64 << 10


def marshal(message: object, expected: type[Message]) -> bytes:
    """The bytes of an application message.

    Args:
        message: What a handler or a caller gave, hopefully an `expected`.
        expected: The class that the method's descriptor names.

    Raises:
        StatusError: It is None: UNKNOWN, as Go's server says it.
        TypeError: It is of another class.
    """
    if message is None:
        raise StatusError(Code.UNKNOWN, "ttrpc: marshal called with nil")
    if not isinstance(message, expected):
        raise TypeError(f"{type(message).__name__} given where {expected.__name__} is due")
    return message.SerializeToString()


def unmarshal(payload: bytes, expected: type[M]) -> M:
    """Parse an application message.

    Raises:
        StatusError: INTERNAL: it does not parse.
    """
    try:
        return expected.FromString(payload)
    except DecodeError as error:
        text = f"ttrpc: error unmarshalling payload: {error}"
        raise StatusError(Code.INTERNAL, text) from error


def encode_request(
    service: str,
    method: str,
    payload: bytes,
    timeout_nano: int,
    metadata: Mapping[str, str | Iterable[str]],
) -> bytes:
    """The payload of a Request frame.

    Args:
        service: The service's full name.
        method: The method's name.
        payload: The first message, or nothing.
        timeout_nano: The time left (ns); 0 for no deadline.
        metadata: A key's value or values; keys are sent in lower case.
    """
    entries = [
        ttrpc_pb2.KeyValue(key=key.lower(), value=value)
        for key, values in metadata.items()
        for value in ((values,) if isinstance(values, str) else values)
    ]
    request = ttrpc_pb2.Request(
        service=service,
        method=method,
        payload=payload,
        timeout_nano=timeout_nano,
        metadata=entries,
    )
    return request.SerializeToString()


def metadata_of(request: ttrpc_pb2.Request) -> dict[str, tuple[str, ...]]:
    """A request's metadata: keys in lower case, each with its values in the order sent."""
    metadata: dict[str, list[str]] = {}
    for entry in request.metadata:
        metadata.setdefault(entry.key.lower(), []).append(entry.value)
    return {key: tuple(values) for key, values in metadata.items()}


def encode_response(payload: bytes) -> bytes:
    """The payload of a Response frame that ends a call well."""
    return ttrpc_pb2.Response(payload=payload).SerializeToString()


def encode_status(error: StatusError) -> bytes:
    """The payload of a Response frame that ends a call with an error.

    A status that would be taken for success, or would not fit in a frame, is changed so that it
    is neither: code OK becomes UNKNOWN, the text is cut, details that are too large are left out.
    """
    text = error.message.encode("utf-8", "backslashreplace")[:MAX_STATUS_TEXT]
    status = ttrpc_pb2.Status(
        code=error.code or Code.UNKNOWN,
        message=text.decode("utf-8", "ignore"),
    )
    if sum(detail.ByteSize() for detail in error.details) <= MAX_STATUS_TEXT:
        status.details.extend(error.details)
    return ttrpc_pb2.Response(status=status).SerializeToString()


def decode_response(payload: bytes) -> bytes:
    """What a Response frame carries.

    Returns:
        The bytes of the application message.

    Raises:
        StatusError: The call ended with this status; or the frame does not parse (INTERNAL).
    """
    response = unmarshal(payload, ttrpc_pb2.Response)
    status = response.status
    if status.code:
        raise StatusError(code_of(status.code), status.message, status.details)
    return response.payload
