"""The engine of Windows: containers of the Host Compute Service, in jobs of the host, or in VMs.

Theory of operation. The engine decides only who makes a container: one that shall live in a utility
VM is the VM's, a HostProcess container that is not isolated is a job (`hostprocess`), and any other
is a compute system. It owns what they share: the calls of the compute service, and its threads.

The parts are imported when the engine opens or first needs them: `delete` only needs a class
method, and should start quickly.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from podshim.engine import EngineInfo, Exit
from podshim.errors import InvalidArgumentError, ShimError
from podshim.task.runhcs.host import ContainerRequest, WindowsEngine
from podshim.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from podshim.bundle import Bundle
    from podshim.engine import CreateRequest, Environment, TypedValue
    from podshim.engines.hcs.argon import Argons
    from podshim.engines.hcs.hostservice import Service
    from podshim.engines.hcs.vm.machine import Vm
    from podshim.task.runhcs.host import HostCommand, UtilityVM, VmRequest, WindowsContainer
    from podshim.transport.streams import DuplexStream

_UNKNOWN_STATUS = 255

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What an open engine has."""

    service: Service
    argons: Argons
    processors: int


class HcsEngine(WindowsEngine):
    """Runs containers with what Windows has for them. Used on one Proactor loop."""

    runtime_name: ClassVar[str] = "io.containerd.runhcs.v1"

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.build = 0
        self._parts: _Parts | None = None

    async def open(self) -> None:
        """Learn which Windows this is, and make what calls the compute service.

        Raises:
            OSError: This is not Windows.
        """
        from podshim.engines.hcs.argon import Argons
        from podshim.engines.hcs.computecore import ComputeCoreDll
        from podshim.engines.hcs.hostservice import Service
        from podshim.engines.hcs.timeouts import Timeouts
        from podshim.win32.version import build_number, processor_count

        self.build = build_number()
        timeouts = Timeouts.of(os.environ)
        service = Service(
            ComputeCoreDll, _open_stream, timeouts, scrub_logs=self.environment.scrub_logs
        )
        processors = processor_count()
        argons = Argons(service, self.environment.namespace, self.build, processors, sys.argv[0])
        self._parts = _Parts(service, argons, processors)

    async def close(self) -> None:
        """Give back what `open` took."""
        if self._parts is not None:
            await self._parts.service.close()
            self._parts = None

    async def create(self, request: CreateRequest) -> WindowsContainer:
        """Create a container from what is in its bundle; see `create_container`.

        Raises:
            ShimError: It can't be created, or its bundle holds no spec.
        """
        import asyncio  # `delete` needs this class, and no event loop

        spec = await asyncio.to_thread(_read_spec, request.bundle.file("config.json"))
        return await self.create_container(
            ContainerRequest(request.id, request.bundle, spec, request.rootfs, request.stdio)
        )

    async def create_container(self, request: ContainerRequest) -> WindowsContainer:
        """Create a container whose init waits to be started.

        Raises:
            ShimError: It can't be created; nothing of it is left.
        """
        from podshim.hcsspec import predicates

        parts = self._opened()
        if request.vm is not None:
            return await _hosting(request.vm).create_container(request)
        if predicates.is_isolated(request.spec):
            raise ShimError(f"container {request.id} is hypervisor-isolated, but has no VM")
        if predicates.is_host_process(request.spec):
            return await self._create_host_process(request)
        return await parts.argons.create(request)

    async def create_vm(self, request: VmRequest) -> UtilityVM:
        """Create a utility VM that waits to be started.

        Raises:
            ShimError: It can't be created; nothing of it is left.
        """
        from podshim.engines.hcs import vm
        from podshim.engines.hcs.vm.host import VmHost

        parts = self._opened()
        host = VmHost(
            setting=parts.argons.setting,
            owner=parts.argons.host.owner,
            program_folder=_program_folder(),
            service=parts.argons.hcs,
            threads=parts.service.threads,
            processors=parts.processors,
            program_files=os.environ.get("ProgramFiles", ""),  # noqa: SIM112 - as Windows has it
            log_level="debug" if self.environment.debug else "info",
            scrub_logs=self.environment.scrub_logs,
        )
        return await vm.create(host, request)

    async def run_on_host(self, command: HostCommand) -> int:
        """Run a command on this machine, outside containers; return its exit code.

        Raises:
            ShimError: It can't be run.
        """
        from podshim.engines.hcs import hostcommand

        return await hostcommand.run(command, self.environment.namespace)

    async def await_debugger(self) -> None:
        """Wait for a debugger if the environment asks for it."""
        from podshim.shim.runhcs.debugger import await_debugger

        await await_debugger()

    async def _create_host_process(self, request: ContainerRequest) -> WindowsContainer:
        """Create a HostProcess container on the host."""
        from podshim.engines.hcs import hostprocess

        parts = self._opened()
        facts = hostprocess.HostFacts(
            self.environment.namespace, self.build, parts.processors, parts.argons.mount_layers
        )
        return await hostprocess.create(request, facts)

    def _opened(self) -> _Parts:
        if self._parts is None:
            raise ShimError("the engine is not open")
        return self._parts

    @classmethod
    def force_delete(cls, container_id: str, say: Callable[[str], None]) -> None:
        """End what a dead shim left of a container; blocks for 30 s at most.

        Raises:
            ShimError: It did not end in time.
        """
        from podshim.engines.hcs.cleanup import force_delete

        force_delete(container_id, say)

    @classmethod
    def info(cls, options: TypedValue | None) -> EngineInfo:  # noqa: ARG003 - none matters
        """Describe the engine."""
        return EngineInfo(version=VERSION)

    @classmethod
    def cleanup(cls, namespace: str, container_id: str, bundle: Bundle) -> Exit | None:  # noqa: ARG003
        """Remove what a dead shim left of a container.

        Raises:
            ShimError: It did not end in time.
        """
        cls.force_delete(container_id, _log.warning)
        return Exit(_UNKNOWN_STATUS, time.time_ns())


def _hosting(vm: UtilityVM) -> Vm:
    from podshim.engines.hcs.vm.machine import Vm

    if not isinstance(vm, Vm):
        raise ShimError(f"the VM {vm.id} is not of this engine")
    return vm


def _program_folder() -> str:
    return os.path.dirname(os.path.abspath(sys.argv[0]))


def _read_spec(path: str) -> dict[str, object]:
    try:
        with open(path, "rb") as file:
            spec = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"config.json: {error}") from error
    if not isinstance(spec, dict):
        raise InvalidArgumentError("config.json is no JSON object")
    return spec


def _open_stream(handle: int) -> DuplexStream:
    from podshim.transport.pipes import PipeStream
    from podshim.win32.handles import Handle

    return PipeStream(Handle(handle, "a process's pipe"))
