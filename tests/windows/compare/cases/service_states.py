"""Every call in every state: before a task is created, created, running, ended, deleted.

What changes the state has cases of its own; of what does not, a case makes all calls in a row.
"""

from __future__ import annotations

from windows.compare.script import Call, Case, Collect, Event, Step, start
from windows.compare.specs import WORK, call, create, ended, exec_process, pod, single, wait

_SINGLE: dict[str, list[Step]] = {
    "before": [],
    "created": [create()],
    "running": [create(), call("Start")],
    "ended": [create(), call("Start"), *ended()],
    "deleted": [create(), call("Start"), *ended(), call("Delete")],
}
_POD: dict[str, list[Step]] = {
    "before": [],
    "created": [create()],
    "running": [create(), call("Start")],
    "ended": [create(), call("Start"), *ended()],
    "deleted": [create(), call("Start"), *ended(), call("Delete")],
}
_JOINED = [*_POD["running"], start(WORK, "work")]
_WORK: dict[str, list[Step]] = {
    "before": _JOINED,
    "created": [*_JOINED, create(WORK, "work")],
    "running": [*_JOINED, create(WORK, "work"), call("Start", WORK)],
    "ended": [*_JOINED, create(WORK, "work"), call("Start", WORK), *ended(WORK)],
    "deleted": [*_JOINED, create(WORK, "work"), call("Start", WORK), *ended(WORK),
                call("Delete", WORK)],
}  # fmt: skip


def _asked(id: str) -> list[Step]:
    """All calls that change nothing, about a task, an exec of it that is not, and no task."""
    gone = "gone$T"
    return [
        call("State", id),
        call("State", id, exec_id="x"),
        call("State", gone),
        call("Start", gone),
        call("Start", id, exec_id="x"),
        call("Delete", gone),
        call("Delete", id, exec_id="x"),
        call("Pids", id),
        call("Pids", gone),
        call("Stats", id),
        call("Stats", gone),
        call("Pause", id),
        call("Resume", id),
        call("Checkpoint", id),
        call("Kill", gone, signal=9),
        call("Kill", id, exec_id="x", signal=9),
        call("Kill", id, exec_id="x", signal=9, all=True),
        call("Wait", gone),
        call("Wait", id, exec_id="x"),
        call("ResizePty", id, width=80, height=25),
        call("ResizePty", id, exec_id="x", width=80, height=25),
        call("ResizePty", gone, width=80, height=25),
        call("CloseIO", id, stdin=True),
        call("CloseIO", id, exec_id="x", stdin=True),
        call("CloseIO", gone),
        call("Update", id),
        call("Update", gone),
        call("Connect", id),
        call("Connect", gone),
        exec_process("x", id=gone),
        call("Shutdown", gone),
    ]


def _diagnosed(id: str) -> list[Step]:
    return [
        Call("DiagTasks"),
        Call("DiagTasks", {"execs": True}),
        Call("DiagPid"),
        Call("DiagShare", {"host_path": "C:\\", "uvm_path": "C:\\x"}),
        Call("ComputeProcessorInfo", {"id": id}),
        Call("ComputeProcessorInfo", {"id": "gone$T"}),
        Call("Unheard"),
    ]


def _cases() -> list[Case]:
    found: list[Case] = []
    for state, steps in _SINGLE.items():
        found += [
            single(f"single_{state}_asked", f"state {state}", *steps, *_asked("pod$T")),
            single(f"single_{state}_diagnosed", f"state {state}", *steps, *_diagnosed("pod$T")),
        ]
        found += [
            single(f"single_{state}_{name}", f"state {state}", *steps, *changes)
            for name, changes in _changes("pod$T", state).items()
        ]
    for state, steps in _POD.items():
        found += [
            pod(f"pod_{state}_asked", f"state {state}", *steps, *_asked("pod$T")),
            pod(f"pod_{state}_diagnosed", f"state {state}", *steps, *_diagnosed("pod$T")),
            pod(f"pod_{state}_joined", f"state {state}", *steps, create(WORK, "work")),
        ]
    for state, steps in _WORK.items():
        found += [
            pod(f"work_{state}_asked", f"state {state}", *steps, *_asked(WORK)),
            pod(f"work_{state}_changed", f"state {state}", *steps, create(WORK, "work"),
                call("Start", WORK), call("Delete", WORK), exec_process("e", id=WORK),
                call("Kill", WORK, signal=9), wait(WORK), Collect()),
        ]  # fmt: skip
    return found


def _changes(id: str, state: str) -> dict[str, list[Step]]:
    """Calls that may change the state, each with a look at what came of it."""
    over: list[Step] = [Event("exit", id)] if state in {"created", "running"} else []
    look = [call("State", id), call("State", id, exec_id="e")]
    return {
        "start": [call("Start", id), call("State", id)],
        "exec": [exec_process("e", id=id), call("Start", id, exec_id="e"), *look],
        "kill": [call("Kill", id, signal=15), *over, wait(id), Collect()],
        "kill_all": [call("Kill", id, signal=9, all=True), *over, wait(id), Collect()],
        "kill_by_no_signal": [call("Kill", id, signal=77), call("State", id)],
        "delete": [call("Delete", id), call("State", id)],
    }


CASES = _cases()
