"""Where a group's shim listens: Go's path rule, and no way around it."""

from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given, strategies as st

from podshim.shim.socketpath import (
    DEFAULT_DIR,
    SocketDirError,
    check_dir,
    clean,
    join,
    socket_name,
    split,
)


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [  # the cases of Go's own documentation and tests of path.Clean
        ("", "."),
        ("abc", "abc"),
        ("abc/def", "abc/def"),
        (".", "."),
        ("..", ".."),
        ("../..", "../.."),
        ("/abc", "/abc"),
        ("/", "/"),
        ("abc/", "abc"),
        ("../../", "../.."),
        ("/abc/", "/abc"),
        ("abc//def//ghi", "abc/def/ghi"),
        ("//abc", "/abc"),
        ("///abc", "/abc"),
        ("//abc//", "/abc"),
        ("abc/./def", "abc/def"),
        ("/./abc/def", "/abc/def"),
        ("abc/def/ghi/../jkl", "abc/def/jkl"),
        ("abc/def/../ghi/../jkl", "abc/jkl"),
        ("abc/def/..", "abc"),
        ("abc/def/../..", "."),
        ("/abc/def/../..", "/"),
        ("abc/def/../../..", ".."),
        ("/abc/def/../../..", "/"),
        ("abc/def/../../../ghi/jkl/../../../mno", "../../mno"),
        ("abc/./../def", "def"),
        ("abc//./../def", "def"),
        ("abc/../../././../def", "../../def"),
    ],
)
def test_clean(path: str, cleaned: str) -> None:
    assert clean(path.encode()) == cleaned.encode()


@given(st.text(alphabet="a./", max_size=20))
def test_clean_is_posix_normpath_but_for_two_leading_slashes(path: str) -> None:
    expected = os.path.normpath(path)
    if expected.startswith("//"):
        expected = expected[1:]
    assert clean(path.encode()) == expected.encode()


@pytest.mark.parametrize(
    ("elements", "joined"),
    [
        ([], ""),
        ([""], ""),
        (["", "a"], "a"),
        (["a", "b"], "a/b"),
        (["a", ""], "a"),
        (["/", "a"], "/a"),
        (["a/", "../b"], "b"),
        (["", ""], ""),
        (["/a", "ns", "id"], "/a/ns/id"),
    ],
)
def test_join(elements: list[str], joined: str) -> None:
    assert join(*(element.encode() for element in elements)) == joined.encode()


def test_the_name_is_that_of_gos_shims() -> None:
    key = b"/run/containerd/containerd.sock/k8s.io/pod1"
    expected = hashlib.sha256(key).hexdigest()
    assert socket_name("/run/containerd/containerd.sock", "k8s.io", "pod1") == expected


@pytest.mark.parametrize("group", ["", ".", "..", "../other/c1", "/", "a/b", "./x", "//x"])
def test_an_odd_group_meets_nobody(group: str) -> None:
    names = {
        socket_name("/c.sock", namespace, plain)
        for namespace in ("ns", "other")
        for plain in ("c1", "x", "b", "a", "ns")
    }
    assert socket_name("/c.sock", "ns", group) not in names
    assert socket_name("/c.sock", "ns", group) == socket_name("/c.sock", "ns", group)


word = st.from_regex(r"[A-Za-z0-9]{1,3}", fullmatch=True)


@given(word, st.text(max_size=8), word, st.text(max_size=8))
def test_groups_of_two_namespaces_never_meet(ns1: str, group1: str, ns2: str, group2: str) -> None:
    same = socket_name("/c.sock", ns1, group1) == socket_name("/c.sock", ns2, group2)
    assert same == ((ns1, group1) == (ns2, group2))


def test_any_text_may_be_a_group() -> None:
    for group in ("\ud800", "\0", "x" * 1_000_000, "\U0001f600"):
        assert len(socket_name("/c.sock", "ns", group)) == 64
    assert len(socket_name("/c\udcff.sock", "ns", "c1")) == 64


@pytest.mark.parametrize(
    ("path", "checked"),
    [
        (DEFAULT_DIR, DEFAULT_DIR),
        ("/run/s/", "/run/s"),
        ("/run//s/.", "/run/s"),
        ("/" + "x" * 41, "/" + "x" * 41),
    ],
)
def test_socket_dirs(path: str, checked: str) -> None:
    assert check_dir(path) == checked


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("run/s", 'socket_dir must be an absolute path: "run/s"'),
        ("", "absolute"),
        ("/" + "x" * 42, "socket_dir length must be no longer than 42 characters"),
        ("/" + "é" * 21, "no longer"),
        ("/run/../etc", r'must not contain "\.\."'),
        ("/run/\0", "NUL"),
    ],
)
def test_wrong_socket_dirs(path: str, text: str) -> None:
    with pytest.raises(SocketDirError, match=text):
        check_dir(path)


def test_split() -> None:
    name = "0123456789abcdef" * 4
    assert split(f"unix:///run/s/{name}") == ("/run/s", name)
    for address in (
        f"/run/s/{name}",
        "unix:///etc/passwd",
        f"unix://s/{name}",
        "",
        f"unix:///../{name}",
    ):
        assert split(address) is None
