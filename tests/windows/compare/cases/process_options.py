"""Options on the standard input of `start`, which its server reads: every kind, good and bad."""

from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage

from podshim.api.bootstrap_v1_pb2 import BootstrapParams, Extension
from podshim.api.runc_options_pb2 import Options as OtherOptions
from podshim.api.runhcs_options_pb2 import Options
from windows.compare.script import Bundle, Case, start
from windows.compare.specs import call, spec

URL = "containerd.runhcs.v1.Options"


def _any(url: str, value: bytes) -> bytes:
    return AnyMessage(type_url=url, value=value).SerializeToString(deterministic=True)


def _options(url: str = URL, **members: Any) -> bytes:
    return _any(url, Options(**members).SerializeToString(deterministic=True))


def _bootstrap(*extensions: AnyMessage) -> bytes:
    return BootstrapParams(
        instance_id="pod",
        namespace="ns",
        containerd_version="2.3.0",
        extensions=[Extension(value=one) for one in extensions],
    ).SerializeToString(deterministic=True)


def _case(name: str, stdin: bytes) -> Case:
    steps = [start(stdin=stdin), call("Connect")]
    return Case(f"options_{name}", "options on stdin", {"pod": Bundle(spec())}, steps)


CASES = [
    _case("none", b""),
    _case("empty", _options()),
    _case("debug", _options(debug=True)),
    _case("etw", _options(debug_type=Options.ETW)),
    _case("file_is_refused", _options(debug_type=Options.FILE)),
    _case("unknown_debug_type", _options(debug_type=7)),
    _case("level_in_capitals", _options(log_level="WARNING")),
    _case("level_unknown", _options(log_level="loud")),
    _case("level_over_debug", _options(debug=True, log_level="error")),
    _case("url_with_a_path", _options("a/b/c/" + URL)),
    _case("url_of_nothing", _options("/" + URL)),
    _case("without_a_type", _any("", b"")),
    _case("of_an_unknown_type", _any("example.Unknown", b"abc")),
    _case("of_another_known_type", _any("containerd.runc.v1.Options",
          OtherOptions(no_pivot_root=True).SerializeToString())),
    _case("broken_value", _any(URL, b"\xff\xff\xff")),
    _case("garbage", b"\xff\xfe\xfd no message"),
    _case("truncated", _options(debug=True, log_level="debug")[:-3]),
    _case("text", b"debug = true\n"),
    _case("bootstrap", _bootstrap()),
    _case("bootstrap_with_options",
          _bootstrap(AnyMessage(type_url=URL, value=Options(debug=True).SerializeToString()))),
]  # fmt: skip
