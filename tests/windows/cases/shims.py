"""Pods and tasks in the real binary over the stand-in, for the cases `case_shim_*.py`.

A `Stage` is a small containerd with its own stand-in: what that shall do wrong and what it was
asked for lie in files of the stage, which every server of the stage was told when it began.
"""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from podshim.errors import Code
from podshim.manager import Manager, Shim, Task, pod_annotations
from podshim.transport.proactor import signalled
from podshim.ttrpc import StatusError
from podshim.win32.handles import Handle
from podshim.win32.running import open_process

RUNTIME = "io.containerd.runhcs.v1"
HOST_PROCESS = {"microsoft.com/hostprocess-container": "true"}
INHERIT = {"microsoft.com/hostprocess-inherit-user": "true"}

#: How processes end that the stand-in ends.
TERMINATED = 0xFFFFFFFF
CLOSED = 0x40010004
INTERRUPTED = 0xC000013A

#: For anything that should happen at once, on a machine that has much else to do (s).
PATIENCE = 60.0
PAUSE = ["ping", "-n", "3600", "127.0.0.1"]
_SYNCHRONIZE = 0x100000


def unique(stem: str) -> str:
    """An id that nothing else has."""
    return f"{stem}-{uuid.uuid4().hex[:12]}"


def python(code: str, *args: str) -> list[str]:
    """A command that runs Python code."""
    return [sys.executable, "-c", code, *args]


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so that nobody tells."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what}: not in time") from None


async def ends(process: Handle) -> None:
    """Wait until a process has ended."""
    async with asyncio.timeout(PATIENCE):
        await signalled(process)


def watched(pid: int) -> Handle:
    """A process to wait for; close it."""
    return open_process(pid, _SYNCHRONIZE)


@asynccontextmanager
async def refused(code: Code, text: str = "") -> AsyncIterator[None]:
    """What is done here must be refused so: with this code, and this in the text."""
    with pytest.raises(StatusError) as caught:
        yield
    assert caught.value.code is code, caught.value
    assert text in str(caught.value), caught.value


class Stage:
    """A manager and its stand-in.

    Args:
        manager: Where shims are made.
        trace: Where the stand-in writes what it is asked for.
        orders: Where it reads what it shall do wrong.
    """

    def __init__(self, manager: Manager, trace: Path, orders: Path) -> None:
        self.manager = manager
        self._trace = trace
        self._orders = orders

    def spec(
        self,
        name: str,
        args: list[str],
        annotations: dict[str, str] | None = None,
        *,
        process: dict[str, Any] | None = None,
        **windows: Any,
    ) -> dict[str, Any]:
        """What CRI writes for a container, with layers of its own."""
        layers = [Path(self.manager.folder) / f"{name}-{layer}" for layer in ("base", "scratch")]
        for layer in layers:
            layer.mkdir(exist_ok=True)
        (layers[1] / "sandbox.vhdx").touch()
        return {
            "ociVersion": "1.1.0",
            "hostname": name[:15],
            "process": {"args": args, "cwd": "C:\\", "user": {}, **(process or {})},
            "root": {},
            "annotations": annotations or {},
            "windows": {"layerFolders": [str(layer) for layer in layers], **windows},
        }

    def member(self, pod: str, name: str, args: list[str], **more: Any) -> dict[str, Any]:
        """The spec of a container of a pod."""
        return self.spec(name, args, pod_annotations(pod), **more)

    def order(self, *faults: dict[str, Any]) -> None:
        """Tell the stand-in what it shall do wrong from now on; nothing if nothing is said."""
        new = self._orders.with_suffix(".new")
        new.write_text(json.dumps({"faults": faults}))
        os.replace(new, self._orders)

    def lines(self) -> list[dict[str, Any]]:
        """The trace so far."""
        if not self._trace.exists():
            return []
        text = self._trace.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def calls(self, name: str, system: str | None = None) -> list[dict[str, Any]]:
        """The calls of a name, of one compute system only if it is given."""
        return [
            line
            for line in self.lines()
            if line["what"] == "call"
            and line["name"] == name
            and system in {None, line.get("system")}
        ]

    def documents(self, name: str, system: str | None = None) -> list[Any]:
        """The documents of calls."""
        return [json.loads(call["document"]) for call in self.calls(name, system)]

    @asynccontextmanager
    async def pod(
        self, name: str, args: list[str] = PAUSE, **more: Any
    ) -> AsyncIterator[tuple[Shim, Task]]:
        """A pod whose sandbox runs."""
        spec = self.spec(name, args, pod_annotations(name, sandbox=True), **more)
        async with self.manager.task(name, spec=spec, stdin=False) as (shim, task):
            await task.start()
            yield shim, task

    @asynccontextmanager
    async def container(
        self, pod: str, args: list[str], name: str = "", **more: Any
    ) -> AsyncIterator[tuple[Shim, Task]]:
        """A container of a pod, created and not started."""
        name = name or unique("c")
        async with self.manager.task(name, spec=self.member(pod, name, args, **more)) as both:
            yield both


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """A stage, in an empty folder."""
    trace, orders = folder / "trace.jsonl", folder / "orders.json"
    orders.write_text("{}")
    env = {
        **os.environ,
        "HCS_STANDIN_TRACE": str(trace),
        "HCS_STANDIN_CONFIG": str(orders),
    }
    async with AsyncExitStack() as stack:
        manager = await stack.enter_async_context(Manager(RUNTIME, namespace=unique("n"), env=env))
        made = Stage(manager, trace, orders)
        stack.callback(made.order)
        yield made
