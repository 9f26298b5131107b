"""How a logging program is called."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from podshim.engines.hcs.stdio.kinds import Url, kind_of
from podshim.engines.hcs.stdio.loggercommand import (
    LoggerPipes,
    command_line,
    environment,
    program_path,
)
from podshim.errors import ShimError


def words_of(uri: str) -> list[str]:
    _, url = kind_of(uri)
    assert url is not None
    return command_line(url)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("binary:///executable?-key=value", [r"\executable", "-key", "value"]),
        ("binary:///../path/to///to/../executable", [r"\path\to\executable"]),
        ("binary:///D:/path/to/executable", [r"D:\path\to\executable"]),
        (r"binary:///D:\path\to\executable", [r"D:\path\to\executable"]),
        ("binary:///path/to/binary?foo&bar&baz", [r"\path\to\binary", "foo", "bar", "baz"]),
        ("binary:///path?b=2&a=1&a=9&c=", [r"\path", "b", "2", "a", "1", "c"]),
    ],
)
def test_command_line_vectors(uri: str, words: list[str]) -> None:
    assert words_of(uri) == words


@pytest.mark.parametrize(
    "uri",
    [
        "binary:////server/share/executable",
        r"binary:///\server\share\executable",
        "binary:////./pipe/x",
        "binary:////?/C:/x",
        "binary:///x%00y",
    ],
)
def test_paths_of_other_machines_and_devices_are_unsafe(uri: str) -> None:
    with pytest.raises(ShimError, match=r"^path is unsafe$"):
        words_of(uri)


@pytest.mark.parametrize("uri", ["binary://", "binary:opaque", "binary://host?x=y"])
def test_a_logger_needs_a_path(uri: str) -> None:
    with pytest.raises(ShimError, match=r"^no logging driver path provided$"):
        words_of(uri)


def test_an_argument_with_nul_is_refused() -> None:
    with pytest.raises(ShimError, match="NUL"):
        words_of("binary:///x?a=%00")


def test_the_environment_is_the_contracts_alone() -> None:
    pipes = LoggerPipes.of("c1", "")
    assert environment("c1", "k8s.io", pipes, r"C:\windows") == {
        "CONTAINER_ID": "c1",
        "CONTAINER_NAMESPACE": "k8s.io",
        "CONTAINER_STDOUT": r"\\.\pipe\binary-c1-stdout",
        "CONTAINER_STDERR": r"\\.\pipe\binary-c1-stderr",
        "CONTAINER_WAIT": r"\\.\pipe\binary-c1-wait",
        "SYSTEMROOT": r"C:\windows",
    }
    assert "SYSTEMROOT" not in environment("c1", "n", pipes, "")


IDS = st.from_regex(r"[A-Za-z0-9]+([-._][A-Za-z0-9]+)*", fullmatch=True)


@given(st.tuples(IDS, st.just("") | IDS), st.tuples(IDS, st.just("") | IDS))
def test_no_two_processes_share_pipes(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (LoggerPipes.of(*one) == LoggerPipes.of(*other)) == (one == other)


@given(st.text(min_size=1))
def test_no_path_leads_to_another_machine(path: str) -> None:
    try:
        program = program_path(path)
    except ShimError:
        return
    assert not program.startswith("\\\\")
    assert "\0" not in program


def test_command_line_of_a_bare_url() -> None:
    assert command_line(Url("binary", "/x", "")) == [r"\x"]
