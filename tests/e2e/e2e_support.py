"""What the end-to-end tests share: a shim of ours that hosts many containers, and what it holds.

A `House` is one server process, driven as containerd 2.x drives a pod: its sandbox's `start` made
it, every further container is created over the address that this answered. Tests share it, as the
containers of a pod do; those that hurt a server make one of their own (`House.open`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import secrets
import sys
import tempfile
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from podshim.api import events_pb2, runc_options_pb2, task_types_pb2
from podshim.engine import Mount
from podshim.manager import Manager, Shim, container_spec, pod_annotations, process_spec
from podshim.manager.bundles import ContainerBundle
from podshim.ttrpc import StatusError
from support import census

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from google.protobuf.message import Message

    from podshim.engine import Stdio
    from podshim.errors import Code
    from podshim.manager import Exec, Identity, Task
    from podshim.manager.dialects import Question
    from podshim.manager.spec import Spec

#: Installed beside the interpreter, whether or not that folder is searched.
SHIM = str(Path(sys.executable).with_name("containerd-shim-runoci-v1"))
RUNTIMES = ("runc", "crun")
#: Far more than anything here takes on a busy machine.
DEADLINE = 60.0
#: Runs until it is told to end, and then ends with status 0 at once.
FOREVER = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done")

CREATED = task_types_pb2.CREATED
RUNNING = task_types_pb2.RUNNING
STOPPED = task_types_pb2.STOPPED
PAUSED = task_types_pb2.PAUSED


def options(runtime: str, **values: Any) -> runc_options_pb2.Options:
    """Runtime options as containerd sends them."""
    return runc_options_pb2.Options(binary_name=runtime, **values)


@contextlib.contextmanager
def refused(code: Code, text: str = "") -> Iterator[pytest.ExceptionInfo[StatusError]]:
    """Expect that the shim refuses a call, with a code and a text that contains `text`."""
    with pytest.raises(StatusError, match=re.escape(text) or None) as caught:
        yield caught
    assert caught.value.code is code, caught.value


async def until_async(
    condition: Callable[[], Awaitable[object]], what: str, *, deadline: float = DEADLINE
) -> None:
    """As `until`, for a condition that has to be asked of the shim."""
    end = time.monotonic() + deadline
    while not await condition():
        assert time.monotonic() < end, f"after {deadline:g} s still not: {what}"
        await asyncio.sleep(0.01)


async def until(condition: Callable[[], object], what: str, *, deadline: float = DEADLINE) -> None:
    """Wait for something that happens by itself; the deadline only ends a hopeless wait."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"after {deadline:g} s still not: {what}"
        await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a server holds that could leak; memory aside."""

    descriptors: tuple[str, ...]
    threads: int
    children: int
    zombies: int
    mounts: tuple[str, ...]
    sockets: tuple[str, ...]
    folders: tuple[str, ...]

    @classmethod
    def of(cls, house: House) -> Holdings:
        """Count now."""
        pid = house.server_pid
        numbered = r"\[\d+\]|\(deleted\)"
        return cls(
            tuple(sorted(re.sub(numbered, "", text) for text in census.descriptors(pid).values())),
            census.threads(pid),
            len(census.children(pid)),
            len(census.zombies(pid)),
            tuple(census.mounts_below(Path(house.manager.folder))),
            tuple(map(str, census.sockets())),
            tuple(sorted(_folders(house))),
        )

    def difference(self, later: Holdings) -> str:
        """What `later` holds more or less."""
        lines = []
        for item in dataclasses.fields(self):
            old, new = getattr(self, item.name), getattr(later, item.name)
            if isinstance(old, tuple):
                lost, won = Counter(old) - Counter(new), Counter(new) - Counter(old)
                lines += [f"-{text}" for text in lost.elements()]
                lines += [f"+{text}" for text in won.elements()]
            elif old != new:
                lines.append(f"{item.name}: {old} is now {new}")
        return "\n".join(lines)


async def unchanged(house: House) -> None:
    """Wait until a server holds what it held at first: some of it may be on its way out."""
    first = house.first
    with contextlib.suppress(AssertionError):
        await until(lambda: Holdings.of(house) == first, "the same", deadline=20)
    difference = first.difference(Holdings.of(house))
    assert not difference, difference


def _folders(house: House) -> Iterator[str]:
    """Folders that a container can leave: bundles, runtime state, cgroups, temporary ones."""
    manager = Path(house.manager.folder)
    yield from map(str, manager.glob("*/io.containerd.runtime.v2.task/*/*"))
    yield from map(str, Path("/run/containerd/runc", house.manager.namespace).glob("*"))
    yield from map(str, house.temporary.iterdir())
    yield from map(str, cgroups(house.cgroup))


def cgroups(parent: str) -> list[Path]:
    """The cgroups below a parent of the tests' own, in all hierarchies, the deepest first."""
    # crun makes folders where a hybrid machine's cgroup2 would be; in the private world it is none.
    tops = [top for top in Path("/sys/fs/cgroup").glob(f"*{parent}") if is_cgroup(top)]
    return sorted((path for top in tops for path in top.rglob("*") if path.is_dir()), reverse=True)


