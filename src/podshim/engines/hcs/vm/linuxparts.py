"""What a Linux container in a VM is made from.

Theory of operation. Its layers are disks, read-only, as persistent memory where there is room and
as SCSI disks otherwise; its scratch is a writable disk, which several containers of a pod may
share, each in a folder of its own. The guest overlays them. Folders and files of the host come by
9P, disks by SCSI, and the spec tells the guest where it has each.
"""

from __future__ import annotations

import functools
import json
import ntpath
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents import hosted, hosted_mounts
from podshim.engines.hcs.documents.modify import guest_request
from podshim.engines.hcs.layers.sources import check
from podshim.engines.hcs.vm.derivation import assigned_device, is_assignable
from podshim.engines.hcs.vm.scsi import Attachment, MountOptions
from podshim.engines.hcs.vm.vpmem import NoRoomError
from podshim.engines.hcs.vm.windowsparts import disk_of
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec import predicates
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.engine import Mount
    from podshim.engines.hcs.documents.hosted_mounts import VmMount
    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.resources import Resources
    from podshim.engines.hcs.vm.machine import Vm
    from podshim.engines.hcs.vm.modify import Held
    from podshim.task.runhcs.host import ContainerRequest

_PARENT_LAYERS = "parentLayerPaths="
_SCRATCH = "scratch="
_PARTITIONED = "parent-partitioned-layers="


@dataclass(frozen=True, slots=True)
class LinuxLayer:
    """A layer: a disk, or a partition of one."""

    path: str
    partition: int = 0


@dataclass(frozen=True, slots=True)
class LinuxLayers:
    """The layers of a Linux container, topmost first, and the disk that it writes to."""

    layers: tuple[LinuxLayer, ...]
    scratch: str


async def prepare(vm: Vm, request: ContainerRequest, resources: Resources) -> Json:
    """Give the VM what a container needs.

    Args:
        vm: The VM.
        request: What is asked for.
        resources: Takes what the VM is given.

    Returns:
        The container's document.

    Raises:
        ShimError: What it asks for can't be, or Windows or the guest refuses.
    """
    spec = Member(request.spec)
    mounts = hosted_mounts.lcow_mounts(spec)
    source = linux_layers_of(request.rootfs, spec["windows"])
    hosted.lcow_spec(request.spec, "", {})  # what can't be is refused before anything is touched
    root, scratch = await _add_layers(vm, request, source, resources)
    places = {
        one.index: (await _add_mount(vm, request.id, one, resources), one.linux_type)
        for one in mounts
    }
    devices = await _add_devices(vm, request, resources)
    made = hosted.lcow_spec(request.spec, root, places, devices)
    return hosted.lcow(made, request.id, scratch)


def linux_layers_of(rootfs: Sequence[Mount], windows: Member) -> LinuxLayers:
    """The layers of a Linux container.

    Args:
        rootfs: The root file system's mounts, as the client gave them.
        windows: The spec's `windows`.

    Raises:
        FailedPreconditionError: None, too many, or both kinds.
        ShimError: A mount that can't be one of layers.
        InvalidArgumentError: A member of another type than OCI's.
    """
    folders = windows["layerFolders"].texts()
    check(rootfs, folders)
    if folders:
        return _of_folders(folders[-1], folders[:-1])
    mount = rootfs[0]
    if mount.type == "lcow-layer":
        parents = [text for text in mount.options if text.startswith(_PARENT_LAYERS)]
        listed = _parsed(parents[0], _PARENT_LAYERS) if parents else Member([])
        return _of_folders(mount.source, listed.texts())
    if mount.type == "lcow-partitioned-layer":
        return _of_partitions(mount)
    raise ShimError(f"unrecognized rootfs mount type: {mount.type}")


def _of_folders(scratch: str, parents: Sequence[str]) -> LinuxLayers:
    layers = tuple(LinuxLayer(ntpath.join(folder, "layer.vhd")) for folder in parents)
    return LinuxLayers(layers, ntpath.join(scratch, "sandbox.vhdx"))


def _of_partitions(mount: Mount) -> LinuxLayers:
    scratch, layers = "", []
    for option in mount.options:
        if option.startswith(_SCRATCH):
            scratch = option.removeprefix(_SCRATCH)
        elif option.startswith(_PARTITIONED):
            layers = [
                LinuxLayer(entry["Path"].text(), entry["Partition"].unsigned(64) or 0)
                for entry in _parsed(option, _PARTITIONED).objects()
            ]
        else:
            raise ShimError(f"unrecognized {mount.type} mount option: {option}")
    return LinuxLayers(tuple(layers), scratch)


