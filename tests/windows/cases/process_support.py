"""A shim's binary and its bundles, for cases on the binary's life."""

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from podshim.api import task_v2_pb2 as task
from podshim.api.task_v2_ttrpc import TaskStub
from podshim.shim.runhcs import names
from podshim.transport import pipes
from podshim.ttrpc import Client
from podshim.win32 import running

PROGRAM = [sys.executable, str(Path(__file__).with_name("process_engines.py"))]
KIND = "io.kubernetes.cri.container-type"
SANDBOX = "io.kubernetes.cri.sandbox-id"

#: For one call, in s.
LIMIT = 60.0
_SYNCHRONIZE = 0x100000


class Shim:
    """A shim's binary, called as containerd calls it, and its bundle.

    Args:
        folder: An empty folder.
        program: The words that execute it.
    """

    def __init__(self, folder: Path, program: list[str] | None = None) -> None:
        self.program = program or PROGRAM
        self.namespace = f"n{uuid.uuid4().hex[:12]}"
        self.folder = folder
        self.bundle = folder / "bundle"
        self.bundle.mkdir()
        self.started = folder / "started"
        self.deleted = folder / "deleted"

    @property
    def address(self) -> str:
        return names.task_pipe(self.namespace, "i")

    def spec(self, text: str | None = None, **annotations: str) -> None:
        """Write the bundle's spec: its text, or its annotations."""
        spec = json.dumps({"annotations": annotations}) if text is None else text
        (self.bundle / "config.json").write_text(spec)

    def command(self, *words: str, name: str = "i") -> list[str]:
        """The command line, with further words, the action among them."""
        given = ["-namespace", self.namespace, "-address", "a", "-publish-binary", "p", "-id", name]
        return [*self.program, *given, *words]

    def environment(self, **variables: str) -> dict[str, str]:
        own = {"STARTED": str(self.started), "DELETED": str(self.deleted)}
        return {**os.environ, **own, **variables}

    async def call(
        self, *words: str, stdin: bytes = b"", name: str = "i", **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it in the bundle, to its end."""
        return await asyncio.to_thread(
            subprocess.run,
            self.command(*words, name=name),
            input=stdin,
            capture_output=True,
            cwd=self.bundle,
            env=self.environment(**variables),
            timeout=180,
            check=False,
        )

    def files(self) -> set[str]:
        """What is in the bundle beside the spec and an empty `panic.log`."""
        return {
            path.name
            for path in self.bundle.iterdir()
            if path.name != "config.json"
            and not (path.name == "panic.log" and not path.stat().st_size)
        }

    def facts(self) -> dict[str, Any]:
        """What an engine has noted about its process."""
        found: dict[str, Any] = json.loads(self.started.read_text())
        return found

    def server_has_ended(self) -> bool:
        """Whether the process that an engine has noted is gone."""
        try:
            process = running.open_process(self.facts()["pid"], _SYNCHRONIZE)
        except OSError:
            return True
        with process:
            return running.has_ended(process)


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[tuple[TaskStub, Client]]:
    """A client of a shim."""
    client = await pipes.connect(address, timeout=5.0, missing_for=5.0)
    try:
        yield TaskStub(client), client
    finally:
        client.close()


async def shut_down(address: str, name: str = "i", **fields: Any) -> None:
    """Tell a server to go."""
    async with connected(address) as (stub, _):
        await stub.shutdown(task.ShutdownRequest(id=name, now=True, **fields), timeout=LIMIT)


async def shim_pid(address: str) -> int:
    """Which process serves there."""
    async with connected(address) as (stub, _):
        answer = await stub.connect(task.ConnectRequest(id="i"), timeout=LIMIT)
        return answer.shim_pid


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become so in time"
        await asyncio.sleep(0.01)
