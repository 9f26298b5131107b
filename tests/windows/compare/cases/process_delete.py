"""`delete`: alone, over what a server left, and beside one that lives."""

from typing import Any

from windows.compare.script import (
    POD,
    Bundle,
    Case,
    EndServer,
    Event,
    Run,
    Step,
    Together,
    delete,
    flags,
    start,
)
from windows.compare.specs import call, create, spec

# A server may see its container's end or its process's end first.
_SHUTDOWN = ("HcsShutDownComputeSystem",)
_RUNNING = (start(), create(), call("Start"))


def _case(name: str, *steps: Step, files: dict[str, str] | None = None, **more: Any) -> Case:
    bundles = {"pod": Bundle(spec(), files=files or {})}
    return Case(f"delete_{name}", "delete", bundles, steps, **more)


CASES = [
    _case("nothing", delete()),
    _case("twice", delete(), delete()),
    _case("many_at_a_time", Together([delete()] * 4)),
    _case("without_bundle", Run((*flags(), "delete"))),
    _case("with_empty_bundle", Run((*flags(), "-bundle", "", "delete"))),
    _case("of_a_bundle_that_is_gone", Run((*flags(), "-bundle", r"$B\gone", "delete"))),
    _case("of_a_file", Run((*flags(), "-bundle", r"$B\pod\config.json", "delete"))),
    _case("with_a_relative_bundle", Run((*flags(), "-bundle", ".", "delete"))),
    _case("with_empty_panic_log", delete(), files={"panic.log": ""}),
    _case("with_a_panic", delete(), files={"panic.log": "panic: it broke\n\ngoroutine 1:\n\tx\n"}),
    _case("with_one_word_in_the_panic_log", delete(), files={"panic.log": "word"}),
    _case("with_a_quote_in_the_panic_log", delete(), files={"panic.log": 'a "quoted" \\ word'}),
    _case("with_a_panic_log_that_is_a_folder", delete(), files={"panic.log\\": ""}),
    _case("with_a_long_id", delete("a-very-long-id-of-a-container-$T")),
    _case("with_an_odd_id", delete("o\u00f6 '\"$T")),
    _case("after_start", start(), delete()),
    _case("after_start_and_end", start(), EndServer(), delete()),
    _case("of_a_created_task", start(), create(), delete(), Event("exit", POD), call("State")),
    _case("of_a_running_task", *_RUNNING, delete(), Event("exit", POD), loose=True,
          ignored=_SHUTDOWN),
    _case("of_a_running_task_twice", *_RUNNING, delete(), Event("exit", POD), delete(), loose=True,
          ignored=_SHUTDOWN),
    _case("after_a_crash", *_RUNNING, EndServer(), delete()),
    _case("when_opening_fails", *_RUNNING, delete(), loose=True,
          faults=[{"call": "HcsOpenComputeSystem", "result": "0x80070005"}]),
    _case("when_terminating_fails", *_RUNNING, delete(), loose=True,
          faults=[{"call": "HcsTerminateComputeSystem", "result": "0x80070005"}]),
    _case("when_terminating_fails_later", *_RUNNING, delete(), loose=True, slow=True,
          faults=[{"call": "HcsTerminateComputeSystem", "result": "0x80370105",
                   "stage": "completion"}]),
    _case("when_it_takes_a_while", *_RUNNING, delete(), Event("exit", POD), loose=True,
          ignored=_SHUTDOWN,
          faults=[{"call": "HcsTerminateComputeSystem", "delay_ms": 1500}]),
]  # fmt: skip
