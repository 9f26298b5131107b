"""Creating a container in a VM: what it is made from, its document, its place in the guest.

Theory of operation. In this order: the init's streams, drivers, the network (if the VM is the
container's own, or its pod's), its layers, its mounts, credentials, devices, its document; then the
guest creates it. What the container was given goes to its `Resources` as soon as it is there, and
is given back after the container, or when a step fails. The processes around it are those of any
other container: only their parameters and signals are the platform's.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from podshim.engines.hcs import assembly
from podshim.engines.hcs.creation import give_back
from podshim.engines.hcs.network import add_endpoints, create_namespace
from podshim.engines.hcs.resources import Resources
from podshim.engines.hcs.vm import linuxparts, windowsparts
from podshim.engines.hcs.vm.containerupdates import GuestUpdates
from podshim.engines.hcs.vm.drivers import install_drivers
from podshim.engines.hcs.vm.guest import compute
from podshim.errors import ShimError
from podshim.hcsspec import table
from podshim.hcsspec.annotations import Annotations
from podshim.hcsspec.reading import Member, annotations_of

if TYPE_CHECKING:
    from podshim.engines.hcs.container import HcsContainer
    from podshim.engines.hcs.vm.guest.compute import GuestContainer
    from podshim.engines.hcs.vm.machine import Vm
    from podshim.task.runhcs.host import ContainerRequest


async def create(vm: Vm, request: ContainerRequest) -> HcsContainer:
    """Create a container whose init waits to be started.

    Raises:
        InvalidArgumentError: A member of the spec is of another type than OCI's.
        FailedPreconditionError: Its layers can't be told.
        ShimError: It can't be created; nothing of it is left.
    """
    upstream = await assembly.connect_init(vm.host.setting, request)
    resources = Resources(request.id)
    try:
        if vm.options.confidential:
            async with vm.creating:
                system = await _create(vm, request, resources)
        else:
            system = await _create(vm, request, resources)
    except BaseException:
        await give_back(resources)
        await upstream.close()
        raise
    guest = assembly.Guest(linux=not vm.windows, signals_supported=vm.signals_supported)
    updates = GuestUpdates(vm, system, resources)
    return assembly.assemble(
        vm.host.setting, request, upstream, system, resources, updates, guest=guest
    )


async def _create(vm: Vm, request: ContainerRequest, resources: Resources) -> GuestContainer:
    drivers = Annotations(annotations_of(request.spec)).get(table.KERNEL_DRIVERS)
    await install_drivers(vm, drivers, resources)
    namespace = await _namespace(vm, request, resources)
    if vm.windows:
        document = await windowsparts.prepare(vm, request, resources, namespace)
        await install_drivers(vm, drivers, resources)  # again: now the devices are there
    else:
        document = await linuxparts.prepare(vm, request, resources)
    try:
        system = await compute.create_container(vm.guest, request.id, document)
    except ShimError as error:
        raise ShimError(f"failed to create container {request.id}: {error}") from error
    if vm.windows:
        try:
            await windowsparts.redirect_sockets(vm, system, resources)
        except BaseException:
            await system.terminate()
            await system.close()
            raise
    return system


async def _namespace(vm: Vm, request: ContainerRequest, resources: Resources) -> str:
    """The container's network namespace, which its VM is given if it is the first to need it."""
    network = Member(request.spec)["windows"]["network"]
    if not network.present:
        return ""
    host = vm.host
    namespace = network["networkNamespace"].text()
    if not namespace:
        own = await create_namespace(host.networks, host.threads)
        resources.add("network namespace", own.release)
        await add_endpoints(own, network["endpointList"].texts())
        namespace = own.id
    if request.owns_vm or _begins_virtual_pod(request):
        await vm.set_up_network(namespace)
        take_away = functools.partial(vm.tear_down_network, namespace)
        resources.add("network of the VM", take_away)
    return namespace


def _begins_virtual_pod(request: ContainerRequest) -> bool:
    annotations = Annotations(annotations_of(request.spec))
    return annotations.get(table.VIRTUAL_POD_ID) == request.id
