"""Making tasks of requests that have been judged: VM, container, pretended sandbox.

Theory of operation. A `Maker` asks the engine for what a task needs and undoes it when a later step
fails: a VM that was made is closed, whatever step failed. A task that has been made is complete:
its watchers run and its creation has been announced.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from podshim.errors import FailedPreconditionError, ShimError
from podshim.hcsspec.builds import RS5
from podshim.hcsspec.predicates import (
    CONTAINER_TYPE,
    SANDBOX_ID,
    ContainerType,
    container_type_and_sandbox,
    is_host_process,
    is_isolated,
    is_lcow,
    is_wcow,
    with_lasting_pause,
)
from podshim.task.background import attempt
from podshim.task.runhcs.container import ContainerTask
from podshim.task.runhcs.host import ContainerRequest, VmRequest
from podshim.task.runhcs.hostprocess import adjusted_spec
from podshim.task.runhcs.sandbox import SandboxTask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from podshim.task.events import Event
    from podshim.task.outbox import Outbox
    from podshim.task.runhcs.host import Spec, UtilityVM, WindowsContainer, WindowsEngine
    from podshim.task.runhcs.request import Judged
    from podshim.task.runhcs.task import Surroundings, Task


class Maker:
    """What makes a shim's tasks.

    Args:
        engine: What runs containers.
        outbox: Where events go.
        surroundings: What the tasks share.
    """

    def __init__(
        self, engine: WindowsEngine, outbox: Outbox[Event], surroundings: Surroundings
    ) -> None:
        self._engine = engine
        self._outbox = outbox
        self._surroundings = surroundings

    async def standalone(self, judged: Judged) -> Task:
        """Make the one task of a shim without a pod.

        Raises:
            FailedPreconditionError: It belongs to a pod, or is no container that Windows knows.
            ShimError: The engine's reason; nothing is left behind.
        """
        kind, _ = container_type_and_sandbox(judged.annotations)
        if kind is not ContainerType.NONE:
            raise FailedPreconditionError(
                f"cannot create standalone task, expected no annotation: '{CONTAINER_TYPE}':"
                f" got '{kind.value}'"
            )
        if self._engine.build >= RS5 and is_isolated(judged.spec):
            async with self._machine(judged) as vm:
                return await self.container(judged, judged.spec, vm, owns_vm=True)
        if not is_wcow(judged.spec):
            raise FailedPreconditionError("oci spec does not contain WCOW or LCOW spec")
        return await self.container(judged, judged.spec, None, owns_vm=True)

    async def sandbox(self, judged: Judged) -> Task:
        """Make the sandbox task of a pod.

        Raises:
            FailedPreconditionError: It is no sandbox, or this Windows has no pods.
            ShimError: The engine's reason; nothing is left behind.
        """
        if self._engine.build < RS5:
            raise FailedPreconditionError(
                "pod support is not available on Windows versions previous to RS5 (17763)"
            )
        check_place(judged.annotations, ContainerType.SANDBOX, judged.id)
        spec = judged.spec
        if is_isolated(spec):
            async with self._machine(judged) as vm:
                if is_lcow(spec):
                    return await self.container(judged, spec, vm, owns_vm=True)
                await _set_up_network(vm, judged)
                return self._pretended(judged, vm)
        if is_host_process(spec):
            return self._pretended(judged, None)
        return await self.container(judged, with_lasting_pause(spec), None, owns_vm=True)

    async def container(
        self, judged: Judged, spec: Spec, vm: UtilityVM | None, *, owns_vm: bool
    ) -> ContainerTask:
        """Make a task with a container.

        Args:
            judged: What was asked for.
            spec: The container's spec, if it is not quite that of the request.
            vm: The VM that it shall live in; None for the host.
            owns_vm: Whether that was made for this task.

        Raises:
            ShimError: The engine's reason; nothing is left behind.
        """
        container = await self.engine_container(judged, spec, vm, owns_vm=owns_vm)
        return self.task(judged, container, spec, vm, owns_vm=owns_vm)

    async def engine_container(
        self, judged: Judged, spec: Spec, vm: UtilityVM | None, *, owns_vm: bool
    ) -> WindowsContainer:
        """Make a container that is no task yet: the first half of `container`."""
        request = judged.request
        return await self._engine.create_container(
            ContainerRequest(
                id=request.id,
                bundle=request.bundle,
                spec=adjusted_spec(spec),
                rootfs=request.rootfs,
                stdio=request.stdio,
                io_retry_timeout=float(max(judged.options.io_retry_timeout_in_sec, 0)),
                scale_cpu_limits=judged.options.scale_cpu_limits_to_sandbox,
                vm=vm,
                owns_vm=owns_vm and vm is not None,
            )
        )

    def task(
        self,
        judged: Judged,
        container: WindowsContainer,
        spec: Spec,
        vm: UtilityVM | None,
        *,
        owns_vm: bool,
    ) -> ContainerTask:
        """Make a container a task and announce it: the second half of `container`."""
        return ContainerTask(
            judged.request,
            container,
            spec,
            track=self._outbox.full_track(),
            surroundings=self._surroundings,
            vm=vm,
            owns_vm=owns_vm,
        )

    def _pretended(self, judged: Judged, vm: UtilityVM | None) -> SandboxTask:
        return SandboxTask(
            judged.request,
            judged.namespace if vm is not None else "",
            track=self._outbox.full_track(),
            surroundings=self._surroundings,
            vm=vm,
        )

    @asynccontextmanager
    async def _machine(self, judged: Judged) -> AsyncIterator[UtilityVM]:
        """Make and boot a VM; it is closed if what is done with it fails."""
        request = VmRequest(
            id=f"{judged.id}@vm",
            bundle=judged.request.bundle,
            spec=judged.spec,
            rootfs=judged.request.rootfs,
        )
        vm = await self._engine.create_vm(request)
        try:
            await vm.start()
            yield vm
        except BaseException:
            await attempt(vm.close(), f"close {request.id}")
            raise


def check_place(annotations: Mapping[str, str], wanted: ContainerType, sandbox: str) -> None:
    """Check a container's place in a pod.

    Args:
        annotations: The container's.
        wanted: What it must be.
        sandbox: The id of the pod that it must belong to.

    Raises:
        FailedPreconditionError: It is something else, or belongs elsewhere.
        ShimError: The annotations contradict each other.
    """
    kind, found = container_type_and_sandbox(annotations)
    if kind is not wanted:
        raise FailedPreconditionError(
            f"expected annotation: '{CONTAINER_TYPE}': '{wanted.value}' got '{kind.value}'"
        )
    if found != sandbox:
        raise FailedPreconditionError(
            f"expected annotation '{SANDBOX_ID}': '{sandbox}' got '{found}'"
        )


async def discard(container: WindowsContainer, name: str) -> None:
    """Take back a container that has not become a task; failures are logged."""
    await attempt(container.init.delete(), f"free the init of {name}")
    await attempt(container.init_exited(), f"end the container of {name}")
    await attempt(container.delete(), f"free the container of {name}")


async def _set_up_network(vm: UtilityVM, judged: Judged) -> None:
    if not judged.namespace:
        return
    try:
        await vm.set_up_network(judged.namespace)
    except ShimError as error:
        text = f'failed to setup networking for pod "{judged.id}": {error.detail}'
        raise type(error)(text) from error
