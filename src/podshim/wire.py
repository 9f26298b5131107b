"""A small protobuf codec for the start path, which can't afford the real one.

Theory of operation. The `start` and `delete` commands exchange a handful of small messages with
containerd. Importing `protobuf` for them would take longer than all the rest of the command, so
this module reads and writes exactly those messages by hand: a reader of tagged fields, four
writers, and one class or function for each message. Everything else uses `podshim.api`, and the
tests hold this codec to the same answers, valid or broken input alike.

Reading follows protobuf's rules: unknown fields are skipped, a field of the wrong wire type is
unknown, the last value of a scalar wins, repeated occurrences of a sub-message are merged (which
is the same as joining their bytes). Everything malformed raises `WireError`, and nothing else.

The module is pure and imports nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT = 0
FIXED64 = 1
BYTES = 2
GROUP = 3
END_GROUP = 4
FIXED32 = 5

#: How deep groups may nest; nobody sends any, protobuf itself stops at 100.
MAX_DEPTH = 100
_MAX_TAG = (1 << 32) - 1
_MAX_VARINT = (1 << 64) - 1


class WireError(ValueError):
    """The bytes are not a protobuf message."""


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read one base-128 number.

    Args:
        data: The message.
        at: Where the number begins.

    Returns:
        The number, 0 to 2**64 - 1, and where the next byte is.

    Raises:
        WireError: It is cut off or longer than 64 bits.
    """
    value = shift = 0
    for position in range(at, min(at + 10, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > _MAX_VARINT:
                break
            return value, position + 1
        shift += 7
    raise WireError("a number is cut off or too long")


def fields(data: bytes) -> "Iterator[tuple[int, int, int, bytes]]":
    """Read the fields of a message in their order.

    Args:
        data: The whole message.

    Yields:
        Field number, wire type, the number (for VARINT) and the content (for BYTES). Fields of
        the other wire types come with neither: no message here uses them.

    Raises:
        WireError: The message is malformed.
    """
    at = 0
    while at < len(data):
        number, kind, at = _read_tag(data, at)
        if kind == VARINT:
            value, at = read_varint(data, at)
            yield number, kind, value, b""
        elif kind == BYTES:
            size, start = read_varint(data, at)
            at = start + size
            if at > len(data):
                raise WireError("a field is cut off")
            yield number, kind, 0, data[start:at]
        else:
            at = _skip(data, at, number, kind, 1)
            yield number, kind, 0, b""


def _read_tag(data: bytes, at: int) -> tuple[int, int, int]:
    tag, after = read_varint(data, at)
    if tag > _MAX_TAG or after - at > 5 or tag < 8:
        raise WireError("a field number is out of range")
    return tag >> 3, tag & 7, after


def _skip(data: bytes, at: int, number: int, kind: int, depth: int) -> int:
    """Step over the value of an unknown field; return where the next field begins."""
    if kind == VARINT:
        return read_varint(data, at)[1]
    if kind == GROUP:
        return _skip_group(data, at, number, depth)
    if kind == BYTES:
        size, at = read_varint(data, at)
    elif kind in {FIXED32, FIXED64}:
        size = 4 if kind == FIXED32 else 8
    else:
        raise WireError("a field has an impossible wire type")
    if at + size > len(data):
        raise WireError("a field is cut off")
    return at + size


def _skip_group(data: bytes, at: int, number: int, depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise WireError("groups are nested too deep")
    while at < len(data):
        inner, kind, at = _read_tag(data, at)
        if kind == END_GROUP:
            if inner != number:
                break
            return at
        at = _skip(data, at, inner, kind, depth + 1)
    raise WireError("a group does not end")


def text(content: bytes) -> str:
    """The value of a string field.

    Raises:
        WireError: It is not UTF-8.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise WireError("a string is not UTF-8") from error


def signed32(value: int) -> int:
    """What a varint means as an `int32` or an enum: its low 32 bits, with their sign."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


def varint(value: int) -> bytes:
    """Write a number; a negative one as protobuf does, as 64 bits of two's complement."""
    value &= _MAX_VARINT
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def number_field(number: int, value: int) -> bytes:
    """Write an integer, enum or bool field; nothing for 0, the default."""
    return varint(number << 3 | VARINT) + varint(value) if value else b""


def bytes_field(number: int, content: bytes) -> bytes:
    """Write a string, bytes or message field, also when it is empty."""
    return varint(number << 3 | BYTES) + varint(len(content)) + content


def text_field(number: int, content: str) -> bytes:
    """Write a string field; nothing for the empty string, the default."""
    return bytes_field(number, content.encode()) if content else b""


class Any:
    """`google.protobuf.Any`.

    Args:
        type_url: What the value is: a full message name, perhaps behind a prefix that ends in `/`.
        value: The message's bytes.
    """

    __slots__ = ("type_url", "value")

    def __init__(self, type_url: str = "", value: bytes = b"") -> None:
        self.type_url = type_url
        self.value = value

    @property
    def type_name(self) -> str:
        """The full message name, without the URL's prefix."""
        return self.type_url.rpartition("/")[2]

    @classmethod
    def decode(cls, data: bytes) -> "Any":
        """Read one.

        Raises:
            WireError: The bytes are malformed.
        """
        message = cls()
        for number, kind, _, content in fields(data):
            if kind == BYTES and number == 1:
                message.type_url = text(content)
            elif kind == BYTES and number == 2:
                message.value = content
        return message


class BootstrapParams:
    """`containerd.runtime.bootstrap.v1.BootstrapParams`: what containerd 2.3 tells `start`.

    `socket_dir` is None where the field is absent.
    """

    __slots__ = (
        "binary",
        "extensions",
        "grpc_address",
        "instance_id",
        "log_level",
        "namespace",
        "socket_dir",
        "ttrpc_address",
        "version",
    )

    def __init__(self) -> None:
        self.instance_id = ""
        self.namespace = ""
        self.log_level = 0
        self.version = ""
        self.ttrpc_address = ""
        self.grpc_address = ""
        self.binary = ""
        self.extensions: list[Any] = []
        self.socket_dir: str | None = None

    _STRINGS = {  # noqa: RUF012 - ClassVar would import typing
        1: "instance_id",
        2: "namespace",
        4: "version",
        5: "ttrpc_address",
        6: "grpc_address",
        7: "binary",
        9: "socket_dir",
    }

    @classmethod
    def decode(cls, data: bytes) -> "BootstrapParams":
        """Read one.

        Raises:
            WireError: The bytes are malformed.
        """
        message = cls()
        for number, kind, value, content in fields(data):
            if kind == BYTES and number in cls._STRINGS:
                setattr(message, cls._STRINGS[number], text(content))
            elif kind == BYTES and number == 8:
                message.extensions.append(Any.decode(_joined(content, 1)))
            elif kind == VARINT and number == 3:
                message.log_level = signed32(value)
        return message


def _joined(data: bytes, wanted: int) -> bytes:
    """All occurrences of a sub-message, joined: as protobuf merges them."""
    parts = [content for number, kind, _, content in fields(data) if (number, kind) == (wanted, 2)]
    for part in parts:
        for _ in fields(part):
            pass
    return b"".join(parts)


def bootstrap_result(version: int, address: str, protocol: str) -> bytes:
    """Write `containerd.runtime.bootstrap.v1.BootstrapResult`."""
    return number_field(1, version) + text_field(2, address) + text_field(3, protocol)


#: The service that every shim offers, by its full name.
TASK_SERVICE = "containerd.task.v2.Task"

#: Metadata of a `Connect` by which a `start` says that it is about to send containerd here with
#: a container that does not exist yet: the shim must not go before that has come.
JOINING = "podshim-joining"


def connect_request(container_id: str) -> bytes:
    """Write `containerd.task.v2.ConnectRequest`."""
    return text_field(1, container_id)


def shim_pid(data: bytes) -> int:
    """Read the shim's pid from a `containerd.task.v2.ConnectResponse`; 0 if there is none.

    Raises:
        WireError: The bytes are malformed.
    """
    pid = 0
    for number, kind, value, _ in fields(data):
        if number == 1 and kind == VARINT:
            pid = value & 0xFFFFFFFF
    return pid


def ttrpc_request(
    service: str, method: str, payload: bytes, timeout: int, metadata: str = ""
) -> bytes:
    """Write `ttrpc.Request`.

    Args:
        service: The full service name.
        method: The method's bare name.
        payload: The request message.
        timeout: Time until the caller gives up, in ns.
        metadata: A key to send along, in lower case, with the value "1"; empty for none.
    """
    return (
        text_field(1, service)
        + text_field(2, method)
        + (bytes_field(3, payload) if payload else b"")
        + number_field(4, timeout)
        + (bytes_field(5, text_field(1, metadata) + text_field(2, "1")) if metadata else b"")
    )


class TtrpcResponse:
    """`ttrpc.Response`: a status (code 0 when there is none) and the answer's bytes."""

    __slots__ = ("code", "message", "payload")

    def __init__(self) -> None:
        self.code = 0
        self.message = ""
        self.payload = b""

    @classmethod
    def decode(cls, data: bytes) -> "TtrpcResponse":
        """Read one.

        Raises:
            WireError: The bytes are malformed.
        """
        response = cls()
        for number, kind, _, content in fields(data):
            if kind == BYTES and number == 2:
                response.payload = content
        for number, kind, value, content in fields(_joined(data, 1)):
            if kind == VARINT and number == 1:
                response.code = signed32(value)
            elif kind == BYTES and number == 2:
                response.message = text(content)
            elif kind == BYTES and number == 3:
                Any.decode(content)
        return response


def delete_response(pid: int, status: int, at: int) -> bytes:
    """Write `containerd.task.v2.DeleteResponse`.

    Args:
        pid: The process that ended.
        status: Its exit status.
        at: When, in ns since the epoch.
    """
    seconds, nanos = divmod(at, 1_000_000_000)
    timestamp = number_field(1, seconds) + number_field(2, nanos)
    return number_field(1, pid) + number_field(2, status) + bytes_field(3, timestamp)


def runc_shim_cgroup(data: bytes) -> str:
    """Read `shim_cgroup` of `containerd.runc.v1.Options`; empty if there is none.

    Raises:
        WireError: The bytes are malformed.
    """
    cgroup = ""
    for number, kind, _, content in fields(data):
        if number == 3 and kind == BYTES:
            cgroup = text(content)
    return cgroup


def config_table(data: bytes) -> tuple[str, bytes]:
    """Read `runtimeoptions.v1.Options`: the path of a TOML file, and the TOML text itself.

    Raises:
        WireError: The bytes are malformed.
    """
    path, body = "", b""
    for number, kind, _, content in fields(data):
        if number == 2 and kind == BYTES:
            path = text(content)
        elif number == 3 and kind == BYTES:
            body = content
    return path, body
