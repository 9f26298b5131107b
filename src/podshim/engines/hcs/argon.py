"""Process-isolated containers ("Argon"): from a request to a container that waits to be started.

Theory of operation. The init's streams are connected first, because a client that is not there is
the commonest failure, and the cheapest. Then `creation` makes what the container is made from, and
the compute system; `assembly` puts processes around it.
"""

from __future__ import annotations

import functools
import ntpath
from typing import TYPE_CHECKING

from podshim.engines.hcs import assembly, creation, silo
from podshim.engines.hcs.assembly import Setting
from podshim.engines.hcs.system import Hcs
from podshim.engines.hcs.updates import ArgonUpdates
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.api.runhcs_stats_pb2 import Statistics
    from podshim.engines.hcs.container import HcsContainer
    from podshim.engines.hcs.documents.limits import Affinity
    from podshim.engines.hcs.hostservice import Service
    from podshim.engines.hcs.layers import Mounted
    from podshim.task.runhcs.host import ContainerRequest

_PROGRAM = "containerd-shim-runhcs-v1.exe"


class Argons:
    """Makes process-isolated containers.

    Args:
        service: How the compute service is called.
        namespace: containerd's namespace.
        build: The build of this Windows.
        processors: How many processors it has.
        program: The path of the shim's program, which is told as the containers' owner.
    """

    def __init__(
        self, service: Service, namespace: str, build: int, processors: int, program: str
    ) -> None:
        self.setting = Setting(namespace, build, service.timeouts, service.spawn)
        self.hcs = Hcs(service)
        self._threads = service.threads
        self._processors = processors

        async def count() -> int:
            return processors

        self.host = creation.Host(
            build=build,
            owner=owner_of(program),
            threads=service.threads,
            leftovers=service.leftovers,
            service=self.hcs,
            processors=count,
            set_affinity=self._set_affinity,
        )

    async def create(self, request: ContainerRequest) -> HcsContainer:
        """Create a container; see `WindowsEngine.create_container`.

        Raises:
            ShimError: It can't be created; nothing of it is left.
        """
        upstream = await assembly.connect_init(self.setting, request)
        try:
            created = await creation.create(self.host, request, self.hcs.create_system)
        except BaseException:
            await upstream.close()
            raise
        system = created.system

        async def measure() -> Statistics:
            call = functools.partial(silo.measure, system.id, system.started_at)
            return await self._threads.run(f"measure {system.id}", call)

        updates = ArgonUpdates(
            system, self.host.build, self._processors, self._resolve, self._set_affinity
        )
        resources = created.resources
        return assembly.assemble(
            self.setting, request, upstream, system, resources, updates, measure=measure
        )

    async def mount_layers(self, request: ContainerRequest) -> Mounted:
        """Mount the layers of a container that has no volume of its own.

        Raises:
            ShimError: They can't be mounted; nothing is left mounted.
        """
        return await creation.mount_layers(self.host, request)

    async def _resolve(self, path: str) -> str:
        call = functools.partial(self.host.resolve, path)
        try:
            return await self._threads.run(f"resolve {path}", call)
        except (OSError, ShimError) as error:
            text = f"failed to resolve path for hostPath {path}: {error}"
            raise ShimError(text) from error

    async def _set_affinity(self, container_id: str, groups: Sequence[Affinity]) -> None:
        call = functools.partial(silo.set_affinity, container_id, groups)
        await self._threads.run(f"set affinity of {container_id}", call)


def owner_of(program: str) -> str:
    """The owner that containers are given: the program's file name, as Windows has it.

    Args:
        program: Its path, as the process was called; of a script or a module, the shim's own name
            is told.
    """
    name = ntpath.basename(program)
    stem, suffix = ntpath.splitext(name)
    if not stem or stem.startswith("-") or suffix.lower().startswith(".py"):
        return _PROGRAM
    return name if suffix.lower() == ".exe" else f"{name}.exe"
