#!/usr/bin/env python3
"""A containerd shim that runs processes bare, on the host."""

import asyncio
import os
import time
from typing import Any

import podshim


class BareProcess(podshim.Process):
    pid = 0

    def __init__(self, request: podshim.CreateRequest) -> None:
        self.spec: Any = request.bundle.config()["process"]
        self.output = request.stdio.stdout or os.devnull
        self.exit: asyncio.Future[podshim.Exit] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        with open(self.output, "r+b", buffering=0) as output:
            child = await asyncio.create_subprocess_exec(
                *self.spec["args"], stdout=output, stderr=output
            )
        self.pid = child.pid
        self.watcher = asyncio.create_task(self.watch(child))

    async def watch(self, child: asyncio.subprocess.Process) -> None:
        status = await child.wait()
        self.exit.set_result(podshim.Exit(status if status >= 0 else 128 - status, time.time_ns()))

    async def wait(self) -> podshim.Exit:
        return await asyncio.shield(self.exit)

    async def kill(self, signal: int) -> None:
        os.kill(self.pid, signal)


class BareContainer(podshim.Container):
    def __init__(self, request: podshim.CreateRequest) -> None:
        self._init = BareProcess(request)

    @property
    def init(self) -> podshim.Process:
        return self._init

    async def delete(self) -> None:
        pass  # the process has ended, and nothing else was made


class BareEngine(podshim.Engine):
    runtime_name = "io.containerd.bare.v1"

    async def create(self, request: podshim.CreateRequest) -> podshim.Container:
        return BareContainer(request)


if __name__ == "__main__":
    podshim.main(BareEngine)