def _parsed(option: str, flag: str) -> Member:
    try:
        return Member(json.loads(option.removeprefix(flag)), document=flag.rstrip("="))
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"failed to unmarshal option `{flag}`: {error}") from None


async def _add_layers(
    vm: Vm, request: ContainerRequest, source: LinuxLayers, resources: Resources
) -> tuple[str, str]:
    """Give the guest the layers: the paths of the root file system and the scratch in it."""
    bundle = hosted.lcow_bundle(request.id)
    held: list[Held] = []
    try:
        for layer in source.layers:
            held.append(await _add_layer(vm, layer))  # noqa: PERF401 - it is undone one by one
        scratch = await _add_scratch(vm, source.scratch, bundle)
        held.append(scratch)
        root = f"{bundle}/rootfs"
        own = f"{scratch.guest_path}/scratch/{request.id}"
        combined = {
            "ContainerID": request.id,
            "ContainerRootPath": root,
            "Layers": [{"Path": layer.guest_path} for layer in held[:-1]],
            "ScratchPath": own,
        }
        await vm.modifier.inside(guest_request("CombinedLayers", "Add", combined))
    except BaseException:
        for one in reversed(held):
            await one.release()
        raise
    annotations = Member(request.spec)["annotations"].mapping()
    kind, _ = predicates.container_type_and_sandbox(annotations)
    if kind is not predicates.ContainerType.SANDBOX:  # whose VM ends with it
        resources.add_layers(functools.partial(_remove_layers, vm, root, tuple(held)))
    return root, own


async def _remove_layers(vm: Vm, root: str, held: tuple[Held, ...]) -> None:
    removed = guest_request("CombinedLayers", "Remove", {"ContainerRootPath": root})
    await vm.modifier.inside(removed)
    for one in (held[-1], *held[:-1]):
        await one.release()


async def _add_layer(vm: Vm, layer: LinuxLayer) -> Held:
    if vm.vpmem is not None and not vm.options.fully_physically_backed and not layer.partition:
        size = await vm.host.run("look at a layer", os.path.getsize, layer.path)
        try:
            return await vm.vpmem.add(layer.path, size)
        except NoRoomError:
            pass  # then as a disk
    mount = MountOptions(partition=layer.partition, options=("ro",))
    return await vm.scsi.add(Attachment(layer.path, read_only=True), mount)


async def _add_scratch(vm: Vm, path: str, bundle: str) -> Held:
    """Attach the scratch; a shared one is a link to another container's."""
    real = await vm.host.run("eval symlinks on scratch path", os.path.realpath, path)
    await vm.host.run("grant VM access to the scratch", vm.host.files.grant, vm.id, real)
    encrypted = getattr(vm.options, "encrypted_scratch", False)
    mount = MountOptions(
        encrypted=encrypted, ensure_filesystem=True, filesystem="xfs" if encrypted else "ext4"
    )
    return await vm.scsi.add(Attachment(real), mount, bundle)


async def _add_mount(vm: Vm, container_id: str, one: VmMount, resources: Resources) -> str:
    """Give the guest what a mount names: where it has it."""
    mount = one.mount
    if one.guest_path:
        return one.guest_path
    if one.disk is not None:
        options = MountOptions(options=mount.options, block_device=one.block_device)
        held = await vm.scsi.add(await disk_of(vm, one), options)
        resources.add(f"disk {mount.source}", held.release)
        return held.guest_path
    place = f"{hosted.lcow_bundle(container_id)}/mounts/m{one.index}"
    shared = await vm.share_by_9p(mount.source, place, read_only=mount.read_only)
    resources.add(f"share of {mount.source}", shared.held.release)
    return shared.guest_path


async def _add_devices(vm: Vm, request: ContainerRequest, resources: Resources) -> list[Json]:
    """Give the VM the container's devices: as the guest knows them."""
    found: list[Json] = []
    if request.owns_vm:  # the VM has had them from the start
        return found
    for device in Member(request.spec)["windows"]["devices"].objects():
        kind, identifier = device["idType"].text(), device["id"].text()
        if not is_assignable(kind):
            raise ShimError(f"specified device {identifier} has unsupported type {kind}")
        assigned = assigned_device(identifier)
        bus = await vm.pci.assign(assigned)
        release = functools.partial(vm.pci.remove, assigned, vm.id)
        resources.add(f"device {identifier}", release)
        found.append({"id": bus, "idType": kind})
    return found
