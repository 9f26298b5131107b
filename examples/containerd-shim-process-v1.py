#!/usr/bin/env python3
"""A whole containerd shim: runs the process of config.json on the host itself, without isolation.

Make it executable, put it on containerd's PATH as `containerd-shim-process-v1`, and try
`ctr run --runtime io.containerd.process.v1 IMAGE NAME COMMAND`.
"""

import asyncio
import os
import signal
import time
from typing import Any

import podshim
from podshim.errors import NotFoundError, ShimError


class HostProcess(podshim.Process):
    pid = 0

    def __init__(self, spec: dict[str, Any], stdio: podshim.Stdio) -> None:
        self.spec, self.stdio = spec, stdio
        self.ended: asyncio.Future[podshim.Exit] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        stdin = os.open(self.stdio.stdin or os.devnull, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(stdin, True)
        stdout = os.open(self.stdio.stdout or os.devnull, os.O_RDWR)
        stderr = os.open(self.stdio.stderr or os.devnull, os.O_RDWR)
        try:
            child = await asyncio.create_subprocess_exec(
                *self.spec["args"],
                cwd=self.spec["cwd"],
                env=dict(variable.split("=", 1) for variable in self.spec.get("env", [])),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        except OSError as error:
            self.ended.set_result(podshim.Exit(127, time.time_ns()))
            raise ShimError(f"{self.spec['args'][0]}: {error.strerror}") from error
        finally:
            for fd in (stdin, stdout, stderr):
                os.close(fd)
        self.pid = child.pid
        self.watcher = asyncio.create_task(self.watch(child))

    async def watch(self, child: asyncio.subprocess.Process) -> None:
        status = await child.wait()
        self.ended.set_result(podshim.Exit(status if status >= 0 else 128 - status, time.time_ns()))

    async def wait(self) -> podshim.Exit:
        return await asyncio.shield(self.ended)

    async def kill(self, signal: int) -> None:
        if self.ended.done() or not self.pid:
            raise NotFoundError("process already finished")
        os.killpg(self.pid, signal)


class HostContainer(podshim.Container):
    def __init__(self, spec: dict[str, Any], stdio: podshim.Stdio) -> None:
        self._init = HostProcess(spec, stdio)

    @property
    def init(self) -> HostProcess:
        return self._init

    async def delete(self) -> None:
        if self.init.pid and not self.init.ended.done():
            await self.init.kill(signal.SIGKILL)


class HostEngine(podshim.Engine):
    runtime_name = "io.containerd.process.v1"

    async def create(self, request: podshim.CreateRequest) -> HostContainer:
        spec: Any = request.bundle.config()["process"]
        return HostContainer(spec, request.stdio)


if __name__ == "__main__":
    podshim.main(HostEngine)