def is_cgroup(folder: Path) -> bool:
    """Whether a folder is a cgroup."""
    return (folder / "cgroup.procs").exists()


def remove_cgroups(parent: str) -> None:
    """Remove a parent of containers' cgroups, and what is left in it: nobody else does."""
    for folder in cgroups(parent):
        folder.rmdir()
    for top in Path("/sys/fs/cgroup").glob(f"*{parent}"):
        if is_cgroup(top):
            top.rmdir()


@dataclass
class House:
    """A server that hosts containers, and the small containerd in front of it."""

    manager: Manager
    runtime: str
    rootfs: Path
    sandbox: Shim
    pause: Task
    cgroup: str
    #: The folder for temporary files of its server and its commands.
    temporary: Path
    bundles: dict[str, ContainerBundle] = field(default_factory=dict)
    shims: dict[str, Shim] = field(default_factory=dict)
    #: What the server holds with the sandbox alone.
    first: Holdings = field(init=False)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        runtime: str,
        rootfs: Path,
        *,
        runtime_options: Message | None = None,
        identity: Identity | None = None,
        env: Mapping[str, str] | None = None,
    ) -> AsyncIterator[House]:
        """Start a server for a sandbox, whose container runs; end both afterwards.

        Args:
            runtime: `runc` or `crun`.
            rootfs: The root file system of all its containers, unless they say otherwise.
            runtime_options: Instead of runc's `Options` with the binary's name.
            identity: Which containerd asks.
            env: Further variables for `start`, and so for the server.
        """
        # Cgroups are not private to a test run, so names must be nobody else's.
        mark = secrets.token_hex(4)
        cgroup = f"/podshim-e2e-{mark}"
        temporary = rootfs.parent / f"tmp-{mark}"
        temporary.mkdir()
        async with Manager(
            SHIM,
            namespace=f"e2e-{runtime}-{mark}",
            options=runtime_options or options(runtime),
            identity=identity,
            env={**os.environ, "TMPDIR": str(temporary), **(env or {})},
        ) as manager:
            spec = container_spec(
                process_spec(["sleep", "100000"]),
                root=str(rootfs),
                annotations=pod_annotations("pod", sandbox=True),
                cgroup=f"{cgroup}/pod",
            )
            try:
                async with manager.task("pod", spec=spec) as (sandbox, pause):
                    await pause.start()
                    await manager.events.wait("/tasks/start", "pod")
                    house = cls(manager, runtime, rootfs, sandbox, pause, cgroup, temporary)
                    house.first = Holdings.of(house)
                    yield house
                assert await sandbox.wait_gone(), "the server stays"
            finally:
                remove_cgroups(cgroup)

    @property
    def server_pid(self) -> int:
        """The server's process id."""
        assert self.sandbox.process is not None
        return self.sandbox.process.pid

    def spec(
        self,
        args: Sequence[str],
        *,
        terminal: bool = False,
        user: tuple[int, int] = (0, 0),
        **values: Any,
    ) -> Spec:
        """A spec in this house's place; `values` are those of `container_spec`."""
        values.setdefault("root", str(self.rootfs))
        values.setdefault("annotations", pod_annotations("pod"))
        return container_spec(process_spec(args, terminal=terminal, user=user), **values)

    def member(
        self, spec: Spec | None, name: str = "", *, runtime_options: Message | None = None
    ) -> Shim:
        """A bundle, and a shim object with the sandbox's address; whoever makes it closes it."""
        name = name or f"c{secrets.token_hex(4)}"
        if spec is not None and not spec["linux"].get("cgroupsPath"):
            spec["linux"]["cgroupsPath"] = f"{self.cgroup}/{name}"
        manager = self.manager
        shim = Shim(
            SHIM,
            ContainerBundle(manager.folder, manager.namespace, name, spec),
            self._question(name, runtime_options),
            line=manager.identity.line,
            env=dict(os.environ),
            fifos=os.path.join(manager.folder, "fifo"),
        )
        shim.answer, shim.process = self.sandbox.answer, self.sandbox.process
        self.bundles[name] = shim.bundle
        self.shims[name] = shim
        return shim

    def member_of(self, task: Task) -> Shim:
        """The shim object of a container."""
        return self.shims[task.task_id]

    def _question(self, name: str, runtime_options: Message | None) -> Question:
        question = dataclasses.replace(self.sandbox.question, id=name)
        if runtime_options is not None:
            question = dataclasses.replace(question, options=runtime_options)
        return question

    @asynccontextmanager
    async def place(
        self, spec: Spec | None, name: str = "", *, runtime_options: Message | None = None
    ) -> AsyncIterator[Shim]:
        """A place for a container that is not created yet: bundle and connection."""
        shim = self.member(spec, name, runtime_options=runtime_options)
        try:
            await shim.connect()
            yield shim
        finally:
            try:
                await self._end(shim)
            finally:
                shim.bundle.remove()
                del self.bundles[shim.id], self.shims[shim.id]

    async def _end(self, shim: Shim) -> None:
        task, gone = shim.task, (StatusError, OSError)  # refused, or the server is gone
        if task is not None:
            with contextlib.suppress(*gone):
                await shim.connect()
                with contextlib.suppress(StatusError):
                    await task.kill(9, everyone=True)
                await task.wait()
            with contextlib.suppress(*gone):
                await task.delete()
            task.close()
        await shim.disconnect()

    @asynccontextmanager
    async def task(
        self,
        *args: str,
        name: str = "",
        spec: Spec | None = None,
        rootfs: Iterable[Mount] = (),
        terminal: bool = False,
        stdin: bool = True,
        stdio: Stdio | None = None,
        runtime_options: Message | None = None,
    ) -> AsyncIterator[Task]:
        """A container that is created and not started; it is removed whatever happens."""
        spec = self.spec(args, terminal=terminal) if spec is None else spec
        async with self.place(spec, name, runtime_options=runtime_options) as shim:
            yield await shim.create(rootfs=rootfs, terminal=terminal, stdin=stdin, stdio=stdio)

    @asynccontextmanager
    async def running(self, *args: str, **values: Any) -> AsyncIterator[Task]:
        """A container that is started: a shell that waits, unless told otherwise."""
        async with self.task(*(args or FOREVER), **values) as task:
            await task.start()
            yield task

    @asynccontextmanager
    async def shell(self, script: str, **values: Any) -> AsyncIterator[Task]:
        """A container that runs a shell script."""
        async with self.running("sh", "-c", script, **values) as task:
            yield task

    def rootfs_mount(self) -> list[Mount]:
        """The root file system as something that the shim has to mount."""
        return [Mount("bind", str(self.rootfs), options=("rbind", "rw"))]

    def topics(self, task: Task | Shim) -> list[tuple[str, str]]:
        """The events about a container so far: the topic's last word, and the exec or nothing."""
        name = task.id if isinstance(task, Shim) else task.task_id
        return [
            (event.topic.removeprefix("/tasks/"), event.exec_id)
            for event in self.manager.events.of(name)
        ]

    def exits(self, task: Task, exec_id: str = "") -> list[events_pb2.TaskExit]:
        """The exit events of a container's init, or of an exec."""
        return [
            event.message
            for event in self.manager.events.of(task.task_id)
            if isinstance(event.message, events_pb2.TaskExit) and event.exec_id == exec_id
        ]

    async def exited(self, task: Task, exec_id: str = "") -> events_pb2.TaskExit:
        """Wait for the exit event of a container's init, or of an exec."""
        event = await self.manager.events.wait("/tasks/exit", task.task_id, exec_id)
        assert isinstance(event.message, events_pb2.TaskExit)
        return event.message

    async def deleted(self, task: Task) -> None:
        """Wait for the last event of a container."""
        await self.manager.events.wait("/tasks/delete", task.task_id)

    def runtime_state(self, name: str) -> Path:
        """Where the runtime keeps what it knows of a container."""
        return Path("/run/containerd/runc", self.manager.namespace, name)

    def command(self, *words: str) -> list[str]:
        """A command of the runtime itself, behind the shim's back."""
        return [
            self.runtime,
            *("--root", f"/run/containerd/runc/{self.manager.namespace}"),
            *words,
        ]


async def run(*words: str) -> str:
    """Run a program and give its output; it must succeed, and may leave children behind."""
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            await asyncio.wait_for(process.wait(), DEADLINE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        output.seek(0)
        text = output.read().decode(errors="replace")
    assert process.returncode == 0, (words, text)
    return text


async def begin(task: Task, exec_id: str, script: str, **values: Any) -> Exec:
    """An exec of a shell script, started."""
    process = await task.exec(exec_id, ["sh", "-c", script], **values)
    await process.start()
    return process


def write_spec(bundle: ContainerBundle, text: str) -> None:
    """Replace `config.json`."""
    Path(bundle.file("config.json")).write_text(text)


def read_spec(bundle: ContainerBundle) -> Spec:
    """What `config.json` says."""
    spec: Spec = json.loads(Path(bundle.file("config.json")).read_text())
    return spec
