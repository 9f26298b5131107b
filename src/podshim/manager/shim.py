"""One container's shim: its binary run as containerd runs it, its address, its connection.

Theory of operation. containerd keeps a bundle and a connection for each container, even if one
process serves several. `Shim` is such a pair. It runs `start`, connects, makes the task, and runs
`delete` when the server is gone or no longer needed. What it started is ended by `close`, in
containerd's order: the task, `Shutdown`, the connection, `delete`; each step in its time and
whatever the others said.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from podshim.api import task_v3_pb2, task_v3_ttrpc, types_pb2
from podshim.errors import DeadlineExceededError, ShimError, UnimplementedError
from podshim.manager import platform
from podshim.manager.calls import TaskCalls
from podshim.manager.dialects import (
    Answer,
    Containerd,
    Question,
    arguments,
    environment,
    pack,
    parse_answer,
    start_input,
)
from podshim.manager.platform import ProcessHandle, Streams, run
from podshim.manager.tasks import SIGKILL, Ended, Task, nanoseconds
from podshim.ttrpc.status import ConnectionLost, StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message

    from podshim.engine import Mount, Stdio
    from podshim.manager.bundles import ContainerBundle

START_TIMEOUT = 60.0
DELETE_TIMEOUT = 20.0
CONNECT_TIMEOUT = 30.0
#: How long each step of ending a shim may take (s).
CLOSE_TIMEOUT = 10.0

log = logging.getLogger("podshim.manager")


class ShimCommandError(ShimError):
    """A shim's command failed; the text is what it said."""


def _text(output: bytes) -> str:
    return output.decode(errors="replace").strip()


async def runtime_info(
    binary: str,
    options: Message | None = None,
    *,
    timeout: float = START_TIMEOUT,  # noqa: ASYNC109 - it ends the command
) -> types_pb2.RuntimeInfo:
    """Ask a shim binary what it is (`-info`).

    Args:
        binary: Its absolute path.
        options: The runtime's options to ask about.
        timeout: How long it may take (s).

    Raises:
        ShimCommandError: It failed, or printed something else.
        DeadlineExceededError: It took too long.
    """
    packed = pack(options)
    stdin = b"" if packed is None else packed.SerializeToString()
    done = await run(
        [binary, "-info"], cwd=os.getcwd(), env=os.environ, stdin=stdin, timeout=timeout
    )
    if done.status != 0:
        raise ShimCommandError(f"{_text(done.stderr)}: exit status {done.status}")
    try:
        return types_pb2.RuntimeInfo.FromString(done.stdout)
    except DecodeError as error:
        raise ShimCommandError(f"{binary} -info printed no RuntimeInfo: {error}") from error


