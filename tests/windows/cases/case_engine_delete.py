"""The `delete` command's part of ending what a shim left, over the stand-in."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

assert sys.platform == "win32"

# ruff: noqa: E402 - after the line that tells where this runs

from podshim.engines.hcs.cleanup import force_delete
from podshim.engines.hcs.engine import HcsEngine
from podshim.errors import ShimError
from windows.cases.hcs import configure, trace

PROGRAM = """
import sys
from windows.cases.hcs import running, spawn

with running(sys.argv[1]) as system:
    result, process, info = spawn(system, CommandLine="ping -n 600 127.0.0.1")
    print(info.pid, flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_shim(name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has a running container."""
    words = [sys.executable, "-c", PROGRAM, name]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        try:
            yield process
        finally:
            process.kill()


def calls(tmp_path: Path) -> list[str]:
    lines = trace(tmp_path / "trace.jsonl")
    own = max(line["pid"] for line in lines if line.get("name") == "HcsOpenComputeSystem")
    return [
        line["name"]
        for line in lines
        if line["what"] == "call" and line["pid"] == own and "Operation" not in line["name"]
    ]


def test_a_container_that_is_left_is_ended(name: str, tmp_path: Path) -> None:
    said: list[str] = []
    with another_shim(name):
        HcsEngine.force_delete(name, said.append)
        assert said == []
    assert calls(tmp_path) == [
        "HcsOpenComputeSystem",
        "HcsSetComputeSystemCallback",
        "HcsTerminateComputeSystem",
        "HcsCloseComputeSystem",
    ]
    HcsEngine.force_delete(name, said.append)  # it is gone
    assert said == []


def test_a_container_that_does_not_end_in_time(name: str, tmp_path: Path) -> None:
    fault = {"call": "HcsTerminateComputeSystem", "stage": "completion", "result": "0x0"}
    with another_shim(name):
        configure(tmp_path, faults=[fault])
        with pytest.raises(ShimError, match=f"timed out waiting for '{name}' to terminate"):
            force_delete(name, print, limit=0.2)


def test_a_container_that_cannot_be_terminated(name: str, tmp_path: Path) -> None:
    said: list[str] = []
    with another_shim(name):
        configure(tmp_path, faults=[{"call": "HcsTerminateComputeSystem", "result": "0x80070005"}])
        HcsEngine.force_delete(name, said.append)
    (line,) = said
    assert line.startswith(f"failed to terminate '{name}': hcs::System::Terminate {name}: ")
