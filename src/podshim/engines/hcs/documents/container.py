"""The document of a Windows container, from which HCS creates it.

Theory of operation. What a container is comes from two sides: its spec, and what the shim made for
it (`ContainerFacts`): layers, resolved mounts, a namespace, a credential guard. `build` puts both
together for a container that shares the host's kernel; `container_section` is the part of it that
containers in utility VMs have too, in an envelope of their own.

Everything here is decided by values: the same facts give the same document, and what can't be right
is refused before anything is asked of HCS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents import devices, limits, registry
from podshim.engines.hcs.documents.jsontext import Json, present
from podshim.errors import ShimError
from podshim.hcsspec import table
from podshim.hcsspec.annotations import Annotations
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.engines.hcs.documents.mounts import MappedDirectory, MappedPipe

SCHEMA_2_1: Mapping[str, int] = {"Major": 2, "Minor": 1}

_VOLUME = re.compile(
    r"\\\\\?\\Volume\{?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-"
    r"[0-9a-fA-F]{12}\}?\}\\?"
)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a container's file system, as HCS' documents have it."""

    id: str
    path: str

    def document(self) -> Json:
        """As HCS takes it."""
        return present({"Id": self.id, "Path": self.path})


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """All that a container's document is made of.

    Args:
        id: The container's id.
        owner: Who creates it: the name of the shim's file.
        spec: Its OCI spec, annotations expanded.
        build: The build of this Windows.
        processor_count: The processors of its machine: of its VM if it lives in one.
        host_processor_count: The processors of the host.
        scale_cpu_limits: Whether a CPU maximum is of the host's processors, in a VM.
        layers: Its layers, topmost first, without the scratch.
        root: Where its file system is mounted: a volume, or a path in the VM.
        namespace: The id of its network namespace; empty for none.
        directories: Its mapped folders, sources resolved.
        pipes: Its mapped pipes.
        credential_guard: The credential guard of its gMSA; None without.
        device_extensions: The files of device extensions and their parsed documents.
        vm_dump_location: The folder for dumps that its VM's options say.
        isolation_type: `HostProcess` for a HostProcess container in a VM.
        host_process_root: Where such a one's file system appears; empty for the usual place.
    """

    id: str
    owner: str
    spec: Mapping[str, object]
    build: int
    processor_count: int
    host_processor_count: int = 0
    scale_cpu_limits: bool = False
    layers: tuple[Layer, ...] = ()
    root: str = ""
    namespace: str = ""
    directories: tuple[MappedDirectory, ...] = ()
    pipes: tuple[MappedPipe, ...] = ()
    credential_guard: Mapping[str, object] | None = None
    device_extensions: tuple[tuple[str, object], ...] = ()
    vm_dump_location: str = ""
    isolation_type: str = ""
    host_process_root: str = ""

    @property
    def annotations(self) -> Annotations:
        """The container's annotations.

        Raises:
            InvalidArgumentError: They are no object of strings.
        """
        return Annotations(Member(self.spec)["annotations"].mapping())

    @property
    def windows(self) -> Member:
        """The spec's `windows`."""
        return Member(self.spec)["windows"]


@dataclass(frozen=True, slots=True)
class FromSpec:
    """What of a container's document its spec says, read and checked: `from_spec` makes it."""

    hostname: str
    storage_qos: Json | None
    memory: int
    processor: limits.Cpu
    networking: Json | None
    registry: list[Json]
    devices: list[Json]
    extensions: Mapping[str, object] | None


def from_spec(facts: ContainerFacts) -> FromSpec:
    """Read what the spec says, before anything is made for the container.

    Args:
        facts: As far as they are known then.

    Raises:
        ShimError: The spec asks for what can't be.
        InvalidArgumentError: A member of the spec is of another type than OCI's.
    """
    spec, annotations, windows = Member(facts.spec), facts.annotations, facts.windows
    check_root(spec)
    return FromSpec(
        hostname=spec["hostname"].text(),
        storage_qos=limits.storage_qos(windows["resources"], annotations),
        memory=limits.memory_of(windows["resources"], annotations),
        processor=processor(facts),
        networking=_networking(windows["network"]),
        registry=_registry(facts, annotations),
        devices=devices.assigned_devices(windows),
        extensions=devices.device_extensions(facts.device_extensions, facts.build),
    )


