"""Which upstream a path for standard output means."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from podshim.engines.hcs.stdio.kinds import Kind, kind_of, parse_url, query_pairs
from podshim.errors import ShimError


@pytest.mark.parametrize(
    "stdout",
    [
        "",
        r"\\.\pipe\ctr-c1-stdout",
        "//./pipe/ctr-c1-stdout",
        "/run/fifo",
        "no scheme",
        ":missing",
        "1binary://x",
        "binary:///a%zz",
        "binary:///with\ncontrol",
        "binary://[::1/x",
        "binary://host:port/x",
        r"binary://D:\path\to\executable",
        "bin ary://x",
        "a/b:c",
    ],
)
def test_what_is_no_url_or_has_no_scheme_names_a_pipe(stdout: str) -> None:
    assert kind_of(stdout) == (Kind.PIPES, None)


@pytest.mark.parametrize(
    ("stdout", "scheme"),
    [
        ("file:///C:/log", "file"),
        ("npipe:////./pipe/x", "npipe"),
        ("binary-v2:///x", "binary-v2"),
        (r"C:\x", "c"),
        ("BINARYX:y", "binaryx"),
    ],
)
def test_any_other_scheme_is_refused(stdout: str, scheme: str) -> None:
    with pytest.raises(ShimError) as caught:
        kind_of(stdout)
    assert str(caught.value) == f"scheme must be 'binary', got: '{scheme}'"


@pytest.mark.parametrize(
    ("uri", "path", "query"),
    [
        ("binary:///executable?-key=value", "/executable", "-key=value"),
        ("BINARY:///a%20b+c", "/a b+c", ""),
        ("binary://host:80/path", "/path", ""),
        ("binary://u:p@host/path#part", "/path", ""),
        ("binary://[::1]:9/path", "/path", ""),
        ("binary:opaque?x", "", "x"),
        ("binary:", "", ""),
    ],
)
def test_a_loggers_url_is_taken_apart(uri: str, path: str, query: str) -> None:
    kind, url = kind_of(uri)
    assert kind is Kind.BINARY
    assert url is not None
    assert (url.scheme, url.path, url.query) == ("binary", path, query)


def test_query_keeps_the_order_of_keys_and_the_first_of_values() -> None:
    query = "b=1&a=2&b=3&flag&empty=&x=%zz&s;t=1&p+q=%26"
    assert query_pairs(query) == [
        ("b", "1"), ("a", "2"), ("flag", ""), ("empty", ""), ("p q", "&"),
    ]  # fmt: skip


@given(st.text())
def test_any_text_has_a_kind_or_a_clear_error(text: str) -> None:
    try:
        kind, url = kind_of(text)
    except ShimError:
        assert ":" in text
    else:
        assert (kind is Kind.BINARY) == (url is not None)


@given(st.from_regex(r"[a-z][a-z0-9+.-]*:///[ -~]*", fullmatch=True))
def test_a_scheme_is_found_or_the_url_refused(text: str) -> None:
    try:
        url = parse_url(text)
    except ValueError:
        assert "%" in text
    else:
        assert url.scheme == text.partition(":")[0]
