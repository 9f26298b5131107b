"""The SCSI disks of a VM: where they are attached, where the guest mounts them, who uses them.

Theory of operation. A VM has controllers with 64 places (LUNs) each; some are taken from the start.
A disk is attached at the first free place, and mounted by the guest at a path of its own or one
that the caller names. Whoever asks for a disk that is attached the same way gets the same
attachment, and likewise the same mount; each is undone when its last user has released it:
unmounted, for Linux unplugged, detached. All changes are made one at a time.

Windows guests use the first controller alone, and know none of the mounts' options.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import present
from podshim.engines.hcs.documents.modify import VM_SCSI, guest_request, request
from podshim.engines.hcs.documents.vm_parts import SCSI_CONTROLLERS
from podshim.engines.hcs.vm.modify import Held
from podshim.errors import ResourceExhaustedError, ShimError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.vm.modify import Modifier

LUNS = 64
WINDOWS_PATH = "c:\\mounts\\scsi\\m{}"
LINUX_PATH = "/run/mounts/scsi/m{}"
_EXTENSIBLE = "evd://"


@dataclass(frozen=True, slots=True)
class Attachment:
    """How a disk is attached.

    Args:
        path: The disk's path on the host.
        read_only: Whether the VM may only read.
        type: `VirtualDisk`, `PassThru` or `ExtensibleVirtualDisk`.
        extensible_type: Of an extensible disk: what makes it.
    """

    path: str
    read_only: bool = False
    type: str = "VirtualDisk"
    extensible_type: str = ""


@dataclass(frozen=True, slots=True)
class MountOptions:
    """How the guest mounts a disk; all but the defaults are for Linux guests.

    Args:
        partition: Which partition, from 1; 0 for the whole disk.
        encrypted: Whether to encrypt it.
        options: Options of the mount.
        ensure_filesystem: Whether to make a file system if there is none.
        filesystem: Its type.
        block_device: Whether to have it as a device.
        format_refs: Of a confidential Windows guest's scratch: whether to format it.
    """

    partition: int = 0
    encrypted: bool = False
    options: tuple[str, ...] = ()
    ensure_filesystem: bool = False
    filesystem: str = ""
    block_device: bool = False
    format_refs: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a disk."""

    controller: int
    lun: int


@dataclass(slots=True)
class _Use:
    """What is used how often: a disk, or a mount of it, which has a number."""

    what: Attachment | tuple[Slot, bool, MountOptions]
    number: int = 0
    count: int = 1


class ScsiManager:
    """The disks of one VM.

    Args:
        modifier: Who changes it.
        windows: Whether its guest is a Windows.
        controllers: How many controllers it has.
        reserved: Places that are taken from the start.
    """

    def __init__(
        self, modifier: Modifier, *, windows: bool, controllers: int, reserved: Iterable[Slot] = ()
    ) -> None:
        self._modifier = modifier
        self._windows = windows
        self._disks: dict[Slot, _Use | None] = dict.fromkeys(
            (Slot(controller, lun) for controller in range(controllers) for lun in range(LUNS)),
        )
        self._reserved = frozenset(reserved)
        #: By their paths in the guest.
        self._mounts: dict[str, _Use] = {}
        self._lock = asyncio.Lock()

    async def add(
        self, disk: Attachment, mount: MountOptions | None = None, guest_path: str = ""
    ) -> Held:
        """Attach a disk, and have it mounted.

        Args:
            disk: The disk; the VM may access its file already.
            mount: How to mount it; None for not at all.
            guest_path: Where; empty for a place of its own.

        Raises:
            ResourceExhaustedError: All places are taken.
            ShimError: HCS or the guest refuses; nothing is left then.
        """
        async with self._lock:
            slot = await self._attach(disk)
            try:
                path = ""
                if mount is not None:
                    path = await self._mount(slot, disk.read_only, mount, guest_path)
            except BaseException:
                await self._detach(slot)
                raise
            return Held(path, lambda: self._release(slot, path))

    def slot_of(self, disk: Attachment) -> Slot | None:
        """Where a disk is attached."""
        for slot, use in self._disks.items():
            if use is not None and use.what == disk:
                return slot
        return None

    async def _release(self, slot: Slot, path: str) -> None:
        async with self._lock:
            if path:
                await self._unmount(path)
            await self._detach(slot)

    async def _attach(self, disk: Attachment) -> Slot:
        slot = self.slot_of(disk)
        if slot is not None:
            use = self._disks[slot]
            if use is not None:
                use.count += 1
            return slot
        free = (
            slot for slot, use in self._disks.items() if use is None and slot not in self._reserved
        )
        slot = next(free, None)
        if slot is None:
            raise ResourceExhaustedError("no available location")
        try:
            await self._modifier.host(attach_request(slot, disk))
        except ShimError as error:
            raise ShimError(
                f"attach {disk.type}/{disk.path} at controller {slot.controller} lun {slot.lun}:"
                f" {error}"
            ) from error
        self._disks[slot] = _Use(disk)
        return slot

    async def _detach(self, slot: Slot) -> None:
        use = self._disks[slot]
        if use is None:
            return
        use.count -= 1
        if use.count:
            return
        if not self._windows:
            await self._modifier.inside(unplug_request(slot))
        await self._modifier.host(detach_request(slot))
        self._disks[slot] = None

    async def _mount(self, slot: Slot, read_only: bool, mount: MountOptions, path: str) -> str:
        mount = replace(mount, options=tuple(sorted(mount.options)))
        wanted = (slot, read_only, mount)
        for taken, use in self._mounts.items():
            if use.what == wanted:
                use.count += 1
                return taken
            if path and path == taken:
                raise ShimError(f"cannot mount over an existing mountpoint: {path}")
        number = self._free_number()
        path = path or (WINDOWS_PATH if self._windows else LINUX_PATH).format(number)
        asked = mount_request(slot, path, mount, read_only=read_only, windows=self._windows)
        try:
            await self._modifier.inside(asked)
        except ShimError as error:
            raise ShimError(
                f"mount scsi controller {slot.controller} lun {slot.lun} at {path}: {error}"
            ) from error
        self._mounts[path] = _Use(wanted, number)
        return path

    async def _unmount(self, path: str) -> None:
        use = self._mounts[path]
        use.count -= 1
        if use.count or not isinstance(use.what, tuple):
            return
        slot, read_only, mount = use.what
        await self._modifier.inside(
            unmount_request(slot, path, mount, read_only=read_only, windows=self._windows)
        )
        del self._mounts[path]

    def _free_number(self) -> int:
        """The lowest number that no mount has; those at named places have one too."""
        taken = {use.number for use in self._mounts.values()}
        return next(number for number in range(len(taken) + 1) if number not in taken)


