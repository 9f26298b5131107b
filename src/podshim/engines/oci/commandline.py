"""How an OCI runtime is found and called: what the server and the `delete` command share."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from podshim.errors import ShimError

if TYPE_CHECKING:
    from podshim.engines.oci.options import RuntimeOptions

#: Where a runtime writes the pid of a container's init, in the bundle.
INIT_PID_FILE: Final = "init.pid"


def runtime_environment() -> dict[str, str]:
    """The environment of a runtime command: the shim's own, without systemd's NOTIFY_SOCKET."""
    return {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}


def find_binary(name: str) -> str:
    """Find a program as Go's os/exec does.

    Raises:
        ShimError: There is none, in the words that clients look for.
    """
    path = shutil.which(name)
    if path is not None:
        return os.path.abspath(path)
    if "/" not in name:
        raise ShimError(f'exec: "{name}": executable file not found in $PATH')
    reason = "permission denied" if os.path.exists(name) else "no such file or directory"
    raise ShimError(f"fork/exec {name}: {reason}")


def frame(
    binary: str, options: RuntimeOptions, namespace: str, bundle: str, *, systemd: bool
) -> list[str]:
    """The part of the command line that all commands share.

    Args:
        binary: The runtime's path.
        options: Where its root is.
        namespace: containerd's namespace, a folder below that root.
        bundle: Where the log is.
        systemd: Whether to tell it that systemd manages the cgroups.
    """
    argv = [binary, "--root", os.path.join(options.root_or_default, namespace)]
    argv += ["--log", os.path.join(bundle, "log.json"), "--log-format", "json"]
    return [*argv, "--systemd-cgroup"] if systemd else argv
