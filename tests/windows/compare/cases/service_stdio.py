"""Streams over pipes: what comes out, what goes in, and what is missing."""

from typing import Any

from windows.compare.script import Case, Collect, HangUp, Hear, Listen, Say, Step, pipe
from windows.compare.specs import call, create, exec_process, process, single, spec, wait

_PART = "streams"
_SHOUT = ("python", "-c", "import sys; sys.stdout.write(sys.stdin.read().upper())")


def _case(name: str, *steps: Step, args: tuple[str, ...] = (), **more: Any) -> Case:
    the = spec(process=process(*args))
    return single(f"stdio_{name}", _PART, *steps, the=the, **more)


CASES = [
    _case("output", Listen("out"), create(stdout=pipe("out")), wait(), call("Start"),
          Hear("out"), Collect(), call("State"), args=("cmd", "/c", "echo", "hello")),
    _case("errors", Listen("out"), Listen("err"),
          create(stdout=pipe("out"), stderr=pipe("err")), wait(), call("Start"), Hear("out"),
          Hear("err"), Collect(), args=("cmd", "/c", "echo to out&echo to err>&2")),
    _case("input", Listen("in"), Listen("out"), create(stdin=pipe("in"), stdout=pipe("out")),
          wait(), call("Start"), Say("in", "loud "), Say("in", "words"), HangUp("in"),
          Hear("out"), Collect(), args=_SHOUT),
    _case("input_closed_by_a_call", Listen("in"), Listen("out"),
          create(stdin=pipe("in"), stdout=pipe("out")), wait(), call("Start"), call("CloseIO"),
          Hear("out"), Collect(), call("CloseIO"), args=_SHOUT),
    _case("input_without_output", Listen("in"), create(stdin=pipe("in")), call("Start"),
          call("State")),
    _case("binary_bytes", Listen("out"), create(stdout=pipe("out")), wait(), call("Start"),
          Hear("out"), Collect(), args=("python", "-c",
          "import sys; sys.stdout.buffer.write(bytes(range(256)))")),
    _case("much_output", Listen("out"), create(stdout=pipe("out")), wait(), call("Start"),
          Hear("out"), Collect(), args=("python", "-c", "print('0123456789' * 2000)")),
    _case("of_an_exec", Listen("out"), Listen("eout"), create(stdout=pipe("out")), call("Start"),
          exec_process("e", "cmd", "/c", "echo", "from exec", stdout=pipe("eout")),
          call("State", exec_id="e"), wait(exec_id="e"), call("Start", exec_id="e"),
          Hear("eout"), Collect()),
    _case("of_an_exec_with_input", Listen("ein"), Listen("eout"), create(), call("Start"),
          exec_process("e", *_SHOUT, stdin=pipe("ein"), stdout=pipe("eout")),
          wait(exec_id="e"), call("Start", exec_id="e"), Say("ein", "abc"), HangUp("ein"),
          Hear("eout"), Collect()),
    _case("ended_with_a_task_never_started", Listen("out"), create(stdout=pipe("out")),
          call("Delete"), Hear("out")),
    _case("ended_with_an_exec_never_started", Listen("eout"), create(), call("Start"),
          exec_process("e", stdout=pipe("eout")), call("Delete", exec_id="e"), Hear("eout")),
    _case("refused", Listen("out"), create(stdout=pipe("gone")), create(stdin=pipe("gone")),
          create(stdout=pipe("out"), stderr=pipe("gone")), create(stdout="C:\\out.txt"),
          create(stdout="file:///C:/out.txt"), create(stdout="npipe:////./pipe/x"),
          create(stdout="some words"), create(stdout="%zz"),
          create(stdout="binary:///no-such-logger.exe?a=b"), create(stdout="binary://"),
          create(stdout="binary://///host/share/x.exe"),
          create(terminal=True, stdout=pipe("o"), stderr=pipe("e")), call("State")),
    _case("with_terminal", Listen("out"), create(terminal=True, stdout=pipe("out")),
          call("Start"), call("State"), call("ResizePty", width=120, height=50)),
    _case("with_terminal_not_started", create(terminal=True),
          call("ResizePty", width=120, height=50), call("State"), call("Start"),
          call("ResizePty", width=65536 + 80, height=70000)),
    _case("resized_without_terminal", create(), call("Start"),
          call("ResizePty", width=120, height=50)),
    _case("resized_after_its_end", create(terminal=True), wait(), call("Start"), Collect(),
          call("ResizePty", width=1, height=1), args=("cmd", "/c", "exit", "0")),
]  # fmt: skip
