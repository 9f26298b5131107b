"""Requests that change running containers and VMs, and what an update of limits asks for.

Theory of operation. HCS changes a system by `{"ResourcePath", "RequestType", "Settings"}`; a guest
hears of it through the same request's `GuestRequest`. containerd's update is an OCI resources
object, for which `container_update` says what is to be done: requests in order, and an affinity,
which is set on the job of the container. It checks everything before anything is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents import limits
from podshim.engines.hcs.documents.jsontext import Json, present
from podshim.engines.hcs.documents.limits import Affinity, Cpu
from podshim.errors import InvalidArgumentError, ShimError, UnimplementedError
from podshim.hcsspec import builds

if TYPE_CHECKING:
    from podshim.engines.hcs.documents.mounts import MappedDirectory
    from podshim.hcsspec.reading import Member

CONTAINER_MEMORY = "Container/Memory/SizeInMB"
CONTAINER_PROCESSOR = "Container/Processor"
CONTAINER_DIRECTORIES = "Container/MappedDirectories"

VM_MEMORY = "VirtualMachine/ComputeTopology/Memory/SizeInMB"
VM_CPU_GROUP = "VirtualMachine/ComputeTopology/Processor/CpuGroup"
VM_LIMITS = "VirtualMachine/ComputeTopology/Processor/Limits"
VM_PIPE = "VirtualMachine/Devices/MappedPipes/{}"
VM_NETWORK_ADAPTER = "VirtualMachine/Devices/NetworkAdapters/{}"
VM_PLAN9_SHARES = "VirtualMachine/Devices/Plan9/Shares"
VM_SCSI = "VirtualMachine/Devices/Scsi/{}/Attachments/{}"
VM_PCI = "VirtualMachine/Devices/VirtualPci/{}"
VM_PMEM = "VirtualMachine/Devices/VirtualPMem/Devices/{}"
VM_PMEM_MAPPING = "VirtualMachine/Devices/VirtualPMem/Devices/{}/Mappings/{}"
VM_SMB_SHARES = "VirtualMachine/Devices/VirtualSmb/Shares"
VM_SOCKET_SERVICE = "VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/{}"


@dataclass(frozen=True, slots=True)
class ContainerUpdate:
    """What an update of a Windows container's limits comes to.

    Args:
        requests: HCS' modify requests, in order.
        affinity: The processors that it may run on; empty to leave them.
    """

    requests: tuple[Json, ...]
    affinity: tuple[Affinity, ...] = ()


def request(path: str, kind: str = "", settings: object = None, guest: Json | None = None) -> Json:
    """A modify request.

    Args:
        path: The resource; empty for one that only the guest has.
        kind: `Add`, `Remove`, `PreAdd` or `Update`; empty where HCS wants none.
        settings: What it is to be; None for nothing.
        guest: The guest's part; None without.
    """
    made = present({"ResourcePath": path, "RequestType": kind})
    if settings is not None:
        made["Settings"] = settings
    if guest is not None:
        made["GuestRequest"] = guest
    return made


def guest_request(resource: str, kind: str, settings: object) -> Json:
    """A guest's part of a modify request.

    Args:
        resource: The type of the resource, such as `Network`.
        kind: `Add`, `Remove`, `PreAdd` or `Update`.
        settings: What it is to be.
    """
    made = present({"RequestType": kind, "ResourceType": resource})
    if settings is not None:
        made["Settings"] = settings
    return made


def even_megabytes(memory: Member) -> int | None:
    """A new memory limit in MB, an even number as HCS wants it; None for no change.

    Args:
        memory: The `memory` object of an update.

    Raises:
        InvalidArgumentError: A member of another type than OCI's.
    """
    if not memory["limit"].present:
        return None
    megabytes = limits.megabytes(memory)
    return megabytes + megabytes % 2


def container_update(
    container_id: str, resources: Member, *, build: int, processor_count: int, in_vm: bool = False
) -> ContainerUpdate:
    """What an update of a Windows container asks for.

    Args:
        container_id: Which, for errors.
        resources: OCI's `WindowsResources`.
        build: The build of this Windows.
        processor_count: The processors of its machine.
        in_vm: Whether it lives in a VM.

    Raises:
        InvalidArgumentError: A member of another type than OCI's, or an impossible combination.
        UnimplementedError: This Windows can't change it.
    """
    requests = []
    megabytes = even_megabytes(resources["memory"])
    if megabytes is not None:
        requests.append(request(CONTAINER_MEMORY, "Update", megabytes))
    if not resources["cpu"].present:
        return ContainerUpdate(tuple(requests))
    cpu, affinity = _cpu_update(container_id, resources["cpu"], build)
    if build < builds.V20H2:
        raise UnimplementedError(f"changing CPU limits on this build ({build})")
    if affinity and in_vm:
        raise UnimplementedError(
            "cpu affinity update for hypervisor-isolated containers is not supported"
        )
    if cpu is not None:
        what = f"container {container_id}"
        count = limits.clamped_count(cpu.count, processor_count, what)
        settings = Cpu(count, cpu.maximum, cpu.weight).document()
        requests.append(request(CONTAINER_PROCESSOR, "Update", settings))
    return ContainerUpdate(tuple(requests), affinity)


def add_directory(directory: MappedDirectory) -> Json:
    """The request that maps a further folder into a running container."""
    return request(CONTAINER_DIRECTORIES, "Add", directory.document())


def vm_memory(megabytes: int) -> Json:
    """The request that gives a VM another size of memory."""
    return request(VM_MEMORY, settings=megabytes)


def vm_processor_limits(maximum: int, weight: int, build: int) -> Json:
    """The request that limits a VM's use of processors.

    Args:
        maximum: At most so much; 0 for no change.
        weight: So much in proportion to others; 0 for no change.
        build: The build of this Windows.

    Raises:
        UnimplementedError: This Windows can't change it.
    """
    if build < builds.V20H2:
        raise UnimplementedError(f"changing CPU limits on this build ({build})")
    return request(VM_LIMITS, settings=present({"Limit": maximum, "Weight": weight}))


def vm_cpu_group(group_id: str) -> Json:
    """The request that puts a VM into a CPU group of the host.

    Raises:
        ShimError: No group is named.
    """
    if not group_id:
        raise ShimError("must specify an ID to use when configuring a VM's cpugroup")
    return request(VM_CPU_GROUP, settings={"Id": group_id})


def _cpu_update(
    container_id: str, cpu: Member, build: int
) -> tuple[Cpu | None, tuple[Affinity, ...]]:
    """The limit, if one is asked for, and the affinity."""
    count, maximum, shares = (
        cpu["count"].unsigned(64),
        cpu["maximum"].unsigned(16),
        cpu["shares"].unsigned(16),
    )
    affinity = limits.affinity_of(cpu, build)
    given = sum(value is not None for value in (count, maximum, shares))
    if given > 1 or (not given and not affinity):
        raise InvalidArgumentError(
            f"invalid cpu resources request for container {container_id}: exactly one of count,"
            " shares and maximum must be set, or affinity alone"
        )
    if not given:
        return None, affinity
    return Cpu(min(count or 0, (1 << 31) - 1), maximum or 0, shares or 0), affinity
