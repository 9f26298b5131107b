"""What can be mounted into a Windows container that runs already; pure."""

from __future__ import annotations

from podshim.errors import ShimError

#: What sources begin with that are no folders of the host.
_NOT_FOLDERS = ("sandbox://", "sandbox-tmp://", "hugepages://", "\\\\.\\pipe", "uvm://")


def check_added_mount(host_path: str, container_path: str, kind: str = "") -> None:
    """Refuse what can't be mounted into a running Windows container.

    Args:
        host_path: The folder.
        container_path: Where it shall appear.
        kind: The mount's type; only folders, which have none, can be added.

    Raises:
        ShimError: It is something else, or a path is missing.
    """
    if not host_path or not container_path:
        raise ShimError("invalid OCI spec - a mount must have both host and container path set")
    if kind or host_path.startswith(_NOT_FOLDERS):
        raise ShimError(
            f"invalid mount type {kind}. Currently only host volumes/directories can be mounted"
            " to running containers"
        )
