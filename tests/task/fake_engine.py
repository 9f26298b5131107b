"""An engine without containers, which does what a test tells it, when it tells it.

What it does by itself:
- An init has a pid from its creation (not if it is made from a checkpoint), an exec from its start.
- A process ends when the test says so (`finish`), when it gets signal 9 or 15, or right at its
  start if its program is `exit N`, and can't be started if that is `missing`. A process whose
  program is anything else runs on.
- When an init ends its execs live on, as in a shared pid namespace, until `init_exited`.
- Errors of a process that has ended, or never began, are those that `podshim.engine` asks for.

What a test can do to any call, named like `create c1`, `start c1/e1`, `pause c1`, `free c1/e1`
(the deletion of a process) or `delete c1` (of a container):
- `hold(call)` makes the next one wait, before it acts, until the gate is opened;
- `fail(call, error)` makes the next one raise instead of acting.

It also holds the task layer to its promises: whatever breaks one is kept in `violations`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING

from podshim.engine import (
    Container,
    CreateRequest,
    Engine,
    Environment,
    Exit,
    Process,
    Stdio,
    TypedValue,
)
from podshim.errors import FailedPreconditionError, NotFoundError, ShimError, UnimplementedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Gate:
    """Holds one call: `reached` when it has come, on its way again after `open`."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        self._opened.set()

    async def pass_through(self) -> None:
        self.reached.set()
        await self._opened.wait()


