"""Changing a running process-isolated container: limits and further folders.

Theory of operation. `documents.modify` says what an update comes to, and refuses what can't be,
before anything is done. Requests go to the service one by one; an affinity is set on the silo, the
job object that the container's processes are in.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents import modify
from podshim.engines.hcs.documents.jsontext import dumps
from podshim.engines.hcs.documents.mounts import MappedDirectory
from podshim.errors import InvalidArgumentError
from podshim.hcsspec.addedmounts import check_added_mount
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from podshim.engines.hcs.compute import ComputeSystem
    from podshim.engines.hcs.documents.limits import Affinity


class ArgonUpdates:
    """How a process-isolated container is changed.

    Args:
        system: The container.
        build: The build of this Windows.
        processors: How many processors this machine has.
        resolve: Makes a folder's path what the service wants it to be.
        set_affinity: Sets the processors that a container, by its id, may run on.
    """

    def __init__(
        self,
        system: ComputeSystem,
        build: int,
        processors: int,
        resolve: Callable[[str], Awaitable[str]],
        set_affinity: Callable[[str, Sequence[Affinity]], Awaitable[None]],
    ) -> None:
        self._system = system
        self._build = build
        self._processors = processors
        self._resolve = resolve
        self._set_affinity = set_affinity

    async def update(self, resources: bytes) -> None:
        """Change limits.

        Args:
            resources: OCI's `WindowsResources` as JSON.

        Raises:
            InvalidArgumentError: They can't be right.
            UnimplementedError: This Windows can't change that.
            ShimError: The service refuses.
        """
        try:
            parsed = json.loads(resources)
        except (ValueError, RecursionError) as error:
            raise InvalidArgumentError(f"resources are no JSON: {error}") from None
        asked = modify.container_update(
            self._system.id,
            Member(parsed, document="resources"),
            build=self._build,
            processor_count=self._processors,
        )
        for request in asked.requests:
            await self._system.modify(dumps(request))
        if asked.affinity:
            await self._set_affinity(self._system.id, asked.affinity)

    async def add_mount(self, host_path: str, container_path: str, *, read_only: bool) -> None:
        """Map a further folder of the host into the running container.

        Raises:
            ShimError: It is none, can't be mapped, or the service refuses.
        """
        check_added_mount(host_path, container_path)
        directory = MappedDirectory(await self._resolve(host_path), container_path, read_only)
        await self._system.modify(dumps(modify.add_directory(directory)))
