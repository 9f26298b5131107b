"""What a Windows container in a VM is made from.

Theory of operation. Its layers are folders that the guest has by SMB, its scratch is a disk; a
filter of the guest puts them together at the scratch's place. Folders of the host are shared, disks
attached, pipes passed on; what is the guest's own already is made there if need be. Then the
document is the same as on the host, with the guest's paths.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from podshim.engines.hcs.credentials import add_guard
from podshim.engines.hcs.documents import credentials, hosted, hosted_mounts
from podshim.engines.hcs.documents.container import ContainerFacts
from podshim.engines.hcs.documents.hosted_mounts import Disk
from podshim.engines.hcs.documents.jsontext import present
from podshim.engines.hcs.documents.modify import VM_PIPE, VM_SOCKET_SERVICE, guest_request, request
from podshim.engines.hcs.documents.mounts import MappedDirectory
from podshim.engines.hcs.layers import layers_of, mounting
from podshim.engines.hcs.layers.sources import WcifsLayers
from podshim.engines.hcs.vm import command
from podshim.engines.hcs.vm.scsi import Attachment, MountOptions, extensible_disk
from podshim.errors import ShimError, UnimplementedError
from podshim.hcsspec import predicates
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from podshim.engines.hcs.documents.container import Layer
    from podshim.engines.hcs.documents.hosted_mounts import VmMount
    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.resources import Resources
    from podshim.engines.hcs.vm.guest.compute import GuestContainer
    from podshim.engines.hcs.vm.machine import Vm
    from podshim.engines.hcs.vm.modify import Held
    from podshim.task.runhcs.host import ContainerRequest

_PASSED_DEVICES = frozenset({"class", "vpci-class-guid"})


async def prepare(vm: Vm, request_: ContainerRequest, resources: Resources, namespace: str) -> Json:
    """Give the VM what a container needs.

    Args:
        vm: The VM.
        request_: What is asked for.
        resources: Takes what the VM is given.
        namespace: The container's network namespace; empty for none.

    Returns:
        The container's document.

    Raises:
        ShimError: What it asks for can't be, or Windows or the guest refuses.
    """
    spec = Member(request_.spec)
    mounts = hosted_mounts.wcow_mounts(spec, vm.id)
    _check_devices(spec)
    facts = ContainerFacts(
        id=request_.id,
        owner=vm.host.owner,
        spec=request_.spec,
        build=vm.host.setting.build,
        processor_count=vm.processor_count,
        host_processor_count=vm.host.processors,
        scale_cpu_limits=request_.scale_cpu_limits,
        namespace=namespace,
        vm_dump_location=vm.options.process_dumps,
    )
    spec_of_credentials = credentials.credential_spec(spec["windows"], facts.annotations)
    hosted.wcow(facts)  # what can't be is refused before anything is touched
    root, layers = await _add_layers(vm, request_, resources)
    facts = replace(facts, root=root, layers=layers)
    facts = await _add_mounts(vm, mounts, facts, resources)
    if spec_of_credentials:
        guard = await add_guard(
            vm.host.service, request_.id, spec_of_credentials, credentials.SOCKET
        )
        resources.add("credential guard", guard.release)
        if guard.socket_service is not None:
            await _open_service(vm, Member(guard.socket_service, document="credential guard"))
        facts = replace(facts, credential_guard=guard.document)
    document = hosted.wcow(facts)
    if vm.options.confidential:
        return hosted.confidential_wcow(request_.spec, document)
    return document


async def redirect_sockets(vm: Vm, system: GuestContainer, resources: Resources) -> None:
    """Let hv-sockets of a container in the guest reach the host by the container's own GUID.

    Raises:
        ShimError: The guest does not tell the GUID, or Windows refuses.
    """
    told = await system.properties(["SystemGUID"])
    value = told.get("SystemGUID")
    try:
        guid = UUID(value if isinstance(value, str) else "")
    except ValueError:
        raise ShimError(f"the guest tells no GUID of container {system.id}") from None
    redirect = vm.host.files.redirect
    handle = await vm.host.run("redirect container HvSocket", redirect, guid, vm.vm)

    async def release() -> None:
        handle.close()

    resources.add("redirection of hv-sockets", release)


async def _add_layers(
    vm: Vm, request_: ContainerRequest, resources: Resources
) -> tuple[str, tuple[Layer, ...]]:
    """Give the guest the layers: the root's path in it, and the layers as it has them."""
    source = layers_of(request_.rootfs, Member(request_.spec)["windows"])
    if not isinstance(source, WcifsLayers):
        raise UnimplementedError("containers in VMs with composite images as layers")
    host, drivers = vm.host, vm.host.drivers
    ensure = functools.partial(mounting.ensure_scratch, source, drivers)
    await host.run("create the scratch", ensure)
    identify = functools.partial(mounting.document_layers, source.parents, drivers)
    identified = await host.run("identify layers", identify)
    held: list[Held] = []
    try:
        layers = []
        for layer in identified:
            share = await vm.vsmb.add(layer.path, read_only=True, backup_privilege=True)
            held.append(share)
            layers.append(replace(layer, path=share.guest_path))
        scratch_file = f"{source.scratch}\\sandbox.vhdx"
        await host.run("grant VM access to the scratch", host.files.grant, vm.id, scratch_file)
        scratch = await vm.scsi.add(Attachment(scratch_file), MountOptions())
        held.append(scratch)
        root = scratch.guest_path
        combined = {
            "ContainerRootPath": root,
            "Layers": [layer.document() for layer in layers],
        }
        await vm.modifier.inside(guest_request("CombinedLayers", "Add", combined))
    except BaseException:
        for one in reversed(held):
            await one.release()
        raise
    if not _is_sandbox(request_):
        resources.add_layers(functools.partial(_remove_layers, vm, root, tuple(held)))
    return root, tuple(layers)


