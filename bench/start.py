"""How long containerd waits for a shim: median times of the binary's commands, in ms.

Run it as root: `python bench/start.py [rounds]`. It makes servers in a socket folder of its own and
ends them all. What is compared:

    python         the bare interpreter: the floor of everything here
    script         `-v` of the installed console script
    join           `start` of a container whose pod has a server
    serve          `start` of a new pod: until the address is printed, server and all
    delete         after an ordinary deletion: the record says that nothing is left
    delete dirty   of a container that a dead shim left: the engine is asked to clean up
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from podshim.api.bootstrap_v1_pb2 import BootstrapParams
from podshim.bundle import Bundle, ExitRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCRIPT = str(Path(sys.executable).with_name("containerd-shim-runoci-v1"))


class Bench:
    """A folder with bundles and sockets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = {
            key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"
        }
        self.environment["PYTHONPYCACHEPREFIX"] = str(path / "pyc")
        self.count = 0

    def bundle(self, group: str = "") -> str:
        """A new bundle; its name is its container's id."""
        self.count += 1
        path = self.path / f"c{self.count}"
        path.mkdir()
        annotations = {"io.kubernetes.cri.sandbox-id": group} if group else {}
        (path / "config.json").write_text(json.dumps({"annotations": annotations}))
        return path.name

    def run(self, words: Sequence[str], name: str = "", data: bytes = b"") -> float:
        """Run a command in a bundle; how long it took until its end, in ms."""
        begin = time.perf_counter()
        subprocess.run(
            words,
            cwd=self.path / name,
            env=self.environment,
            input=data,
            stdout=subprocess.PIPE,
            check=True,
        )
        return (time.perf_counter() - begin) * 1e3

    def shim(self, action: str, name: str) -> float:
        """Run the shim's binary for a container."""
        data = b""
        if action == "start":
            data = BootstrapParams(
                instance_id=name, namespace="bench", socket_dir=str(self.path / "s")
            ).SerializeToString()
        return self.run([SCRIPT, "-namespace", "bench", "-id", name, action], name, data)

    def end(self, name: str) -> None:
        """End a container's server and wait until it is no more."""
        descriptor = os.pidfd_open(int((self.path / name / "shim.pid").read_text()))
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [])
        os.close(descriptor)

    def serve(self) -> float:
        """`start` of a new pod."""
        name = self.bundle()
        took = self.shim("start", name)
        self.end(name)
        return took

    def delete(self, *, deleted: bool) -> float:
        """`delete` of a container that is gone, or is not known to be."""
        name = self.bundle()
        if deleted:
            Bundle(str(self.path / name)).write_exit(ExitRecord(1, 0, 1, deleted=True))
        return self.shim("delete", name)


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    folder = Path(tempfile.mkdtemp(prefix="sb", dir="/tmp"))
    bench = Bench(folder)
    try:
        pod = bench.bundle("pod")
        bench.shim("start", pod)
        kinds: dict[str, Callable[[], float]] = {
            "python": lambda: bench.run([sys.executable, "-c", "pass"]),
            "script": lambda: bench.run([SCRIPT, "-v"]),
            "join": lambda: bench.shim("start", bench.bundle("pod")),
            "serve": bench.serve,
            "delete": lambda: bench.delete(deleted=True),
            "delete dirty": lambda: bench.delete(deleted=False),
        }
        for name, measure in kinds.items():
            measure()
            times = sorted(measure() for _ in range(rounds))
            median = statistics.median(times)
            sys.stdout.write(f"{name:13} median {median:6.1f}   best {times[0]:6.1f}\n")
        bench.end(pod)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