def build(facts: ContainerFacts, said: FromSpec | None = None) -> Json:
    """The document of a process-isolated container, in the second schema.

    Args:
        facts: What it is made of.
        said: What the spec says, if that has been read before.

    Raises:
        ShimError: The spec asks for what can't be.
        InvalidArgumentError: A member of the spec is of another type than OCI's.
    """
    root = root_volume(facts.root)
    return {
        "Owner": facts.owner,
        "SchemaVersion": dict(SCHEMA_2_1),
        "Container": container_section(facts, root, said),
        "ShouldTerminateOnLastHandleClosed": True,
    }


def container_section(facts: ContainerFacts, root: str, said: FromSpec | None = None) -> Json:
    """The `Container` object of any Windows container.

    Args:
        facts: What it is made of.
        root: `Storage.Path`, as it is to stand there.
        said: What the spec says, if that has been read before.

    Raises:
        ShimError: The spec asks for what can't be.
        InvalidArgumentError: A member of the spec is of another type than OCI's.
    """
    said = said or from_spec(facts)
    storage = present(
        {
            "Layers": [layer.document() for layer in facts.layers],
            "Path": root,
            "QoS": said.storage_qos,
            "PrivilegedContainerRootPath": facts.host_process_root,
        }
    )
    networking, guard = said.networking, facts.credential_guard
    if networking is not None and facts.namespace:
        networking = {**networking, "Namespace": facts.namespace}
    return present(
        {
            "GuestOs": {"HostName": said.hostname} if said.hostname else None,
            "Storage": storage,
            "MappedDirectories": [directory.document() for directory in facts.directories],
            "MappedPipes": [pipe.document() for pipe in facts.pipes],
            "Memory": {"SizeInMB": said.memory} if said.memory else None,
            "Processor": said.processor.document(),
            "Networking": networking,
            "ContainerCredentialGuard": dict(guard) if guard is not None else None,
            "RegistryChanges": {"AddValues": said.registry},
            "AssignedDevices": said.devices,
            "AdditionalDeviceNamespace": said.extensions,
            "IsolationType": facts.isolation_type,
        }
    )


def processor(facts: ContainerFacts) -> limits.Cpu:
    """The processor limit, as the container's machine can give it.

    Raises:
        ShimError: More than one limit.
        InvalidArgumentError: A member of another type than OCI's.
    """
    cpu = limits.cpu_of(facts.windows["resources"], facts.annotations)
    count = limits.clamped_count(cpu.count, facts.processor_count, f"container {facts.id}")
    maximum = cpu.maximum
    if facts.scale_cpu_limits and maximum > 0:
        maximum = limits.scaled_maximum(maximum, facts.host_processor_count, facts.processor_count)
    return limits.Cpu(count, maximum, cpu.weight)


def check_root(spec: Member) -> None:
    """Refuse a read-only root file system.

    Raises:
        ShimError: It is one.
        InvalidArgumentError: A member of another type than OCI's.
    """
    if spec["root"]["readonly"].flag():
        raise ShimError("invalid container spec - readonly is not supported for Windows containers")


def root_volume(path: str) -> str:
    """The volume of a root file system as HCS takes it: with a backslash at its end.

    Raises:
        ShimError: It is no volume's path.
    """
    if not _VOLUME.fullmatch(path):
        raise ShimError(
            f"invalid container spec - Root.Path '{path}' must be a volume GUID path in the"
            " format '\\\\?\\Volume{GUID}\\'"
        )
    return path if path.endswith("\\") else path + "\\"


def _networking(network: Member) -> Json | None:
    if not network.present:
        return None
    return present(
        {
            "AllowUnqualifiedDnsQuery": network["allowUnqualifiedDNSQuery"].flag(),
            "DnsSearchList": ",".join(network["DNSSearchList"].texts()),
            "NetworkSharedContainerName": network["networkSharedContainerName"].text(),
        }
    )


def _registry(facts: ContainerFacts, annotations: Annotations) -> list[Json]:
    return [
        *registry.default_values(),
        *registry.dump_values(facts.id, annotations, facts.vm_dump_location),
        *registry.annotated_values(annotations, table.CONTAINER_REGISTRY),
    ]
