"""The life of a task that stands alone, and every call in each of its states."""

from __future__ import annotations

from windows.compare.script import Collect, Event
from windows.compare.specs import call, create, ended, exec_process, single, wait

CASES = [
    single("single_life", "life of a task", create(), call("State"), call("Start"), call("State"),
           *ended(), call("State"), call("Delete"), call("State"), call("Delete")),
    single("single_exec_life", "execs", create(), call("Start"),
           exec_process("e", "cmd", "/c", "exit", "7"), call("State", exec_id="e"),
           call("Start", exec_id="e"), wait(exec_id="e"), Event("exit", "pod$T", "e"), Collect(),
           call("State", exec_id="e"), call("Delete", exec_id="e"),
           call("State", exec_id="e"), *ended(), call("Delete")),
]  # fmt: skip
