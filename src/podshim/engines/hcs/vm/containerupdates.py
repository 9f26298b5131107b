"""Changing a container that runs in a VM: limits and further folders.

Theory of operation. A Windows guest takes the same requests for a container as the host's HCS; a
Linux guest takes OCI's resources themselves. A further folder is shared with the VM first, for as
long as the container lives.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents import modify
from podshim.engines.hcs.documents.modify import guest_request
from podshim.engines.hcs.documents.mounts import MappedDirectory
from podshim.errors import InvalidArgumentError, UnimplementedError
from podshim.hcsspec.addedmounts import check_added_mount
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from podshim.engines.hcs.compute import ComputeSystem
    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.resources import Resources
    from podshim.engines.hcs.vm.machine import Vm


class GuestUpdates:
    """How one container is changed.

    Args:
        vm: The VM that it lives in.
        system: The container.
        resources: Takes what it is given.
    """

    def __init__(self, vm: Vm, system: ComputeSystem, resources: Resources) -> None:
        self._vm = vm
        self._system = system
        self._resources = resources

    async def update(self, resources: bytes) -> None:
        """Change limits.

        Args:
            resources: OCI's resources of the guest's platform, as JSON.

        Raises:
            InvalidArgumentError: They can't be right.
            UnimplementedError: That can't be changed here.
            ShimError: The guest refuses.
        """
        try:
            parsed = json.loads(resources)
        except (ValueError, RecursionError) as error:
            raise InvalidArgumentError(f"resources are no JSON: {error}") from None
        if not isinstance(parsed, dict):
            raise InvalidArgumentError("resources are no JSON object")
        if not self._vm.windows:
            await self._system.modify(linux_constraints(parsed))
            return
        asked = modify.container_update(
            self._system.id,
            Member(parsed, document="resources"),
            build=self._vm.host.setting.build,
            processor_count=self._vm.processor_count,
            in_vm=True,
        )
        for request in asked.requests:
            await self._system.modify(request)

    async def add_mount(self, host_path: str, container_path: str, *, read_only: bool) -> None:
        """Map a further folder of the host into the running container.

        Raises:
            UnimplementedError: It is a Linux container.
            ShimError: It can't be mapped.
        """
        if not self._vm.windows:
            raise UnimplementedError("adding mounts to running Linux containers")
        check_added_mount(host_path, container_path)
        held = await self._vm.vsmb.add(host_path, read_only=read_only)
        directory = MappedDirectory(held.guest_path, container_path, read_only)
        try:
            await self._system.modify(modify.add_directory(directory))
        except BaseException:
            await held.release()
            raise
        self._resources.add(f"mount {container_path}", held.release)


def linux_constraints(resources: Json) -> Json:
    """The request that changes a Linux container's limits."""
    settings = {"Windows": {}, "Linux": resources}
    return guest_request("ContainerConstraints", "Update", settings)
