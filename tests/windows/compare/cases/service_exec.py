"""Execs: of every kind, good and bad, and what their specs become."""

from typing import Any

from windows.compare.script import Call, Case, Collect, Event, Step, Together, Typed, pipe
from windows.compare.specs import (
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


def _spec(value: Any, url: str = PROCESS_URL, **fields: Any) -> list[Step]:
    """An exec with some spec, and its start."""
    request = {"id": "pod$T", "exec_id": "e", "spec": Typed(url, value), **fields}
    return [Call("Exec", request), call("Start", exec_id="e")]


CASES = [
    _case("without_spec", call("Exec", exec_id="e"), call("State")),
    _case("with_an_empty_spec", *_spec(b"")),
    _case("with_an_empty_object", *_spec("{}")),
    _case("with_null", *_spec("null")),
    _case("with_no_json", *_spec("args")),
    _case("with_an_array", *_spec("[]")),
    _case("with_args_of_a_wrong_type", *_spec({"args": "ping"})),
    _case("with_an_argument_of_a_wrong_type", *_spec({"args": [5]})),
    _case("with_cwd_of_a_wrong_type", *_spec({**process(), "cwd": 5})),
    _case("with_env_of_a_wrong_type", *_spec({**process(), "env": {"A": "b"}})),
    _case("with_an_unknown_member", *_spec({**process(), "unheard": 1})),
    _case("with_another_type_url", *_spec(process(), "example.Other")),
    _case("with_no_type_url", *_spec(process(), "")),
    _case("with_no_args", *_spec({"cwd": "C:\\"})),
    _case("with_empty_args", *_spec({"args": [], "cwd": "C:\\"})),
    _case("of_no_program", *_spec(process("no-such-program.exe"))),
    _case("with_empty_id", exec_process("")),
    _case("with_the_tasks_id", exec_process("pod$T"), call("State", exec_id="pod$T")),
    _case("with_an_id_that_is_taken", exec_process("e"), exec_process("e")),
    _case("with_an_id_used_again", exec_process("e"), call("Delete", exec_id="e"),
          exec_process("e")),
    _case("with_an_odd_id", exec_process("..\\a/b c"), call("State", exec_id="..\\a/b c")),
    _case("with_terminal_and_stderr", exec_process("e", terminal=True, stderr=pipe("e"))),
    _case("with_terminal", exec_process("e", terminal=True), call("Start", exec_id="e"),
          call("ResizePty", exec_id="e", width=100, height=40), call("State", exec_id="e")),
    _case("with_terminal_not_started", exec_process("e", terminal=True),
          call("ResizePty", exec_id="e", width=100, height=40)),
    _case("with_console_size", *_spec({**process(), "consoleSize": {"height": 30, "width": 90}},
                                      terminal=True)),
    _case("with_a_command_line", *_spec({"commandLine": "cmd /c exit 4", "cwd": "C:\\"}),
          wait(exec_id="e"), Collect()),
    _case("with_both_command_line_and_args",
          *_spec({"commandLine": "ping -n 600 127.0.0.1", "args": ["cmd"], "cwd": "C:\\"})),
    _case("with_words_to_quote",
          *_spec(process("cmd", "/c", "rem", "a b", "", 'say "x"', "c:\\a b\\", "tab\there"))),
    _case("with_a_user", *_spec(process(user={"username": "ContainerUser"}))),
    _case("with_an_environment", *_spec(process(env=["A=1", "B=", "A=2", "C", "D=x=y", "=E"]))),
    _case("deleted_before_its_start", exec_process("e"), call("Delete", exec_id="e"),
          call("State", exec_id="e")),
    _case("deleted_while_it_runs", exec_process("e"), call("Start", exec_id="e"),
          call("Delete", exec_id="e")),
    _case("started_twice", exec_process("e"), call("Start", exec_id="e"),
          call("Start", exec_id="e")),
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
    _case("told_by_pids", exec_process("e"), call("Start", exec_id="e"), call("Pids")),
    _case("many_at_a_time", Together([exec_process(f"e{i}") for i in range(5)])),
    _case("same_id_at_a_time", Together([exec_process("e") for _ in range(4)])),
]  # fmt: skip
