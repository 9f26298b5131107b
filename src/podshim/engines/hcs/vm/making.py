"""Making a VM: from a request to a compute system that waits to be started.

Theory of operation. In this order: its options, from the spec; its boot files, found or copied; its
document; what its files need so that the VM may use them; the compute system; and last the sockets
on which its guest will connect, which must be there before it boots. What fails undoes what went
before. A `Blueprint` is what the running VM still needs to know of all that.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import UUID

from podshim.engines.hcs.documents import properties, vm_confidential, vm_lcow, vm_wcow
from podshim.engines.hcs.documents.jsontext import dumps
from podshim.engines.hcs.layers import layers_of
from podshim.engines.hcs.layers.sources import BlockCim, WcifsLayers
from podshim.engines.hcs.vm import bootfiles, derivation
from podshim.engines.hcs.vm.derivation import Shim
from podshim.engines.hcs.vm.guest.sockets import (
    LINUX_AGENT_PORT,
    WINDOWS_AGENT,
    WINDOWS_LOG,
    WINDOWS_POLICY_AGENT,
    vsock_service,
)
from podshim.engines.hcs.vm.options import HostFacts, LcowOptions, RootFs, WcowOptions, check
from podshim.engines.hcs.vm.scsi import Slot
from podshim.errors import ShimError
from podshim.hcsspec import predicates
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Callable

    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.documents.vm_confidential import ConfidentialBoot
    from podshim.engines.hcs.vm.guest.sockets import GuestListener, Listen
    from podshim.engines.hcs.vm.host import VmHost, VmSystem
    from podshim.engines.hcs.vm.options import AssignedDevice
    from podshim.task.runhcs.host import VmRequest

_log = logging.getLogger(__name__)

_NO_SUCH_SOCKETS = 10047  # WSAEAFNOSUPPORT: this Windows has no Hyper-V


@dataclass(slots=True)
class Blueprint:
    """What a VM is made of.

    Args:
        options: What it shall be.
        facts: What the host is.
        document: Its document.
        reserved: SCSI places that are taken from the start.
        buses: The buses of the devices that it has from the start.
        disks: A confidential Windows guest's disks; None of others.
        undo: What gives back the files that were made for it. Blocks.
    """

    options: WcowOptions | LcowOptions
    facts: HostFacts
    document: Json
    reserved: tuple[Slot, ...] = ()
    buses: dict[AssignedDevice, str] = field(default_factory=dict)
    disks: ConfidentialBoot | None = None
    undo: Callable[[], None] | None = None


@dataclass(slots=True)
class Listeners:
    """Where a guest will connect; None where it will not."""

    agent: GuestListener | None = None
    log: GuestListener | None = None
    entropy: GuestListener | None = None

    def close(self) -> None:
        """Close all of them."""
        for listener in (self.agent, self.log, self.entropy):
            if listener is not None:
                listener.close()


@dataclass(slots=True)
class Made:
    """A VM that was made: its compute system, its GUID, and the sockets for its guest."""

    blueprint: Blueprint
    system: VmSystem
    vm: UUID
    listen: Listen
    listeners: Listeners


async def make(host: VmHost, request: VmRequest) -> Made:
    """Make a VM that waits to be started.

    Raises:
        InvalidArgumentError: A member of the spec is of another type than OCI's.
        FailedPreconditionError: Its layers can't be told.
        ShimError: What it asks for can't be, or Windows refuses; nothing is left behind.
    """
    linux = predicates.is_lcow(request.spec)
    blueprint = await (_draw_linux if linux else _draw_windows)(host, request)
    try:
        return await _build(host, request, blueprint)
    except BaseException:
        if blueprint.undo is not None:
            await host.run("remove the VM's files", blueprint.undo)
        raise


async def _build(host: VmHost, request: VmRequest, blueprint: Blueprint) -> Made:
    try:
        system = await host.service.create_system(request.id, dumps(blueprint.document))
    except ShimError as error:
        raise ShimError(f"error while creating the compute system: {error}") from error
    try:
        vm = _vm_guid(await system.properties())
        listen = host.listening_for(vm)
        listeners = await _listen(_explained(listen, vm), blueprint.options)
    except BaseException:
        await discard(system)
        raise
    return Made(blueprint, system, vm, listen, listeners)


async def discard(system: VmSystem) -> None:
    """End a VM that nobody shall have; what fails is logged."""
    try:
        await system.terminate()
    except (ShimError, OSError) as error:
        _log.warning("VM %s can't be ended: %s", system.id, error)
    await system.close()


def _vm_guid(told: dict[str, object]) -> UUID:
    value = told.get("RuntimeId")
    try:
        return UUID(value if isinstance(value, str) else "")
    except ValueError:
        raise ShimError(f"HCS tells no GUID of the VM, but {value!r}") from None


async def _listen(listen: Listen, options: WcowOptions | LcowOptions) -> Listeners:
    """Listen for the guest.

    Raises:
        ShimError: This Windows has no hv-sockets, or one can't be listened on.
    """
    listeners = Listeners()
    try:
        if isinstance(options, LcowOptions):
            listeners.entropy = await listen(vsock_service(vm_lcow.ENTROPY_PORT))
            listeners.log = await listen(vsock_service(vm_lcow.LOG_PORT))
            listeners.agent = await listen(vsock_service(LINUX_AGENT_PORT))
        else:
            if options.forward_logs:
                listeners.log = await listen(WINDOWS_LOG)
            agent = WINDOWS_POLICY_AGENT if options.confidential else WINDOWS_AGENT
            listeners.agent = await listen(agent)
    except ShimError:
        listeners.close()
        raise
    return listeners


def _explained(listen: Listen, vm: UUID) -> Listen:
    """What listens, and says where it can't."""

    async def explained(service: UUID) -> GuestListener:
        try:
            return await listen(service)
        except OSError as error:
            code: int | None = getattr(error, "winerror", None)
            why = f"socket: winapi error #{code}" if code == _NO_SUCH_SOCKETS else str(error)
            raise ShimError(f"listen hvsock {vm}:{service}: {why}") from error

    return explained


