"""The tasks of a pod, and when the shim may go.

Theory of operation. An id is taken from the moment its creation begins, but the task is found
only when it is complete. A creation whose caller has gone is finished, since a runtime killed half
way leaves half a container, and then undone, since nobody would ever ask for it.

The shim goes when it is told to (`shutdown`) and has nothing left. Told so while a task lives, it
stays: that is how a pod's containers share it. But a task that is just being deleted is no reason
to stay, nor is one in the making: the client may have given up waiting, or asked twice, and will
not ask again. So the order is kept in mind and obeyed when the last of those is gone, unless a
task comes out of it: that takes the order back. The same goes for a container whose `start` has
found this shim (`expect`): containerd is on its way here with it, unless the order is its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from typing import TYPE_CHECKING

from podshim.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from podshim.task.background import Background, attempt
from podshim.task.events import Announcer
from podshim.task.identifiers import check_identifier
from podshim.task.task import END_TIMEOUT, Task, end_unstarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from podshim.engine import Container, CreateRequest, Engine
    from podshim.task.events import Event
    from podshim.task.outbox import Outbox

_log = logging.getLogger(__name__)

#: How long after its `start` a container may take to come, in s; containerd needs milliseconds.
EXPECTATION = 5.0


class Registry:
    """All tasks of one shim. Belongs to one event loop; made before or after it runs.

    Args:
        engine: What runs the containers; opened and closed by someone else.
        outbox: Where events go.
        clock: Tells the time in ns since the epoch.
    """

    def __init__(
        self,
        engine: Engine,
        outbox: Outbox[Event],
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._engine = engine
        self._outbox = outbox
        self._announcer = Announcer(clock)
        self._background = Background()
        self._tasks: dict[str, Task] = {}
        #: The ids of tasks in the making; True once the caller has gone.
        self._creations: dict[str, bool] = {}
        #: What forgets the containers that are on their way here, by id.
        self._expected: dict[str, asyncio.TimerHandle] = {}
        self._told_to_go = False
        #: Set when the shim has been told to go and has nothing left, or goes anyway; never unset.
        self.finished = asyncio.Event()

    def __repr__(self) -> str:
        told = ", told to go" if self._told_to_go else ""
        return f"<Registry {len(self._tasks)} tasks, {len(self._creations)} in the making{told}>"

    def __len__(self) -> int:
        return len(self._tasks) + len(self._creations)

    def __iter__(self) -> Iterator[Task]:
        return iter(list(self._tasks.values()))

    def find(self, task_id: str) -> Task | None:
        """The task of this id, or None."""
        return self._tasks.get(task_id)

    def get(self, task_id: str) -> Task:
        """The task of this id.

        Raises:
            NotFoundError: There is none, or it is still in the making.
        """
        task = self._tasks.get(task_id)
        if task is None:
            raise NotFoundError("container not created")
        return task

    def expect(self, task_id: str) -> None:
        """Stay until a container has come whose `start` has just found this shim, for a while.

        Raises:
            UnavailableError: The shim is going away.
        """
        if self.finished.is_set():
            raise UnavailableError("the shim is shutting down")
        if task_id in self._expected:
            self._expected[task_id].cancel()
        loop = asyncio.get_running_loop()
        self._expected[task_id] = loop.call_later(EXPECTATION, self._expect_no_longer, task_id)

    async def create(self, request: CreateRequest) -> Task:
        """Make a task. If the caller is cancelled, the container is made and removed again.

        Args:
            request: What to make; its id and bundle are judged here.

        Raises:
            InvalidArgumentError: The id or the bundle can't be right.
            NotFoundError: The bundle does not exist.
            AlreadyExistsError: The id is taken.
            UnavailableError: The shim is going away.
            ShimError: The engine's reason; nothing is left behind.
        """
        check_identifier(request.id)
        _check_folder(request.bundle.path)
        if self.finished.is_set():
            raise UnavailableError("the shim is shutting down")
        if request.id in self._tasks or request.id in self._creations:
            raise AlreadyExistsError(f"task {request.id}")
        self._creations[request.id] = False
        self._expect_no_longer(request.id)
        operation = self._background.begin(self._create(request), f"creation of {request.id}")
        try:
            task = await self._background.join(operation)
        except asyncio.CancelledError:
            if request.id in self._creations:
                self._creations[request.id] = True
            elif operation.done() and not operation.cancelled() and not operation.exception():
                self._take_back(operation.result())
            raise
        if task is None:
            raise UnavailableError(f"the creation of {request.id} was undone")
        return task

    def shutdown(self, task_id: str = "") -> None:
        """Go when nothing is left; with a task that lives and stays, do nothing at all.

        Args:
            task_id: In whose name the client says so: that container will not come any more.
        """
        self._expect_no_longer(task_id)
        if all(task.deleting for task in self._tasks.values()):
            self._told_to_go = True
            self._go_if_empty()

    def snapshot(self) -> list[str]:
        """Describe all tasks for people: for logs and dumps."""
        lines = [repr(self), repr(self._outbox)]
        lines += [f"creation of {name}" for name in self._creations]
        lines += [line for task in self._tasks.values() for line in task.snapshot()]
        return lines + [f"operation: {name}" for name in self._background.operations]

    def retire(self) -> None:
        """Take no further container: the shim goes, whatever it has left."""
        self.finished.set()

    async def close(self, grace: float = END_TIMEOUT) -> None:
        """End what goes on in the shim; containers are left as they are.

        Args:
            grace: How long operations under way may take, in s.
        """
        self.retire()
        for timer in self._expected.values():
            timer.cancel()
        self._expected.clear()
        await self._background.close(grace)

    async def _create(self, request: CreateRequest) -> Task | None:
        try:
            request.bundle.forget_exit()  # an earlier container's end would pass for this one's
            container = await self._engine.create(request)
            if self._creations[request.id]:
                await self._undo(request.id, container)
                return None
            task = Task(
                request,
                container,
                track=self._outbox.track(),
                announcer=self._announcer,
                background=self._background,
                forget=self._forget,
            )
            self._tasks[request.id] = task
            self._told_to_go = False
        finally:
            del self._creations[request.id]
            self._go_if_empty()
        return task

    def _take_back(self, task: Task | None) -> None:
        """Delete a task that came just as its caller went, who has not learnt of it."""
        if task is not None and self._tasks.get(task.id) is task:
            task.deleting = True
            self._background.begin(
                attempt(task.delete(), f"delete {task.id}, whose client is gone"),
                f"undoing of {task.id}",
            )

    async def _undo(self, task_id: str, container: Container) -> None:
        _log.warning("removing %s: its client was gone before it was created", task_id)
        if container.init.pid:
            await end_unstarted(container, task_id)
            try:
                async with asyncio.timeout(END_TIMEOUT):
                    await container.init.wait()
            except TimeoutError:
                _log.warning("the init of %s outlived its kill", task_id)
        await attempt(container.init.delete(), f"free the init of {task_id}")
        await container.delete()

    def _forget(self, task: Task) -> None:
        del self._tasks[task.id]
        self._go_if_empty()

    def _expect_no_longer(self, task_id: str) -> None:
        timer = self._expected.pop(task_id, None)
        if timer is not None:
            timer.cancel()
            self._go_if_empty()

    def _go_if_empty(self) -> None:
        if self._told_to_go and not (self._tasks or self._creations or self._expected):
            self.finished.set()


def _check_folder(path: str) -> None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"stat {path}: {error.strerror}") from error
    except PermissionError:
        raise
    except OSError as error:  # too long, or links that lead to themselves
        raise InvalidArgumentError(f"stat {path}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise InvalidArgumentError(f"bundle {path} is not a directory")
