"""Signals: which ones there are, whom they reach, and what is too late for them."""

from windows.compare.script import Bundle, Case, Collect, Event, Step, start
from windows.compare.specs import (
    WORK,
    call,
    create,
    cri,
    ended,
    exec_process,
    pod,
    signal,
    single,
    wait,
)

_RUNNING = (create(), call("Start"))
_PART = "signals"


def _signals() -> Case:
    """Each signal to a container of its own, in one pod."""
    steps: list[Step] = [create(), call("Start")]
    bundles = {}
    for number in (0, 1, 2, 5, 6, 9, 15):
        name = f"s{number}"
        task = f"{name}$T"
        bundles[name] = Bundle(cri("container"))
        steps += [
            create(task, name),
            call("Start", task),
            wait(task),
            call("Kill", task, signal=number),
            Event("exit", task),
            Collect(),
        ]
    return pod("signals_that_end_a_container", _PART, *steps, bundles=bundles)


def _invalid(number: int) -> Step:
    return call("Kill", signal=number)


_JOINED = (*_RUNNING, start(WORK, "work"), create(WORK, "work"), call("Start", WORK))

CASES = [
    _signals(),
    single("signals_that_are_none", _PART, *_RUNNING,
           *(_invalid(n) for n in (3, 4, 7, 8, 10, 14, 16, 64, 4294967295)), call("State")),
    single("signal_twice", _PART, *_RUNNING, call("Kill", signal=9), Event("exit", "pod$T"),
           call("Kill", signal=9), call("Kill", signal=77)),
    single("signal_to_an_exec", _PART, *_RUNNING, exec_process("e"), call("Start", exec_id="e"),
           wait(exec_id="e"), call("Kill", exec_id="e", signal=15), Event("exit", "pod$T", "e"),
           Collect(), call("State")),
    single("signal_that_is_none_to_an_exec", _PART, *_RUNNING, exec_process("e"),
           call("Start", exec_id="e"), call("Kill", exec_id="e", signal=3)),
    single("signal_to_all", _PART, *_RUNNING, exec_process("e"), call("Start", exec_id="e"),
           wait(), wait(exec_id="e"), call("Kill", signal=9, all=True),
           Event("exit", "pod$T"), Collect(), loose=True),
    single("signal_to_all_with_an_exec", _PART, *_RUNNING, exec_process("e"),
           call("Kill", exec_id="e", signal=9, all=True), call("State", exec_id="e")),
    single("signal_that_is_ignored_then_a_kill", _PART, *_RUNNING, wait(), signal(15),
           call("Kill", signal=9), Event("exit", "pod$T"), Collect(), loose=True,
           faults=[{"call": "HcsSignalProcess", "stage": "completion", "result": "0x0"}]),
    single("kill_that_hcs_refuses", _PART, *_RUNNING, call("Kill", signal=9), call("State"),
           faults=[{"call": "HcsTerminateProcess", "result": "0x80070057"}]),
    single("kill_that_is_denied", _PART, *_RUNNING, call("Kill", signal=9), call("State"),
           faults=[{"call": "HcsTerminateProcess", "result": "0x80070005"}]),
    pod("pod_signal_to_all_of_a_container", _PART, *_JOINED, wait(WORK),
        call("Kill", WORK, signal=9, all=True), Event("exit", WORK), Collect(), call("State"),
        loose=True),
    pod("pod_signal_to_all_with_an_exec", _PART, *_JOINED,
        call("Kill", exec_id="e", signal=9, all=True), call("State")),
    pod("pod_signal_to_all_before_the_start", _PART, create(), wait(),
        call("Kill", signal=9, all=True), Collect(), call("State")),
    pod("pod_signal_to_all_that_is_none", _PART, *_JOINED, call("Kill", signal=77, all=True),
        call("State"), call("State", WORK)),
    pod("pod_signal_to_an_ended_container", _PART, *_JOINED, *ended(WORK),
        call("Kill", WORK, signal=9), call("Kill", signal=9, all=True), Event("exit", "pod$T")),
]  # fmt: skip
