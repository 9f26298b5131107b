"""Creating a HostProcess container: checked first, then job, files and init, or nothing."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from podshim.engines.hcs.documents.container import root_volume
from podshim.engines.hcs.hostprocess.container import HostProcessContainer
from podshim.engines.hcs.hostprocess.job import HostJob
from podshim.engines.hcs.hostprocess.launching import Launcher
from podshim.engines.hcs.hostprocess.limits import job_limits
from podshim.engines.hcs.hostprocess.location import location_of
from podshim.engines.hcs.hostprocess.mounts import job_mounts
from podshim.engines.hcs.hostprocess.parameters import parameters_of
from podshim.engines.hcs.hostprocess.rootfs import show
from podshim.engines.hcs.hostprocess.shortcomings import Shortcomings, cause
from podshim.errors import ShimError
from podshim.hcsspec import table
from podshim.hcsspec.annotations import Annotations
from podshim.hcsspec.reading import Member, annotations_of
from podshim.win32 import bindfilter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import ExitStack

    from podshim.engines.hcs.documents.mounts import SpecMount
    from podshim.engines.hcs.hostprocess.limits import JobLimits
    from podshim.engines.hcs.hostprocess.location import Location
    from podshim.engines.hcs.hostprocess.parameters import Parameters
    from podshim.task.runhcs.host import ContainerRequest

log = logging.getLogger(__name__)


class MountedLayers(Protocol):
    """Layers that have been mounted as one volume."""

    @property
    def path(self) -> str:
        r"""The volume: `\\?\Volume{GUID}`, with or without a backslash at its end."""

    async def release(self) -> None:
        """Unmount them."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a container must know of the host and of the shim.

    Args:
        namespace: containerd's namespace.
        build: The build of Windows.
        processors: How many processors the host has.
        mount_layers: Mounts the layers of a request that has no volume of its own.
    """

    namespace: str
    build: int
    processors: int
    mount_layers: Callable[[ContainerRequest], Awaitable[MountedLayers]]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a spec asks for, as far as it can be known beforehand."""

    limits: JobLimits
    mounts: Sequence[SpecMount]
    location: Location
    inherit_user: bool
    init: Parameters


def _plan(request: ContainerRequest, facts: HostFacts) -> _Plan:
    spec = Member(request.spec)
    annotations = Annotations(annotations_of(request.spec))
    if spec["root"]["readonly"].flag():
        log.warning("container %s: its files can't be read-only", request.id)
    return _Plan(
        limits=job_limits(
            spec["windows"]["resources"],
            annotations,
            processors=facts.processors,
            build=facts.build,
        ),
        mounts=job_mounts(spec),
        location=location_of(
            request.id, annotations.get(table.HOST_PROCESS_ROOTFS), bound=bindfilter.supported()
        ),
        inherit_user=annotations.get(table.HOST_PROCESS_INHERIT_USER) == "true",
        init=parameters_of(spec["process"].members()),
    )


async def create(request: ContainerRequest, facts: HostFacts) -> HostProcessContainer:
    """Create a HostProcess container whose init waits to be started.

    Args:
        request: What is asked for; its spec is that of a HostProcess container.
        facts: Where it will be.

    Raises:
        InvalidArgumentError: The spec has a member of another type than OCI's.
        ShimError: Something it asks for can't be; nothing is left behind.
    """
    plan = _plan(request, facts)
    try:
        return await _create(request, facts, plan)
    except OSError as error:
        raise ShimError(f"failed to create job container {request.id}: {cause(error)}") from error


async def _create(request: ContainerRequest, facts: HostFacts, plan: _Plan) -> HostProcessContainer:
    shortcomings = Shortcomings(request.id)
    async with AsyncExitStack() as undo:
        job = HostJob(request.id, shortcomings)
        files = AsyncExitStack()
        undo.push_async_callback(_give_back, files)
        undo.callback(job.close)
        if plan.location.bound:
            job.job.make_silo()
        volume = await _volume(request, facts, files)
        location = replace(plan.location, volume=volume)
        shown = await asyncio.to_thread(show, job, location, plan.mounts, shortcomings)
        files.push_async_callback(_in_thread, shown)
        job.limit(plan.limits)
        launcher = Launcher(
            facts.namespace, job, location, build=facts.build, inherit_user=plan.inherit_user
        )
        container = HostProcessContainer(
            job,
            launcher,
            files.aclose,
            shortcomings,
            namespace=facts.namespace,
            io_retry_timeout=request.io_retry_timeout,
        )
        await container.make_init(Member(request.spec)["process"].members(), request.stdio)
        undo.pop_all()
    return container


async def _volume(request: ContainerRequest, facts: HostFacts, files: AsyncExitStack) -> str:
    """The volume with the container's files, mounted if it is not there already."""
    path = Member(request.spec)["root"]["path"].text()
    if not path:
        layers = await facts.mount_layers(request)
        files.push_async_callback(layers.release)
        path = layers.path
    return root_volume(path)


async def _in_thread(stack: ExitStack) -> None:
    await asyncio.to_thread(partial(stack.__exit__, None, None, None))


async def _give_back(files: AsyncExitStack) -> None:
    try:
        await files.aclose()
    except (OSError, ShimError) as error:
        log.warning("%s", error)
