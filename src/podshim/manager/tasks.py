"""Tasks and execs in a shim, as objects.

A `Task` is made by `Shim.create`, an `Exec` by `Task.exec`; both are a `Process`: start it, wait
for it, read what it prints, kill it, delete it. Every method is one call of the task service and
raises what `TaskCalls.call` raises; nothing is remembered here that the shim knows better.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf import any_pb2

from podshim.api import (
    cgroups_v1_pb2,
    cgroups_v2_pb2,
    runhcs_stats_pb2,
    task_v3_pb2,
    task_v3_ttrpc,
)
from podshim.errors import ShimError
from podshim.manager.calls import TIMEOUT
from podshim.manager.dialects import pack
from podshim.manager.platform import Streams
from podshim.manager.spec import PROCESS_TYPE_URL, RESOURCES_TYPE_URL, process_spec
from podshim.ttrpc.status import ConnectionLost, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from podshim.engine import Stdio
    from podshim.manager.calls import TaskCalls
    from podshim.manager.ends import Ends, Reader, Writer
    from podshim.manager.spec import Spec

#: As the task service counts signals, on every platform.
SIGKILL = 9
SIGTERM = 15
#: Go's zero time, which Go's shims send for "not yet" (s since the epoch).
_GO_ZERO = -62135596800


def nanoseconds(timestamp: Timestamp) -> int | None:
    """A time as ns since the epoch; None for none, and for Go's way of saying none."""
    if timestamp.seconds == _GO_ZERO or timestamp.ByteSize() == 0:
        return None
    return timestamp.seconds * 10**9 + timestamp.nanos


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Args:
        status: 0 to 255, or 128 + signal.
        at: When, in ns since the epoch; None if the shim did not say.
        pid: Its process id, where the answer tells; else 0.
    """

    status: int
    at: int | None
    pid: int = 0


@dataclass(frozen=True, slots=True)
class Output:
    """What `Task.run` saw of a command."""

    status: int
    stdout: bytes
    stderr: bytes


class Process:
    """A task's init, or an exec in it.

    Args:
        calls: The connection to the shim, asked for at each call: it may be another by then.
        task_id: The task.
        exec_id: The exec; empty for the init.
        fifos: Its streams, closed with it; None if the caller keeps them.
    """

    def __init__(
        self, calls: Callable[[], TaskCalls], task_id: str, exec_id: str, fifos: Ends | None
    ) -> None:
        self._calls = calls
        self.task_id = task_id
        self.exec_id = exec_id
        self._fifos = fifos

    @property
    def fifos(self) -> Ends:
        """Its streams.

        Raises:
            ShimError: It was made with streams of the caller's own.
        """
        if self._fifos is None:
            raise ShimError(f"{self.task_id} {self.exec_id}: its streams are not the manager's")
        return self._fifos

    @property
    def stdin(self) -> Writer:
        """Where to write what it reads."""
        return self.fifos.stdin

    @property
    def stdout(self) -> Reader:
        """Where to read what it prints."""
        return self.fifos.stdout

    @property
    def stderr(self) -> Reader:
        """Where to read its error output; a terminal's is in `stdout`."""
        return self.fifos.stderr

    async def start(self, *, timeout: float = TIMEOUT) -> int:  # noqa: ASYNC109
        """Let it run; its process id."""
        request = task_v3_pb2.StartRequest(id=self.task_id, exec_id=self.exec_id)
        answer = await self._calls().call(task_v3_ttrpc.START, request, timeout=timeout)
        return answer.pid

    async def state(self) -> task_v3_pb2.StateResponse:
        """What the shim says of it."""
        request = task_v3_pb2.StateRequest(id=self.task_id, exec_id=self.exec_id)
        return await self._calls().call(task_v3_ttrpc.STATE, request)

    async def wait(self, *, timeout: float | None = TIMEOUT) -> Ended:  # noqa: ASYNC109
        """Wait until it has ended; without a deadline if `timeout` is None."""
        request = task_v3_pb2.WaitRequest(id=self.task_id, exec_id=self.exec_id)
        answer = await self._calls().call(task_v3_ttrpc.WAIT, request, timeout=timeout)
        return Ended(answer.exit_status, nanoseconds(answer.exited_at))

    async def kill(self, number: int = SIGTERM, *, everyone: bool = False) -> None:
        """Send a signal: to it, or with `everyone` to all processes of the task."""
        request = task_v3_pb2.KillRequest(
            id=self.task_id, exec_id=self.exec_id, signal=number, all=everyone
        )
        await self._calls().call(task_v3_ttrpc.KILL, request)

    async def delete(self, *, timeout: float = TIMEOUT) -> Ended:  # noqa: ASYNC109
        """Remove it; how it ended. Its streams can still be read."""
        request = task_v3_pb2.DeleteRequest(id=self.task_id, exec_id=self.exec_id)
        answer = await self._calls().call(task_v3_ttrpc.DELETE, request, timeout=timeout)
        return Ended(answer.exit_status, nanoseconds(answer.exited_at), answer.pid)

    async def close_stdin(self) -> None:
        """Let go of standard input and tell the shim to do so: the process reads its end."""
        if self._fifos is not None and self._fifos.stdio.stdin:
            self._fifos.stdin.detach()
        request = task_v3_pb2.CloseIORequest(id=self.task_id, exec_id=self.exec_id, stdin=True)
        await self._calls().call(task_v3_ttrpc.CLOSE_IO, request)

    async def resize(self, width: int, height: int) -> None:
        """Give its terminal another size, in characters."""
        request = task_v3_pb2.ResizePtyRequest(
            id=self.task_id, exec_id=self.exec_id, width=width, height=height
        )
        await self._calls().call(task_v3_ttrpc.RESIZE_PTY, request)

    async def read_all(self, *, timeout: float = TIMEOUT) -> tuple[bytes, bytes]:  # noqa: ASYNC109
        """All that it prints until the end of both streams: output, error output.

        Raises:
            DeadlineExceededError: They did not end in time.
        """
        tasks = [
            asyncio.ensure_future(reader.read_all(timeout=timeout)) for reader in self.fifos.outputs
        ]
        try:
            stdout, *rest = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        return stdout, b"".join(rest)

    def close(self) -> None:
        """Close and remove its streams; again is no error. The shim is not told."""
        if self._fifos is not None:
            self._fifos.close()


