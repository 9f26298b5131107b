"""`serve` called by hand: sockets that are none, options that are none, and a good one."""

from podshim.api.runhcs_options_pb2 import Options
from windows.compare.cases.process_options import _any
from windows.compare.script import SOCKET, Bundle, Case, Run, Step, flags
from windows.compare.specs import call, create, cri, spec

_SOCKET = f"{SOCKET}pod$T-pipe"


def _serve(*words: str, stdin: bytes = b"", lives: bool = False, **more: object) -> Run:
    return Run((*flags(), "serve", *words), "pod", stdin, serves=lives, **more)  # type: ignore[arg-type]


def _case(name: str, *steps: Step, sandbox: bool = False) -> Case:
    bundles = {"pod": Bundle(cri("sandbox") if sandbox else spec())}
    return Case(f"serve_{name}", "serve", bundles, steps)


CASES = [
    _case("without_socket", _serve()),
    _case("with_empty_socket", _serve("-socket", "")),
    _case("on_a_file", _serve("-socket", r"C:\socket")),
    _case("on_a_unix_socket", _serve("-socket", "unix:///run/x.sock")),
    _case("on_a_pipe_of_another_host", _serve("-socket", r"\\host\pipe\x$T")),
    _case("on_a_pipe_with_slashes", _serve("-socket", "//./pipe/x$T")),
    _case("with_an_unknown_flag", _serve("-socket", _SOCKET, "-nonsense")),
    _case("without_the_flags_value", _serve("-socket")),
    _case("with_garbage_on_stdin", _serve("-socket", _SOCKET, stdin=b"\xff\xff")),
    _case("with_a_bad_level_on_stdin", _serve("-socket", _SOCKET, stdin=_any(
          "containerd.runhcs.v1.Options", Options(log_level="loud").SerializeToString()))),
    _case("without_required_flags", Run(("serve", "-socket", _SOCKET))),
    _case("well", _serve("-socket", _SOCKET, lives=True), call("Connect"), call("State")),
    _case("with_two_dashes", _serve("--socket", _SOCKET, lives=True), call("Connect")),
    _case("outside_the_protected_prefix",
          _serve("-socket", r"\\.\pipe\plain-$T", lives=True), call("Connect")),
    _case("a_sandbox", _serve("-socket", _SOCKET, "-is-sandbox", lives=True), call("Kill"),
          create(), sandbox=True),
    _case("a_sandbox_not_so", _serve("-socket", _SOCKET, "--is-sandbox=false", lives=True),
          call("Kill"), create(), sandbox=True),
    _case("without_events", _serve("-socket", _SOCKET, lives=True,
          environment={"TTRPC_ADDRESS": None}), call("Connect")),
]  # fmt: skip
