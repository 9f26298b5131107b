"""A pod under random operations and ends, in any interleaving that a client may bring about.

The machine starts calls as tasks, holds engine calls at gates and opens them later, lets
processes end whenever, and cancels callers. After each step, and at the end, it holds the events,
the waiters and the registry to their invariants.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from podshim.engine import Exit, Stdio
from podshim.errors import NotFoundError, ShimError
from task.task_support import Pod, check_order, describe, quiesce

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from podshim.task.process import Process
    from task.fake_engine import Gate

TASKS = st.sampled_from(["c1", "c2"])
EXECS = st.sampled_from(["e1", "e2", "e3"])
NAMES = st.sampled_from(["c1", "c2", "c1/e1", "c1/e2", "c1/e3", "c2/e1", "c2/e2", "c2/e3"])
CALLS = st.sampled_from(
    ["create", "start", "exec", "delete", "free", "pause", "resume", "kill", "init_exited"]
)


class PodMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("podshim").setLevel(logging.CRITICAL)
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.pod = Pod(Path(self.folder.name))
        self.callers: list[asyncio.Task[object]] = []
        self.waiters: dict[asyncio.Task[Exit | None], Process] = {}
        self.gates: list[Gate] = []
        self.told: list[str] = []

    def run(self, coroutine: Coroutine[object, object, None]) -> None:
        self.loop.run_until_complete(coroutine)

    def settle(self) -> None:
        self.run(quiesce())
        self.told += [describe(event) for event in self.pod.take()]

    def call(self, coroutine: Coroutine[object, object, object]) -> None:
        caller = self.loop.create_task(coroutine)
        caller.add_done_callback(lambda caller: caller.cancelled() or caller.exception())
        self.callers.append(caller)
        self.settle()

    # What clients do.

    @rule(task_id=TASKS, program=st.sampled_from([(), ("exit", "3")]))
    def create(self, task_id: str, program: tuple[str, ...]) -> None:
        self.call(self.pod.created(task_id, *program))

    @rule(task_id=TASKS, exec_id=EXECS, program=st.sampled_from([[], ["exit", "4"]]))
    def exec(self, task_id: str, exec_id: str, program: list[str]) -> None:
        if task := self.pod.registry.find(task_id):
            self.call(task.exec(exec_id, json.dumps({"args": program}).encode(), Stdio()))

    @rule(name=NAMES)
    def start(self, name: str) -> None:
        task_id, _, exec_id = name.partition("/")
        if task := self.pod.registry.find(task_id):
            self.call(task.start(exec_id))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        task_id, _, exec_id = name.partition("/")
        if task := self.pod.registry.find(task_id):
            if not exec_id:
                self.call(task.delete())
            elif exec_id in task.execs:
                self.call(task.exec_of(exec_id).delete())

    @rule(name=NAMES, everyone=st.booleans())
    def kill(self, name: str, everyone: bool) -> None:
        task_id, _, exec_id = name.partition("/")
        if task := self.pod.registry.find(task_id):
            self.call(task.kill(exec_id, 9, everyone=everyone))

    @rule(task_id=TASKS, pause=st.booleans())
    def freeze(self, task_id: str, pause: bool) -> None:
        if task := self.pod.registry.find(task_id):
            self.call(task.pause() if pause else task.resume())

    @rule(name=NAMES)
    def wait(self, name: str) -> None:
        task_id, _, exec_id = name.partition("/")
        task = self.pod.registry.find(task_id)
        if task is not None and (not exec_id or exec_id in task.execs):
            process = task.process(exec_id)
            self.waiters[self.loop.create_task(process.wait())] = process

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def caller_goes_away(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.callers)).cancel()
        self.settle()

    # What the world does.

    @rule(name=NAMES, status=st.integers(0, 255))
    def process_ends(self, name: str, status: int) -> None:
        process = self.pod.engine.processes.get(name)
        if process is not None and process.alive:
            process.finish(status)
            self.settle()

    @rule(call=CALLS, name=NAMES)
    def hold(self, call: str, name: str) -> None:
        self.gates.append(self.pod.engine.hold(self.named(call, name)))

    @rule(call=CALLS.filter(lambda call: call != "kill"), name=NAMES)
    def fail(self, call: str, name: str) -> None:
        self.pod.engine.fail(self.named(call, name), ShimError(f"{call} fails"))

    def named(self, call: str, name: str) -> str:
        if call in ("create", "delete", "pause", "resume", "init_exited"):
            name = name.partition("/")[0]
        return f"{call} {name}" + (" 9" if call == "kill" else "")

    @precondition(lambda self: self.gates)
    @rule(data=st.data())
    def open(self, data: st.DataObject) -> None:
        gate = data.draw(st.sampled_from(self.gates))
        self.gates.remove(gate)
        gate.open()
        self.settle()

    # What must hold.

    @invariant()
    def promises_are_kept(self) -> None:
        assert self.pod.engine.violations == []

    @invariant()
    def events_are_in_order(self) -> None:
        check_order(self.told)

    @invariant()
    def no_waiter_is_forgotten(self) -> None:
        self.settle()
        for waiter, process in self.waiters.items():
            assert waiter.done() == process.ended.is_set()
            if waiter.done():
                assert waiter.result() == process.exit

    def teardown(self) -> None:
        try:
            self.run(self.wind_up())
            self.settle()
            check_order(self.told)
            exits = Counter(line for line in self.told if line.startswith("create"))
            ends = Counter(line.split()[1] for line in self.told if line.startswith("delete"))
            assert sum(exits.values()) == sum(ends.values())
            assert self.pod.engine.violations == []
            # What could not be undone, since the machine made it fail, is left to containerd.
            assert set(self.pod.engine.containers) == self.pod.engine.left_over
            assert self.pod.registry._background.watchers == []
            assert self.pod.registry._background.operations == []
            assert all(waiter.done() for waiter in self.waiters)
        finally:
            self.loop.close()
            self.folder.cleanup()
            logging.getLogger("podshim").setLevel(logging.NOTSET)

    async def wind_up(self) -> None:
        """Let everything go on and end it as a client would; then the shim must be able to go."""
        engine, registry = self.pod.engine, self.pod.registry
        engine._errors.clear()
        while self.gates or engine._gates:
            for gate in [*self.gates, *engine._gates.values()]:
                gate.open()
            self.gates.clear()
            engine._gates.clear()
            await quiesce()
        for task in registry:
            # A deletion that was held up before may get ahead of any of these.
            with contextlib.suppress(NotFoundError):
                await task.kill("", 9, everyone=True)
            await task.init.wait()
            with contextlib.suppress(NotFoundError):
                await task.delete()
        registry.shutdown()
        assert registry.finished.is_set()
        await asyncio.gather(*self.callers, return_exceptions=True)
        await registry.close()


TestPodMachine = PodMachine.TestCase
TestPodMachine.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
