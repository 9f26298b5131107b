"""Creating a process-isolated container: what it is made from, its document, its compute system.

Theory of operation. A container's spec is read first, as far as a document depends on it alone:
what can't be right is refused before anything is touched. Then come, in this order: its network
namespace, its layers, the real paths of its mounts, its credential guard, its document, its compute
system, its affinity. Each thing goes to the container's `Resources` as soon as it exists, and a
failure gives all of them back, the system first.
"""

from __future__ import annotations

import functools
import json
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from podshim.engines.hcs import layers, paths
from podshim.engines.hcs.credentials import add_guard
from podshim.engines.hcs.documents import container, limits, mounts, schema1
from podshim.engines.hcs.documents.container import ContainerFacts, root_volume
from podshim.engines.hcs.documents.credentials import credential_spec
from podshim.engines.hcs.documents.jsontext import dumps
from podshim.engines.hcs.documents.mounts import MappedDirectory
from podshim.engines.hcs.hcn import ComputeNetwork
from podshim.engines.hcs.layers import Drivers, Mounted, given_back, layers_of, mounting
from podshim.engines.hcs.layers.sources import WcifsLayers
from podshim.engines.hcs.network import add_endpoints, create_namespace
from podshim.engines.hcs.resources import Resources
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec import builds, table
from podshim.hcsspec.annotations import Annotations
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from podshim.engines.hcs.credentials import CredentialService
    from podshim.engines.hcs.documents.container import Layer
    from podshim.engines.hcs.documents.limits import Affinity
    from podshim.engines.hcs.documents.mounts import SpecMount
    from podshim.engines.hcs.hcn import HostNetworks
    from podshim.engines.hcs.layers import Threads
    from podshim.engines.hcs.layers.sources import LayerSource
    from podshim.engines.hcs.leftovers import Leftovers
    from podshim.task.runhcs.host import ContainerRequest

_log = logging.getLogger(__name__)

#: More than any device extension has; a larger file is refused, not read.
_MOST_EXTENSION = 16 << 20


class System(Protocol):
    """A compute system that was created; see `podshim.engines.hcs.system.System`."""

    async def terminate(self) -> None:
        """End it."""

    async def close(self) -> None:
        """Close its handle."""


AnySystem = TypeVar("AnySystem", bound=System)


@dataclass(frozen=True, slots=True)
class Host:
    """Where containers are created.

    Args:
        build: The build of this Windows.
        owner: The name of the shim's file.
        threads: Where calls of Windows block.
        leftovers: Who takes back what a cancelled caller left.
        service: HCS, for credential guards.
        processors: Asks for the number of the host's processors.
        set_affinity: Sets the processors that a container, by its id, may run on.
        drivers: Who mounts layers.
        networks: The host's networks.
        resolve: Makes a folder's path what HCS wants it to be; blocks.
    """

    build: int
    owner: str
    threads: Threads
    leftovers: Leftovers
    service: CredentialService
    processors: Callable[[], Awaitable[int]]
    set_affinity: Callable[[str, Sequence[Affinity]], Awaitable[None]]
    drivers: Drivers = field(default_factory=Drivers)
    networks: HostNetworks = field(default_factory=ComputeNetwork)
    resolve: Callable[[str], str] = paths.resolve


@dataclass(frozen=True, slots=True)
class Created(Generic[AnySystem]):
    """A created container.

    Args:
        system: Its compute system, not started yet.
        resources: What it is made from; to be released after the system's end.
    """

    system: AnySystem
    resources: Resources


async def create(
    host: Host,
    request: ContainerRequest,
    create_system: Callable[[str, str], Awaitable[AnySystem]],
) -> Created[AnySystem]:
    """Create a process-isolated container.

    Args:
        host: Where.
        request: What is asked for.
        create_system: Creates a compute system of an id and a document.

    Raises:
        FailedPreconditionError: Its layers can't be told.
        InvalidArgumentError: A member of the spec is of another type than OCI's.
        ShimError: What it asks for can't be, or Windows refuses; nothing is left behind.
    """
    resources = Resources(request.id)
    try:
        system = await _Creation(host, request, resources).run(create_system)
    except BaseException:
        await give_back(resources)
        raise
    return Created(system, resources)


async def give_back(resources: Resources) -> None:
    """Release resources; what can't be is in the log."""
    try:
        await resources.release()
    except ShimError as error:
        _log.warning("%s", error)


async def mount_layers(host: Host, request: ContainerRequest) -> Mounted:
    """Mount the layers of a container that has no volume of its own.

    Args:
        host: Where.
        request: What is asked for.

    Raises:
        FailedPreconditionError: Its layers can't be told.
        ShimError: They can't be mounted; nothing is left mounted.
    """
    source = layers_of(request.rootfs, Member(request.spec)["windows"])
    return await _mount(host, request.id, source)


async def _mount(host: Host, container_id: str, source: LayerSource) -> Mounted:
    return await layers.mount(source, container_id, host.threads, host.leftovers, host.drivers)


