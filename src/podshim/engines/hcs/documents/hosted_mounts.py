r"""What becomes of a spec's mounts where the container lives in a utility VM; pure.

Theory of operation. The guest can't see the host's files: each mount says by its type and the start
of its source what must be done before it can be one in the guest:

    a folder or file            shared with the VM (SMB for Windows, 9P for Linux)
    a disk, by the type         attached to the VM and mounted by the guest
    sandbox://, uvm://, ...     already the guest's
    hugepages://                memory of the guest, of one size of pages
    \\.\pipe\                   the host's pipe shared with the VM, or with uvm:// the guest's own

`wcow_mounts` and `lcow_mounts` tell which. A Linux guest also has mounts of its own kinds, such as
`proc`: what is not listed here is left to it.
"""

from __future__ import annotations

import ntpath
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.mounts import PIPE_PREFIX, MappedPipe, SpecMount, mounts_of
from podshim.errors import ShimError

if TYPE_CHECKING:
    from podshim.hcsspec.reading import Member

SANDBOX = "sandbox://"
SANDBOX_TMP = "sandbox-tmp://"
GUEST = "uvm://"
HUGE_PAGES = "hugepages://"
BLOCK_DEVICE = "blockdev://"
BIND = "bind"

SMB_PREFIX = "\\\\?\\VMSMB\\VSMB-{dcc079ae-60ba-4d07-847c-3493609c0870}\\"
SANDBOX_MOUNTS = "C:\\SandboxMounts"
_PAGE_SIZE = "2M"


class Disk(Enum):
    """Kinds of disks that mounts name, by their types."""

    PHYSICAL = "physical-disk"
    VIRTUAL = "virtual-disk"
    EXTENSIBLE = "extensible-virtual-disk"


_DISKS = frozenset(disk.value for disk in Disk)


@dataclass(frozen=True, slots=True)
class VmMount:
    """A mount, and what must be done for it.

    Args:
        index: Its place in the spec's list.
        mount: As the spec has it.
        disk: It is a disk of this kind; None if not.
        guest_path: It is the guest's own: where; empty if it is to be shared.
        pipe: It is a pipe: as the container gets it; None if not.
        host_pipe: The host's pipe that is to be shared with the VM; empty if there is none.
    """

    index: int
    mount: SpecMount
    disk: Disk | None = None
    guest_path: str = ""
    pipe: MappedPipe | None = None
    host_pipe: str = ""

    @property
    def shared(self) -> bool:
        """Whether it is a folder or file of the host, which the VM must be given."""
        return self.disk is None and self.pipe is None and not self.guest_path

    @property
    def block_device(self) -> bool:
        """Whether a disk is to appear as a device instead of with its file system (Linux)."""
        return self.mount.destination.startswith(BLOCK_DEVICE)

    @property
    def linux_type(self) -> str:
        """The mount's type in a Linux guest."""
        if self.disk is None:
            return self.mount.type
        return BIND if self.block_device else "none"


def wcow_mounts(spec: Member, vm_id: str) -> list[VmMount]:
    """The mounts of a container in a Windows guest, in order.

    Args:
        spec: The container's spec.
        vm_id: The VM's id: a guest's own pipes are its pod's.

    Raises:
        ShimError: A mount that can't be.
        InvalidArgumentError: A member of another type than OCI's.
    """
    found = (_windows_mount(index, mount, vm_id) for index, mount in enumerate(mounts_of(spec)))
    return [mount for mount in found if mount is not None]


def _windows_mount(index: int, mount: SpecMount, vm_id: str) -> VmMount | None:
    if mount.type in _DISKS:
        return VmMount(index, mount, disk=Disk(mount.type))
    if mount.type:
        raise ShimError(f"invalid OCI spec - Type '{mount.type}' not supported")
    if mount.source.startswith(SANDBOX):
        return VmMount(index, mount, guest_path=sandbox_path(mount.source))
    if mount.is_pipe and mount.destination.startswith(PIPE_PREFIX):
        return _pipe(index, mount, vm_id)
    if mount.source.startswith(GUEST):
        raise ShimError(f"unsupported UVM mount source {mount.source}")
    # A pipe that is to appear as a folder can't be mapped; it is left out, as on the host.
    return None if mount.is_pipe else VmMount(index, mount)


def _pipe(index: int, mount: SpecMount, vm_id: str) -> VmMount:
    name = mount.destination.removeprefix(PIPE_PREFIX)
    if mount.source.startswith(GUEST):
        own = mount.source.removeprefix(GUEST).removeprefix(PIPE_PREFIX)
        pod = vm_id.removesuffix("@vm")
        return VmMount(index, mount, pipe=MappedPipe(name, f"{PIPE_PREFIX}{pod}\\{own}"))
    shared = f"{SMB_PREFIX}IPC$\\{mount.source.removeprefix(PIPE_PREFIX)}"
    return VmMount(index, mount, pipe=MappedPipe(name, shared), host_pipe=mount.source)


def sandbox_path(source: str) -> str:
    r"""Where a Windows guest keeps what a `sandbox://` source names.

    Raises:
        ShimError: It leads out of the folder of such things.
    """
    below = source.removeprefix(SANDBOX).replace("/", "\\").lstrip("\\")
    path = ntpath.normpath(f"{SANDBOX_MOUNTS}\\{below}")
    if path != SANDBOX_MOUNTS and not path.startswith(SANDBOX_MOUNTS + "\\"):
        raise ShimError(f"invalid mount source {source}: unsafe path detected")
    return path


def lcow_mounts(spec: Member) -> list[VmMount]:
    """The mounts of a container in a Linux guest that concern its host, in order.

    Args:
        spec: The container's spec.

    Raises:
        ShimError: A mount that can't be.
        InvalidArgumentError: A member of another type than OCI's.
    """
    found = []
    for index, entry in enumerate(spec["mounts"].objects()):
        kind = entry["type"].text()
        if kind != BIND and kind not in _DISKS:
            continue
        mount = SpecMount(
            entry["source"].text(),
            entry["destination"].text(),
            kind,
            tuple(entry["options"].texts()),
        )
        if not mount.source or not mount.destination:
            raise ShimError(
                "invalid OCI spec - a mount must have both source and a destination:"
                f" {mount.source!r} -> {mount.destination!r}"
            )
        found.append(_linux_mount(index, mount))
    return found


def _linux_mount(index: int, mount: SpecMount) -> VmMount:
    source = mount.source
    if mount.type in _DISKS:
        return VmMount(index, mount, disk=Disk(mount.type))
    if source.startswith((SANDBOX, SANDBOX_TMP, GUEST)):
        return VmMount(index, mount, guest_path=source)
    if source.startswith(HUGE_PAGES):
        size, slash, _ = source.removeprefix(HUGE_PAGES).partition("/")
        if not slash:
            raise ShimError(
                f"{source} mount path is invalid, expected format:"
                f" {HUGE_PAGES}<hugepage-size>/<hugepage-src-location>"
            )
        if size != _PAGE_SIZE:
            raise ShimError(f"only 2M (megabytes) pagesize is supported, got {size}")
        return VmMount(index, mount, guest_path=source)
    return VmMount(index, mount)
