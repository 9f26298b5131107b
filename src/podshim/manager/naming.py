"""From a runtime's name to its shim binary, by containerd's rules.

`io.containerd.runc.v2` is served by a program `containerd-shim-runc-v2`; an absolute path is a
program itself. Unlike containerd this never looks in the current folder.
"""

from __future__ import annotations

import os
import shutil

from podshim.errors import InvalidArgumentError, NotFoundError


def binary_name(runtime: str) -> str:
    """The file name of the shim for a runtime name such as `io.containerd.runc.v2`.

    Raises:
        InvalidArgumentError: The name has no two parts, an empty first one, or a separator of
            paths in it.
    """
    parts = runtime.split(".")
    if len(parts) < 2 or not parts[0] or {"/", os.sep, "\0"} & set(runtime):
        raise InvalidArgumentError(
            f"invalid runtime name {runtime}, correct runtime name should be either format like "
            "`io.containerd.runc.v2` or a full path to the binary"
        )
    return f"containerd-shim-{parts[-2]}-{parts[-1]}"


def find_shim(runtime: str, *, path: str | None = None, beside: str = "") -> str:
    """Find a shim binary.

    Args:
        runtime: A runtime's name, or the absolute path of a shim.
        path: The folders to search, as in `PATH`; None for the process's own.
        beside: A folder to search last: the one that holds the containerd executable.

    Returns:
        The absolute path.

    Raises:
        InvalidArgumentError: The name is none, or the absolute path does not exist.
        NotFoundError: No folder holds the binary.
    """
    if os.path.isabs(runtime):
        if not os.path.isfile(runtime):
            raise InvalidArgumentError(f"invalid custom binary path: {runtime}")
        return runtime
    name = binary_name(runtime)
    for folders in (os.environ.get("PATH", os.defpath) if path is None else path, beside):
        found = shutil.which(name, path=folders) if folders else None
        if found is not None:
            return os.path.abspath(found)
    raise NotFoundError(f'runtime "{runtime}" binary not installed "{name}": file does not exist')