async def _remove_layers(vm: Vm, root: str, held: tuple[Held, ...]) -> None:
    """Take the layers away: separated first, then the scratch, then the folders."""
    removed = guest_request("CombinedLayers", "Remove", {"ContainerRootPath": root})
    await vm.modifier.inside(removed)
    for one in (held[-1], *held[:-1]):
        await one.release()


def _is_sandbox(request_: ContainerRequest) -> bool:
    """Whether the VM's end is the container's, so that nothing need be taken away before."""
    annotations = Member(request_.spec)["annotations"].mapping()
    kind, _ = predicates.container_type_and_sandbox(annotations)
    return kind is predicates.ContainerType.SANDBOX


async def _add_mounts(
    vm: Vm, mounts: list[VmMount], facts: ContainerFacts, resources: Resources
) -> ContainerFacts:
    """Give the guest what the mounts name: the facts with their folders and pipes."""
    folders: list[MappedDirectory] = []
    disks: list[MappedDirectory] = []
    for one in mounts:
        mount = one.mount
        path = one.guest_path
        if one.pipe is not None:
            if one.host_pipe:
                await _share_pipe(vm, one.host_pipe, resources)
            continue
        if one.disk is not None:
            held = await vm.scsi.add(await disk_of(vm, one), MountOptions())
            resources.add(f"disk {mount.source}", held.release)
            path = held.guest_path
        elif one.shared:
            held = await vm.vsmb.add(mount.source, read_only=mount.read_only)
            resources.add(f"share of {mount.source}", held.release)
            path = held.guest_path
        elif not vm.options.confidential:  # whose agent makes the folder by itself
            await _make_folder(vm, path)
        mapped = MappedDirectory(path, mount.destination, mount.read_only)
        (folders if one.disk is None else disks).append(mapped)
    pipes = tuple(one.pipe for one in mounts if one.pipe is not None)
    return replace(facts, directories=(*folders, *disks), pipes=pipes)


async def disk_of(vm: Vm, mount: VmMount) -> Attachment:
    """How a mount's disk is attached; the VM may access it then.

    Raises:
        ShimError: It is no disk's source, or Windows does not let the VM access it.
    """
    source, read_only = mount.mount.source, mount.mount.read_only
    if mount.disk is Disk.EXTENSIBLE:
        return extensible_disk(source, read_only=read_only)
    await vm.host.run("grant VM access", vm.host.files.grant, vm.id, source)
    kind = "PassThru" if mount.disk is Disk.PHYSICAL else "VirtualDisk"
    return Attachment(source, read_only, kind)


async def _make_folder(vm: Vm, path: str) -> None:
    """Make a folder in the guest; `dir` says whether it is there, whoever made it."""
    words = ("cmd", "/c", "mkdir", path, "&", "dir", path)
    code = await command.run_quietly(vm.guest, vm.id, *words)
    if code:
        raise ShimError(
            f"failed to create sandbox mount directory in utility VM with exit code {code}: {path}"
        )


async def _share_pipe(vm: Vm, pipe: str, resources: Resources) -> None:
    path = VM_PIPE.format(pipe)
    await vm.modifier.host(request(path, "Add"))
    resources.add(f"pipe {pipe}", lambda: vm.modifier.host(request(path, "Remove")))


async def _open_service(vm: Vm, service: Member) -> None:
    """Let the guest reach the credential guard by an hv-socket."""
    path = VM_SOCKET_SERVICE.format(service["ServiceId"].text())
    config = service["ServiceConfig"].value
    settings = present(config) if isinstance(config, dict) else {}
    await vm.modifier.host(request(path, "Update", settings))


def _check_devices(spec: Member) -> None:
    """Refuse devices that can't be had here.

    Raises:
        ShimError: There is one.
    """
    for device in spec["windows"]["devices"].objects():
        kind, identifier = device["idType"].text(), device["id"].text()
        if kind not in _PASSED_DEVICES:
            raise UnimplementedError(f"device {identifier} of type {kind} in a Windows VM")