class _Creation:
    """One container's creation, step by step."""

    def __init__(self, host: Host, request: ContainerRequest, resources: Resources) -> None:
        self._host = host
        self._request = request
        self._resources = resources
        self._spec = Member(request.spec)
        self._windows = self._spec["windows"]

    async def run(self, create_system: Callable[[str, str], Awaitable[AnySystem]]) -> AnySystem:
        host, request = self._host, self._request
        volume = self._spec["root"]["path"].text()
        source = self._source(volume)
        annotations = Annotations(self._spec["annotations"].mapping())
        credentials = credential_spec(self._windows, annotations)
        mounted = mounts.mounts_of(self._spec)
        affinity = limits.affinity_of(self._windows["resources"]["cpu"], host.build)
        facts = await self._facts(mounted, annotations)
        said = container.from_spec(facts) if self._second_schema else None
        if volume:
            root_volume(volume)

        facts = replace(facts, namespace=await self._namespace())
        root, layer_list = await self._layers(volume, source)
        facts = replace(facts, root=root, layers=layer_list)
        directories = [await self._directory(mount) for mount in mounts.folders(mounted)]
        facts = replace(facts, directories=tuple(directories))
        if credentials and self._second_schema:
            adding = add_guard(host.service, request.id, credentials)
            guard = await host.leftovers.finish(adding, given_back)
            self._resources.add("credential guard", guard.release)
            facts = replace(facts, credential_guard=guard.document)
        document = container.build(facts, said) if said is not None else schema1.build(facts)
        system = await create_system(request.id, dumps(document))
        if affinity:
            await self._limit(system, affinity)
        return system

    @property
    def _second_schema(self) -> bool:
        return self._host.build >= builds.RS5

    def _source(self, volume: str) -> LayerSource | None:
        """The layers; none if the root file system is a volume and nothing is said of layers."""
        if volume and not self._request.rootfs and not self._windows["layerFolders"].texts():
            return None
        return layers_of(self._request.rootfs, self._windows)

    async def _facts(
        self, mounted: Sequence[SpecMount], annotations: Annotations
    ) -> ContainerFacts:
        """All that is known beforehand."""
        return ContainerFacts(
            id=self._request.id,
            owner=self._host.owner,
            spec=self._request.spec,
            build=self._host.build,
            processor_count=await self._host.processors(),
            pipes=tuple(mounts.mapped_pipes(mounted)),
            device_extensions=await self._device_extensions(annotations),
        )

    async def _device_extensions(self, annotations: Annotations) -> tuple[tuple[str, object], ...]:
        files = annotations.get(table.DEVICE_EXTENSIONS)
        read = functools.partial(_read_extensions, files)
        return await self._host.threads.run("read device extensions", read) if files else ()

    async def _namespace(self) -> str:
        """The network namespace, created if the container has a network but none is named."""
        network = self._windows["network"]
        named = network["networkNamespace"].text()
        if named or not network.present or not self._second_schema:
            return named
        host = self._host
        endpoints = network["endpointList"].texts()
        making = create_namespace(host.networks, host.threads)
        try:
            namespace = await host.leftovers.finish(making, given_back)
            self._resources.add("network namespace", namespace.release)
            await add_endpoints(namespace, endpoints)
        except ShimError as error:
            text = f"failure while creating namespace for container: {error}"
            raise ShimError(text) from error
        return namespace.id

    async def _layers(
        self, volume: str, source: LayerSource | None
    ) -> tuple[str, tuple[Layer, ...]]:
        """The root file system's volume, and what the document says of layers."""
        host = self._host
        if not volume and source is not None:
            try:
                mounted = await _mount(host, self._request.id, source)
            except ShimError as error:
                error.detail = f"failed to mount container storage: {error.detail}"
                raise
            self._resources.add_layers(mounted.release)
            return mounted.path, mounted.layers
        if source is None:
            return volume, ()
        # Somebody else has mounted them; HCS wants to know which they are nevertheless.
        if not isinstance(source, WcifsLayers):
            return volume, (mounting.volume_layer(root_volume(volume)),)
        tell = functools.partial(mounting.document_layers, source.parents, host.drivers)
        try:
            return volume, await host.threads.run("tell the ids of layers", tell)
        except ShimError as error:
            error.detail = f"failed to use pre-mounted container storage: {error.detail}"
            raise

    async def _directory(self, mount: SpecMount) -> MappedDirectory:
        resolve = functools.partial(self._host.resolve, mount.source)
        try:
            path = await self._host.threads.run(f"resolve {mount.source}", resolve)
        except ShimError as error:
            source = json.dumps(mount.source, ensure_ascii=False)
            text = f"failed to resolve path for mount source {source}: {error}"
            raise ShimError(text) from error
        # The first schema has the path as the spec says it; only whether it is there is seen.
        told = path if self._second_schema else mount.source
        return MappedDirectory(told, mount.destination, read_only=mount.read_only)

    async def _limit(self, system: System, affinity: Sequence[Affinity]) -> None:
        """Set the affinity of a container that does not run yet; end it if that fails."""
        try:
            await self._host.set_affinity(self._request.id, affinity)
        except BaseException:
            await _end(system, self._request.id)
            raise


async def _end(system: System, container_id: str) -> None:
    for step in (system.terminate, system.close):
        try:
            await step()
        except (ShimError, OSError) as error:
            _log.warning("container %s after a failed creation: %s", container_id, error)


def _read_extensions(files: Sequence[str]) -> tuple[tuple[str, object], ...]:
    return tuple((path, _read_extension(path)) for path in files)


def _read_extension(path: str) -> object:
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_EXTENSION + 1)
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise ShimError(f"failed to find path to driver extensions at {path}: {text}") from None
    if len(content) > _MOST_EXTENSION:
        raise InvalidArgumentError(f"device extension {path} is too large")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        text = f"failed to unmarshal extension file at {path}: {error}"
        raise InvalidArgumentError(text) from None
