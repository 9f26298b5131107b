"""Process parameters: command lines, environments, streams."""

import subprocess
from typing import Any

import pytest
from hypothesis import given, strategies

from podshim.engine import Stdio
from podshim.engines.hcs.documents.process import (
    command_line,
    environment,
    escaped,
    linux_process_parameters,
    process_parameters,
)
from podshim.errors import InvalidArgumentError

NO_STDIO = Stdio()


def test_every_member() -> None:
    process = {
        "args": ["cmd.exe", "/c", "echo a b"],
        "user": {"username": "ContainerUser"},
        "cwd": "C:\\",
        "env": ["PATH=C:\\bin", "A=1", "NOTHING", "EMPTY=", "A=x=y"],
        "terminal": True,
        "consoleSize": {"height": 25, "width": 80},
    }
    parameters = process_parameters(process, Stdio(stdin="i", stdout="o", stderr="e"))
    assert list(parameters.items()) == [
        ("CommandLine", 'cmd.exe /c "echo a b"'),
        ("User", "ContainerUser"),
        ("WorkingDirectory", "C:\\"),
        ("Environment", {"A": "x=y", "PATH": "C:\\bin"}),
        ("EmulateConsole", True),
        ("CreateStdInPipe", True),
        ("CreateStdOutPipe", True),
        ("CreateStdErrPipe", True),
        ("ConsoleSize", [25, 80]),
    ]


def test_a_command_line_wins_over_words() -> None:
    process = {"args": ["a"], "commandLine": "b  c"}
    assert process_parameters(process, NO_STDIO) == {"CommandLine": "b  c"}


def test_empty_members_are_left_out() -> None:
    empty: dict[str, Any] = {
        "args": None, "env": [], "user": None, "terminal": False, "consoleSize": None,
    }  # fmt: skip
    assert process_parameters(empty, NO_STDIO) == {}
    assert process_parameters({"env": ["A=", "B"]}, NO_STDIO) == {}
    assert process_parameters({"consoleSize": {}}, NO_STDIO) == {"ConsoleSize": [0, 0]}


def test_only_streams_that_exist_get_a_pipe() -> None:
    assert process_parameters({}, Stdio(stdout="o")) == {"CreateStdOutPipe": True}


def test_linux_keeps_its_words() -> None:
    process = {"args": ["sh", "-c", "a b"], "cwd": "/"}
    assert process_parameters(process, NO_STDIO, words=True) == {
        "CommandArgs": ["sh", "-c", "a b"],
        "WorkingDirectory": "/",
    }
    assert linux_process_parameters(process, Stdio(stdin="i")) == {
        "CreateStdInPipe": True,
        "OciProcess": process,
    }
    assert linux_process_parameters(None, NO_STDIO) == {}


@pytest.mark.parametrize(
    "process",
    [
        {"args": "cmd"},
        {"args": [1]},
        {"commandLine": 5},
        {"cwd": []},
        {"env": {"A": "b"}},
        {"env": [5]},
        {"user": "me"},
        {"user": {"username": 5}},
        {"terminal": 1},
        {"consoleSize": [1, 2]},
        {"consoleSize": {"height": -1}},
        {"consoleSize": {"width": 1 << 31}},
    ],
)
def test_wrong_types_are_refused_by_their_path(process: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^process: \S+ must be "):
        process_parameters(process, NO_STDIO)


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("", '""'),
        ("a", "a"),
        ("a b", '"a b"'),
        ("a\tb", '"a\tb"'),
        ('a"b', 'a\\"b'),
        ("a\\b", "a\\b"),
        ("a\\", "a\\"),
        ("a b\\", '"a b\\\\"'),
        ('a\\"b', 'a\\\\\\"b'),
        ('\\\\"', '\\\\\\\\\\"'),
        ("C:\\Program Files\\x", '"C:\\Program Files\\x"'),
    ],
)
def test_words_are_escaped_as_c_programs_read_them(word: str, line: str) -> None:
    assert escaped(word) == line


@given(strategies.lists(strategies.text(strategies.sampled_from('ab \t\\"'), max_size=8)))
def test_any_words_make_the_line_that_python_makes(words: list[str]) -> None:
    assert command_line(words) == subprocess.list2cmdline(words)


NAMES = strategies.sampled_from(["A", "a", "B"])
VALUES = strategies.sampled_from([None, "", "1", "=", "x=y"])


@given(strategies.lists(strategies.tuples(NAMES, VALUES)))
def test_the_environment_has_the_last_value_of_each_name(
    entries: list[tuple[str, str | None]],
) -> None:
    expected = {name: value for name, value in entries if value}
    found = environment(name if value is None else f"{name}={value}" for name, value in entries)
    assert found == expected
    assert list(found) == sorted(found)
