"""What the binary says of itself, and to those who call it wrongly."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf.any_pb2 import Any

from podshim.api.types_pb2 import RuntimeInfo
from podshim.version import VERSION
from shim.shim_box import Box

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def box() -> Iterator[Box]:
    with Box() as made:
        yield made


def run(box: Box, *words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*box.program, *words],
        cwd=box.path,
        env=box.environment,
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_version(box: Box, flag: str) -> None:
    done = run(box, flag)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().split("\n")
    assert lines[0] == "containerd-shim-good-v1:"
    assert lines[1] == f"  Version:  {VERSION}"
    assert lines[3].startswith("  Python version: 3.")


def test_info(box: Box) -> None:
    done = run(box, "-info")
    assert (done.returncode, done.stderr) == (0, b"")
    info = RuntimeInfo.FromString(done.stdout)
    assert info.name == "io.containerd.good.v1"
    assert (info.version.version, info.version.revision) == ("1.2", "abc")
    assert not info.HasField("options")
    assert (info.features.type_url, info.features.value) == ("features", b"{}")


def test_what_an_engine_prints_is_not_taken_for_the_info(box: Box) -> None:
    box.program = box.make_program("Prints")
    done = run(box, "-info")
    assert RuntimeInfo.FromString(done.stdout).version.version == "1.2"
    assert sorted(done.stderr.splitlines()) == [b"from Python", b"from a program"]


def test_info_echoes_the_options(box: Box) -> None:
    options = Any(type_url="x/containerd.runc.v1.Options", value=b"\x0a\x01a")
    info = RuntimeInfo.FromString(run(box, "-info", data=options.SerializeToString()).stdout)
    assert info.options == options
    assert dict(info.annotations) == {"options": "containerd.runc.v1.Options"}


def test_info_of_nonsense(box: Box) -> None:
    done = run(box, "-info", data=b"\xff\xff")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"runtime options" in done.stderr


def test_info_without_a_runtime(box: Box) -> None:
    box.program = box.make_program("NoRuntime")
    done = run(box, "-info")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b'containerd-shim-noruntime-v1: exec: "runc"')


@pytest.mark.parametrize("action", ["start", "delete", "serve"])
def test_no_namespace(box: Box, action: str) -> None:
    done = run(box, "-namespace", "", "-id", "c1", action)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"containerd-shim-good-v1: shim namespace cannot be empty"


def test_usage(box: Box) -> None:
    done = run(box, "-h")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.startswith(b"Usage of containerd-shim-good-v1:\n")
    done = run(box, "-nonsense")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"flag provided but not defined: -nonsense\nUsage of ")


def test_serving_by_hand_needs_a_socket(box: Box) -> None:
    done = run(box, "-namespace", "ns", "-id", "c1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"descriptor 3 must be a listening socket" in done.stderr


def test_standard_output_that_nobody_reads(box: Box) -> None:
    """A `start` whose caller is gone leaves no server behind that nobody knows."""
    box.bundle("c1")
    process = box.begin("c1")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"Broken pipe" in err
    assert box.processes() == []
    assert box.sockets_left() == []


def test_the_installed_binary() -> None:
    """The console script itself, as pip made it."""
    import sys

    script = Path(sys.executable).with_name("containerd-shim-runoci-v1")
    done = subprocess.run([script, "-v"], capture_output=True, timeout=60, check=True)
    assert done.stdout.startswith(b"containerd-shim-runoci-v1:\n")
