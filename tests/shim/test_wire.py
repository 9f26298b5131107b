"""The hand-made codec gives the same answers as protobuf itself, for any bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any as Anything

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from hypothesis import example, given, settings, strategies as st

from podshim import wire
from podshim.api.bootstrap_v1_pb2 import BootstrapParams, BootstrapResult
from podshim.api.runc_options_pb2 import Options as RuncOptions
from podshim.api.runtime_options_pb2 import Options as RuntimeOptions
from podshim.api.task_v2_pb2 import ConnectRequest, ConnectResponse, DeleteResponse
from podshim.api.ttrpc_pb2 import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

text = st.text(max_size=20)
blob = st.binary(max_size=40)
int32 = st.integers(-(2**31), 2**31 - 1)
uint32 = st.integers(0, 2**32 - 1)


def anys(message: Any) -> tuple[str, bytes]:
    return message.type_url, message.value


def facts_of_params(message: BootstrapParams | wire.BootstrapParams) -> tuple[Anything, ...]:
    if isinstance(message, wire.BootstrapParams):
        extensions = [(item.type_url, item.value) for item in message.extensions]
        return (
            message.instance_id,
            message.namespace,
            message.log_level,
            message.version,
            message.ttrpc_address,
            message.grpc_address,
            message.binary,
            extensions,
            message.socket_dir,
        )
    return (
        message.instance_id,
        message.namespace,
        message.log_level,
        message.containerd_version,
        message.containerd_ttrpc_address,
        message.containerd_grpc_address,
        message.containerd_binary,
        [anys(extension.value) for extension in message.extensions],
        message.socket_dir if message.HasField("socket_dir") else None,
    )


def facts_of_any(data: bytes) -> tuple[str, bytes]:
    message = wire.Any.decode(data)
    return message.type_url, message.value


def facts_of_response(data: bytes) -> tuple[int, str, bytes]:
    message = wire.TtrpcResponse.decode(data)
    return message.code, message.message, message.payload


READERS: dict[
    str, tuple[type[Message], Callable[[Anything], Anything], Callable[[bytes], Anything]]
]
READERS = {
    "params": (
        BootstrapParams,
        facts_of_params,
        lambda data: facts_of_params(wire.BootstrapParams.decode(data)),
    ),
    "any": (Any, anys, facts_of_any),
    "response": (
        Response,
        lambda message: (message.status.code, message.status.message, message.payload),
        facts_of_response,
    ),
    "connect": (ConnectResponse, lambda message: message.shim_pid, wire.shim_pid),
    "runc options": (RuncOptions, lambda message: message.shim_cgroup, wire.runc_shim_cgroup),
    "runtime options": (
        RuntimeOptions,
        lambda message: (message.config_path, message.config_body),
        wire.config_table,
    ),
}

#: Readers of one field: they don't look whether the strings beside it are UTF-8.
LENIENT = {"connect", "runc options", "runtime options"}

#: Bytes that are nearly messages: fields with small numbers, of every wire type, then cut or not.
field = st.one_of(
    st.tuples(st.integers(0, 12), st.just(0), st.integers(0, 2**64 - 1)).map(
        lambda f: wire.varint(f[0] << 3) + wire.varint(f[2])
    ),
    st.tuples(st.integers(0, 12), blob).map(
        lambda f: wire.varint(f[0] << 3 | 2) + wire.varint(len(f[1])) + f[1]
    ),
    st.tuples(st.integers(0, 12), st.sampled_from([(1, 8), (5, 4), (3, 0), (4, 0)])).map(
        lambda f: wire.varint(f[0] << 3 | f[1][0]) + b"\x41" * f[1][1]
    ),
)
nested = st.lists(field, max_size=4).map(b"".join)
nested_field = st.tuples(st.integers(1, 9), nested).map(lambda f: wire.bytes_field(*f))
rough = st.lists(st.one_of(field, nested_field), max_size=6).map(b"".join)
cut = st.tuples(rough, st.integers(0, 30)).map(lambda f: f[0][: len(f[0]) - f[1] or None])


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=400)
@given(data=st.one_of(st.binary(max_size=60), rough, cut))
@example(data=b"\x83\x80\x80\x80\x00")
@example(data=b"\x0b\x0c")
@example(data=b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")
def test_reads_what_protobuf_reads(name: str, data: bytes) -> None:
    kind, expected, read = READERS[name]
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        try:
            read(data)
        except wire.WireError:
            return
        assert name in LENIENT
    else:
        assert read(data) == expected(message)


@given(
    ids=st.tuples(text, text, text, text, text, text),
    level=int32,
    extensions=st.lists(st.tuples(text, blob), max_size=3),
    socket_dir=st.none() | text,
)
def test_bootstrap_params(
    ids: tuple[str, str, str, str, str, str],
    level: int,
    extensions: list[tuple[str, bytes]],
    socket_dir: str | None,
) -> None:
    message = BootstrapParams(
        instance_id=ids[0],
        namespace=ids[1],
        containerd_version=ids[2],
        containerd_ttrpc_address=ids[3],
        containerd_grpc_address=ids[4],
        containerd_binary=ids[5],
        log_level=level,  # type: ignore[arg-type]  # open enum: any int32 is a value
    )
    for type_url, value in extensions:
        message.extensions.add().value.CopyFrom(Any(type_url=type_url, value=value))
    if socket_dir is not None:
        message.socket_dir = socket_dir
    data = message.SerializeToString()
    assert facts_of_params(wire.BootstrapParams.decode(data)) == facts_of_params(message)


@given(version=int32, address=text, protocol=text)
def test_bootstrap_result(version: int, address: str, protocol: str) -> None:
    data = wire.bootstrap_result(version, address, protocol)
    expected = BootstrapResult(version=version, address=address, protocol=protocol)
    assert BootstrapResult.FromString(data) == expected
    assert data == expected.SerializeToString(deterministic=True)


@given(
    pid=uint32,
    status=uint32,
    at=st.integers(-62135596800 * 10**9, 253402300799 * 10**9),
)
def test_delete_response(pid: int, status: int, at: int) -> None:
    message = DeleteResponse.FromString(wire.delete_response(pid, status, at))
    assert (message.pid, message.exit_status) == (pid, status)
    assert message.exited_at.ToNanoseconds() == at


@given(service=text, method=text, payload=blob, timeout=st.integers(-(2**63), 2**63 - 1))
def test_request(service: str, method: str, payload: bytes, timeout: int) -> None:
    data = wire.ttrpc_request(service, method, payload, timeout)
    request = Request(service=service, method=method, payload=payload, timeout_nano=timeout)
    assert Request.FromString(data) == request
    request.metadata.add(key=wire.JOINING, value="1")
    data = wire.ttrpc_request(service, method, payload, timeout, wire.JOINING)
    assert Request.FromString(data) == request


@given(container_id=text)
def test_connect_request(container_id: str) -> None:
    assert ConnectRequest.FromString(wire.connect_request(container_id)).id == container_id


@given(value=st.integers(0, 2**64 - 1))
def test_a_number_survives(value: int) -> None:
    data = wire.varint(value)
    assert wire.read_varint(data, 0) == (value, len(data))


def test_groups_may_nest_only_so_deep() -> None:
    deep = b"\x0b" * 50_000
    with pytest.raises(wire.WireError):
        list(wire.fields(deep + b"\x0c" * 50_000))


@pytest.mark.parametrize(
    ("type_url", "name"),
    [
        ("containerd.runc.v1.Options", "containerd.runc.v1.Options"),
        ("type.googleapis.com/containerd.runc.v1.Options", "containerd.runc.v1.Options"),
        ("a/b/C", "C"),
        ("", ""),
    ],
)
def test_type_name(type_url: str, name: str) -> None:
    assert wire.Any(type_url).type_name == name
