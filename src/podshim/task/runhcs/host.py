"""What this contract asks of an engine beyond `podshim.engine`: all that a Windows engine adds.

Theory of operation. The task layer of this contract reads a container's spec, because the contract
says what a spec must be before anything is made of it, and hands the engine the spec as it is to be
taken. A container may live in a utility VM (`UtilityVM`), which belongs to the pod, or to the task
if it stands alone; the engine makes both, the task layer owns their lives.

Promises of the task layer, beside those of `podshim.engine`:
- After an init's end, or instead of its start: `Container.init_exited` (which ends the container,
  gracefully first), then `Container.delete` (which frees everything), once each and in this order,
  also after failures. Only then is the exit told.
- After a process's end `Process.delete` is called at once: it lets output drain for its bounded
  time. It is also called for a process that was never started.
- `UtilityVM.close` is called after the deletion of the container that owns the VM, and earlier if
  that container's init outlives a SIGKILL: what still runs in the VM then ends with it.

Promises of an engine:
- Upstream streams are connected when a process is made (`create_container`, `Container.exec`), not
  when it is started: a pipe that is not there fails that call, and a failure leaves none open.
- `Process.wait` returns as soon as the process has ended, whatever becomes of its output. It also
  returns, with status 1, for a process that waits to be started when its container has ended, or
  when it is deleted.
- `Process.kill` judges the signal (`signal <n>: invalid signal value`, FailedPreconditionError); a
  process that is just ending has taken it, one that can't be told any more is a NotFoundError.
- Everything in a `UtilityVM` that has ended, or was closed, has ended: `wait` returns, and
  `init_exited` and `delete` of its containers need nothing of it any more.
- `Process.start` of an init that fails ends what it has started of the container before it raises.
- Statuses are what Windows says, unsigned and 32 bits wide; 4294967295 for an end without a status.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from podshim.engine import Container, Engine, Mount, Process, Stdio
from podshim.errors import UnimplementedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from podshim.api.runhcs_options_pb2 import ProcessDetails
    from podshim.api.runhcs_stats_pb2 import Statistics, VirtualMachineStatistics
    from podshim.bundle import Bundle

    # Any: a parsed JSON document; whoever reads a member checks its type.
    Spec = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ContainerRequest:
    """What `WindowsEngine.create_container` is asked for.

    Args:
        id: The container's id.
        bundle: Its folder.
        spec: The OCI spec, with the annotations as they count: expanded, merged, inherited.
        rootfs: The root file system's mounts, as the client gave them.
        stdio: The init's streams.
        io_retry_timeout: For how long to redial a stream that broke, in s; 0 for ever.
        scale_cpu_limits: Whether a CPU limit is relative to the VM's processors (an option).
        vm: The VM that it shall live in; None for the host.
        owns_vm: Whether the VM was made for this container alone, or it is its pod's sandbox.
    """

    id: str
    bundle: Bundle
    spec: Spec
    rootfs: tuple[Mount, ...] = ()
    stdio: Stdio = field(default_factory=Stdio)
    io_retry_timeout: float = 0.0
    scale_cpu_limits: bool = False
    vm: UtilityVM | None = None
    owns_vm: bool = False


@dataclass(frozen=True, slots=True)
class VmRequest:
    """What `WindowsEngine.create_vm` is asked for.

    Args:
        id: The VM's id, `<pod or task>@vm`.
        bundle: The folder of the sandbox or single task.
        spec: Its OCI spec, as in `ContainerRequest`.
        rootfs: Its root file system's mounts: a Windows guest boots from its layers.
    """

    id: str
    bundle: Bundle
    spec: Spec
    rootfs: tuple[Mount, ...] = ()


class WindowsProcess(Process):
    """A process of this contract."""

    @property
    @abstractmethod
    def stdio(self) -> Stdio:
        """The streams as `State` tells them: what relays them decides (pipes: as given)."""

    @abstractmethod
    async def terminate(self) -> None:
        """End a running process hard, whatever signals mean to it; of one that has ended, nothing.

        Raises:
            ShimError: It could not be done.
        """


class WindowsContainer(Container):
    """A container of this contract."""

    @property
    @abstractmethod
    def init(self) -> WindowsProcess:
        """The container's first process."""

    @abstractmethod
    async def exec(self, exec_id: str, spec: bytes, stdio: Stdio) -> WindowsProcess:
        """As `Container.exec`."""

    @abstractmethod
    async def process_details(self) -> Sequence[ProcessDetails]:
        """Tell of every process in the container; `exec_id` is left to the caller.

        Raises:
            NotFoundError: The container is not there any more, or does not tell.
            ShimError: Any other reason.
        """

    @abstractmethod
    async def statistics(self) -> Statistics:
        """Measure: the message's `container` part, empty if there is nothing to tell.

        Raises:
            NotFoundError: The container is not there any more, or does not tell.
            ShimError: Any other reason.
        """

    async def add_mount(self, host_path: str, container_path: str, *, read_only: bool) -> None:
        """Map a further folder of the host into the running container; paths are not empty."""
        raise UnimplementedError("adding mounts to running containers")


