"""The command line is read as Go's flag package reads it."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from podshim.shim import command
from podshim.shim.command import Command, UsageError, check_identifier, parse

BASE = ["-namespace", "ns", "-id", "c1"]


def facts(parsed: Command) -> tuple[str, str, str, bool]:
    return parsed.action, parsed.namespace, parsed.id, parsed.debug


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([*BASE, "start"], ("start", "ns", "c1", False)),
        (["--namespace", "ns", "--id", "c1", "start"], ("start", "ns", "c1", False)),
        (["-namespace=ns", "--id=c1", "start"], ("start", "ns", "c1", False)),
        ([*BASE, "-debug", "delete"], ("delete", "ns", "c1", True)),
        ([*BASE, "-debug=false", "delete"], ("delete", "ns", "c1", False)),
        ([*BASE, "-debug=T", "start"], ("start", "ns", "c1", True)),
        ([*BASE, "-debug=1", "-debug=0", "start"], ("start", "ns", "c1", False)),
        ([*BASE, "--", "start"], ("start", "ns", "c1", False)),
        ([*BASE, "start", "-debug"], ("start", "ns", "c1", False)),
        (BASE, ("serve", "ns", "c1", False)),
        ([*BASE, "serve"], ("serve", "ns", "c1", False)),
        (
            ["-namespace", "-x", "-namespace", "ns", "-id", "c1", "start"],
            ("start", "ns", "c1", False),
        ),
        (["-v"], ("version", "", "", False)),
        (["--version"], ("version", "", "", False)),
        (["-info"], ("info", "", "", False)),
        (["-v=false", *BASE, "start"], ("start", "ns", "c1", False)),
        (["-info", "-v"], ("version", "", "", False)),
        (["-h"], ("help", "", "", False)),
        (["-help", "-nonsense"], ("help", "", "", False)),
    ],
)
def test_accepted(words: list[str], expected: tuple[str, str, str, bool]) -> None:
    assert facts(parse(words, "shim")) == expected


def test_all_that_containerd_sends() -> None:
    words = (
        "-namespace k8s.io -address /run/containerd/containerd.sock -publish-binary /bin/containerd"
    )
    parsed = parse([*words.split(), "-id", "a", "-bundle", "/b", "-debug", "delete"], "shim")
    assert parsed.address == "/run/containerd/containerd.sock"
    assert parsed.bundle == "/b"
    parsed = parse([*BASE, "-socket", "/s", "-debug-socket", "/d", "-ready-fd", "4"], "shim")
    assert (parsed.socket, parsed.ready_fd) == ("/s", 4)


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["-nonsense", "start"], 2, "flag provided but not defined: -nonsense\nUsage of shim:\n"),
        (["---id", "x"], 2, "bad flag syntax: ---id\n"),
        (["-=x"], 2, "bad flag syntax: -=x\n"),
        (["-id"], 2, "flag needs an argument: -id\n"),
        (["-debug=maybe"], 2, 'invalid boolean value "maybe" for -debug: parse error\n'),
        (["start"], 1, "shim namespace cannot be empty"),
        (["-namespace", "", "start"], 1, "shim namespace cannot be empty"),
        ([*BASE, "-debug", "true", "start"], 1, 'unknown action "true"'),
        ([*BASE, "strat"], 1, 'unknown action "strat"'),
        (["-namespace", "ns", "start"], 1, "id: identifier must not be empty: invalid argument"),
        (["-namespace", "a/b", "-id", "c", "start"], 1, 'namespace: identifier "a/b" must match'),
        ([*BASE[:3], "../x", "start"], 1, 'id: identifier "../x" must match ^[A-Za-z0-9]+'),
        ([*BASE[:3], "a" * 200, "start"], 1, "greater than maximum length (76 characters)"),
        ([*BASE, "-ready-fd", "x", "serve"], 1, '-ready-fd: "x" is not a descriptor'),
    ],
)
def test_refused(words: list[str], status: int, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words, "shim")
    assert caught.value.status == status
    assert text in str(caught.value)


def test_an_error_stays_on_one_line_and_short() -> None:
    with pytest.raises(UsageError) as caught:
        check_identifier("id", "evil\x1b[2J\n" * 100_000)
    assert len(str(caught.value)) < 2000
    assert str(caught.value).isprintable()


ORACLE = re.compile(r"[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*")


@given(st.text(alphabet="aZ09._-/ é\n", max_size=12) | st.text(max_size=90))
def test_identifiers_are_containerds(value: str) -> None:
    good = ORACLE.fullmatch(value) is not None and len(value) <= command.MAX_IDENTIFIER
    try:
        check_identifier("id", value)
    except UsageError:
        assert not good
    else:
        assert good


@given(st.lists(st.sampled_from(["-id", "-id=x", "-debug", "-debug=f", "--", "-", "x", "-v", ""])))
def test_any_words_parse_or_are_refused(words: list[str]) -> None:
    with suppress(UsageError):
        assert parse(words, "shim").action