class Stage:
    """Where a fake engine's calls come in: what they are called, and what a test does to them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.violations: list[str] = []
        self.now = 1_700_000_000_000_000_000
        self._gates: dict[str, Gate] = {}
        self._errors: defaultdict[str, list[Exception]] = defaultdict(list)
        self._pid = 1000

    def hold(self, call: str) -> Gate:
        gate = self._gates[call] = Gate()
        return gate

    def fail(self, call: str, error: Exception) -> None:
        self._errors[call].append(error)

    def clock(self) -> int:
        self.now += 1_000_000
        return self.now

    def next_pid(self) -> int:
        self._pid += 1
        return self._pid

    async def enter(self, call: str) -> None:
        self.calls.append(call)
        gate = self._gates.pop(call, None)
        if gate is not None:
            await gate.pass_through()
        if self._errors[call]:
            raise self._errors[call].pop(0)


class FakeEngine(Stage, Engine):
    runtime_name = "io.containerd.fake.v1"

    def __init__(self, environment: Environment | None = None) -> None:
        Stage.__init__(self)
        Engine.__init__(self, environment or Environment("default", "fake"))
        self.containers: dict[str, FakeContainer] = {}
        #: Every process that was ever made and not freed, by `c1` or `c1/e1`.
        self.processes: dict[str, FakeProcess] = {}
        #: If so, an end by signal 9 waits for the engine's last word on memory, in real time.
        self.sees_memory = False
        #: The ids of containers whose last deletion was made to fail.
        self.left_over: set[str] = set()

    async def create(self, request: CreateRequest) -> Container:
        await self.enter(f"create {request.id}")
        if request.id in self.containers and request.id not in self.left_over:
            self.violations.append(f"{request.id} was created twice")
        self.left_over.discard(request.id)
        container = FakeContainer(self, request)
        self.containers[request.id] = container
        return container


class FakeProcess(Process):
    def __init__(self, engine: FakeEngine, name: str, args: list[str], pid: int) -> None:
        self.name = name
        self.ended: Exit | None = None
        self.started = False
        self.freed = False
        self.free_asked = False
        self.signals: list[int] = []
        self.size = (0, 0)
        self.stdin_closed = 0
        self._engine = engine
        self._args = args
        self._pid = pid
        self._end = asyncio.Event()
        self._wait_error: Exception | None = None
        engine.processes[name] = self

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def alive(self) -> bool:
        return self._pid != 0 and self.ended is None

    def finish(self, status: int, at: int = 0) -> None:
        if self.ended is None:
            self.ended = Exit(status, at or self._engine.clock())
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
            raise FailedPreconditionError("OCI runtime start failed: the process is gone")
        self._pid = self._pid or self._engine.next_pid()
        if self._args[:1] == ["missing"]:
            self._pid = 0
            raise ShimError("OCI runtime exec failed: executable file not found in $PATH")
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
        if not self.alive:
            raise NotFoundError("process already finished")
        self.signals.append(signal)
        if signal in (9, 15):
            self.finish(128 + signal)

    async def resize(self, width: int, height: int) -> None:
        self.size = (width, height)

    async def close_stdin(self) -> None:
        self.stdin_closed += 1

    async def delete(self) -> None:
        self.free_asked = True
        await self._engine.enter(f"free {self.name}")
        if self.freed:
            self._engine.violations.append(f"{self.name} was freed twice")
        if self.alive and self.started:
            self._engine.violations.append(f"{self.name} was freed while it ran")
        self.freed = True
        del self._engine.processes[self.name]


class FakeContainer(Container):
    def __init__(self, engine: FakeEngine, request: CreateRequest) -> None:
        self.id = request.id
        self.request = request
        self.frozen = False
        self.thaw_asked = False
        self.resources: bytes = b""
        self.checkpoints: list[tuple[str, TypedValue | None]] = []
        self.oom = asyncio.Semaphore(0)
        self.oom_over = False
        self._engine = engine
        self._changing: str | None = None
        self._processes: list[FakeProcess] = []
        with contextlib.suppress(OSError):
            self._args = list(json.loads(request.bundle.read("args", 4096)))
        pid = 0 if request.checkpoint else engine.next_pid()
        self._init = FakeProcess(engine, self.id, getattr(self, "_args", []), pid)

    @property
    def init(self) -> FakeProcess:
        return self._init

    @contextlib.contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        if self._changing is not None:
            self._engine.violations.append(f"{what} of {self.id} during {self._changing}")
        self._changing = what
        try:
            yield
        finally:
            self._changing = None

    async def exec(self, exec_id: str, spec: bytes, stdio: Stdio) -> Process:
        with self._alone("exec"):
            await self._engine.enter(f"exec {self.id}/{exec_id}")
            args = json.loads(spec).get("args", [])
            process = FakeProcess(self._engine, f"{self.id}/{exec_id}", args, 0)
            self._processes.append(process)
            return process

    async def kill(self, signal: int, *, everyone: bool) -> None:
        if everyone:
            await self._engine.enter(f"kill {self.id} {signal} all")
            if not self._init.alive:
                raise NotFoundError("process already finished")
            for process in [self._init, *self._processes]:
                if process.alive:
                    process.finish(128 + signal)
        else:
            await self._init.kill(signal)

    async def init_exited(self) -> None:
        await self._engine.enter(f"init_exited {self.id}")
        if self.frozen and not self.thaw_asked:
            self._engine.violations.append(f"init_exited of {self.id} while it is frozen")
        for process in self._processes:
            if process.alive:
                process.finish(137)

    async def pause(self) -> None:
        with self._alone("pause"):
            await self._engine.enter(f"pause {self.id}")
            self.frozen = True
            self.thaw_asked = False

    async def resume(self) -> None:
        with self._alone("resume"):
            self.thaw_asked = True
            await self._engine.enter(f"resume {self.id}")
            self.frozen = False

    async def pids(self) -> Sequence[int]:
        await self._engine.enter(f"pids {self.id}")
        return [process.pid for process in [self._init, *self._processes] if process.alive]

    async def update(self, resources: bytes) -> None:
        with self._alone("update"):
            await self._engine.enter(f"update {self.id}")
            self.resources = resources

    async def stats(self) -> TypedValue:
        await self._engine.enter(f"stats {self.id}")
        return TypedValue("io.containerd.cgroups.v2.Metrics", b"\x0a\x00")

    async def checkpoint(self, path: str, options: TypedValue | None) -> None:
        with self._alone("checkpoint"):
            await self._engine.enter(f"checkpoint {self.id}")
            self.checkpoints.append((path, options))

    async def wait_oom(self) -> None:
        if not self._engine.sees_memory:
            raise UnimplementedError("wait_oom")
        await self.oom.acquire()
        if self.oom_over:
            raise NotFoundError("no more kills")

    async def delete(self) -> None:
        with self._alone("delete"):
            self._engine.left_over.add(self.id)
            await self._engine.enter(f"delete {self.id}")
            self._engine.left_over.discard(self.id)
            for process in [self._init, *self._processes]:
                if not process.free_asked:
                    self._engine.violations.append(f"{self.id} was deleted before {process.name}")
                process.finish(137)
                self._engine.processes.pop(process.name, None)
            del self._engine.containers[self.id]
