"""What the tests of the OCI engine share: containers quickly made, and counts for leaks."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podshim.api import runc_options_pb2
from podshim.bundle import Bundle
from podshim.engine import Container, CreateRequest, Environment, Exit, Mount, Stdio, TypedValue
from podshim.manager.spec import Spec, container_spec, process_spec
from podshim.manager.stdio import Fifos

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podshim.engines.oci import OciEngine

NAMESPACE = "ocitest"
NO_STREAMS = Stdio()
BUSYBOX = "/bin/busybox"
APPLETS = ("sh", "cat", "echo", "sleep", "true", "stty", "id", "dd", "head", "yes", "kill", "ls")


def make_rootfs(folder: Path) -> Path:
    """A root file system of busybox alone."""
    for name in ("bin", "proc", "sys", "dev", "etc", "tmp", "run"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copy2(BUSYBOX, folder / "bin/busybox")
    for name in APPLETS:
        with suppress(FileExistsError):
            (folder / "bin" / name).symlink_to("busybox")
    (folder / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")
    return folder


def runc_options(**values: Any) -> TypedValue:
    """Runtime options as a client sends them."""
    message = runc_options_pb2.Options(**values)
    return TypedValue("containerd.runc.v1.Options", message.SerializeToString())


@dataclass
class Box:
    """A container under test, with its client's side."""

    container: Container
    request: CreateRequest
    fifos: Fifos | None

    async def run(self) -> Exit:
        await self.container.init.start()
        return await self.container.init.wait()

    async def remove(self) -> None:
        """What the task layer does when a task is deleted."""
        init = self.container.init
        await init.delete()
        await self.container.delete()


@dataclass
class Workshop:
    """Makes containers in folders of a test's own and removes what a test left."""

    engine: OciEngine
    folder: Path
    rootfs: Path
    runtime: str
    boxes: list[Box] = field(default_factory=list)
    fifos: list[Fifos] = field(default_factory=list)
    count: int = 0
    #: cgroups are the machine's, even in a private world.
    token: str = field(default_factory=lambda: secrets.token_hex(4))

    def streams(self, *, stdin: bool = False, terminal: bool = False) -> Fifos:
        fifos = Fifos(str(self.folder), "io", stdin=stdin, terminal=terminal)
        self.fifos.append(fifos)
        return fifos

    def spec(self, *args: str, **values: Any) -> Spec:
        terminal = values.pop("terminal", False)
        user = values.pop("user", (0, 0))
        process = process_spec(args, terminal=terminal, user=user)
        values.setdefault("root", str(self.rootfs))
        return container_spec(process, **values)

    def request(
        self,
        spec: Spec | None,
        stdio: Stdio = NO_STREAMS,
        mounts: Sequence[Mount] = (),
        **options: Any,
    ) -> CreateRequest:
        self.count += 1
        name = f"{self.runtime}-{self.token}-{self.count}"
        bundle = self.folder / name
        bundle.mkdir(parents=True, mode=0o700)
        if spec is not None:
            spec["linux"].setdefault("cgroupsPath", f"/{NAMESPACE}/{name}")
            (bundle / "config.json").write_text(json.dumps(spec))
        options.setdefault("binary_name", self.runtime)
        return CreateRequest(
            id=name,
            bundle=Bundle(str(bundle)),
            rootfs=tuple(mounts),
            stdio=stdio,
            options=runc_options(**options),
        )

    async def create(self, request: CreateRequest, fifos: Fifos | None = None) -> Box:
        box = Box(await self.engine.create(request), request, fifos)
        self.boxes.append(box)
        return box

    async def box(self, *args: str, stdin: bool = False, **values: Any) -> Box:
        """A created container that runs `args` over fifos."""
        terminal = bool(values.get("terminal"))
        fifos = self.streams(stdin=stdin, terminal=terminal)
        spec = self.spec(*args, **values)
        return await self.create(self.request(spec, fifos.stdio), fifos)

    async def shell(self, script: str, **values: Any) -> Box:
        return await self.box("/bin/sh", "-c", script, **values)

    async def clear(self) -> None:
        for box in self.boxes:
            with suppress(Exception):
                await box.container.delete()
            with suppress(Exception):
                await box.container.init.delete()
        for fifos in self.fifos:
            fifos.close()


def environment() -> Environment:
    return Environment(namespace=NAMESPACE, shim_id="test")


def children() -> list[int]:
    """The children of this process, zombies included."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(word) for word in text.split()]


@dataclass(frozen=True)
class Holdings:
    """What a process holds that can leak."""

    fds: int
    threads: int
    mounts: int
    children: tuple[int, ...]

    @classmethod
    def now(cls) -> Holdings:
        return cls(
            fds=len(os.listdir("/proc/self/fd")),
            threads=threading.active_count(),
            mounts=Path("/proc/self/mountinfo").read_text().count("\n"),
            children=tuple(children()),
        )

    def covers(self, now: Holdings) -> bool:
        """Whether nothing has come; what an earlier test left to end may have gone."""
        return (
            now.fds <= self.fds
            and now.threads <= self.threads
            and now.mounts == self.mounts
            and set(now.children) <= set(self.children)
        )


async def until(true: Callable[[], bool], what: Callable[[], object] = lambda: "") -> None:
    """Wait for something that happens by itself; `what` tells how things are if it does not."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, what()
        await asyncio.sleep(0.002)


async def settled(before: Holdings) -> None:
    """Wait until no more is held than before: a thread or a child may be on its way out."""
    await until(
        lambda: before.covers(Holdings.now()), lambda: f"{before} has become {Holdings.now()}"
    )