async def _facts(host: VmHost) -> HostFacts:
    asked = dumps(properties.query(properties.PROCESSOR_TOPOLOGY))
    try:
        processors = properties.processor_count(await host.service.service_properties(asked))
    except ShimError as error:
        raise ShimError(f"failed to get host processor information: {error}") from error
    return HostFacts(host.setting.build, processors)


def _shim(host: VmHost) -> Shim:
    return Shim(
        owner=host.owner,
        folder=host.program_folder,
        build=host.setting.build,
        processors=host.processors,
        log_level=host.log_level,
        scrub_logs=host.scrub_logs,
    )


async def _draw_linux(host: VmHost, request: VmRequest) -> Blueprint:
    default = bootfiles.default_linux_folder
    usual = await host.run("look for boot files", default, host.program_folder, host.program_files)
    folder = derivation.linux_boot_folder(request.spec, usual)
    boot = await host.run("look for boot files", bootfiles.look, folder)
    bundle = str(request.bundle.path)
    options = derivation.lcow(request.spec, request.id, bundle, _shim(host), boot)
    check(options, HostFacts(host.setting.build, 0))
    if options.guest_state_file:
        return await _draw_confidential_linux(host, options)
    await host.run("find boot files", bootfiles.check_linux, options)
    facts = await _facts(host)
    buses = {device: str(uuid.uuid4()) for device in options.devices}
    document = vm_lcow.build(options, facts, buses)
    on_scsi = options.root_fs is RootFs.VHD and not options.vpmem_devices
    return Blueprint(
        options, facts, document, reserved=(Slot(0, 0),) if on_scsi else (), buses=buses
    )


async def _draw_confidential_linux(host: VmHost, options: LcowOptions) -> Blueprint:
    facts = await _facts(host)
    document = vm_confidential.build_lcow(options, facts)
    copies = await host.run("copy boot files", bootfiles.confidential_linux, options)

    def undo() -> None:
        bootfiles.remove_guest_state(options)

    try:
        for path in copies:
            await host.run("grant VM group access ALL", host.files.grant_group, path)
    except BaseException:
        await host.run("remove the VM's files", undo)
        raise
    reserved = (Slot(0, 0),) if options.verity else ()
    return Blueprint(options, facts, document, reserved=reserved, undo=undo)


async def _draw_windows(host: VmHost, request: VmRequest) -> Blueprint:
    bundle = str(request.bundle.path)
    options = derivation.wcow(request.spec, request.id, bundle, _shim(host))
    source = layers_of(request.rootfs, Member(request.spec)["windows"])
    if options.confidential:
        if not isinstance(source, BlockCim):
            raise ShimError(
                "security policy (confidential mode) only works with block CIM based layers"
            )
        return await _draw_confidential_windows(host, options, source.scratch)
    if isinstance(source, BlockCim):
        raise ShimError("hyperv isolation is not supported with block CIM layers yet")
    if not isinstance(source, WcifsLayers):
        raise ShimError("unsupported layer format for UVM boot: CimFS")
    facts = await _facts(host)
    check(options, facts)
    boot = await host.run("find boot files", bootfiles.windows, source.scratch, source.parents)
    try:
        await _prepare_dump_folder(host, options)
        document = vm_wcow.build(options, boot, facts)
    except ShimError as error:
        raise ShimError(f"error in preparing config doc: {error}") from error
    await host.run("grant vm access to scratch", host.files.grant, options.id, boot.scratch)
    return Blueprint(options, facts, document, reserved=(Slot(0, 0),))


async def _draw_confidential_windows(host: VmHost, options: WcowOptions, scratch: str) -> Blueprint:
    disks, state = await host.run(
        "copy boot files", bootfiles.confidential_windows, options, scratch
    )
    options = replace(options, guest_state_file=state)
    facts = await _facts(host)
    check(options, facts)
    try:
        await _prepare_dump_folder(host, options)
        document = vm_confidential.build_wcow(options, disks, facts)
    except ShimError as error:
        raise ShimError(f"error in preparing config doc: {error}") from error
    files = host.files
    empty = vm_confidential.empty_folder(options)
    await host.run("make a folder", bootfiles.make_empty_folder, empty)
    for what, path in (
        ("EFI VHD", disks.boot),
        ("Boot CIM VHD", disks.root_fs),
        ("guest state file", state),
        ("scratch VHD", disks.scratch),
        ("VSMB default empty share directory", empty),
    ):
        await host.run(f"grant vm access to {what}", files.grant, options.id, path)
    await host.run("set scratch VHD identifier", files.mark_unformatted, disks.scratch)
    reserved = (Slot(0, 0), Slot(0, 1), Slot(0, 2))
    return Blueprint(options, facts, document, reserved=reserved, disks=disks)


async def _prepare_dump_folder(host: VmHost, options: WcowOptions) -> None:
    if options.dump_folder:
        folder = options.dump_folder
        await host.run("look at the dump directory", bootfiles.check_dump_folder, folder)
        await host.run("add SDL to dump directory", host.files.grant_group, folder)
