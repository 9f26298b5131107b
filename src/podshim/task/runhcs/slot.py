"""What a shim of this contract holds: nothing, then one pod or one task, for good.

Theory of operation. A shim that was started for a sandbox serves a pod, any other a single task.
The slot is empty until the first creation has succeeded and never empties again: what was deleted
goes on answering `State` until the shim is told to go. Creations of what fills the slot come one
after the other; once there is a pod, its workloads are made concurrently.

Whatever changes something runs to its end even if the client that asked is gone (`background`). A
task that was made for a client that has left stays: its id is known, and whoever asks for the
same again learns that it exists and can delete it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar

from podshim.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ShimError,
)
from podshim.task.background import Background
from podshim.task.events import Announcer
from podshim.task.identifiers import check_identifier
from podshim.task.runhcs import request as requests
from podshim.task.runhcs.creation import Maker
from podshim.task.runhcs.pod import Pod
from podshim.task.runhcs.task import Limits, Surroundings, Task, not_isolated

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from podshim.engine import CreateRequest, Stdio, TypedValue
    from podshim.task.events import Event
    from podshim.task.outbox import Outbox
    from podshim.task.process import Deleted
    from podshim.task.runhcs.host import HostCommand, WindowsEngine

    T = TypeVar("T")

_log = logging.getLogger(__name__)


class Slot:
    """The one pod or task of a shim. Belongs to one event loop; made while that runs.

    Args:
        engine: What runs the containers; opened and closed by someone else.
        outbox: Where events go.
        task_id: The id that the shim was started for.
        is_sandbox: Whether that is a pod's.
        clock: Tells the time in ns since the epoch.
        limits: How long to wait for what.
    """

    def __init__(
        self,
        engine: WindowsEngine,
        outbox: Outbox[Event],
        *,
        task_id: str,
        is_sandbox: bool,
        clock: Callable[[], int] = time.time_ns,
        limits: Limits | None = None,
    ) -> None:
        self.task_id = task_id
        self.is_sandbox = is_sandbox
        #: Set by the first `shutdown`: whether operations under way may end first.
        self.shutdown_requested: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._engine = engine
        self._outbox = outbox
        self._background = Background()
        surroundings = Surroundings(Announcer(clock), self._background, limits or Limits())
        self._maker = Maker(engine, outbox, surroundings)
        self._content: Pod | Task | None = None
        self._filling = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Slot {self.task_id} {self._content or 'empty'}>"

    # Finding.

    @property
    def in_use(self) -> bool:
        """Whether it has, or is about to have, a task, deleted ones included."""
        return self._content is not None or self._filling.locked()

    @property
    def tasks(self) -> list[Task]:
        """All tasks; a pod's sandbox first."""
        if isinstance(self._content, Pod):
            return self._content.tasks
        return [self._content] if self._content is not None else []

    def pod(self) -> Pod:
        """The pod of a shim that serves one.

        Raises:
            FailedPreconditionError: There is none.
        """
        if not isinstance(self._content, Pod):
            raise FailedPreconditionError(f"task with id: '{self.task_id}' must be created first")
        return self._content

    def task(self, task_id: str) -> Task:
        """Find a task.

        Raises:
            NotFoundError: There is none of this id.
        """
        content = self._content
        if isinstance(content, Pod):
            return content.task(task_id)
        if content is None or task_id != self.task_id:
            raise NotFoundError(f"task with id: '{task_id}' not found")
        return content

    # Operations. They run to their end.

    async def create(self, request: CreateRequest) -> Task:
        """Make a task.

        Args:
            request: What to make.

        Raises:
            AlreadyExistsError: The id is taken.
            InvalidArgumentError: Something in the request or its spec can never be right.
            FailedPreconditionError: What is asked for does not belong here.
            ShimError: The engine's reason; nothing is left behind.
        """
        return await self._run(self._create(request), f"creation of {request.id}")

    async def start(self, task_id: str, exec_id: str) -> int:
        """Let an init or an exec run; return its pid, as `Task.start`."""
        task = self.task(task_id)
        task.process(exec_id)
        return await self._run(task.start(exec_id), f"start of {exec_id or task_id}")

    async def exec(self, task_id: str, exec_id: str, spec: bytes, stdio: Stdio) -> None:
        """Prepare a further process, as `Task.exec`."""
        operation = self.task(task_id).exec(exec_id, spec, stdio)
        await self._run(operation, f"exec {exec_id} in {task_id}")

    async def kill(self, task_id: str, exec_id: str, signal: int, *, everyone: bool) -> None:
        """Signal a process, a task or a pod.

        Raises:
            NotFoundError: There is no such task or process, or it has exited.
            ShimError: As `Pod.kill` and `Task.kill`.
        """
        if self.is_sandbox:
            try:
                pod = self.pod()
            except FailedPreconditionError as error:
                text = f"{error}: task with id: '{task_id}' not found"
                raise NotFoundError(text) from error
            operation = pod.kill(task_id, exec_id, signal, everyone=everyone)
        else:
            operation = self.task(task_id).kill(exec_id, signal, everyone=everyone)
        await self._run(operation, f"signal {signal} to {exec_id or task_id}")

    async def delete(self, task_id: str, exec_id: str) -> Deleted:
        """Delete a task or an exec, as `Task.delete`; a pod forgets its workload with it."""
        operation = self._delete(self.task(task_id), exec_id)
        return await self._run(operation, f"deletion of {exec_id or task_id}")

    async def update(
        self, task_id: str, resources: TypedValue, annotations: Mapping[str, str]
    ) -> None:
        """Change limits, as `Task.update`."""
        operation = self.task(task_id).update(resources, annotations)
        await self._run(operation, f"update of {task_id}")

    async def resize(self, task_id: str, exec_id: str, width: int, height: int) -> None:
        """Give a terminal another size, as `Exec.resize`."""
        process = self.task(task_id).process(exec_id)
        await self._run(process.resize(width, height), f"resize of {exec_id or task_id}")

    async def close_stdin(self, task_id: str, exec_id: str) -> None:
        """Drop the connection that feeds a standard input, as `Exec.close_stdin`."""
        process = self.task(task_id).process(exec_id)
        await self._run(process.close_stdin(), f"end of input of {exec_id or task_id}")

    async def run_on_host(self, command: HostCommand) -> int:
        """Run a command beside the shim's task: in its VM, or on this machine if it has none.

        Raises:
            NotFoundError: The task that the shim was started for has not been created.
            ShimError: There is no command, or no place for it, or the engine's reason.
        """
        task = self.task(self.task_id)
        if task.vm is None and not task.has_container:
            raise not_isolated()
        if not command.args:
            raise ShimError("missing command")
        if task.vm is not None:
            return await task.vm.run(command)
        return await self._engine.run_on_host(command)

    async def share(self, host_path: str, guest_path: str, *, read_only: bool) -> None:
        """Share a path of the host into the VM of the shim's task.

        Raises:
            NotFoundError: The task that the shim was started for has not been created.
            ShimError: It has no VM, or the engine's reason.
        """
        vm = self.task(self.task_id).vm
        if vm is None:
            raise not_isolated()
        operation = vm.share(host_path, guest_path, read_only=read_only)
        await self._run(operation, f"share of {host_path}")

    def shutdown(self, task_id: str, *, now: bool) -> None:
        """Ask the shim to go, if it was started for this id; only the first call counts."""
        if task_id == self.task_id and not self.shutdown_requested.done():
            self.shutdown_requested.set_result(not now)

    # Around them.

    def snapshot(self) -> list[str]:
        """Describe all tasks for people: for logs and dumps."""
        lines = [repr(self), repr(self._outbox)]
        lines += [line for task in self.tasks for line in task.snapshot()]
        return lines + [f"operation: {name}" for name in self._background.operations]

    async def close(self, grace: float) -> None:
        """End what goes on in the shim; containers are left as they are.

        Args:
            grace: How long operations under way may take, in s.
        """
        await self._background.close(grace)

    async def _run(self, operation: Coroutine[Any, Any, T], name: str) -> T:
        return await self._background.join(self._background.begin(operation, name))

    async def _create(self, request: CreateRequest) -> Task:
        check_identifier(request.id)
        await self._engine.await_debugger()
        judged = await requests.judge(request)
        async with self._filling:
            if not isinstance(self._content, Pod):
                return await self._fill(judged)
            pod = self._content
        return await pod.create(judged)

    async def _fill(self, judged: requests.Judged) -> Task:
        if self.is_sandbox:
            sandbox = await self._maker.sandbox(judged)
            self._content = Pod(sandbox, judged.spec, self._maker)
            return sandbox
        if self._content is not None:
            raise AlreadyExistsError(f"task with id: '{self.task_id}' already exists")
        if judged.id != self.task_id:
            raise InvalidArgumentError(
                f"task with id: '{judged.id}' cannot be created in the shim of '{self.task_id}'"
            )
        task = await self._maker.standalone(judged)
        self._content = task
        return task

    async def _delete(self, task: Task, exec_id: str) -> Deleted:
        deleted = await task.delete(exec_id)
        if self.is_sandbox and not exec_id:
            pod = self.pod()
            if task in pod.tasks:  # else another deletion of the same was faster
                try:
                    pod.forget(task.id)
                except ShimError as error:
                    text = f'could not delete task "{task.id}" in pod "{self.task_id}"'
                    raise type(error)(f"{text}: {error.detail}") from error
        return deleted
