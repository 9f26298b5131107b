"""The command line, as Microsoft's shim v0.14.1 was seen to take it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, strategies as st

from podshim.shim.runhcs import command
from podshim.shim.runhcs.command import Answer, parse
from podshim.version import VERSION

ALL = ["-namespace", "n", "-address", "a", "-publish-binary", "p", "-id", "i"]
NAME = "containerd-shim-runhcs-v1.exe"


def answer(words: list[str]) -> Answer:
    with pytest.raises(Answer) as caught:
        parse(words, NAME)
    return caught.value


@pytest.mark.parametrize("flags", [
    ALL,
    [f"-{word}" if word.startswith("-") else word for word in ALL],
    ["-namespace=n", "--address=a", "-publish-binary=p", "--id=i"],
    [*ALL, "-debug=false", "--"],
    ["-id", "other", *ALL, "-h=false", "--version=0"],
])  # fmt: skip
@pytest.mark.parametrize("action", ["start", "delete", "serve"])
def test_commands(flags: list[str], action: str) -> None:
    asked = parse([*flags, action, "a word", "-more"], NAME)
    assert asked.action == action
    assert (asked.namespace, asked.address) == ("n", "a")
    assert (asked.publish_binary, asked.id, asked.debug) == ("p", "i", False)
    assert (asked.bundle, asked.socket, asked.is_sandbox) == ("", "", False)


def test_all_that_can_be_said() -> None:
    asked = parse([*ALL, "-bundle", "b", "-debug", "serve", "-socket=s", "--is-sandbox"], NAME)
    assert (asked.bundle, asked.debug, asked.socket, asked.is_sandbox) == ("b", True, "s", True)


@pytest.mark.parametrize("missing", range(4))
@pytest.mark.parametrize("rest", [["start"], ["bogus"], ["help"], []])
def test_what_every_command_needs_comes_in_this_order(missing: int, rest: list[str]) -> None:
    names = ["namespace", "address", "publish-binary", "id"]
    said = answer([*ALL[: 2 * missing], *rest])
    assert (said.out, said.error, said.status) == ("", f"{names[missing]} is required\n", 1)
    said = answer([*ALL, f"--{names[missing]}=", *rest])
    assert (said.out, said.error, said.status) == ("", f"{names[missing]} is required\n", 1)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--nope"], "flag provided but not defined: -nope"),
        (["-nope", "start"], "flag provided but not defined: -nope"),
        (["-namespace"], "flag needs an argument: -namespace"),
        (["---x"], "bad flag syntax: ---x"),
        (["-=x"], "bad flag syntax: -=x"),
        (["--debug=maybe", "start"], 'invalid boolean value "maybe" for -debug: parse error'),
        (["--version=x"], 'invalid boolean value "x" for -version: parse error'),
        (["-info"], "flag provided but not defined: -info"),
    ],
)
def test_global_flags_that_cant_be_read(words: list[str], text: str) -> None:
    said = answer(words)
    assert said.out == f"Incorrect Usage. {text}\n\n{command.usage(NAME)}"
    assert (said.error, said.status) == (f"{text}\n", 1)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["start", "--nope"], "flag provided but not defined: -nope"),
        (["start", "--version"], "flag provided but not defined: -version"),
        (["start", "-h=maybe"], 'invalid boolean value "maybe" for -h: parse error'),
        (["delete", "--bundle", "x"], "flag provided but not defined: -bundle"),
        (["serve", "-socket"], "flag needs an argument: -socket"),
        (["serve", "--is-sandbox=x"], 'invalid boolean value "x" for -is-sandbox: parse error'),
    ],
)
def test_flags_of_commands_that_cant_be_read(words: list[str], text: str) -> None:
    said = answer([*ALL, *words])
    assert said.out == f"Incorrect Usage: {text}\n\n{command.command_usage(words[0], NAME)}"
    assert (said.error, said.status) == (f"{text}\n", 1)


@pytest.mark.parametrize("words", [
    ["-h"], ["--help"], ["-help", "bogus"], ["-v", "-h"],
    [*ALL], [*ALL, ""], [*ALL, "help"], [*ALL, "h", "help"],
])  # fmt: skip
def test_help(words: list[str]) -> None:
    said = answer(words)
    assert (said.out, said.error, said.status) == (command.usage(NAME), "", 0)


@pytest.mark.parametrize("words", [["help", "start"], ["start", "-h"], ["start", "--help", "x"],
                                   ["h", "delete"], ["help", "serve"]])  # fmt: skip
def test_help_of_a_command(words: list[str]) -> None:
    action = next(word for word in words if word in {"start", "delete", "serve"})
    said = answer([*ALL, *words])
    assert (said.out, said.error, said.status) == (command.command_usage(action, NAME), "", 0)


@pytest.mark.parametrize("words", [["-v"], ["--version"], ["-version=true", "start"]])
def test_version(words: list[str]) -> None:
    said = answer(words)
    assert said.out == f"containerd-shim-runhcs-v1 version {VERSION}\nspec: 1.2.1\n"
    assert (said.error, said.status) == ("", 0)


@pytest.mark.parametrize("words", [["bogus"], ["Start", "x"], ["-", "start"], ["help", "bogus"]])
def test_words_that_are_no_command(words: list[str]) -> None:
    said = answer([*ALL, *words])
    word = words[-1] if words[0] == "help" else words[0]
    assert (said.out, said.error, said.status) == ("", f"No help topic for '{word}'\n", 3)


def test_the_help_tells_everything_but_serve() -> None:
    text = command.usage(NAME)
    for word in ("start", "delete", "namespace", "address", "publish-binary", "id", "bundle",
                 "debug", "help", "version"):  # fmt: skip
        assert word in text
    assert "serve" not in text
    assert "--socket value" in command.command_usage("serve", NAME)
    assert "--is-sandbox" in command.command_usage("serve", NAME)


@pytest.mark.parametrize("value", ["..\\x", "a/b", "a b", "a\0", "-a", "x" * 77, "ä"])
@pytest.mark.parametrize("flag", ["-id", "-namespace"])
def test_what_can_be_no_name_is_refused(flag: str, value: str) -> None:
    said = answer([*ALL, flag, value, "start"])
    assert (said.out, said.status) == ("", 1)
    assert said.error.startswith(f"{flag[1:]}: identifier ")
    assert said.error.endswith(": invalid argument\n")


@given(st.lists(st.text(max_size=6) | st.sampled_from([*ALL, "start", "serve", "--", "-h"])))
def test_nothing_else_can_happen(words: list[str]) -> None:
    with contextlib.suppress(Answer):
        parse(words, NAME)


def test_what_is_called_oddly_can_be_deleted() -> None:
    assert parse([*ALL, "-id", "ö '\"", "delete"], NAME).id == "ö '\""
