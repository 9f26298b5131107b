"""Bundles, shims and clients on Windows, for cases that drive a whole shim, ours or the original.

Everything is per test: a folder, a containerd namespace, an events server.
"""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from google.protobuf import empty_pb2

from podshim.api.events_service_pb2 import ForwardRequest
from podshim.api.events_service_ttrpc import EventsService, events_service
from podshim.ttrpc import CallContext, Client, Server

assert sys.platform == "win32"

SANDBOX = "io.kubernetes.cri.sandbox-id"
KIND = "io.kubernetes.cri.container-type"


class Events(EventsService):
    """Keeps the topics of the events in the order of their arrival."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    async def forward(self, request: ForwardRequest, context: CallContext) -> empty_pb2.Empty:
        self.topics.append(request.envelope.topic)
        return empty_pb2.Empty()


def bundle(folder: Path, spec: dict[str, Any]) -> Path:
    """Make a bundle with a base layer and a scratch layer, in a folder that need not exist."""
    (folder / "base").mkdir(parents=True)
    (folder / "scratch").mkdir()
    (folder / "scratch" / "sandbox.vhdx").touch()
    layers = [str(folder / "base"), str(folder / "scratch")]
    whole = {"ociVersion": "1.0.2", "windows": {"layerFolders": layers}, **spec}
    (folder / "config.json").write_text(json.dumps(whole))
    return folder


def container_spec(pod: str, kind: str, *args: str, **process: Any) -> dict[str, Any]:
    """A spec as CRI writes it: ``kind`` is ``sandbox`` or ``container``."""
    return {
        "process": {"args": list(args), "cwd": "C:\\", "user": {}, **process},
        "root": {"path": ""},
        "hostname": pod[:15],
        "annotations": {KIND: kind, SANDBOX: pod},
    }


class Shim:
    """A shim binary, called as containerd calls it.

    Attributes:
        executable: path of the binary.
        namespace: containerd namespace, of this object alone.
        events: what its servers publish.
    """

    def __init__(self, executable: str) -> None:
        self.executable = executable
        self.namespace = f"n{uuid.uuid4().hex[:12]}"
        self.events = Events()
        self._address = f"\\\\.\\pipe\\events-{uuid.uuid4()}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Shim"]:
        """Serve events as containerd does, for as long as shims run."""
        server = Server([events_service(self.events)])
        # The type hints want a StreamReaderProtocol where asyncio takes any protocol.
        loop = cast("Any", asyncio.get_running_loop())
        pipes = await loop.start_serving_pipe(server.protocol, self._address)
        try:
            yield self
        finally:
            for pipe in pipes:
                pipe.close()
            server.close()

    async def call(
        self, action: str, name: str, folder: Path, *more: str, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``start`` or ``delete`` in the bundle, with more flags before the action."""
        command = [
            self.executable, "-namespace", self.namespace, "-address", "containerd", *more,
            "-publish-binary", "containerd.exe", "-id", name, action,
        ]  # fmt: skip
        environment = {**os.environ, "TTRPC_ADDRESS": self._address}
        return await asyncio.to_thread(
            subprocess.run,
            command,
            input=stdin,
            capture_output=True,
            cwd=folder,
            env=environment,
            timeout=60,
            check=False,
        )

    @staticmethod
    @asynccontextmanager
    async def connected(address: str) -> AsyncIterator[Client]:
        """A client of a shim's pipe.

        Under Wine a Go server loses its first client, so one more is connected before; with any
        other server it does no harm.
        """
        loop = cast("Any", asyncio.get_running_loop())  # see listening()
        lost, _ = await loop.create_pipe_connection(asyncio.Protocol, address)
        _, client = await loop.create_pipe_connection(Client, address)
        try:
            yield client
        finally:
            client.close()
            lost.close()
