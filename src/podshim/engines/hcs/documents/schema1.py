"""The document of a container for Windows before Server 2019 (build 17763).

Theory of operation. HCS' first schema has other names and places for the same things, no devices,
no namespaces (a container's endpoints are listed), and wants the root volume's path without a
backslash at its end. Some members are always there, also when empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.engines.hcs.documents import container, limits
from podshim.engines.hcs.documents.jsontext import Json, present
from podshim.errors import ShimError
from podshim.hcsspec import builds
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from podshim.engines.hcs.documents.container import ContainerFacts

#: The first schema has signed numbers.
_MOST_MEMORY = (1 << 63) - 1


def build(facts: ContainerFacts) -> Json:
    """The document of a process-isolated container, in the first schema.

    Raises:
        ShimError: The spec asks for what can't be, or what this Windows can't do.
        InvalidArgumentError: A member of the spec is of another type than OCI's.
    """
    spec, windows = Member(facts.spec), facts.windows
    container.check_root(spec)
    if facts.pipes and facts.build < builds.RS3:
        raise ShimError("named pipe mounts are not supported on this version of Windows")
    volume = container.root_volume(facts.root).rstrip("\\")
    processor = container.processor(facts)
    network = windows["network"]
    credentials = windows["credentialSpec"]
    document = present(
        {
            "SystemType": "Container",
            "Name": facts.id,
            "Owner": facts.owner,
            "VolumePath": volume,
            "IgnoreFlushesDuringBoot": windows["ignoreFlushesDuringBoot"].flag(),
        }
    )
    layers = [{"ID": layer.id, "Path": layer.path} for layer in facts.layers]
    document["Layers"] = layers or None
    document |= present(
        {
            "Credentials": credentials.value if isinstance(credentials.value, str) else "",
            "ProcessorCount": processor.count,
            "ProcessorWeight": processor.weight,
            "ProcessorMaximum": processor.maximum,
            **_storage(facts),
            "MemoryMaximumInMB": min(
                limits.memory_of(windows["resources"], facts.annotations), _MOST_MEMORY
            ),
            "HostName": spec["hostname"].text(),
            "MappedDirectories": [_directory(folder.document()) for folder in facts.directories],
            "MappedPipes": [
                {"HostPath": pipe.host_path, "ContainerPipeName": pipe.container_pipe_name}
                for pipe in facts.pipes
            ],
        }
    )
    document["HvPartition"] = False
    document |= present(
        {
            "NetworkSharedContainerName": network["networkSharedContainerName"].text(),
            "EndpointList": list(network["endpointList"].texts()),
            "AllowUnqualifiedDNSQuery": network["allowUnqualifiedDNSQuery"].flag(),
            "DNSSearchList": ",".join(network["DNSSearchList"].texts()),
        }
    )
    return document


def _storage(facts: ContainerFacts) -> Json:
    limit = limits.storage_qos(facts.windows["resources"], facts.annotations) or {}
    return {
        "StorageIOPSMaximum": limit.get("IopsMaximum"),
        "StorageBandwidthMaximum": limit.get("BandwidthMaximum"),
    }


def _directory(folder: Json) -> Json:
    return {
        "HostPath": folder.get("HostPath", ""),
        "ContainerPath": folder.get("ContainerPath", ""),
        "ReadOnly": folder.get("ReadOnly", False),
        "BandwidthMaximum": 0,
        "IOPSMaximum": 0,
        "CreateInUtilityVM": False,
    }
