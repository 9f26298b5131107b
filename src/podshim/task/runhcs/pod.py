"""A pod: its sandbox task, its VM if it has one, and the workload tasks that share them.

Theory of operation. The pod lives as long as its shim: a sandbox that was deleted goes on
answering. An id is taken from the moment its creation begins, so two creations of one id can't both
succeed; the task is found when it is complete. A sandbox that ends while a workload is being made
takes it along: the container is removed again and the creation fails as it would have a moment
later.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podshim.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    NotFoundError,
)
from podshim.hcsspec.predicates import ContainerType
from podshim.hcsspec.reading import annotations_of
from podshim.task.lifecycle import State
from podshim.task.runhcs.creation import check_place, discard
from podshim.task.runhcs.hostprocess import reconciled

if TYPE_CHECKING:
    from podshim.task.runhcs.creation import Maker
    from podshim.task.runhcs.host import Spec
    from podshim.task.runhcs.request import Judged
    from podshim.task.runhcs.task import Task


class Pod:
    """One pod.

    Args:
        sandbox: Its sandbox task.
        spec: The sandbox's spec.
        maker: What makes its workloads.
    """

    def __init__(self, sandbox: Task, spec: Spec, maker: Maker) -> None:
        self.id = sandbox.id
        self.sandbox = sandbox
        self._spec = spec
        self._maker = maker
        self._workloads: dict[str, Task] = {}
        self._in_the_making: set[str] = set()

    def __repr__(self) -> str:
        making = f", {len(self._in_the_making)} in the making" if self._in_the_making else ""
        return f"<Pod {self.id}, {len(self._workloads)} workloads{making}>"

    @property
    def tasks(self) -> list[Task]:
        """All tasks, the sandbox first."""
        return [self.sandbox, *self._workloads.values()]

    def task(self, task_id: str) -> Task:
        """Find a task.

        Raises:
            NotFoundError: There is none of this id.
        """
        found = self.sandbox if task_id == self.id else self._workloads.get(task_id)
        if found is None:
            raise NotFoundError(f"task with id: '{task_id}' not found")
        return found

    async def create(self, judged: Judged) -> Task:
        """Make a workload.

        Raises:
            AlreadyExistsError: The id is taken.
            FailedPreconditionError: The sandbox is not running, or the workload belongs elsewhere.
            ShimError: The pod can't hold it, or the engine's reason; nothing is left behind.
        """
        if judged.id == self.id:
            raise AlreadyExistsError(f"task with id: '{judged.id}' already exists")
        self._check_running(judged.id)
        if judged.id in self._workloads or judged.id in self._in_the_making:
            # Clients may look for this very text, slip included.
            raise AlreadyExistsError(
                f"task with id: '{judged.id}' already exists id pod: '{self.id}'"
            )
        vm = self.sandbox.vm
        spec = reconciled(self._spec, vm, judged.spec)
        check_place(annotations_of(spec), ContainerType.CONTAINER, self.id)
        self._in_the_making.add(judged.id)
        try:
            container = await self._maker.engine_container(judged, spec, vm, owns_vm=False)
            try:
                self._check_running(judged.id)
            except FailedPreconditionError:
                await discard(container, judged.id)
                raise
            task = self._maker.task(judged, container, spec, vm, owns_vm=False)
            self._workloads[judged.id] = task
            return task
        finally:
            self._in_the_making.discard(judged.id)

    async def kill(self, task_id: str, exec_id: str, signal: int, *, everyone: bool) -> None:
        """Signal a task, or with `everyone` and the pod's own id all tasks, the sandbox last.

        Raises:
            NotFoundError: There is no such task or process, or it has exited.
            FailedPreconditionError: An exec and everyone, or no signal.
            ShimError: The engine's reason. Of several failures the first is told.
        """
        task = self.task(task_id)
        if everyone and exec_id:
            raise FailedPreconditionError(f"cannot signal all with non empty ExecID: '{exec_id}'")
        if not everyone or task is not self.sandbox:
            await task.kill(exec_id, signal, everyone=everyone)
            return
        failures: list[Exception] = []

        async def signal_all(each: Task) -> None:
            try:
                await each.kill("", signal, everyone=True)
            except Exception as error:  # noqa: BLE001 - told below; no failure spares the others
                failures.append(error)

        await asyncio.gather(*map(signal_all, self._workloads.values()))
        await signal_all(self.sandbox)
        if failures:
            raise failures[0]

    def forget(self, task_id: str) -> None:
        """Drop a workload whose task has been deleted; the sandbox stays.

        Raises:
            NotFoundError: There is no such task any more.
            FailedPreconditionError: It is running.
        """
        task = self.task(task_id)
        if task.init.state is State.RUNNING:
            raise FailedPreconditionError("cannot delete task with running exec")
        if task is not self.sandbox:
            del self._workloads[task_id]

    def _check_running(self, task_id: str) -> None:
        if self.sandbox.init.state is not State.RUNNING:
            raise FailedPreconditionError(
                f"task with id: '{task_id}' cannot be created in pod: '{self.id}' which is not"
                " running"
            )