class Shim:
    """A shim that serves one container.

    Args:
        binary: The shim binary's absolute path.
        bundle: The container's bundle; the shim owns it from now on.
        question: What its commands are told.
        line: Which containerd the manager plays.
        env: The daemon's environment, which the shim inherits.
        fifos: Where fifos are made; on Windows pipes have no folder.
        loses_first: Whether its server loses its first client, as those of Go do under Wine: then
            one that is not missed comes first.
    """

    def __init__(
        self,
        binary: str,
        bundle: ContainerBundle,
        question: Question,
        *,
        line: Containerd,
        env: dict[str, str],
        fifos: str,
        loses_first: bool = False,
    ) -> None:
        self.binary = binary
        self.bundle = bundle
        self.question = question
        self.line = line
        self._env = env
        self._fifos = fifos
        self._loses_first = loses_first
        #: What `start` answered; None before.
        self.answer: Answer | None = None
        #: The task, once it was created.
        self.task: Task | None = None
        #: The server's process, once it has told its id.
        self.process: ProcessHandle | None = None
        self._calls: TaskCalls | None = None
        self._deleted = False
        self._killed = False
        self._closed = False
        #: Whether the server was told that it may go.
        self._released = False

    @property
    def id(self) -> str:
        """The container's id."""
        return self.bundle.id

    @property
    def calls(self) -> TaskCalls:
        """The connection.

        Raises:
            ConnectionLost: There is none.
        """
        if self._calls is None:
            raise ConnectionLost
        return self._calls

    async def start(self, *, timeout: float = START_TIMEOUT) -> Answer:  # noqa: ASYNC109
        """Run `start` and connect to what it answers.

        Raises:
            ShimCommandError: It failed; the text is all that it printed.
            AnswerError, UnimplementedError: Its answer is of no use to this containerd.
            DeadlineExceededError: It took too long.
        """
        self.bundle.log.begin(loses_first=self._loses_first)
        done = await run(
            [self.binary, *arguments(self.question, "start", self.bundle.path)],
            cwd=self.bundle.path,
            env=environment(self.line, self.question, self._env),
            stdin=start_input(self.line, self.question, self.binary),
            merge=True,
            timeout=timeout,
        )
        if done.status != 0:
            raise ShimCommandError(f"{_text(done.stdout)}: exit status {done.status}")
        self.answer = parse_answer(self.line, done.stdout)
        if self.answer.protocol != "ttrpc":
            raise UnimplementedError(f"a shim that speaks {self.answer.protocol}")
        self.bundle.write_start(self.binary, self.answer)
        await self._connect(just_started=True)
        return self.answer

    async def connect(self) -> None:
        """Connect, as a restarted daemon does, unless it is connected.

        Raises:
            ShimError: `start` has not answered.
            OSError: Nobody answers at the address.
        """
        await self._connect(just_started=False)

    async def _connect(self, *, just_started: bool) -> None:
        if self.answer is None:
            raise ShimError(f"{self.id}: its shim was not started")
        if self._calls is not None:
            return
        client = await platform.connect(
            self.answer.address,
            timeout=CONNECT_TIMEOUT,
            just_started=just_started,
            loses_first=self._loses_first,
        )
        self._calls = TaskCalls(client, self.answer.version, self.question.namespace)
        if self.process is None:
            # Whether or not it knows the task: an answer tells the server's own id.
            with contextlib.suppress(StatusError):
                pid = (await self.server()).shim_pid
                if pid > 0:
                    self.process = ProcessHandle(pid)

    async def disconnect(self) -> None:
        """End the connection, as a daemon does that goes away; again is no error."""
        calls, self._calls = self._calls, None
        if calls is not None:
            calls.client.close()
            await calls.client.closed

    async def server(self) -> task_v3_pb2.ConnectResponse:
        """Ask the server for its own and the task's process ids (`Connect`)."""
        request = task_v3_pb2.ConnectRequest(id=self.id)
        return await self.calls.call(task_v3_ttrpc.CONNECT, request)

    async def create(
        self,
        *,
        rootfs: Iterable[Mount] = (),
        terminal: bool = False,
        stdin: bool = True,
        stdio: Stdio | None = None,
        checkpoint: str = "",
    ) -> Task:
        """Create the container's task.

        Args:
            rootfs: What to mount as its root file system; nothing if the spec names a folder.
            terminal: Whether its streams are a terminal's; the spec must say the same.
            stdin: Whether it has a standard input.
            stdio: Streams of the caller's own instead of fifos.
            checkpoint: A folder to restore it from.
        """
        fifos = None
        if stdio is None:
            fifos = Streams(self._fifos, self.id, terminal=terminal, stdin=stdin)
            stdio = fifos.stdio
        request = task_v3_pb2.CreateTaskRequest(
            id=self.id,
            bundle=self.bundle.path,
            terminal=stdio.terminal,
            stdin=stdio.stdin,
            stdout=stdio.stdout,
            stderr=stdio.stderr,
            checkpoint=checkpoint,
            options=pack(self.question.options),
        )
        for mount in rootfs:
            request.rootfs.add(
                type=mount.type, source=mount.source, target=mount.target, options=mount.options
            )
        try:
            answer = await self.calls.call(task_v3_ttrpc.CREATE, request)
        except BaseException:
            if fifos is not None:
                fifos.close()
            raise
        self.task = Task(lambda: self.calls, self.id, answer.pid, fifos, self._fifos)
        return self.task

    async def shutdown(self, *, now: bool = False) -> None:
        """Tell the server that it may go, if it has no task left."""
        request = task_v3_pb2.ShutdownRequest(id=self.id, now=now)
        await self.calls.call(task_v3_ttrpc.SHUTDOWN, request)
        self._released = True

    async def kill(self) -> None:
        """End the server with SIGKILL, wait until it is gone and let go of the connection.

        Raises:
            ShimError: It never told its process id.
        """
        if self.process is None:
            raise ShimError(f"{self.id}: the process of its shim is not known")
        self._killed = True
        self.process.kill(SIGKILL)
        await self.process.wait(CLOSE_TIMEOUT)
        await self.disconnect()

    async def delete(self, *, timeout: float = DELETE_TIMEOUT) -> Ended:  # noqa: ASYNC109
        """Run `delete`, as containerd does when the connection to a shim has ended.

        Returns:
            How the init ended, as the command says.

        Raises:
            ShimCommandError: It failed, or printed something else.
            DeadlineExceededError: It took too long.
        """
        done = await run(
            [self.binary, *arguments(self.question, "delete", self.bundle.path)],
            cwd=platform.delete_folder(self.bundle.path),
            env=environment(self.line, self.question, self._env),
            timeout=timeout,
        )
        if done.status != 0:
            raise ShimCommandError(f"{_text(done.stderr)}: exit status {done.status}")
        if done.stderr:
            log.warning("%s: delete: %s", self.id, _text(done.stderr))
        try:
            answer = task_v3_pb2.DeleteResponse.FromString(done.stdout)
        except DecodeError as error:
            raise ShimCommandError(f"delete printed no DeleteResponse: {error}") from error
        self._deleted = True
        return Ended(answer.exit_status, nanoseconds(answer.exited_at), answer.pid)

    async def close(self) -> None:
        """End the task if there is one, the server if it has no other, and remove the bundle.

        Again is no error.

        Raises:
            ShimCommandError, DeadlineExceededError: `delete` failed; all else was done.
            OSError: The bundle can't be removed.
        """
        if self._closed:
            return
        self._closed = True
        try:
            await self._end_task()
            await self.disconnect()
            if self.answer is not None and not self._deleted:
                await self.delete()
        finally:
            if self.task is not None:
                self.task.close()
            self.bundle.remove()

    async def _end_task(self) -> None:
        """Kill and delete the task, and say goodbye; what is gone already is no error."""
        if self._calls is None:
            return
        task, gone = self.task, (StatusError, ConnectionLost)
        if task is not None:
            with contextlib.suppress(*gone):
                await task.kill(SIGKILL, everyone=True)
            with contextlib.suppress(*gone):
                await task.wait(timeout=CLOSE_TIMEOUT)
            with contextlib.suppress(*gone):
                await task.delete(timeout=CLOSE_TIMEOUT)
        with contextlib.suppress(*gone):
            await self.shutdown()

    async def wait_gone(self, *, timeout: float = CLOSE_TIMEOUT) -> bool:  # noqa: ASYNC109
        """Wait until the server's process has ended; whether it has, or was never known."""
        if self.process is None:
            return True
        try:
            await self.process.wait(timeout)
        except DeadlineExceededError:
            return False
        return True

    async def end_server(self) -> None:
        """Kill the server if it is still there, and remove the socket of one that was killed.

        For the end of a manager, when no container is left; one server may be that of several.
        """
        if self.process is None:
            return
        if self._released:
            await self.wait_gone()
        if not self.process.has_ended():
            log.warning("%s: its server %d is still there", self.id, self.process.pid)
            await self.kill()
        self.forget()

    def forget(self) -> bool:
        """Let go of what is left of a shim that was closed, if its server has ended.

        Returns:
            Whether nothing is left.
        """
        if self.process is not None:
            if not self._closed or not self.process.has_ended():
                return False
            self.process.close()
            self.process = None
            if self._killed and self.answer is not None:
                platform.remove_stale(self.answer.address)
        return self._closed
