"""Removing what a dead shim left: the engine's part of the `delete` command.

Theory of operation. Nothing of the shim is left but the bundle. From `runtime` and `options.json`
there it is known which runtime to ask for `delete --force`, which kills and removes everything. As
nobody else will ever come back to it, the rest follows whatever that says: an init that is still
alive is killed, and the root file system is unmounted, lazily if need be. All is done in less than
containerd's five seconds, may be done twice, and what is not there is fine.

It is plain blocking code without asyncio: it runs in a process of its own that should start fast.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
from typing import IO, TYPE_CHECKING, Final, cast

from podshim.bundle import BundleError
from podshim.engines.oci import mounts, options as runtime_options
from podshim.engines.oci.commandline import (
    INIT_PID_FILE,
    find_binary,
    frame,
    runtime_environment,
)
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.bundle import Bundle

log = logging.getLogger(__name__)

#: Seconds for the runtime; containerd kills the whole command after five.
DELETE_LIMIT: Final = 2.5
#: Seconds that it may take to vanish when it has been killed.
KILL_GRACE: Final = 0.3
#: How often a busy mount is tried, every 50 ms, before it is detached lazily.
BUSY_ATTEMPTS: Final = 10


def clean_up(namespace: str, container_id: str, bundle: Bundle) -> None:
    """Remove a container's processes, runtime state and mounts; never raises for what fails.

    Args:
        namespace: containerd's namespace.
        container_id: The container.
        bundle: Its folder, which may lack anything or be gone.
    """
    options = runtime_options.load(bundle)
    try:
        binary = find_binary(options.binary)
    except ShimError as error:
        log.warning("delete %s: %s", container_id, error)
    else:
        argv = frame(binary, options, namespace, bundle.path, systemd=False)
        _run([*argv, "delete", "--force", container_id], bundle)
    _kill_init(container_id, bundle)
    try:
        mounts.unmount_below(bundle.rootfs, lazy=True, attempts=BUSY_ATTEMPTS)
    except (ShimError, OSError) as error:
        log.warning("failed to cleanup rootfs mount: %s", error)


def _run(argv: Sequence[str], bundle: Bundle) -> None:
    """Run the runtime; it, and all it started, is killed when its time is over."""
    cwd = bundle.path if os.path.isdir(bundle.path) else "/"
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=runtime_environment(),
            process_group=0,
        )
    except OSError as error:
        log.warning("failed to run %s: %s", argv[0], error.strerror)
        return
    with contextlib.closing(cast("IO[bytes]", process.stderr)):
        try:
            _, stderr = process.communicate(timeout=DELETE_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            log.warning("%s delete did not end within %g s", argv[0], DELETE_LIMIT)
            _forget(process)
            return
    if process.returncode != 0:
        text = stderr.decode(errors="replace").strip()
        log.warning("%s delete: exit status %d: %s", argv[0], process.returncode, text)


def _forget(process: subprocess.Popen[bytes]) -> None:
    """Reap a killed process, unless it is stuck in the kernel: the rest can't wait for that."""
    try:
        process.wait(KILL_GRACE)
    except subprocess.TimeoutExpired:
        process.returncode = -signal.SIGKILL  # its destructor shall not wait, either


def is_in_cgroup(membership: str, cgroups_path: str, container_id: str) -> bool:
    """Whether a process is in a container's cgroup, as its runtime named it.

    Args:
        membership: The text of `/proc/PID/cgroup`.
        cgroups_path: `linux.cgroupsPath` of the spec: a path, or `slice:prefix:name` for systemd,
            or empty, for which runtimes use the container's id.
        container_id: The container.
    """
    _, _, systemd = cgroups_path.partition(":")
    if systemd:
        prefix, _, name = systemd.partition(":")
        wanted = f"/{prefix}-{name}.scope" if prefix else f"/{name}.scope"
    else:
        wanted = "/" + (cgroups_path.strip("/") or container_id)
    for line in membership.splitlines():
        path = line.split(":", 2)[-1]
        if path.endswith(wanted) or f"{wanted}/" in path:
            return True
    return False


def _kill_init(container_id: str, bundle: Bundle) -> None:
    """Kill the init if it lives; a stranger with its old pid is told by its cgroup."""
    try:
        pid = int(bundle.read(INIT_PID_FILE, 32))
        pidfd = os.pidfd_open(pid)
    except (OSError, BundleError, ValueError, OverflowError):
        return
    try:
        linux = bundle.config().get("linux")
        path = linux.get("cgroupsPath") if isinstance(linux, dict) else ""
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            if is_in_cgroup(file.read(), str(path or ""), container_id):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except (OSError, BundleError) as error:
        log.debug("init %d of %s is left alone: %s", pid, container_id, error)
    finally:
        with contextlib.suppress(OSError):
            os.close(pidfd)
