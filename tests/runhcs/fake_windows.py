"""An engine of Windows without containers, which does what a test tells it, when it tells it.

What it does by itself:
- A process has a pid from its start. It ends when the test says so (`finish`), when it gets signal
  9 or 15, or right at its start if its program is `exit N`; it can't be started if that is
  `missing`. A container's end ends them all; of those that never started `wait` tells 1, also when
  they are freed.
- A VM runs from its start until it is closed or the test ends it (`crash`).

What a test can do to any call is in `task.fake_engine.Stage`; calls are named like `create c1`,
`start c1/e1`, `free c1` (the deletion of a process), `delete c1` (of a container), `boot c1@vm`.
Whatever breaks a promise of the task layer is kept in `violations`.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from podshim.api import runhcs_stats_pb2 as stats_pb
from podshim.api.runhcs_options_pb2 import ProcessDetails
from podshim.engine import CreateRequest, Environment, Exit, Stdio, TypedValue
from podshim.errors import FailedPreconditionError, NotFoundError, ShimError
from podshim.hcsspec.builds import WS2022
from podshim.task.runhcs.host import (
    ContainerRequest,
    HostCommand,
    UtilityVM,
    VmRequest,
    WindowsContainer,
    WindowsEngine,
    WindowsProcess,
)
from task.fake_engine import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podshim.engine import Container


class FakeWindows(Stage, WindowsEngine):
    runtime_name = "io.containerd.fake.v1"

    def __init__(self) -> None:
        Stage.__init__(self)
        WindowsEngine.__init__(self, Environment("default", "fake"))
        self.build = WS2022
        self.requests: list[ContainerRequest] = []
        self.vm_requests: list[VmRequest] = []
        #: All that was ever made, and not freed.
        self.containers: dict[str, FakeContainer] = {}
        self.processes: dict[str, FakeProcess] = {}
        self.vms: dict[str, FakeVM] = {}
        self.commands: list[HostCommand] = []
        self.exit_code = 0
        #: What VMs are made like.
        self.host_process_supported = True

    async def create(self, request: CreateRequest) -> Container:
        raise AssertionError("the contract makes containers by create_container")

    async def create_container(self, request: ContainerRequest) -> WindowsContainer:
        await self.enter(f"create {request.id}")
        self.requests.append(request)
        if request.id in self.containers:
            self.violations.append(f"{request.id} was created twice")
        container = FakeContainer(self, request)
        self.containers[request.id] = container
        return container

    async def create_vm(self, request: VmRequest) -> UtilityVM:
        await self.enter(f"vm {request.id}")
        self.vm_requests.append(request)
        vm = FakeVM(self, request)
        self.vms[request.id] = vm
        return vm

    async def run_on_host(self, command: HostCommand) -> int:
        await self.enter("run")
        self.commands.append(command)
        return self.exit_code

    async def await_debugger(self) -> None:
        await self.enter("debugger")


class FakeProcess(WindowsProcess):
    def __init__(self, engine: FakeWindows, name: str, args: list[str], stdio: Stdio) -> None:
        self.name = name
        self.ended: Exit | None = None
        self.started = False
        self.free_asked = False
        self.signals: list[int] = []
        self.size = (0, 0)
        self.stdin_closed = 0
        self._engine = engine
        self._args = args
        self._stdio = stdio
        self._pid = 0
        self._end = asyncio.Event()
        self._wait_error: Exception | None = None
        #: If so, neither signals nor its container end it.
        self.immortal = False
        engine.processes[name] = self

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def stdio(self) -> Stdio:
        return self._stdio

    @property
    def alive(self) -> bool:
        return self._pid != 0 and self.ended is None

    def finish(self, status: int) -> None:
        if self.ended is None:
            self.ended = Exit(status, self._engine.clock())
            self._end.set()

    def lose(self, error: Exception) -> None:
        """Let `wait` fail, as it must not."""
        self._wait_error = error
        self._end.set()

    async def start(self) -> None:
        if self.started:
            self._engine.violations.append(f"{self.name} was started twice")
        self.started = True
        await self._engine.enter(f"start {self.name}")
        if self.ended is not None:
            raise ShimError("hcs::System::CreateProcess: the container has ended")
        if self._args[:1] == ["missing"]:
            raise ShimError(
                "hcs::System::CreateProcess: The system cannot find the file specified."
            )
        self._pid = self._engine.next_pid()
        if self._args[:1] == ["exit"]:
            self.finish(int(self._args[1]))

    async def wait(self) -> Exit:
        await self._end.wait()
        if self._wait_error is not None:
            raise self._wait_error
        assert self.ended is not None
        return self.ended

    async def kill(self, signal: int) -> None:
        await self._engine.enter(f"kill {self.name} {signal}")
        if signal in {3, 4, 7, 8}:
            raise FailedPreconditionError(f"signal {signal}: invalid signal value")
        if not self.alive:
            raise NotFoundError("the process has already exited")
        self.signals.append(signal)
        if signal in {9, 15} and not self.immortal:
            self.finish(128 + signal)

    async def terminate(self) -> None:
        await self._engine.enter(f"terminate {self.name}")
        if not self.immortal:
            self.finish(1)

    async def resize(self, width: int, height: int) -> None:
        self.size = (width, height)

    async def close_stdin(self) -> None:
        self.stdin_closed += 1

    async def delete(self) -> None:
        if self.free_asked:
            self._engine.violations.append(f"{self.name} was freed twice")
        self.free_asked = True
        if self.alive and not self.immortal:
            self._engine.violations.append(f"{self.name} was freed while it ran")
        await self._engine.enter(f"free {self.name}")
        if not self.alive:
            self.finish(1)
        del self._engine.processes[self.name]


class FakeContainer(WindowsContainer):
    def __init__(self, engine: FakeWindows, request: ContainerRequest) -> None:
        self.id = request.id
        self.request = request
        self.updates: list[bytes] = []
        self.mounts: list[tuple[str, str, bool]] = []
        self.details: list[ProcessDetails] | None = None
        self.measured = stats_pb.Statistics(windows=stats_pb.WindowsContainerStatistics())
        self.exec_specs: dict[str, object] = {}
        self._engine = engine
        self._changing: str | None = None
        self._ended = False
        args = (request.spec.get("process") or {}).get("args") or []
        self._init = FakeProcess(engine, self.id, list(args), request.stdio)
        self._processes = [self._init]
        if request.vm is not None:
            assert isinstance(request.vm, FakeVM)
            request.vm.containers.append(self)

    @property
    def init(self) -> FakeProcess:
        return self._init

    async def _alone(self, call: str) -> None:
        if self._changing is not None:
            self._engine.violations.append(f"{call} during {self._changing}")
        self._changing = call
        try:
            await self._engine.enter(call)
        finally:
            self._changing = None

    def end(self) -> None:
        """All processes end with the container."""
        for process in self._processes:
            if not process.immortal:
                process.finish(1)

    async def exec(self, exec_id: str, spec: bytes, stdio: Stdio) -> WindowsProcess:
        await self._alone(f"exec {self.id}/{exec_id}")
        decoded = json.loads(spec)
        self.exec_specs[exec_id] = decoded
        args = decoded.get("args") or []
        process = FakeProcess(self._engine, f"{self.id}/{exec_id}", args, stdio)
        self._processes.append(process)
        if self._ended:
            process.finish(1)
        return process

    async def init_exited(self) -> None:
        if self._ended:
            self._engine.violations.append(f"{self.id} was ended twice")
        self._ended = True
        await self._engine.enter(f"init_exited {self.id}")
        self.end()

    async def process_details(self) -> Sequence[ProcessDetails]:
        await self._engine.enter(f"details {self.id}")
        if self.details is not None:
            return self.details
        return [ProcessDetails(process_id=each.pid) for each in self._processes if each.alive]

    async def statistics(self) -> stats_pb.Statistics:
        await self._engine.enter(f"statistics {self.id}")
        return self.measured

    async def stats(self) -> TypedValue:
        raise AssertionError("the contract measures by statistics")

    async def update(self, resources: bytes) -> None:
        await self._alone(f"update {self.id}")
        self.updates.append(resources)

    async def add_mount(self, host_path: str, container_path: str, *, read_only: bool) -> None:
        await self._alone(f"mount {self.id}")
        self.mounts.append((host_path, container_path, read_only))

    async def delete(self) -> None:
        for process in self._processes:
            if not process.free_asked:
                self._engine.violations.append(f"{self.id} was deleted before {process.name}")
        if not self._ended:
            self._engine.violations.append(f"{self.id} was deleted before it ended")
        await self._alone(f"delete {self.id}")
        del self._engine.containers[self.id]


class FakeVM(UtilityVM):
    def __init__(self, engine: FakeWindows, request: VmRequest) -> None:
        self.id = request.id
        self.guest_os = "linux" if request.spec.get("linux") is not None else "windows"
        self.processor_count = 4
        self.signals_supported = True
        self.host_process_supported = engine.host_process_supported
        self.containers: list[FakeContainer] = []
        self.networks: list[str] = []
        self.updates: list[tuple[object, dict[str, str]]] = []
        self.cpu_groups: list[str] = []
        self.fragments: list[tuple[str, str]] = []
        self.commands: list[HostCommand] = []
        self.shares: list[tuple[str, str, bool]] = []
        self.forgotten: list[str] = []
        self.measured: stats_pb.VirtualMachineStatistics | None = None
        self.exit_code = 0
        self._engine = engine
        self._ended = asyncio.Event()

    def crash(self) -> None:
        for container in self.containers:
            container.end()
        self._ended.set()

    async def start(self) -> None:
        await self._engine.enter(f"boot {self.id}")

    async def wait(self) -> None:
        await self._ended.wait()

    async def close(self) -> None:
        await self._engine.enter(f"close {self.id}")
        self.crash()
        self._engine.vms.pop(self.id, None)

    async def set_up_network(self, namespace_id: str) -> None:
        await self._engine.enter(f"network {self.id}")
        self.networks.append(namespace_id)

    async def tear_down_network(self, namespace_id: str) -> None:
        await self._engine.enter(f"unnetwork {self.id}")
        self.networks.remove(namespace_id)

    async def update(self, resources: bytes, annotations: Mapping[str, str]) -> None:
        await self._engine.enter(f"update {self.id}")
        self.updates.append((json.loads(resources), dict(annotations)))

    async def set_cpu_group(self, group_id: str) -> None:
        self.cpu_groups.append(group_id)

    async def add_policy_fragment(self, fragment: str, media_type: str) -> None:
        self.fragments.append((fragment, media_type))

    async def statistics(self) -> stats_pb.VirtualMachineStatistics | None:
        return self.measured

    async def run(self, command: HostCommand) -> int:
        self.commands.append(command)
        return self.exit_code

    async def share(self, host_path: str, guest_path: str, *, read_only: bool) -> None:
        self.shares.append((host_path, guest_path, read_only))

    async def stacks(self) -> str:
        await self._engine.enter(f"stacks {self.id}")
        return "goroutine 1"

    async def forget_container(self, container_id: str) -> None:
        await self._engine.enter(f"forget {container_id}")
        self.forgotten.append(container_id)
