"""Where the demo plays: a containerd of its own, in namespaces of its own.

Theory of operation. `play` forks. The child lives in new mount, network and pid namespaces, with an
empty `/run` and only loopback for a network, so that nothing it does can meet the machine's own
containerd; it is process 1 there, and when it ends, for whatever reason, the kernel ends everything
that it has started. The parent only waits, then removes what namespaces can't take with them: a
folder under the temporary directory, and cgroups under a name that nobody else has.
"""

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Self

from image import write_image

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 0x4000, 1 << 18

#: How long anything that the demo waits for may take (s).
PATIENCE = 30.0
#: containerd's namespace, and with it the name of the containers' cgroups.
NAMESPACE = f"podshim-demo-{secrets.token_hex(4)}"
RUNTIME = "io.containerd.runoci.v1"

_CONFIG = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{folder}/sock"
"""


class StageError(Exception):
    """The demo can't go on."""


def play(story: Callable[["Stage"], None]) -> int:
    """Tell a story on a new stage, and leave nothing of it behind.

    Args:
        story: What happens; called in a child process.

    Returns:
        An exit status.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{NAMESPACE}-"))
    try:
        _unshare(CLONE_NEWPID)  # of the child; its mounts are its own affair
        child = os.fork()
        if child == 0:
            os._exit(_in_child(story, folder))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child hears it too, and ends
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        _remove_cgroups()
        shutil.rmtree(folder, ignore_errors=True)


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise StageError(f"the demo needs root: unshare: {os.strerror(ctypes.get_errno())}")


def _in_child(story: Callable[["Stage"], None], folder: Path) -> int:
    try:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # end with the parent
        _unshare(CLONE_NEWNS | CLONE_NEWNET)
        _make_private()
        with Stage(folder) as stage:
            story(stage)
    except KeyboardInterrupt:
        print("\ninterrupted: cleaning up")
        return 130
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except (StageError, subprocess.SubprocessError, OSError):
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _make_private() -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(source: bytes, target: bytes, kind: bytes, flags: int) -> None:
        if libc.mount(source, target, kind, flags, None):
            raise StageError(f"mount {target.decode()}: {os.strerror(ctypes.get_errno())}")

    mount(b"none", b"/", b"none", MS_REC | MS_PRIVATE)
    mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount(b"tmpfs", b"/run", b"tmpfs", MS_NOSUID | MS_NODEV)


def _remove_cgroups() -> None:
    for top in [*Path("/sys/fs/cgroup").glob(f"*/{NAMESPACE}"), Path("/sys/fs/cgroup", NAMESPACE)]:
        for folder, _, _ in os.walk(top, topdown=False):
            deadline = time.monotonic() + 5
            while os.path.isdir(folder) and time.monotonic() < deadline:
                try:
                    os.rmdir(folder)
                except OSError:  # its processes are still on their way out
                    time.sleep(0.02)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is the case.

    Raises:
        StageError: It took too long.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise StageError(f"waited {PATIENCE:g} s in vain: {what}")
        time.sleep(0.02)


class Stage:
    """A running containerd that has the demo's image. A context manager.

    Args:
        folder: Where everything is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "sock"
        self.state = folder / "state" / "io.containerd.runtime.v2.task" / NAMESPACE
        self._log = folder / "containerd.log"
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        (self.folder / "config.toml").write_text(_CONFIG.format(folder=self.folder))
        # The shim of the environment in which podshim is installed, then containerd's own.
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with self._log.open("w") as log:
            daemon = subprocess.Popen(
                ["containerd", "--config", str(self.folder / "config.toml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._children.append(daemon)
        wait_for(lambda: self._serves(daemon), "containerd to serve")
        write_image(self.folder / "image.tar")
        self.run("image", "import", str(self.folder / "image.tar"))
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self._children):
            child.terminate()
            child.wait(PATIENCE)

    def _serves(self, daemon: subprocess.Popen[bytes]) -> bool:
        if daemon.poll() is not None:
            raise StageError(f"containerd has ended:\n{self._log.read_text()}")
        return subprocess.run(self.ctr("version"), capture_output=True, check=False).returncode == 0

    def ctr(self, *words: str) -> list[str]:
        """The command line of ctr for this containerd."""
        return ["ctr", "--address", str(self.socket), "--namespace", NAMESPACE, *words]

    def run(self, *words: str) -> str:
        """Run a ctr command; what it printed.

        Raises:
            StageError: It failed.
        """
        done = subprocess.run(
            self.ctr(*words), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if done.returncode:
            raise StageError(f"ctr {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def begin(self, *words: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a ctr command that goes on; the stage ends it.

        Returns:
            Its process, and the file that it prints into.
        """
        path = self.folder / f"ctr-{len(self._children)}.out"
        with path.open("w") as output:
            child = subprocess.Popen(
                self.ctr(*words), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._children.append(child)
        return child, path

    def shims(self) -> list[tuple[int, str]]:
        """The shims that run: process id and command line."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    words = (folder / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if words[1:] and words[1].endswith(b"containerd-shim-runoci-v1"):
                    found.append((int(folder.name), b" ".join(words[1:]).decode().strip()))
        return found

    def mounts(self) -> list[str]:
        """The mount points below the folder."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in lines if str(self.folder) in line.split()[4]]
