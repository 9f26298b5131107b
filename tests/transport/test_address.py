"""Addresses: what text means, and what can't be one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

import podshim
from podshim.transport.address import (
    PIPE,
    AddressError,
    UnixAddress,
    parse,
    parse_endpoint,
    parse_pipe,
)


def test_a_path() -> None:
    address = parse("unix:///run/containerd/s/abc")
    assert address == UnixAddress("/run/containerd/s/abc")
    assert address.sockaddr == "/run/containerd/s/abc"
    assert str(address) == "unix:///run/containerd/s/abc"
    assert repr(address) == "UnixAddress('/run/containerd/s/abc', abstract=False)"


def test_bare_text_is_abstract_for_a_shim_and_a_path_for_containerd() -> None:
    text = "/containerd-shim/default/c1/shim.sock"
    shim = parse(text)
    assert shim.abstract
    assert shim.sockaddr == "\0" + text
    assert str(shim) == text
    endpoint = parse_endpoint(text)
    assert not endpoint.abstract
    assert endpoint.sockaddr == text
    assert shim != endpoint
    assert parse_endpoint("unix://" + text) == endpoint
    assert len({shim, endpoint, parse(text)}) == 2
    assert shim != text


def test_the_longest_path_that_the_kernel_takes() -> None:
    path = "/" + "é" * 53
    assert parse(f"unix://{path}").name == path
    with pytest.raises(AddressError, match=r"unix socket path too long \(> 107\)$"):
        parse(f"unix://{path}x")


@pytest.mark.parametrize(
    "text", ["", "unix://", "unix:///a\0b", "npipe:////./pipe/x", "vsock://3:1024", "http://x"]
)
def test_what_is_no_address(text: str) -> None:
    for function in (parse, parse_endpoint):
        with pytest.raises(AddressError):
            function(text)


@given(st.text())
def test_any_text_is_an_address_that_reads_back_or_an_address_error(text: str) -> None:
    try:
        address = parse(text)
    except AddressError:
        return
    assert parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "\\\\.\\pipe\\a\\b",
        "//./pipe/a/b",
        "\\\\?\\PIPE\\a\\b",
        "npipe:////./pipe/a/b",
        "npipe://\\\\.\\pipe\\a\\b",
    ],
)
def test_pipes(text: str) -> None:
    address = parse_pipe(text)
    assert str(address) == address.path == "\\\\.\\pipe\\a\\b"
    assert address == parse_pipe("\\\\.\\pipe\\A\\B")  # as Windows compares names
    assert len({address, parse_pipe("\\\\.\\pipe\\A\\b")}) == 1
    assert address != "\\\\.\\pipe\\a\\b"
    assert repr(address) == "PipeAddress('\\\\\\\\.\\\\pipe\\\\a\\\\b')"


def test_the_longest_path_of_a_pipe() -> None:
    path = PIPE + "\N{GRINNING FACE}" * 16_378 + "x"  # of two units each
    assert parse_pipe(path).path == path
    with pytest.raises(AddressError, match=r"pipe path too long \(> 32766\)$"):
        parse_pipe(f"{path}x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\\\\.\\pipe\\",
        "\\\\.\\pipe",
        "\\\\server\\pipe\\x",
        "C:\\pipe\\x",
        "\\\\.\\C:\\x",
        "\\\\.\\pipe\\a\0b",
        "\\\\.\\pipe\\..\\C:\\x",
        "\\\\.\\pipe\\a\\.\\b",
        "\\\\.\\pipe\\a\\",
        "\\\\.\\pipe\\a//b",
        "unix:///run/x",
        "npipe://x",
        "http:////./pipe/x",
    ],
)
def test_what_is_no_pipe(text: str) -> None:
    with pytest.raises(AddressError):
        parse_pipe(text)


@given(st.text() | st.text().map(lambda name: PIPE + name))
def test_any_text_is_a_pipe_that_reads_back_or_an_address_error(text: str) -> None:
    try:
        address = parse_pipe(text)
    except AddressError:
        return
    assert parse_pipe(address.path) == address
    assert address.path.startswith(PIPE)


def test_the_module_is_light() -> None:
    source = Path(podshim.__file__).parent.parent
    program = (
        f"import sys; sys.path.insert(0, {str(source)!r})\n"
        "import podshim.transport.address\n"
        "print(*sorted(name for name in sys.modules if name.startswith('podshim')))\n"
        "assert not {'asyncio', 'socket', 'enum', 're', 'dataclasses'} & set(sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, check=True, text=True
    )
    assert run.stdout.split() == ["podshim", "podshim.transport", "podshim.transport.address"]
