"""Every call in every state: before a task is created, created, running, ended, deleted.

What changes the state has cases of its own; of what does not, a case makes all calls in a row.
"""

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


def _asked(task: str) -> list[Step]:
    """All calls that change nothing, about a task, an exec of it that is not, and no task."""
    gone = "gone$T"
    return [
        call("State", task),
        call("State", task, exec_id="x"),
        call("State", gone),
        call("Start", gone),
        call("Start", task, exec_id="x"),
        call("Delete", gone),
        call("Delete", task, exec_id="x"),
        call("Pids", task),
        call("Pids", gone),
        call("Stats", task),
        call("Stats", gone),
        call("Pause", task),
        call("Resume", task),
        call("Checkpoint", task),
        call("Kill", gone, signal=9),
        call("Kill", task, exec_id="x", signal=9),
        call("Kill", task, exec_id="x", signal=9, all=True),
        call("Wait", gone),
        call("Wait", task, exec_id="x"),
        call("ResizePty", task, width=80, height=25),
        call("ResizePty", task, exec_id="x", width=80, height=25),
        call("ResizePty", gone, width=80, height=25),
        call("CloseIO", task, stdin=True),
        call("CloseIO", task, exec_id="x", stdin=True),
        call("CloseIO", gone),
        call("Update", task),
        call("Update", gone),
        call("Connect", task),
        call("Connect", gone),
        exec_process("x", task=gone),
        call("Shutdown", gone),
    ]


def _diagnosed(task: str) -> list[Step]:
    return [
        Call("DiagTasks"),
        Call("DiagTasks", {"execs": True}),
        Call("DiagPid"),
        Call("DiagShare", {"host_path": "C:\\", "uvm_path": "C:\\x"}),
        Call("ComputeProcessorInfo", {"id": task}),
        Call("ComputeProcessorInfo", {"id": "gone$T"}),
        Call("Unheard"),
    ]


def _cases() -> list[Case]:
    found: list[Case] = []
    for state, steps in _SINGLE.items():
        part = f"state {state}"
        asked = (*steps, *_asked("pod$T"), *_diagnosed("pod$T"))
        changes = _changes("pod$T", state)
        found.append(single(f"single_{state}_asked", part, *asked))
        if state in {"created", "running"}:
            found += [
                single(f"single_{state}_{name}", part, *steps, *change)
                for name, change in changes.items()
            ]
        else:
            whole = [step for change in changes.values() for step in change]
            found.append(single(f"single_{state}_changed", part, *steps, *whole))
    for state, steps in _POD.items():
        asked = (*steps, *_asked("pod$T"), *_diagnosed("pod$T"), create(WORK, "work"))
        found.append(pod(f"pod_{state}_asked", f"state {state}", *asked))
    for state, steps in _WORK.items():
        changed = (
            *steps,
            *_asked(WORK),
            create(WORK, "work"),
            call("Start", WORK),
            call("Delete", WORK),
            exec_process("e", task=WORK),
            call("Kill", WORK, signal=9),
            wait(WORK),
            Collect(),
        )
        found.append(pod(f"work_{state}_asked_and_changed", f"state {state}", *changed))
    return found


def _changes(task: str, state: str) -> dict[str, list[Step]]:
    """Calls that may change the state, each with a look at what came of it."""
    over: list[Step] = [Event("exit", task)] if state in {"created", "running"} else []
    look = [call("State", task), call("State", task, exec_id="e")]
    return {
        "start": [call("Start", task), call("State", task)],
        "exec": [exec_process("e", task=task), call("Start", task, exec_id="e"), *look],
        "kill": [call("Kill", task, signal=15), *over, wait(task), Collect()],
        "kill_all": [call("Kill", task, signal=9, all=True), *over, wait(task), Collect()],
        "kill_by_no_signal": [
            call("Kill", task, signal=77),
            *over[: state == "created"],
            call("State", task),
        ],
        "delete": [call("Delete", task), call("State", task)],
    }


CASES = _cases()
