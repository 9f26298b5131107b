"""A containerd for cases: its daemon with files and pipes of its own, and `ctr`, its client."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

assert sys.platform == "win32"

LIMIT = 60.0

# What needs more of Windows than there is under Wine, or has nothing to do here. The snapshotter
# `windows` stays: nothing uses it, but containerd won't do without any.
_DISABLED = (
    "io.containerd.snapshotter.v1.windows-lcow",
    "io.containerd.snapshotter.v1.cimfs",
    "io.containerd.snapshotter.v1.blockcim",
    "io.containerd.differ.v1.windows-lcow",
    "io.containerd.nri.v1.nri",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so; an AssertionError names what did not come."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"no {what} in {LIMIT:.0f} s"
        time.sleep(0.1)


class Daemon:
    """A containerd that runs while `running` is entered; again is a restart with the same state.

    Args:
        binaries: The folder of `containerd.exe` and `ctr.exe`.
        folder: An empty folder for its files.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        name = uuid.uuid4().hex[:12]
        self.namespace = f"n{name}"
        self.folder = folder
        self._binaries = binaries
        self._address = f"\\\\.\\pipe\\containerd-{name}"
        self._log = folder / "log"
        lines = [
            "version = 2",
            f"root = {json.dumps(str(folder / 'root'))}",
            f"state = {json.dumps(str(folder / 'state'))}",
            f"disabled_plugins = {json.dumps(_DISABLED)}",
            f"grpc.address = {json.dumps(self._address)}",
            f"ttrpc.address = {json.dumps(f'{self._address}.ttrpc')}",
            'debug.level = "debug"',
            "[timeouts]",  # most are 5 s, which a crowded machine may need for a `delete`
            f'"io.containerd.timeout.shim.cleanup" = "{LIMIT:.0f}s"',
            f'"io.containerd.timeout.shim.load" = "{LIMIT:.0f}s"',
            f'"io.containerd.timeout.shim.shutdown" = "{LIMIT:.0f}s"',
            f'"io.containerd.timeout.task.state" = "{LIMIT:.0f}s"',
        ]
        (folder / "config.toml").write_text("\n".join(lines))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the daemon; at the end it is killed, and its shims are not."""
        before = self.log.count("successfully booted")
        command = [
            str(self._binaries / "containerd.exe"),
            "-c",
            str(self.folder / "config.toml"),
        ]
        with (
            self._log.open("ab") as log,
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
        ):
            try:
                wait_for(
                    lambda: (
                        self.log.count("successfully booted") > before or process.poll() is not None
                    ),
                    "containerd",
                )
                assert process.poll() is None, self.log
                yield
            finally:
                process.kill()

    @property
    def log(self) -> str:
        """What it has logged, shims' lines included."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def errors(self) -> list[str]:
        """The errors in its log."""
        return [line for line in self.log.splitlines() if "level=error" in line]

    def bundle(self, name: str) -> Path:
        """Where it keeps the bundle of a container."""
        state = self.folder / "state" / "io.containerd.runtime.v2.task"
        return state / self.namespace / name

    def has_bundle(self, name: str) -> bool:
        """Whether anything of it is there; what is being removed is hidden by a dot."""
        hidden = self.bundle(f".{name}")
        return self.bundle(name).exists() or hidden.exists()

    def command(self, *words: str) -> list[str]:
        """A command line of `ctr`."""
        ctr = str(self._binaries / "ctr.exe")
        return [ctr, "-a", self._address, "-n", self.namespace, *words]

    def ctr(self, *words: str, stdin: bytes = b"", status: int = 0) -> str:
        """Run `ctr`; returns what it printed, after it ended with that status."""
        try:
            done = subprocess.run(
                self.command(*words), input=stdin, capture_output=True, timeout=LIMIT, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise AssertionError(words, error.stdout, error.stderr, self.log[-8000:]) from error
        said = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        assert done.returncode == status, (words, done.returncode, said, self.log[-3000:])
        return said[0]

    def tasks(self) -> dict[str, tuple[int, str]]:
        """Process id and status of each task."""
        rows = [line.split() for line in self.ctr("tasks", "ls").splitlines()[1:]]
        return {name: (int(pid), status) for name, pid, status in rows}

    @contextmanager
    def events(self) -> Iterator[Callable[[str], list[str]]]:
        """Follow the events; the function gives the topics of those in which a word appears."""
        path = self.folder / f"events-{uuid.uuid4()}"
        with (
            path.open("wb") as file,
            subprocess.Popen(
                self.command("events"), stdin=subprocess.DEVNULL, stdout=file, stderr=file
            ) as process,
        ):
            try:
                yield lambda word: [
                    part
                    for line in path.read_text(errors="replace").splitlines()
                    if word in line
                    for part in line.split()
                    if part.startswith("/tasks/")
                ]
            finally:
                process.kill()

    def spec(self, *args: str, **annotations: str) -> str:
        """Write a spec with layers of its own; its path, for `ctr run --config`."""
        folder = self.folder / f"spec-{uuid.uuid4().hex[:8]}"
        layers = [folder / "base", folder / "scratch"]
        for layer in layers:
            layer.mkdir(parents=True)
        (layers[1] / "sandbox.vhdx").touch()
        spec: dict[str, Any] = {
            "ociVersion": "1.0.2",
            "process": {"args": list(args), "cwd": "C:\\", "user": {}},
            "root": {"path": ""},
            "hostname": "podshim",
            "annotations": annotations,
            "windows": {"layerFolders": [str(layer) for layer in layers]},
        }
        path = folder / "config.json"
        path.write_text(json.dumps(spec))
        return str(path)

    def shim_pid(self, name: str) -> int:
        """The process id of the shim that serves a container."""
        return int((self.bundle(name) / "shim.pid").read_text())


def binaries() -> Path:
    """Where the tests on Linux have put containerd."""
    return Path(os.environ["PODSHIM_CONTAINERD"])
