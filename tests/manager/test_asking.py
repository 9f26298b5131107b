"""What each line of containerd tells a shim, and how it reads the answer."""

import json

import pytest
from google.protobuf import any_pb2
from hypothesis import example, given, strategies as st

from podshim.api import bootstrap_v1_pb2, runc_options_pb2
from podshim.errors import ShimError, UnimplementedError
from podshim.manager.dialects import (
    Answer,
    AnswerError,
    Containerd,
    Question,
    arguments,
    environment,
    pack,
    parse_answer,
    start_input,
)

URL = "unix:///run/containerd/s/0123"
OPTIONS = runc_options_pb2.Options(binary_name="crun")
QUESTION = Question(
    namespace="n",
    id="i",
    grpc_address="/c.sock",
    ttrpc_address="/c.sock.ttrpc",
    options=OPTIONS,
    socket_dir="/s",
)
V1_6, V1_7, V2_0, V2_3 = Containerd
MODERN = [V1_7, V2_0, V2_3]


def test_command_lines() -> None:
    start = "-namespace n -address /c.sock -publish-binary /usr/bin/containerd -id i start"
    assert arguments(QUESTION, "start", "/b") == start.split()
    debug = Question("n", "i", "/c.sock", "/t", "/ctrd", debug=True)
    delete = "-namespace n -address /c.sock -publish-binary /ctrd -id i -bundle /b -debug delete"
    assert arguments(debug, "delete", "/b") == delete.split()


@pytest.mark.parametrize("line", list(Containerd))
def test_environments(line: Containerd) -> None:
    told = environment(line, QUESTION, {"PATH": "/bin", "GOMAXPROCS": "9"})
    assert told["PATH"] == "/bin"
    assert told["GOMAXPROCS"] == "2"
    assert told["TTRPC_ADDRESS"] == "/c.sock.ttrpc"
    modern = {"MAX_SHIM_VERSION": "2", "GRPC_ADDRESS": "/c.sock", "NAMESPACE": "n"}
    assert (modern.items() <= told.items()) == (line is not V1_6)
    assert len(told) == (3 if line is V1_6 else 6)


@pytest.mark.parametrize("line", [V1_6, V1_7, V2_0])
def test_old_lines_write_options_alone(line: Containerd) -> None:
    written = any_pb2.Any.FromString(start_input(line, QUESTION, "/x/containerd-shim-runc-v2"))
    assert written.type_url == "containerd.runc.v1.Options"
    assert runc_options_pb2.Options.FromString(written.value) == OPTIONS
    bare = Question("n", "i", "/c", "/t")
    assert start_input(line, bare, "/x/containerd-shim-runc-v2") == b""


def test_new_lines_write_bootstrap_params() -> None:
    written = start_input(V2_3, QUESTION, "/shim-runc-v1/containerd-shim-runoci-v1")
    params = bootstrap_v1_pb2.BootstrapParams.FromString(written)
    assert (params.instance_id, params.namespace) == ("i", "n")
    assert params.containerd_ttrpc_address == "/c.sock.ttrpc"
    assert params.containerd_grpc_address == "/c.sock"
    assert params.socket_dir == "/s"
    assert params.log_level == bootstrap_v1_pb2.LOG_LEVEL_INFO
    assert [extension.value for extension in params.extensions] == [pack(OPTIONS)]
    bare = bootstrap_v1_pb2.BootstrapParams.FromString(
        start_input(V2_3, Question("n", "i", "/c", "/t", debug=True), "/x")
    )
    assert not bare.HasField("socket_dir")
    assert not bare.extensions
    assert bare.log_level == bootstrap_v1_pb2.LOG_LEVEL_DEBUG


@pytest.mark.parametrize("name", ["containerd-shim-runc-v1", "containerd-shim-runhcs-v1.exe"])
def test_some_binaries_are_asked_in_the_old_way_for_ever(name: str) -> None:
    packed = pack(OPTIONS)
    assert packed is not None
    assert start_input(V2_3, QUESTION, f"/x/{name}") == packed.SerializeToString()