class UtilityVM(ABC):
    """A virtual machine that hosts the containers of one pod or one task."""

    id: str
    #: `windows` or `linux`.
    guest_os: str
    processor_count: int
    #: Whether its guest delivers signals, and runs HostProcess containers.
    signals_supported: bool
    host_process_supported: bool

    @abstractmethod
    async def start(self) -> None:
        """Boot it and connect to its guest. After a failure `close` is called."""

    @abstractmethod
    async def wait(self) -> None:
        """Wait until it has ended, however that comes."""

    @abstractmethod
    async def close(self) -> None:
        """End it and free what it holds; any number of calls."""

    @abstractmethod
    async def set_up_network(self, namespace_id: str) -> None:
        """Give the guest the endpoints of a network namespace."""

    @abstractmethod
    async def tear_down_network(self, namespace_id: str) -> None:
        """Take them away again."""

    @abstractmethod
    async def update(self, resources: bytes, annotations: Mapping[str, str]) -> None:
        """Change the VM's limits: `resources` is the OCI object of its guest's platform as JSON."""

    @abstractmethod
    async def set_cpu_group(self, group_id: str) -> None:
        """Put the VM into a CPU group of the host."""

    @abstractmethod
    async def add_policy_fragment(self, fragment: str, media_type: str) -> None:
        """Hand the guest a fragment of a security policy."""

    @abstractmethod
    async def statistics(self) -> VirtualMachineStatistics | None:
        """Measure the VM; None if it is not there any more or does not tell."""

    @abstractmethod
    async def run(self, command: HostCommand) -> int:
        """Run a command in the guest, outside containers; return its exit code."""

    @abstractmethod
    async def share(self, host_path: str, guest_path: str, *, read_only: bool) -> None:
        """Share a path of the host into the guest."""

    @abstractmethod
    async def stacks(self) -> str:
        """The stacks of the guest's agent, for people; empty if it does not tell."""

    @abstractmethod
    async def forget_container(self, container_id: str) -> None:
        """Let the guest remove the state that it keeps of a container that is gone."""


@dataclass(frozen=True, slots=True)
class HostCommand:
    """A command for diagnosis (`DiagExecInHost`): program and words, folder, streams."""

    args: tuple[str, ...]
    workdir: str = ""
    stdio: Stdio = field(default_factory=Stdio)


class WindowsEngine(Engine):
    """An engine of this contract: what `podshim.shim.runhcs` serves."""

    #: The build number of this Windows, such as 20348 for Server 2022.
    build: int

    @abstractmethod
    async def create_container(self, request: ContainerRequest) -> WindowsContainer:
        """Create a container whose init waits to be started; on any error leave nothing behind."""

    async def create_vm(self, request: VmRequest) -> UtilityVM:
        """Create a utility VM that waits to be started; on any error leave nothing behind."""
        raise UnimplementedError("hypervisor-isolated containers")

    async def run_on_host(self, command: HostCommand) -> int:
        """Run a command on this machine, outside containers; return its exit code."""
        raise UnimplementedError("running commands on the host")

    async def await_debugger(self) -> None:
        """Wait for a debugger if the environment asks for it; called first by every creation."""

    @classmethod
    def force_delete(cls, container_id: str, say: Callable[[str], None]) -> None:
        """End what a dead shim left of a container: part of the `delete` command, may block.

        Args:
            container_id: Which.
            say: Writes a line on standard error: what failed without stopping the rest.

        Raises:
            ShimError: The container did not end in time (30 s).
        """
