"""Every containerd is recognised, and answered in its own dialect."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError
from hypothesis import given, strategies as st

from podshim.api.bootstrap_v1_pb2 import BootstrapParams, BootstrapResult
from podshim.api.runc_options_pb2 import Options
from podshim.shim import dialects
from podshim.shim.command import Command, parse
from podshim.shim.dialects import Asked, DialectError, read

ADDRESS = "unix:///run/containerd/s/" + "0123456789abcdef" * 4
OLD = {"TTRPC_ADDRESS": "/c.ttrpc"}
MODERN = OLD | {"GRPC_ADDRESS": "/c", "NAMESPACE": "ns", "MAX_SHIM_VERSION": "2"}


def command(*more: str) -> Command:
    return parse(["-namespace", "ns", "-id", "c1", "-address", "/c.sock", *more, "start"], "shim")


def params(**fields: object) -> BootstrapParams:
    return BootstrapParams(instance_id="c1", namespace="ns", **fields)  # type: ignore[arg-type]  # a test's shorthand


OPTIONS = Any(
    type_url="containerd.runc.v1.Options", value=Options(shim_cgroup="/x").SerializeToString()
)


@pytest.mark.parametrize(
    ("data", "environment", "dialect"),
    [
        (b"", {}, dialects.PLAIN),
        (b"", OLD, dialects.PLAIN),
        (b"", MODERN, dialects.JSON),
        (b"", {"GRPC_ADDRESS": "/c"}, dialects.JSON),
        (OPTIONS.SerializeToString(), OLD, dialects.PLAIN),
        (OPTIONS.SerializeToString(), MODERN, dialects.JSON),
        (params().SerializeToString(), MODERN, dialects.BOOTSTRAP),
        (params().SerializeToString(), {}, dialects.BOOTSTRAP),
        (params(socket_dir="/s", log_level=-4).SerializeToString(), {}, dialects.BOOTSTRAP),
        # An Any whose value is no text, and one with only a value.
        (Any(type_url="a.b.Options", value=b"\xff").SerializeToString(), MODERN, dialects.JSON),
        (Any(value=b"x").SerializeToString(), MODERN, dialects.JSON),
    ],
)
def test_dialect(data: bytes, environment: dict[str, str], dialect: str) -> None:
    assert read(data, environment, command()).dialect == dialect


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"garbage, plainly", "neither BootstrapParams nor runtime options"),
        (b"\x0a", "neither"),
        (b"\xff" * 20, "neither"),
        (b'{"version": 3}', "neither"),
        (
            BootstrapParams(
                instance_id="other", namespace="ns", containerd_version="v2.4"
            ).SerializeToString(),
            "bootstrap parameters do not match command-line arguments",
        ),
        (
            BootstrapParams(
                instance_id="c1", namespace="k8s.io", socket_dir="/s"
            ).SerializeToString(),
            "do not match",
        ),
        (b"\0" * (dialects.MAX_INPUT + 1), "larger than"),
    ],
)
def test_what_nobody_sends_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(DialectError, match=text):
        read(data, MODERN, command())


def test_everything_that_bootstrap_params_say() -> None:
    message = params(
        log_level=-8,
        containerd_ttrpc_address="/run/c.ttrpc",
        containerd_grpc_address="/other.sock",
        socket_dir="/run/user/s",
    )
    message.extensions.add().value.CopyFrom(Any(type_url="some.Extension", value=b"?"))
    message.extensions.add().value.CopyFrom(OPTIONS)
    asked = read(message.SerializeToString(), MODERN, command())
    assert asked.ttrpc_address == "/run/c.ttrpc"
    assert asked.grpc_address == "/c.sock"
    assert asked.socket_dir == "/run/user/s"
    assert asked.debug
    assert asked.options is not None
    assert (asked.options.type_url, asked.options.value) == (OPTIONS.type_url, OPTIONS.value)


def test_what_bootstrap_params_leave_out_comes_from_elsewhere() -> None:
    asked = read(params().SerializeToString(), MODERN, command("-debug"))
    assert asked.ttrpc_address == "/c.ttrpc"
    assert asked.debug
    assert asked.socket_dir == ""
    assert asked.options is None
    nobody = read(
        params().SerializeToString(), {}, parse(["-namespace=ns", "-id=c1", "start"], "s")
    )
    assert (nobody.ttrpc_address, nobody.grpc_address, nobody.debug) == ("", "", False)


@pytest.mark.parametrize(("level", "debug"), [(0, False), (4, False), (-3, False), (-4, True)])
def test_log_level(level: int, debug: bool) -> None:
    data = params(log_level=level).SerializeToString()
    assert read(data, {}, command()).debug is debug


def test_answers() -> None:
    assert Asked(dialects.PLAIN).answer(ADDRESS) == ADDRESS.encode()
    assert json.loads(Asked(dialects.JSON).answer(ADDRESS)) == {
        "version": 2,
        "address": ADDRESS,
        "protocol": "ttrpc",
    }
    assert BootstrapResult.FromString(Asked(dialects.BOOTSTRAP).answer(ADDRESS)) == BootstrapResult(
        version=3, address=ADDRESS, protocol="ttrpc"
    )


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs", "Cc"])))
def test_no_answer_looks_like_another(path: str) -> None:
    """What containerd 2.3 does: it tries protobuf, then JSON, then takes the text as it is."""
    address = f"unix:///{path}/" + "0" * 64
    for dialect in (dialects.PLAIN, dialects.JSON):
        with pytest.raises(DecodeError):
            BootstrapResult.FromString(Asked(dialect).answer(address))
    assert json.loads(Asked(dialects.JSON).answer(address))["address"] == address
    for dialect in (dialects.PLAIN, dialects.BOOTSTRAP):
        with pytest.raises(ValueError, match=r".*"):
            json.loads(Asked(dialect).answer(address))


@given(st.binary(max_size=80))
def test_any_input_is_read_or_refused(data: bytes) -> None:
    with suppress(DialectError):
        assert read(data, MODERN, command()).dialect
