"""What an engine is: all that a new shim must implement.

Theory of operation. containerd speaks of tasks and execs; an engine runs containers and processes.
Between them stands `podshim.task`, which owns every state, order and event, so that an engine has
none of that: it acts on the world and says when a process has ended.

    Engine.create(request) -> Container      the container exists, its init waits to be started
    Container.init         -> Process        start() lets it run; wait() returns when it has ended
    Container.exec(...)    -> Process        a further process, not started yet

Promises that the task layer makes to an engine:
- `start` of a process is called at most once, `delete` of a process after its end (or without a
  start), `Container.delete` last, after every process's `delete`.
- Operations that change one container are never called at the same time, but for `kill`, `pids`,
  `stats`, `resize` and `close_stdin`, which must bear company.
- A call that the task layer began is not cancelled half way because a client went away.

Promises that an engine makes to the task layer:
- `wait` may be awaited by many, before and after `start`; it returns the same `Exit` to all, also
  when the process died before it was started, and is not held up by unread output.
- What an operation has begun and can't finish, it undoes before it raises.
- Errors are `podshim.errors.ShimError`s with the real cause in their text.

Every method may be a coroutine on the shim's one event loop: block in a thread or a process of
your own, never in the method. Every call on something outside has a deadline.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from podshim.errors import UnimplementedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.bundle import Bundle


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A `google.protobuf.Any`: a type URL, whose prefix up to the last `/` is moot, and bytes."""

    type_url: str
    value: bytes

    @property
    def type_name(self) -> str:
        """The full message name, without the URL's prefix."""
        return self.type_url.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Stdio:
    """The standard streams as the client wants them: paths of fifos, URIs, or empty for none."""

    terminal: bool = False
    stdin: str = ""
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of a root file system (`containerd.types.Mount`)."""

    type: str
    source: str
    target: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: 0 to 255, or 128 + signal; and when, in ns since the epoch."""

    status: int
    at: int


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """What `Engine.create` is asked for (`CreateTaskRequest`, ids and paths validated).

    `options` are the runtime options as they came, in whatever type the client sent; None when
    there are none. With a `checkpoint` (a folder) nothing runs until init's `start` restores it.
    """

    id: str
    bundle: Bundle
    rootfs: tuple[Mount, ...] = ()
    stdio: Stdio = Stdio()
    options: TypedValue | None = None
    checkpoint: str = ""
    parent_checkpoint: str = ""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What `-info` tells of an engine (`containerd.types.RuntimeInfo`)."""

    version: str = ""
    revision: str = ""
    features: TypedValue | None = None
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Environment:
    """What the shim tells its engine at the start.

    Args:
        namespace: containerd's namespace of its containers.
        shim_id: The id of the task or sandbox that it was started for.
        debug: Whether to be talkative.
        scrub_logs: Whether secrets are taken out of documents before they are logged.
    """

    namespace: str
    shim_id: str
    debug: bool = False
    scrub_logs: bool = True


class Process(ABC):
    """A container's init, or an exec in it."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """The host's process id; 0 as long as there is none."""

    @abstractmethod
    async def start(self) -> None:
        """Let the process run. When it returns, `pid` is known, even if the process has ended."""

    @abstractmethod
    async def wait(self) -> Exit:
        """Wait until the process has ended, for however long that takes."""

    @abstractmethod
    async def kill(self, signal: int) -> None:
        """Send a signal to this process alone.

        Raises:
            NotFoundError: The process has ended (`process already finished`); the kernel's own
                ProcessLookupError does as well.
        """

    async def resize(self, width: int, height: int) -> None:
        """Give the terminal another size, in characters; without a terminal do nothing."""

    async def close_stdin(self) -> None:
        """Drop the shim's own hold on standard input: the last client's close is then its end."""

    async def delete(self) -> None:
        """Let output drain (for a bounded time), then free all that the process held."""


class Container(ABC):
    """A container that an engine has created."""

    @property
    @abstractmethod
    def init(self) -> Process:
        """The container's first process."""

    @abstractmethod
    async def delete(self) -> None:
        """Remove the container and everything that `Engine.create` made, a live init included."""

    async def exec(self, exec_id: str, spec: bytes, stdio: Stdio) -> Process:
        """Prepare a further process; nothing runs before its `start`.

        Args:
            exec_id: Its id, unique in the container, valid by containerd's identifier rule.
            spec: The OCI `process` object as JSON; the caller has seen that it is an object.
            stdio: Its streams; `stdio.terminal` overrides the spec's.
        """
        raise UnimplementedError("exec")

    async def kill(self, signal: int, *, everyone: bool) -> None:
        """Send a signal to the init, or with `everyone` to all processes of the container."""
        await self.init.kill(signal)

    async def init_exited(self) -> None:
        """End what is left: called once when init has ended, before its exit is announced.

        After it every exec's `wait` must come back: kill what does not die with the init.
        """

    async def pause(self) -> None:
        """Freeze all processes."""
        raise UnimplementedError("pause")

    async def resume(self) -> None:
        """Thaw all processes."""
        raise UnimplementedError("resume")

    async def pids(self) -> Sequence[int]:
        """List the host's ids of all processes in the container."""
        return [self.init.pid] if self.init.pid else []

    async def update(self, resources: bytes) -> None:
        """Change limits: `resources` is the OCI `LinuxResources` (or Windows') object as JSON."""
        raise UnimplementedError("update")

    async def stats(self) -> TypedValue:
        """Measure: a message that containerd knows, such as `io.containerd.cgroups.v2.Metrics`."""
        raise UnimplementedError("stats")

    async def checkpoint(self, path: str, options: TypedValue | None) -> None:
        """Write the container's state into the folder `path`."""
        raise UnimplementedError("checkpoint")

    async def wait_oom(self) -> None:
        """Wait for the next kill by the out-of-memory killer; called again after each return.

        Raises:
            NotFoundError: There will be none any more. An engine that knows of a kill returns once
                more before it raises this, so that the kill is told before the exit.
        """
        raise UnimplementedError("wait_oom")


class Engine(ABC):
    """What runs containers. One instance lives as long as its shim process.

    Args:
        environment: What the shim knows of itself.
    """

    #: The runtime name that users give to containerd, such as `io.containerd.runoci.v1`.
    runtime_name: ClassVar[str]

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    async def open(self) -> None:
        """Take what the engine needs for its life; called once, on the shim's loop."""

    async def close(self) -> None:
        """Give back what `open` took; called once, after the last container is gone."""

    @abstractmethod
    async def create(self, request: CreateRequest) -> Container:
        """Create a container whose init waits to be started; on any error leave nothing behind."""

    @classmethod
    def info(cls, options: TypedValue | None) -> EngineInfo:
        """Describe the engine for `-info`; called in a process of its own, may block."""
        return EngineInfo()

    @classmethod
    def cleanup(cls, namespace: str, container_id: str, bundle: Bundle) -> Exit | None:
        """Remove what a dead shim left of a container; it must bear a second call.

        It runs in the `delete` command, a process of its own that may block for a few seconds at
        most, with neither an event loop nor anything of the dead shim but what is in `bundle`.

        Returns:
            How the init ended, where the engine can tell; None makes it exit 137, now.
        """
        return None
