"""A containerd, a runtime and a namespace together: what most end-to-end tests work with."""

import contextlib
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from support import census
from support.containerd import Containerd, Runtime
from support.image import BUSYBOX
from support.waiting import eventually

#: A shell's process that ends at SIGTERM with status 0 and never else.
FOREVER = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done")


class Box:
    """Containers of one runtime in one containerd namespace, by ctr.

    Args:
        containerd: A running daemon.
        runtime: What runs the containers.
        namespace: containerd's namespace; the images are in it.
    """

    def __init__(self, containerd: Containerd, runtime: Runtime, namespace: str) -> None:
        self.containerd = containerd
        self.runtime = runtime
        self.namespace = namespace

    def ctr(
        self, *words: str, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a ctr command (see `Containerd.ctr`)."""
        return self.containerd.ctr(*words, namespace=self.namespace, stdin=stdin, check=check)

    def run_words(self, name: str, command: Iterable[str], flags: Iterable[str] = ()) -> list[str]:
        """The arguments of a `ctr run`."""
        return [
            "run",
            *self.containerd.run_flags(self.runtime),
            *flags,
            BUSYBOX,
            name,
            *command,
        ]

    def command(self, *words: str) -> list[str]:
        """The whole command line of a ctr command, for a test that runs it itself."""
        return self.containerd.ctr_command(*words, namespace=self.namespace)

    def run(
        self, name: str, *command: str, flags: Iterable[str] = ("--rm",), stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """`ctr run`: whatever its exit status."""
        return self.ctr(*self.run_words(name, command, flags), stdin=stdin, check=False)

    def detach(self, name: str, *command: str, flags: Iterable[str] = ("--null-io",)) -> int:
        """`ctr run --detach`; returns the init's pid."""
        self.ctr(*self.run_words(name, command or FOREVER, ["--detach", *flags]))
        pid = self.pid(name)
        if command in {(), FOREVER}:
            eventually(lambda: census.children(pid), f"the shell of {name} has its child")
        return pid

    def exec(
        self, name: str, *command: str, flags: Iterable[str] = (), stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """`ctr task exec`: whatever its exit status."""
        words = ["task", "exec", "--exec-id", f"exec-{abs(hash(command)) % 10**8}", *flags]
        return self.ctr(*words, name, *command, stdin=stdin, check=False)

    def converse(self, *words: str, stdin: str, until: str) -> subprocess.CompletedProcess[bytes]:
        """A ctr command whose input ends only when its output is complete.

        For much output: ctr leaves with the process, whatever of it ctr has not copied yet.

        Args:
            words: Of the command.
            stdin: What the process reads before the end of its input.
            until: The output by which it is complete.
        """
        with subprocess.Popen(
            self.command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin
            assert process.stdout
            feeder = threading.Thread(target=_feed, args=(process.stdin, stdin.encode()))
            feeder.start()
            try:
                output = process.stdout.read(len(until.encode()))
                feeder.join()
                process.stdin.close()
                output += process.stdout.read()
            except BaseException:  # such as a test's time limit: nobody waits for it any more
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def tasks(self) -> dict[str, tuple[int, str]]:
        """The tasks of the namespace: their init's pid and status, by name."""
        lines = self.ctr("task", "ls").stdout.splitlines()[1:]
        return {name: (int(pid), status) for name, pid, status in map(str.split, lines)}

    def pid(self, name: str) -> int:
        """The init's pid of a task."""
        return self.tasks()[name][0]

    def status(self, name: str) -> str:
        """The status of a task as ctr shows it; empty when there is none."""
        return self.tasks().get(name, (0, ""))[1]

    def wait_status(self, name: str, status: str) -> None:
        """Wait until ctr shows a status."""
        eventually(lambda: self.status(name) == status, f"{name} is {status}")

    def remove(self, *names: str) -> None:
        """Kill what runs, delete tasks and containers."""
        for name in names:
            self.ctr("task", "delete", "--force", name, check=False)
            self.ctr("container", "delete", name)

    def bundle(self, name: str) -> Path:
        """Where a container's bundle is."""
        return self.containerd.bundle(self.namespace, name)


def _feed(pipe: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):
        pipe.write(data)
        pipe.flush()
