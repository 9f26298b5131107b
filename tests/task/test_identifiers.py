"""containerd's rule for names, and what a path must be."""

import re

import pytest
from hypothesis import given, settings, strategies as st

from podshim.errors import Code, InvalidArgumentError
from podshim.task.identifiers import check_exec_identifier, check_identifier, check_path

PATTERN = "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$"


@pytest.mark.parametrize("name", ["a", "0", "a.b", "k8s.io", "a-b_c.d", "x" * 76, "A9-z"])
def test_what_is_an_identifier(name: str) -> None:
    check_identifier(name)
    check_exec_identifier(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "identifier must not be empty"),
        ("x" * 77, f'identifier "{"x" * 77}" greater than maximum length (76 characters)'),
        ("x" * 200, f'identifier "{"x" * 200}" greater than maximum length (76 characters)'),
        ("a/b", f'identifier "a/b" must match {PATTERN}'),
        ("..", f'identifier ".." must match {PATTERN}'),
        (".a", f'identifier ".a" must match {PATTERN}'),
        ("a..b", f'identifier "a..b" must match {PATTERN}'),
        ("a-", f'identifier "a-" must match {PATTERN}'),
        ("a\n", f'identifier "a\\n" must match {PATTERN}'),
        ("a b", f'identifier "a b" must match {PATTERN}'),
        ("\u00e4", f'identifier "\\u00e4" must match {PATTERN}'),
        ("a\0", f'identifier "a\\u0000" must match {PATTERN}'),
    ],
)
def test_what_is_none(name: str, text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_identifier(name)
    assert str(caught.value) == f"{text}: invalid argument"
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_an_exec_needs_a_name() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_exec_identifier("")
    assert str(caught.value) == "exec id cannot be empty: invalid argument"
    with pytest.raises(InvalidArgumentError, match="must match"):
        check_exec_identifier("../init")


@settings(deadline=None)
@given(st.text(max_size=100))
def test_nothing_dangerous_passes(name: str) -> None:
    try:
        check_identifier(name)
    except InvalidArgumentError:
        return
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,76}", name)
    assert ".." not in name
    assert name[0].isalnum()


@pytest.mark.parametrize("path", ["", "run/b", "./b", "/run/b\0/c"])
def test_a_path_is_absolute(path: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^bundle .*: invalid argument$"):
        check_path("bundle", path)


def test_a_good_path_passes() -> None:
    check_path("bundle", "/run/containerd/io.containerd.runtime.v2.task/default/c1")
