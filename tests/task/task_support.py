"""What the tests of the task layer share: a pod with a fake engine, and its events as text."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from podshim.api import events_pb2
from podshim.bundle import Bundle
from podshim.engine import CreateRequest, Stdio
from podshim.task.outbox import Outbox
from podshim.task.registry import Registry
from task.fake_engine import FakeContainer, FakeEngine, FakeProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from podshim.task.events import Event
    from podshim.task.lifecycle import State
    from podshim.task.task import Task

_MESSAGES = {
    message.full_name: getattr(events_pb2, message.name)
    for message in events_pb2.DESCRIPTOR.message_types_by_name.values()
}

#: The steps of a life, as `describe` names them.
ORDER = {"create": 1, "exec-added": 1, "start": 2, "exec-started": 2, "exit": 3, "delete": 4}


async def until(condition: Callable[[], object], what: str = "condition") -> None:
    """Let the loop run until something is true; with fakes that takes no time but turns."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError(f"{what} never came true")


async def quiesce() -> None:
    """Let everything run that can run without the test's doing."""
    for _ in range(50):
        await asyncio.sleep(0)


def decode(event: Event) -> Any:  # each kind of event is another class
    return _MESSAGES[event.message.type_name].FromString(event.message.value)


def describe(event: Event) -> str:
    """An event as text: its kind, its process and, for an end, its status."""
    message = decode(event)
    kind = event.topic.removeprefix("/tasks/")
    name = message.container_id
    exec_id = getattr(message, "exec_id", "") or getattr(message, "id", "")
    if exec_id and exec_id != name:
        name = f"{name}/{exec_id}"
    status = f" {message.exit_status}" if kind in ("exit", "delete") else ""
    return f"{kind} {name}{status}"


def spec(*args: str) -> bytes:
    return json.dumps({"args": list(args) or ["sleep"]}).encode()


def state(task: Task) -> State:
    """The state now; unlike the property, a type checker does not take it to stay."""
    return task.state


async def add_exec(task: Task, exec_id: str = "e1", *args: str) -> None:
    await task.exec(exec_id, spec(*args), Stdio())


class Pod:
    """A registry over a fake engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = FakeEngine()
        self.outbox: Outbox[Event] = Outbox()
        self.registry = Registry(self.engine, self.outbox, clock=self.engine.clock)

    def request(
        self, task_id: str = "c1", *args: str, checkpoint: str = "", stdio: Stdio | None = None
    ) -> CreateRequest:
        bundle = self.folder / task_id
        bundle.mkdir(exist_ok=True)
        (bundle / "args").write_text(json.dumps(list(args)))
        return CreateRequest(
            task_id, Bundle(str(bundle)), stdio=stdio or Stdio(), checkpoint=checkpoint
        )

    async def created(self, task_id: str = "c1", *args: str, checkpoint: str = "") -> Task:
        return await self.registry.create(self.request(task_id, *args, checkpoint=checkpoint))

    async def running(self, task_id: str = "c1", *args: str) -> Task:
        task = await self.created(task_id, *args)
        await task.start()
        return task

    def container(self, task_id: str = "c1") -> FakeContainer:
        return self.engine.containers[task_id]

    def process(self, name: str = "c1") -> FakeProcess:
        return self.engine.processes[name]

    def take(self) -> list[Event]:
        """Take all events that have been released."""
        events = []
        while (event := self.outbox.head) is not None:
            events.append(event)
            self.outbox.remove(event)
        return events

    def told(self) -> list[str]:
        return [describe(event) for event in self.take()]

    async def close(self) -> None:
        await self.registry.close()
        assert self.engine.violations == []


def check_order(told: list[str]) -> None:
    """Hold a list of events to what clients rely on."""
    reached: dict[str, int] = {}
    for line in told:
        kind, name = line.split()[:2]
        step = ORDER.get(kind)
        if step is None:
            assert 0 < reached[name] < ORDER["delete"], told
            continue
        if step == 1:
            over = {0, 1, 3, 4} if "/" in name else {0, 4}
            assert reached.get(name, 0) in over, told
        else:
            assert reached[name] < step, told
        if kind == "exec-started":
            assert reached[name.partition("/")[0]] < ORDER["exit"], told
        if kind == "exit" and "/" in name:
            assert reached[name] == ORDER["start"], told
            assert reached[name.partition("/")[0]] < ORDER["exit"], told
        if kind == "exit" and "/" not in name:
            running = [
                other
                for other, at in reached.items()
                if other.startswith(name + "/") and at == ORDER["start"]
            ]
            assert running == [], told
        if kind == "delete" and reached[name] == ORDER["start"]:
            raise AssertionError(told)
        if kind == "delete":
            for other in [other for other in reached if other.startswith(name + "/")]:
                del reached[other]
        reached[name] = step
