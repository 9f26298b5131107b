"""A box to run a shim in: bundles, a socket folder, the commands as containerd gives them.

Everything is below one short temporary folder. At the end every process that was started for one
of its bundles is killed, and the box says which: a test that expects none left asks before.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from podshim.api.bootstrap_v1_pb2 import BootstrapParams, BootstrapResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

HERE = Path(__file__).parent
DEADLINE = 60.0

PROGRAM = """\
import sys
from podshim.shim import {module} as module
from podshim.shim.main import main
for setting, value in {settings!r}.items():
    assert hasattr(module, setting)
    setattr(module, setting, value)
main("shim_engines:{engine}")
"""


class Box:
    """One socket folder and any number of bundles. Use it as a context manager."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="sh", dir="/tmp"))
        self.sockets = self.path / "s"
        self.ttrpc = ""
        self.environment = {
            **{key: value for key, value in os.environ.items() if "ADDRESS" not in key},
            "PYTHONPATH": str(HERE),
            "CLEANED": str(self.path / "cleaned"),
            "OPEN": str(self.path / "open"),
        }
        self.program = self.make_program("Good")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.processes())
        shutil.rmtree(self.path)

    def make_program(
        self, engine: str, module: str = "start", **settings: object
    ) -> tuple[str, ...]:
        """A shim binary with an engine of `shim_engines`, and some of its constants changed."""
        path = self.path / f"containerd-shim-{engine.lower()}-v1"
        path.write_text(PROGRAM.format(engine=engine, module=module, settings=settings))
        return sys.executable, str(path)

    def bundle(self, name: str, annotations: Mapping[str, object] | None = None) -> Path:
        path = self.path / "b" / name
        path.mkdir(parents=True)
        (path / "config.json").write_text(json.dumps({"annotations": annotations}))
        return path

    def words(self, action: str, name: str, *more: str, namespace: str = "ns") -> list[str]:
        address = str(self.path / "containerd.sock")
        words = ["-namespace", namespace, "-address", address, "-publish-binary", "/bin/false"]
        return [*self.program, *words, "-id", name, *more, action]

    def params(self, name: str, namespace: str = "ns") -> bytes:
        return BootstrapParams(
            instance_id=name,
            namespace=namespace,
            socket_dir=str(self.sockets),
            containerd_version="v2.4.2",
            containerd_ttrpc_address=self.ttrpc,
        ).SerializeToString()

    def run(
        self,
        action: str,
        name: str,
        *more: str,
        cwd: Path | None = None,
        data: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one command as containerd does, in the bundle, until standard output ends."""
        if data is None:
            data = self.params(name) if action == "start" else b""
        return subprocess.run(
            self.words(action, name, *more),
            cwd=cwd or self.path / "b" / name,
            env={**self.environment, **(environment or {})},
            input=data,
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )

    def begin(self, name: str, action: str = "start") -> subprocess.Popen[bytes]:
        """Begin a command and don't wait for it."""
        process = subprocess.Popen(
            self.words(action, name),
            cwd=self.path / "b" / name,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        process.stdin.write(self.params(name) if action == "start" else b"")
        process.stdin.close()
        process.stdin = None
        return process

    def start(self, name: str, *more: str) -> str:
        """A `start` that succeeds; its address."""
        done = self.run("start", name, *more)
        return self.address(done.returncode, done.stdout, done.stderr)

    def finish(self, process: subprocess.Popen[bytes]) -> str:
        """The address that a begun `start` comes to."""
        out, err = process.communicate(timeout=DEADLINE)
        return self.address(process.returncode, out, err)

    @staticmethod
    def address(status: int, out: bytes, err: bytes) -> str:
        assert (status, err) == (0, b""), err.decode()
        result = BootstrapResult.FromString(out)
        assert (result.version, result.protocol) == (3, "ttrpc")
        return result.address

    def pid(self, name: str) -> int:
        return int((self.path / "b" / name / "shim.pid").read_text())

    def processes(self) -> list[int]:
        """The live processes that were started for a bundle of this box."""
        return [
            int(folder.name)
            for folder in Path("/proc").iterdir()
            if folder.name.isdigit() and self._is_ours(folder) and alive(int(folder.name))
        ]

    def _is_ours(self, folder: Path) -> bool:
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return b"serve" in words and any(str(self.path).encode() in word for word in words)

    def sockets_left(self) -> list[str]:
        return sorted(os.listdir(self.sockets)) if self.sockets.exists() else []


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in {"Z", "X"}


def wait_until(condition: Callable[[], bool], deadline: float = DEADLINE) -> None:
    """Wait for a condition, as long as it takes but not for ever."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.005)