def extensible_disk(source: str, *, read_only: bool) -> Attachment:
    """An extensible disk by its mount source, `evd://<type>/<path>`.

    Raises:
        ShimError: It is no such source.
    """
    kind, slash, path = source.removeprefix(_EXTENSIBLE).partition("/")
    if not kind or not slash:
        raise ShimError(f"invalid extensible vhd path: {source}")
    return Attachment(path, read_only, "ExtensibleVirtualDisk", kind)


def attach_request(slot: Slot, disk: Attachment) -> Json:
    """The host's request that attaches a disk."""
    settings = {
        "Type": disk.type,
        "Path": disk.path,
        "ReadOnly": disk.read_only,
        "ExtensibleVirtualDiskType": disk.extensible_type,
    }
    return request(_path(slot), "Add", present(settings))


def detach_request(slot: Slot) -> Json:
    """The host's request that detaches it."""
    return request(_path(slot), "Remove")


def unplug_request(slot: Slot) -> Json:
    """A Linux guest's request to let go of a disk."""
    settings = {"Controller": slot.controller, "Lun": slot.lun}
    return guest_request("SCSIDevice", "Remove", present(settings))


def mount_request(
    slot: Slot, path: str, mount: MountOptions, *, read_only: bool, windows: bool
) -> Json:
    """The guest's request that mounts a disk.

    Raises:
        ShimError: A Windows guest is asked for what it does not know.
    """
    if not windows:
        settings: Json = {
            "MountPath": path,
            "Lun": slot.lun,
            "Controller": slot.controller,
            "Partition": mount.partition,
            "ReadOnly": read_only,
            "Encrypted": mount.encrypted,
            "Options": list(mount.options),
            "BlockDev": mount.block_device,
            "EnsureFilesystem": mount.ensure_filesystem,
            "Filesystem": mount.filesystem,
        }
        return guest_request("MappedVirtualDisk", "Add", present(settings))
    if slot.controller:
        raise ShimError("WCOW only supports SCSI controller 0")
    if replace(mount, format_refs=False, block_device=False) != MountOptions():
        raise ShimError(
            "WCOW does not support encrypted, verity, guest options, partitions, specifying mount"
            " filesystem, or ensuring filesystem on mounts"
        )
    scratch = "ForContainerScratch" if mount.format_refs else ""
    return guest_request(f"MappedVirtualDisk{scratch}", "Add", _windows_disk(slot, path))


def unmount_request(
    slot: Slot, path: str, mount: MountOptions, *, read_only: bool, windows: bool
) -> Json:
    """The guest's request that unmounts it."""
    if windows:
        return guest_request("MappedVirtualDisk", "Remove", _windows_disk(slot, path))
    settings = {
        "MountPath": path,
        "Lun": slot.lun,
        "Controller": slot.controller,
        "Partition": mount.partition,
        "ReadOnly": read_only,
        "BlockDev": mount.block_device,
    }
    return guest_request("MappedVirtualDisk", "Remove", present(settings))


def _windows_disk(slot: Slot, path: str) -> Json:
    return present({"ContainerPath": path, "Lun": slot.lun})


def _path(slot: Slot) -> str:
    return VM_SCSI.format(SCSI_CONTROLLERS[slot.controller], slot.lun)