class Exec(Process):
    """A further process in a task."""


class Task(Process):
    """A container as the shim's task service has it.

    Args:
        calls: As for `Process`.
        task_id: Its id.
        pid: Its init's process id.
        fifos: As for `Process`.
        parent: Where the fifos of execs are made.
    """

    def __init__(
        self,
        calls: Callable[[], TaskCalls],
        task_id: str,
        pid: int,
        fifos: Ends | None,
        parent: str,
    ) -> None:
        super().__init__(calls, task_id, "", fifos)
        self.pid = pid
        self._parent = parent
        self._execs: list[Exec] = []

    async def exec(
        self,
        exec_id: str,
        args: Sequence[str] = (),
        *,
        spec: Spec | None = None,
        terminal: bool = False,
        stdin: bool = True,
        stdio: Stdio | None = None,
    ) -> Exec:
        """Prepare a further process; `start` lets it run.

        Args:
            exec_id: Its id.
            args: Its command, for a spec with defaults.
            spec: The whole process instead.
            terminal: Whether it has a terminal.
            stdin: Whether it has a standard input.
            stdio: Streams of the caller's own instead of fifos.
        """
        fifos = None
        if stdio is None:
            fifos = Streams(self._parent, exec_id, terminal=terminal, stdin=stdin)
            stdio = fifos.stdio
        process = Exec(self._calls, self.task_id, exec_id, fifos)
        if spec is None:
            spec = process_spec(args, terminal=terminal)
        request = task_v3_pb2.ExecProcessRequest(
            id=self.task_id,
            exec_id=exec_id,
            terminal=stdio.terminal,
            stdin=stdio.stdin,
            stdout=stdio.stdout,
            stderr=stdio.stderr,
            spec=any_pb2.Any(type_url=PROCESS_TYPE_URL, value=json.dumps(spec).encode()),
        )
        try:
            await self._calls().call(task_v3_ttrpc.EXEC, request)
        except BaseException:
            process.close()
            raise
        self._execs.append(process)
        return process

    async def run(
        self,
        exec_id: str,
        args: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - each step's
    ) -> Output:
        """Run a command in the container from `exec` to `delete`.

        Args:
            exec_id: Its id.
            args: The command.
            stdin: What it reads.
            timeout: How long each step may take (s).
        """
        process = await self.exec(exec_id, args)
        try:
            try:
                await process.start(timeout=timeout)
            except StatusError:
                # What has not begun can go, and its id be used again.
                with contextlib.suppress(StatusError, ConnectionLost):
                    await process.delete(timeout=timeout)
                raise
            reading = asyncio.ensure_future(process.read_all(timeout=timeout))
            try:
                await process.stdin.write(stdin, timeout=timeout)
                await process.close_stdin()
                ended = await process.wait(timeout=timeout)
                stdout, stderr = await reading
            finally:
                reading.cancel()
                await asyncio.wait([reading])
            await process.delete(timeout=timeout)
        finally:
            process.close()
            self._execs.remove(process)
        return Output(ended.status, stdout, stderr)

    async def pids(self) -> list[int]:
        """The host's process ids of all that runs in it."""
        request = task_v3_pb2.PidsRequest(id=self.task_id)
        answer = await self._calls().call(task_v3_ttrpc.PIDS, request)
        return [process.pid for process in answer.processes]

    async def pause(self) -> None:
        """Freeze it."""
        request = task_v3_pb2.PauseRequest(id=self.task_id)
        await self._calls().call(task_v3_ttrpc.PAUSE, request)

    async def resume(self) -> None:
        """Thaw it."""
        request = task_v3_pb2.ResumeRequest(id=self.task_id)
        await self._calls().call(task_v3_ttrpc.RESUME, request)

    async def update(self, resources: Spec, *, type_url: str = RESOURCES_TYPE_URL) -> None:
        """Change its limits.

        Args:
            resources: As `linux.resources` of a spec.
            type_url: What they are instead, such as `WINDOWS_RESOURCES_TYPE_URL`.
        """
        value = json.dumps(resources).encode()
        request = task_v3_pb2.UpdateTaskRequest(
            id=self.task_id, resources=any_pb2.Any(type_url=type_url, value=value)
        )
        await self._calls().call(task_v3_ttrpc.UPDATE, request)

    async def stats(self) -> Message:
        """Its metrics, of cgroups of either version or of Windows; an `Any` if of another type."""
        request = task_v3_pb2.StatsRequest(id=self.task_id)
        answer = await self._calls().call(task_v3_ttrpc.STATS, request)
        for kind in (cgroups_v1_pb2.Metrics, cgroups_v2_pb2.Metrics, runhcs_stats_pb2.Statistics):
            if answer.stats.type_url.rpartition("/")[2] == kind.DESCRIPTOR.full_name:
                return kind.FromString(answer.stats.value)
        return answer.stats

    async def checkpoint(self, path: str, options: Message | None = None) -> None:
        """Write its state into a folder."""
        request = task_v3_pb2.CheckpointTaskRequest(
            id=self.task_id, path=path, options=pack(options)
        )
        await self._calls().call(task_v3_ttrpc.CHECKPOINT, request)

    def close(self) -> None:
        """Close and remove its streams and those of its execs; again is no error."""
        for process in self._execs:
            process.close()
        super().close()
