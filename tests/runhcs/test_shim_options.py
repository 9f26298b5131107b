"""The runtime options on a server's standard input, in every form in which they come."""

from __future__ import annotations

import contextlib

import pytest
from google.protobuf.any_pb2 import Any
from hypothesis import given, strategies as st

from podshim.api import events_pb2
from podshim.api.bootstrap_v1_pb2 import BootstrapParams, Extension
from podshim.api.runhcs_options_pb2 import Options
from podshim.shim.runhcs.options import MAX_INPUT, OptionsError, Settings, read, settings

TYPE = "containerd.runhcs.v1.Options"
SOME = Options(debug=True, sandbox_platform="windows/amd64", scrub_logs=False)


def packed(url: str, value: bytes | None = None) -> Any:
    return Any(type_url=url, value=SOME.SerializeToString() if value is None else value)


def bootstrap(*extensions: Any) -> bytes:
    params = BootstrapParams(instance_id="i", namespace="n", containerd_binary="b")
    params.extensions.extend(Extension(value=one) for one in extensions)
    return params.SerializeToString()


def test_none() -> None:
    assert read(b"") is None
    assert settings(None) == Settings(level=20, debug_type=Options.NPIPE, scrub=True, notes=())


@pytest.mark.parametrize("url", [TYPE, f"type.googleapis.com/{TYPE}", f"a/b/{TYPE}", f"/{TYPE}"])
def test_a_bare_any(url: str) -> None:
    assert read(packed(url).SerializeToString()) == SOME


def test_bootstrap_parameters() -> None:
    other = packed("runtimeoptions.v1.Options", b"\xff")
    assert read(bootstrap(other, packed(f"x/{TYPE}"))) == SOME


@pytest.mark.parametrize("extensions", [(), (packed("some.other.Options", b"\xff"),)])
def test_bootstrap_parameters_without_options(extensions: tuple[Any, ...]) -> None:
    assert read(bootstrap(*extensions)) is None


def test_an_any_of_an_unknown_type_is_none() -> None:
    assert read(packed("types.containerd.io/some.Type", b"x").SerializeToString()) is None


def test_an_any_of_another_known_type_is_refused() -> None:
    name = events_pb2.TaskExit.DESCRIPTOR.full_name
    with pytest.raises(OptionsError) as error:
        read(packed(name, b"").SerializeToString())
    text = f"failed to read shim options from stdin: unexpected runtime options type {name}"
    assert str(error.value) == text


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05a", b"\x00"])
def test_what_is_no_any_is_refused(data: bytes) -> None:
    text = "^failed to read shim options from stdin: failed unmarshalling into Any: "
    with pytest.raises(OptionsError, match=text):
        read(data)


@pytest.mark.parametrize("data", [
    packed(TYPE, b"\xff").SerializeToString(),
    packed("unknown", b"\xff").SerializeToString() + b"\x1a\x01",
    bootstrap(packed(TYPE, b"\xff")),
    b"x" * (MAX_INPUT + 1),
])  # fmt: skip
def test_what_is_broken_is_refused(data: bytes) -> None:
    with pytest.raises(OptionsError, match="failed to read shim options from stdin: "):
        read(data)


@given(st.binary())
def test_nothing_else_can_happen(data: bytes) -> None:
    with contextlib.suppress(OptionsError):
        read(data)


@pytest.mark.parametrize(
    ("level", "number"),
    [
        ("panic", 50), ("fatal", 50), ("error", 40), ("warn", 30), ("warning", 30), ("WARNING", 30),
        ("info", 20), ("Debug", 10), ("trace", 5),
    ],
)  # fmt: skip
def test_the_log_level_counts_more_than_debug(level: str, number: int) -> None:
    assert settings(Options(log_level=level)) == Settings(number)
    both = settings(Options(log_level=level, debug=True))
    assert both.level == number
    assert len(both.notes) == 1


def test_debug() -> None:
    assert settings(Options(debug=True)) == Settings(10)
    assert settings(Options()) == Settings(20)


def test_a_log_level_that_is_none() -> None:
    with pytest.raises(OptionsError) as error:
        settings(Options(log_level="loud"))
    assert str(error.value).startswith('failed to parse shim log level "loud": ')


@pytest.mark.parametrize(
    ("given", "scrub"),
    [(Options(), True), (Options(scrub_logs=True), True), (Options(scrub_logs=False), False)],
)
def test_scrubbing_is_on_unless_it_is_switched_off(given: Options, scrub: bool) -> None:
    assert settings(given).scrub is scrub


@pytest.mark.parametrize("kind", [Options.NPIPE, Options.FILE, Options.ETW])
def test_where_the_log_goes(kind: Options.DebugType) -> None:
    assert settings(Options(debug_type=kind)).debug_type == kind
