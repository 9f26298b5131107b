"""The arguments of the runtime's longer commands, exactly as containerd's shim contract has them.

Pure functions. Each result follows the command's name; the container's id comes last. What crun
does not know, and would refuse, is left out for it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podshim.engines.oci.options import CheckpointOptions, RuntimeOptions


def create(
    options: RuntimeOptions, bundle: str, pid_file: str, console_socket: str, container_id: str
) -> list[str]:
    """The arguments of `create`."""
    arguments = ["--bundle", bundle, "--pid-file", pid_file]
    if console_socket:
        arguments += ["--console-socket", console_socket]
    if options.no_pivot_root:
        arguments.append("--no-pivot")
    if options.no_new_keyring:
        arguments.append("--no-new-keyring")
    return [*arguments, container_id]


def exec_(spec_file: str, pid_file: str, console_socket: str, container_id: str) -> list[str]:
    """The arguments of `exec`."""
    arguments = ["--process", spec_file]
    if console_socket:
        arguments += ["--console-socket", console_socket]
    return [*arguments, "--detach", "--pid-file", pid_file, container_id]


def checkpoint(
    options: CheckpointOptions, path: str, work: str, container_id: str, *, crun: bool
) -> list[str]:
    """The arguments of `checkpoint`.

    Args:
        options: What the client asked for.
        path: The folder for the images.
        work: CRIU's working folder.
        container_id: The container.
        crun: Whether the runtime is crun.
    """
    arguments = ["--image-path", path, "--work-path", work]
    if options.parent_path:
        arguments += ["--parent-path", options.parent_path]
    for wanted, flag in (
        (options.open_tcp, "--tcp-established"),
        (options.external_unix_sockets, "--ext-unix-sk"),
        (options.terminal, "--shell-job"),
        (options.file_locks, "--file-locks"),
    ):
        if wanted:
            arguments.append(flag)
    if not crun:
        for namespace in options.empty_namespaces:
            arguments += ["--empty-ns", namespace]
    if not options.exit:
        arguments.append("--leave-running")
    return [*arguments, container_id]


def restore(
    options: RuntimeOptions,
    bundle: str,
    path: str,
    parent: str,
    pid_file: str,
    console_socket: str,
    container_id: str,
    *,
    crun: bool,
) -> list[str]:
    """The arguments of `restore`.

    Args:
        options: The container's runtime options.
        bundle: Its bundle.
        path: The folder with the images.
        parent: The folder with the images that these build on; none if empty.
        pid_file: Where the pid goes.
        console_socket: Where a terminal goes; none if empty.
        container_id: The container.
        crun: Whether the runtime is crun.
    """
    work = options.criu_work_path or os.path.join(bundle, "work")
    arguments = ["--image-path", path, "--work-path", work]
    if parent:
        arguments += ["--parent-path", parent]
    arguments += ["--detach", "--pid-file", pid_file]
    if console_socket:
        arguments += ["--console-socket", console_socket]
    if not crun:
        if options.no_pivot_root:
            arguments.append("--no-pivot")
        arguments.append("--no-subreaper")
    return [*arguments, "--bundle", bundle, container_id]
