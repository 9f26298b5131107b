"""Random lives of a pod, everything at once: whatever happens, the promises hold."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from podshim.api import task_v2_pb2 as pb
from podshim.ttrpc import StatusError
from runhcs.slot_support import Shim, argon, host_process, in_pod, until, xenon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from runhcs.slot_support import Spec

TASKS = ["p", "w1", "w2"]
EXECS = ["", "e1", "e2"]

#: An operation and whether the next one waits until everything is quiet.
Step = tuple[str, str, str, bool]

#: How a pod usually begins.
BEGINNING: list[Step] = [
    (operation, task, "", True) for task in ("p", "w1") for operation in ("create", "start")
]

further_steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["create", "start", "exec", "kill", "kill all", "delete", "finish", "state", "pids"]
        ),
        st.sampled_from(TASKS),
        st.sampled_from(EXECS),
        st.booleans(),
    ),
    max_size=30,
)
POD_SPECS = {
    "argon": (argon(), argon()),
    "xenon": (xenon(), xenon()),
    "host process": (host_process(argon()), host_process(argon())),
}


def order_of(told: list[str]) -> None:
    """Hold a list of events to what clients rely on."""
    lives: dict[str, list[str]] = {}
    for line in told:
        kind, name = line.split()[:2]
        kind = {"exec-added": "create", "exec-started": "start"}.get(kind, kind)
        life = lives.setdefault(name, [])
        if kind == "create":
            assert not life or life[-1] == "delete", told
            life.clear()
        elif kind == "delete":
            assert life[-1] in {"exit", "delete"} or ("/" in name and life == ["create"]), told
        elif kind == "exit":
            assert life == (["create"] if "start" not in life else ["create", "start"]), told
            assert "/" not in name or life == ["create", "start"], told
        else:
            assert life == ["create"], told
        if kind == "exit" and "/" not in name:
            for other, events in lives.items():
                if other.startswith(f"{name}/"):
                    assert events[-1] != "start", told
        life.append(kind)


def end_by_itself(shim: Shim, task_id: str, exec_id: str) -> None:
    process = shim.engine.processes.get(f"{task_id}/{exec_id}" if exec_id else task_id)
    if process is not None and process.alive:
        process.finish(7)


CALLS: dict[str, Callable[[Shim, str, str], Awaitable[object]]] = {
    "start": lambda shim, task, name: shim.start(task, name),
    "exec": lambda shim, task, name: shim.exec(task, name, *(["exit", "3"] * (name == "e2"))),
    "kill": lambda shim, task, name: shim.kill(task, name),
    "kill all": lambda shim, task, _: shim.kill(task, everyone=True),
    "delete": lambda shim, task, name: shim.delete(task, name),
    "state": lambda shim, task, name: shim.state(task, name),
    "pids": lambda shim, task, _: shim.task.pids(pb.PidsRequest(id=task)),
}


async def take(shim: Shim, step: Step, specs: dict[str, Spec], refusals: list[str]) -> None:
    """Make one call."""
    operation, task_id, exec_id, _ = step
    try:
        if operation == "finish":
            end_by_itself(shim, task_id, exec_id)
        elif operation == "create":
            await shim.create(specs[task_id], task_id)
        else:
            await CALLS[operation](shim, task_id, exec_id)
    except StatusError as error:
        refusals.append(error.message)


async def live(folder: Path, shape: str, chosen: Sequence[Step]) -> None:
    shim = Shim(folder, task_id="p", is_sandbox=True)
    await shim.open()
    sandbox, workload = POD_SPECS[shape]
    specs = {
        "p": in_pod(sandbox, "sandbox"),
        "w1": in_pod(workload),
        "w2": in_pod(workload),
    }
    refusals: list[str] = []
    try:
        under_way: list[asyncio.Task[None]] = []
        for step in chosen:
            call = take(shim, step, specs, refusals)
            under_way.append(asyncio.ensure_future(call))
            if step[3]:
                await asyncio.gather(*under_way)
                under_way.clear()
        await asyncio.gather(*under_way)
        for task in list(reversed(shim.slot.tasks)):
            if task.init.state_text != "exited":
                await shim.kill(task.id, signal=9)
            await shim.wait(task.id)
            await shim.delete(task.id)
        await until(lambda: not shim.engine.processes and not shim.engine.containers)
        assert not shim.engine.vms
        assert len(shim.slot.tasks) <= 1
        assert all(line for line in shim.slot.snapshot())
        assert not any("held" in line for line in shim.slot.snapshot())
        order_of(shim.told())
        assert not any("transition" in text or "Error" in text for text in refusals), refusals
    finally:
        await shim.close()


@pytest.mark.parametrize("shape", list(POD_SPECS))
def test_whatever_happens_the_promises_hold(
    shape: str, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    @settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(begun=st.sampled_from([0, 1, 2, 3, 4, 4, 4, 4]), chosen=further_steps)
    def lives(begun: int, chosen: list[Step]) -> None:
        steps = [*BEGINNING[:begun], *chosen]
        asyncio.run(live(tmp_path_factory.mktemp("pod"), shape, steps))

    with caplog.at_level(logging.ERROR, logger="podshim"):
        lives()
    assert [record.getMessage() for record in caplog.records] == []


def test_the_judge_of_orders_can_say_no() -> None:
    for wrong in (
        ["start a"],
        ["create a", "exit a 0", "start a"],
        ["create a", "delete a 0"],
        ["create a", "exec-added a/e", "exit a/e 0"],
        ["create a", "start a", "exec-added a/e", "exec-started a/e", "exit a 0"],
        ["create a", "create a"],
    ):
        with pytest.raises(AssertionError):
            order_of(wrong)
