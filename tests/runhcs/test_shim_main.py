"""The binary where there is no Windows: it tells about itself, and that it can't work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from podshim.version import VERSION

ALL = ["-namespace", "n", "-address", "a", "-publish-binary", "p", "-id", "i"]


def run(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "podshim.runhcs", *words],
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("action", ["start", "delete", "serve"])
def test_it_needs_windows(action: str) -> None:
    text = "containerd-shim-runhcs-v1 needs Windows: it runs Windows containers\n"
    assert run(*ALL, action) == (1, "", text)


def test_it_tells_its_version_everywhere() -> None:
    text = f"containerd-shim-runhcs-v1 version {VERSION}\nspec: 1.2.1\n"
    assert run("-v") == (0, text, "")


def test_it_helps_everywhere() -> None:
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert out.startswith("NAME:\n   containerd-shim-runhcs-v1 ")
    assert "COMMANDS:\n   start " in out


def test_it_says_what_is_wrong_with_the_command_line() -> None:
    assert run("start") == (1, "", "namespace is required\n")
    assert run(*ALL, "bogus") == (3, "", "No help topic for 'bogus'\n")
