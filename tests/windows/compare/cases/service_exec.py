"""Execs: of every kind, good and bad, and what their specs become."""

from typing import Any

from windows.compare.script import Call, Case, Collect, Event, Step, Together, Typed, pipe
from windows.compare.specs import (
    FOREVER,
    PROCESS_URL,
    call,
    create,
    ended,
    exec_process,
    process,
    single,
    wait,
)

_RUNNING = (create(), call("Start"))


def _case(name: str, *steps: Step, **more: Any) -> Case:
    return single(f"exec_{name}", "execs", *_RUNNING, *steps, **more)


def _spec(exec_id: str, value: Any, url: str = PROCESS_URL, **fields: Any) -> list[Step]:
    """An exec with some spec, and its start."""
    request = {"id": "pod$T", "exec_id": exec_id, "spec": Typed(url, value), **fields}
    return [Call("Exec", request), call("Start", exec_id=exec_id)]


CASES = [
    _case("without_spec", call("Exec", exec_id="e"), call("State")),
    _case("with_broken_specs", *_spec("empty", b""), *_spec("no-json", "args"),
          *_spec("array", "[]"), *_spec("args", {"args": "ping"}),
          *_spec("argument", {"args": [5]}), *_spec("cwd", {**process(), "cwd": 5}),
          *_spec("env", {**process(), "env": {"A": "b"}}), call("State")),
    _case("with_null", *_spec("null", "null")),
    _case("with_an_empty_object", *_spec("object", "{}")),
    _case("with_odd_specs", *_spec("unheard", {**process(), "unheard": 1}),
          *_spec("url", process(), "example.Other"), *_spec("no-url", process(), ""),
          *_spec("no-args", {"cwd": "C:\\"}), *_spec("empty-args", {"args": [], "cwd": "C:\\"}),
          *_spec("no-program", process("no-such-program.exe")), call("State"), loose=True),
    _case("with_all_kinds_of_words",
          *_spec("line", {"commandLine": "ping -n 600 127.0.0.1", "cwd": "C:\\"}),
          *_spec("both", {"commandLine": "ping -n 600 127.0.0.1", "args": ["cmd"], "cwd": "C:\\"}),
          *_spec("words", process(*FOREVER, "a b", "", 'say "x"', "c:\\a b\\", "tab\there")),
          Event("exit", "pod$T", "words"),
          *_spec("user", process(user={"username": "ContainerUser"})),
          *_spec("env", process(env=["A=1", "B=", "A=2", "C", "D=x=y", "=E"])),
          *_spec("size", {**process(), "consoleSize": {"height": 30, "width": 90}}),
          loose=True),
    _case("with_odd_ids", exec_process(""), exec_process("e"), exec_process("e"),
          call("Delete", exec_id="e"), exec_process("e"), exec_process("..\\a/b c"),
          call("State", exec_id="..\\a/b c"), exec_process("pod$T"),
          call("State", exec_id="pod$T")),
    _case("with_terminal", exec_process("e", terminal=True, stderr=pipe("e")),
          exec_process("e", terminal=True), call("ResizePty", exec_id="e", width=100, height=40),
          call("Start", exec_id="e"), call("ResizePty", exec_id="e", width=100, height=40),
          call("State", exec_id="e")),
    _case("with_console_size", *_spec("e", {**process(),
          "consoleSize": {"height": 30, "width": 90}}, terminal=True)),
    _case("with_a_command_line_that_ends",
          *_spec("e", {"commandLine": "cmd /c exit 4", "cwd": "C:\\"}), wait(exec_id="e"),
          Collect()),
    _case("deleted_before_its_start_and_while_it_runs", exec_process("e"),
          call("Delete", exec_id="e"), call("State", exec_id="e"), exec_process("e"),
          call("Start", exec_id="e"), call("Start", exec_id="e"), call("Delete", exec_id="e")),
    _case("killed_before_its_start", exec_process("e"), call("Kill", exec_id="e", signal=9),
          call("State", exec_id="e"), call("Start", exec_id="e"), call("Delete", exec_id="e")),
    _case("killed", exec_process("e"), call("Start", exec_id="e"), wait(exec_id="e"),
          call("Kill", exec_id="e", signal=9), Event("exit", "pod$T", "e"), Collect(),
          call("Kill", exec_id="e", signal=9), call("Delete", exec_id="e"), call("State")),
    _case("with_a_missing_pipe", exec_process("e", stdout=pipe("gone")),
          call("State", exec_id="e")),
    _case("that_the_init_does_not_outlive", exec_process("e"), call("Start", exec_id="e"),
          wait(exec_id="e"), call("Kill", signal=9), Event("exit", "pod$T"), Collect(),
          call("Delete", exec_id="e"), call("Delete"), loose=True),
    _case("not_started_when_the_init_ends", exec_process("e"), *ended(),
          call("State", exec_id="e"), call("Delete")),
    _case("told_by_diagnostics", exec_process("e"), exec_process("f"), call("Start", exec_id="f"),
          Call("DiagTasks", {"execs": True})),
    _case("many_at_a_time", Together([exec_process(f"e{i}") for i in range(5)])),
    _case("same_id_at_a_time", Together([exec_process("e") for _ in range(4)])),
]  # fmt: skip
