"""Putting a container together: its processes, its updates, its resources, around its system."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from podshim.engines.hcs.container import HcsContainer, Parts
from podshim.engines.hcs.documents.jsontext import dumps
from podshim.engines.hcs.documents.process import linux_process_parameters, process_parameters
from podshim.engines.hcs.process import HcsContainerProcess, Launch
from podshim.engines.hcs.signals import signal_options
from podshim.engines.hcs.stdio import connect
from podshim.hcsspec import builds
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from podshim.api.runhcs_stats_pb2 import Statistics
    from podshim.engine import Stdio
    from podshim.engines.hcs.compute import ComputeSystem
    from podshim.engines.hcs.container import Resources, Updates
    from podshim.engines.hcs.stdio import Upstream
    from podshim.engines.hcs.timeouts import Timeouts
    from podshim.task.runhcs.host import ContainerRequest


@dataclass(frozen=True, slots=True)
class Setting:
    """What all containers of an engine have in common.

    Args:
        namespace: containerd's namespace.
        build: The build of this Windows.
        timeouts: How long a container's end may take.
        spawn: Lets a task go on that nobody waits for.
    """

    namespace: str
    build: int
    timeouts: Timeouts
    spawn: Callable[[Coroutine[None, None, None], str], asyncio.Task[None]]

    @property
    def signals_supported(self) -> bool:
        """Whether this Windows delivers signals."""
        return self.build >= builds.RS5


@dataclass(frozen=True, slots=True)
class Guest:
    """What is different for containers in a utility VM.

    Args:
        linux: Whether its guest is Linux: processes are told as in the OCI spec, and who signals
            one waits until that is done.
        signals_supported: Whether its agent delivers signals.
    """

    linux: bool = False
    signals_supported: bool = True


async def connect_init(setting: Setting, request: ContainerRequest) -> Upstream:
    """Connect the init's streams, before anything else is made.

    Raises:
        InvalidArgumentError: The spec's process can't be one.
        ShimError: They can't be connected; none is open.
    """
    process_parameters(Member(request.spec)["process"].members(), request.stdio)
    return await connect(request.id, request.stdio, setting.namespace, request.io_retry_timeout)


def assemble(
    setting: Setting,
    request: ContainerRequest,
    upstream: Upstream,
    system: ComputeSystem,
    resources: Resources,
    updates: Updates,
    *,
    guest: Guest | None = None,
    measure: Callable[[], Awaitable[Statistics]] | None = None,
) -> HcsContainer:
    """Make the container; everything is its own from now on.

    Args:
        setting: What all containers have in common.
        request: What was asked for.
        upstream: The init's streams.
        system: The compute system, not started yet.
        resources: What it is made from.
        updates: How it is changed.
        guest: The VM's guest that it lives in; None on the host.
        measure: Measures it without asking the system; raises OSError where that can't be done.
    """
    linux = guest is not None and guest.linux
    supported = setting.signals_supported and (guest is None or guest.signals_supported)

    def process(
        spec: Mapping[str, object], streams: Upstream, *, init: bool
    ) -> HcsContainerProcess:
        parameters = process_parameters(spec, streams.stdio)
        command_line = str(parameters.get("CommandLine", ""))
        if linux:  # the container's own document has the init's process
            parameters = linux_process_parameters(None if init else spec, streams.stdio)
        launch = Launch(
            dumps(parameters),
            command_line,
            starts_container=init,
            choose_signal=partial(signal_options, linux=linux, supported=supported),
            signals_wait=linux,
        )
        return HcsContainerProcess(system, streams, launch, setting.spawn)

    async def further(
        exec_id: str, spec: Mapping[str, object], stdio: Stdio
    ) -> HcsContainerProcess:
        process_parameters(spec, stdio)  # refuse it before anything is connected
        streams = await connect(
            request.id, stdio, setting.namespace, request.io_retry_timeout, exec_id=exec_id
        )
        return process(spec, streams, init=False)

    init = process(Member(request.spec)["process"].members(), upstream, init=True)
    parts = Parts(system, resources, further, updates, setting.timeouts, measure)
    return HcsContainer(parts, init)