def test_packing_takes_an_any_as_it_is() -> None:
    packed = any_pb2.Any(type_url="x/y", value=b"z")
    assert pack(packed) is packed
    assert pack(None) is None


def as_json(version: object, **fields: object) -> bytes:
    return json.dumps({"version": version, "address": URL, "protocol": "ttrpc"} | fields).encode()


def as_protobuf(version: int, address: str = URL, protocol: str = "ttrpc") -> bytes:
    result = bootstrap_v1_pb2.BootstrapResult(version=version, address=address, protocol=protocol)
    return result.SerializeToString()


@pytest.mark.parametrize("line", list(Containerd))
@pytest.mark.parametrize("text", [URL, f" {URL}\n"])
def test_every_line_understands_a_plain_address(line: Containerd, text: str) -> None:
    assert parse_answer(line, text.encode()) == Answer(2, URL)


@pytest.mark.parametrize("line", MODERN)
def test_json(line: Containerd) -> None:
    assert parse_answer(line, as_json(2) + b"\n") == Answer(2, URL)
    assert parse_answer(line, as_json(2, protocol="GRPC", more=1)) == Answer(2, URL, "grpc")


def test_json_is_an_address_to_the_oldest_line() -> None:
    assert parse_answer(V1_6, as_json(2)).address == as_json(2).decode()


def test_versions_that_a_line_does_not_know() -> None:
    with pytest.raises(UnimplementedError, match=r"unsupported shim version \(3\)"):
        parse_answer(V1_7, as_json(3))
    assert parse_answer(V2_0, as_json(3)).version == 3
    for line, output in [(V2_0, as_json(4)), (V2_3, as_json(4)), (V2_3, as_protobuf(4))]:
        with pytest.raises(UnimplementedError):
            parse_answer(line, output)


@pytest.mark.parametrize("line", MODERN)
@pytest.mark.parametrize(
    "output",
    [
        as_json(1),
        as_json(version=True),
        as_json("2"),
        as_json(2.0),
        as_json(2, address=7),
        b"[]",
        b"null",
    ],
)
def test_json_that_is_none_is_taken_for_an_address(line: Containerd, output: bytes) -> None:
    assert parse_answer(line, output) == Answer(2, output.decode())


def test_protobuf_is_for_the_newest_line() -> None:
    assert parse_answer(V2_3, as_protobuf(3)) == Answer(3, URL)
    assert parse_answer(V2_3, as_protobuf(2, "/x", "grpc")) == Answer(2, "/x", "grpc")
    assert parse_answer(V2_0, as_protobuf(3)).address != URL


@pytest.mark.parametrize(
    ("line", "output", "text"),
    [
        (V2_3, b"", 'unexpected protocol: ""'),
        (V2_3, as_protobuf(3, protocol="http"), 'unexpected protocol: "http"'),
        (V2_3, as_protobuf(3, address=""), "no address"),
        (V2_0, as_json(2, protocol=""), 'unexpected protocol: ""'),
        (V2_0, b" \n", "no address"),
        (V1_6, b"", "no address"),
    ],
)
def test_answers_of_no_use(line: Containerd, output: bytes, text: str) -> None:
    with pytest.raises(AnswerError, match=text):
        parse_answer(line, output)


@given(st.sampled_from(list(Containerd)), st.binary() | st.text().map(str.encode))
@example(V2_3, b"[" * 100_000)
@example(V2_0, b'{"version":' + b"9" * 5000 + b"}")
def test_no_output_breaks_the_parser(line: Containerd, output: bytes) -> None:
    try:
        answer = parse_answer(line, output)
    except ShimError:
        return
    assert answer.address
    assert answer.version <= 3
    assert answer.protocol in {"ttrpc", "grpc"}


PATHS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._ /", min_size=1, max_size=80)


@given(PATHS.map(str.strip).map("unix:///run/".__add__))
def test_an_address_comes_through_in_every_form(address: str) -> None:
    for line in Containerd:
        assert parse_answer(line, address.encode()).address == address.strip()
    for line in MODERN:
        assert parse_answer(line, as_json(2, address=address)) == Answer(2, address)
    assert parse_answer(V2_3, as_protobuf(3, address)) == Answer(3, address)
