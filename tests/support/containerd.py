"""A private containerd: own folders, own socket, own configuration; and `ctr` to talk to it.

Theory of operation. `Containerd` owns a short temporary folder (a Unix socket's path has at most
107 bytes) with the daemon's root, state, socket, log and configuration. The daemon may be killed
and started again over the same folders, as a machine's would be. What must be private beyond that,
`/run/containerd` above all, is so by the private world that the tests run in.

The configuration has a CRI runtime for each way of running containers that the tests know
(`RUNTIMES`): containerd's own shim as a control that shows that a test is right, and podshim's.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from support import census
from support.image import PAUSE, write_images
from support.software import Installation
from support.waiting import eventually

#: How long one command of ctr may take (s).
TIMEOUT = 60.0
#: How long shims that are on their way out may take (s).
_LEAVING = 10.0


@dataclass(frozen=True)
class Runtime:
    """One way of running containers.

    Args:
        name: What the tests call it, and CRI's name of the handler.
        type: The runtime's name for containerd, from which it finds the shim.
        binary: The OCI runtime.
    """

    name: str
    type: str
    binary: str

    @property
    def ours(self) -> bool:
        """Whether it is podshim's shim."""
        return self.type == "io.containerd.runoci.v1"


CONTROL = Runtime("control", "io.containerd.runc.v2", "runc")
RUNC = Runtime("runoci-runc", "io.containerd.runoci.v1", "runc")
CRUN = Runtime("runoci-crun", "io.containerd.runoci.v1", "crun")
RUNTIMES = {runtime.name: runtime for runtime in (CONTROL, RUNC, CRUN)}

_CONFIG = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [
    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
    "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
    "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.nri.v1.nri",
]
[grpc]
  address = "{folder}/sock"
[debug]
  level = "trace"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{folder}/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "control"
"""
_CONFIG_RUNTIME = """\
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}]
    runtime_type = "{type}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}.options]
    BinaryName = "{binary}"
"""


class CtrError(AssertionError):
    """A command of ctr failed where a test needs it to succeed."""


class Containerd:
    """A daemon with its folder. A context manager; `start` it.

    Args:
        installation: Which containerd.
    """

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.folder = Path(tempfile.mkdtemp(prefix="pods-"))
        self.folder.chmod(0o711)
        self.socket = self.folder / "sock"
        self.log = self.folder / "log"
        self._daemon: subprocess.Popen[bytes] | None = None
        #: The first part of the name of every namespace and cgroup made through this daemon.
        self.tag = f"pods{secrets.token_hex(3)}"
        config = _CONFIG.format(folder=self.folder, pause=PAUSE)
        for runtime in RUNTIMES.values():
            config += _CONFIG_RUNTIME.format(
                name=runtime.name, type=runtime.type, binary=runtime.binary
            )
            (self.folder / f"{runtime.name}.toml").write_text(f'BinaryName = "{runtime.binary}"\n')
        (self.folder / "config.toml").write_text(config)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self._daemon
        return self._daemon.pid

    def start(self) -> None:
        """Start the daemon and wait until it serves."""
        program = str(self.installation.folder / "containerd")
        with self.log.open("ab") as log:
            self._daemon = subprocess.Popen(
                [program, "--config", str(self.folder / "config.toml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**os.environ, "PATH": self.installation.path},
                start_new_session=True,
            )
        eventually(self._serves, "containerd serves")

    def _serves(self) -> bool:
        assert self._daemon
        if self._daemon.poll() is not None:
            message = f"containerd ended with {self._daemon.returncode}:\n{self.tail()}"
            raise RuntimeError(message)
        return self.ctr("version", check=False).returncode == 0

    def kill(self) -> None:
        """End the daemon as a crash would; shims and containers go on."""
        if self._daemon:
            self._daemon.kill()
            self._daemon.wait(TIMEOUT)
            self._daemon = None

    def load_images(self, namespace: str) -> None:
        """Put the tests' images into a containerd namespace."""
        images = self.folder / "images.tar"
        if not images.exists():
            write_images(images)
        self.ctr("image", "import", str(images), namespace=namespace)

    def ctr(
        self,
        *words: str,
        namespace: str = "default",
        stdin: str = "",
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a ctr command to its end.

        Args:
            words: Its arguments.
            namespace: containerd's namespace.
            stdin: What it reads.
            check: Whether a failure is an error.

        Raises:
            CtrError: It failed, and `check` was asked for.
            subprocess.TimeoutExpired: It took longer than `TIMEOUT`.
        """
        done = subprocess.run(
            self.ctr_command(*words, namespace=namespace),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        if check and done.returncode:
            message = f"ctr {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            raise CtrError(message)
        return done

    def ctr_command(self, *words: str, namespace: str = "default") -> list[str]:
        """The command line of a ctr command."""
        # Newer ones complain about cgroup v1 on stderr, where tests expect a container's output.
        ctr = [
            "env",
            "CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1",
            f"{self.installation.folder}/ctr",
        ]
        return [*ctr, "--address", str(self.socket), "--namespace", namespace, *words]

    def run_flags(self, runtime: Runtime) -> list[str]:
        """The flags by which `ctr run` and `ctr container create` choose a runtime."""
        if runtime.ours:
            options = self.folder / f"{runtime.name}.toml"
            return ["--runtime", runtime.type, "--runtime-config-path", str(options)]
        return ["--runtime", runtime.type, "--runc-binary", runtime.binary]

    def bundle(self, namespace: str, container: str) -> Path:
        """Where a container's bundle is."""
        return self.folder / "state" / "io.containerd.runtime.v2.task" / namespace / container

    def tail(self, size: int = 6000) -> str:
        """The end of the daemon's log."""
        return self.log.read_bytes()[-size:].decode(errors="replace") if self.log.exists() else ""

    def close(self) -> None:
        """End the daemon, remove its folder and the cgroups of its containers.

        Raises:
            AssertionError: A shim or a mount is still there. It is ended or unmounted first.
        """
        if self._daemon:  # a shim that is about to end needs it
            with contextlib.suppress(AssertionError):
                eventually(lambda: not self.shims(), "the shims are gone", _LEAVING)
        self.kill()
        left = [f"process {found.name}" for found in self.shims().values()]
        for pid in self.shims():
            os.kill(pid, signal.SIGKILL)
        for target in reversed(census.mounts_below(self.folder)):
            left.append(f"mount {target}")
            subprocess.run(["umount", "-l", target], check=False, timeout=TIMEOUT)
        shutil.rmtree(self.folder)
        remove_cgroups(self.tag)
        assert not left, f"left by containerd {self.installation.name}: {left}"

    def shims(self) -> dict[int, census.Process]:
        """The shims that this daemon has started."""
        folder = os.fsencode(self.folder)
        return {
            pid: found
            for pid, found in census.shims().items()
            if any(folder in word for word in found.words)
        }


def remove_cgroups(tag: str) -> None:
    """Remove the cgroups whose name starts with `tag`, in every hierarchy, and who is still there.

    Raises:
        AssertionError: One can't be removed.
    """
    hierarchies = Path("/sys/fs/cgroup")
    for top in [*hierarchies.glob(f"{tag}*"), *hierarchies.glob(f"*/{tag}*")]:
        if top.parent.name == "unified":
            continue  # in the private world a tmpfs with what crun made
        for folder, _, _ in os.walk(top, topdown=False):
            eventually(partial(_removed, Path(folder)), f"{folder} is removed")


def _removed(cgroup: Path) -> bool:
    try:
        cgroup.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        for pid in map(int, (cgroup / "cgroup.procs").read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return False
    return True
