"""What the engine takes for granted of `computecore.dll`: each function is one promise.

They run against the fake on Linux (`test_core_contract`), and against the real binding over the
stand-in on Windows (`case_engine_contract`), so that what the fake does is what the stand-in does.
"""

import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from podshim.engines.hcs.computecore import ComputeCore, ProcessCall, SystemCall

MakeCore = Callable[[Callable[[int, int, str], None]], ComputeCore]

WAIT = 20000
#: A command that runs until it is ended.
LONG = json.dumps({"CommandLine": "ping -n 600 127.0.0.1"})
DOCUMENT = json.dumps(
    {
        "Owner": "Test",
        "SchemaVersion": {"Major": 2, "Minor": 1},
        "ShouldTerminateOnLastHandleClosed": True,
        "Container": {},
    }
)


class Heard:
    """Collects events."""

    def __init__(self) -> None:
        self.events: list[tuple[int, int, Any]] = []
        self.threads: set[int] = set()
        self._changed = threading.Condition()

    def deliver(self, context: int, kind: int, data: str) -> None:
        with self._changed:
            self.threads.add(threading.get_ident())
            self.events.append((context, kind, json.loads(data) if data else None))
            self._changed.notify_all()

    def wait(self, count: int = 1) -> list[tuple[int, int, Any]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.events) >= count, 20), self.events
            return list(self.events)


def run(core: ComputeCore, begin: Callable[[int], int]) -> tuple[int, str]:
    """An operation's HRESULT and document; the call's if that failed."""
    operation = core.create_operation()
    try:
        result = begin(operation)
        if result:
            return result, core.operation_result(operation).document
        done = core.wait_for_operation(operation, WAIT)
        return done.result, done.document
    finally:
        core.close_operation(operation)


def call(core: ComputeCore, what: SystemCall, system: int, document: str = "") -> int:
    return run(core, lambda operation: core.system_call(what, system, operation, document))[0]


@contextlib.contextmanager
def created(core: ComputeCore, name: str = "") -> Iterator[tuple[str, int]]:
    name = name or f"c-{uuid.uuid4()}"
    made = 0

    def begin(operation: int) -> int:
        nonlocal made
        result, made = core.create_system(name, DOCUMENT, operation)
        return result

    assert run(core, begin)[0] == 0
    try:
        yield name, made
    finally:
        core.close_system(made)


def spawn(core: ComputeCore, system: int) -> tuple[int, int]:
    """A process's handle and id."""
    operation = core.create_operation()
    try:
        result, process = core.create_process(system, LONG, operation)
        assert result == 0
        done = core.wait_for_operation(operation, WAIT, process=True)
        assert done.result == 0
        assert done.information is not None
        assert done.information.process_id > 0
        assert (done.information.stdin, done.information.stdout) == (None, None)
        return process, done.information.process_id
    finally:
        core.close_operation(operation)


def promise_that_an_operation_serves_once(make: MakeCore) -> None:
    core = make(Heard().deliver)
    operation = core.create_operation()
    assert core.operation_result(operation).result == 0x80370115
    with created(core) as (_, system):
        assert core.system_call(SystemCall.PROPERTIES, system, operation, "{}") == 0
        done = core.wait_for_operation(operation, WAIT)
        assert (done.result, json.loads(done.document)["SystemType"]) == (0, "Container")
        again = core.system_call(SystemCall.PROPERTIES, system, operation, "{}")
        assert again == 0x80370116
    core.close_operation(operation)


def promise_that_names_are_taken_once(make: MakeCore) -> None:
    core = make(Heard().deliver)
    with created(core) as (name, _):
        operation = core.create_operation()
        result, handle = core.create_system(name, DOCUMENT, operation)
        if not result:
            result = core.wait_for_operation(operation, WAIT).result
        assert (result, handle) == (0x8037010F, 0)
        core.close_operation(operation)
    assert core.open_system(name) == (0x8037010E, 0)


def promise_of_states(make: MakeCore) -> None:
    core = make(Heard().deliver)
    with created(core) as (_, system):
        assert call(core, SystemCall.START, system) == 0
        assert call(core, SystemCall.START, system) == 0x80370105
        assert call(core, SystemCall.SHUT_DOWN, system) == 0
        assert call(core, SystemCall.TERMINATE, system) == 0x80370110
        assert call(core, SystemCall.PROPERTIES, system, "{}") == 0x80370110


def promise_that_a_late_callback_hears_of_the_end(make: MakeCore) -> None:
    heard = Heard()
    core = make(heard.deliver)
    with created(core) as (_, system):
        assert call(core, SystemCall.START, system) == 0
        assert call(core, SystemCall.TERMINATE, system) == 0
        assert core.set_system_callback(system, 4, 77) == 0
        ((context, kind, data),) = heard.wait()
        assert (context, kind, data["ExitType"]) == (77, 1, "ForcedExit")
    assert threading.get_ident() not in heard.threads


def promise_that_closing_tells_nothing(make: MakeCore) -> None:
    heard = Heard()
    core = make(heard.deliver)
    with created(core) as (name, system):
        assert core.set_system_callback(system, 4, 1) == 0
        result, other = core.open_system(name)
        assert result == 0
        assert core.set_system_callback(other, 4, 2) == 0
        core.close_system(other)
        assert call(core, SystemCall.START, system) == 0
        assert call(core, SystemCall.TERMINATE, system) == 0
        assert [context for context, _, _ in heard.wait()] == [1]


def promise_of_a_process(make: MakeCore) -> None:
    heard = Heard()
    core = make(heard.deliver)
    with created(core) as (_, system):
        operation = core.create_operation()
        result, early = core.create_process(system, LONG, operation)
        if not result:
            result = core.wait_for_operation(operation, WAIT, process=True).result
        assert result == 0x80370105  # it has not been started
        core.close_operation(operation)
        assert early
        ask = ProcessCall.INFORMATION
        told, _ = run(core, lambda operation: core.process_call(ask, early, operation, ""))
        assert told == 0x8037011D
        core.close_process(early)
        assert call(core, SystemCall.START, system) == 0
        process, pid = spawn(core, system)
        assert core.set_process_callback(process, 0, 5) == 0
        result, other = core.open_process(system, pid)
        assert result == 0

        def end(operation: int) -> int:
            return core.process_call(ProcessCall.TERMINATE, other, operation, "")

        assert run(core, end)[0] == 0
        ((context, kind, data),) = heard.wait()
        assert (context, kind) == (5, 0x10000)
        assert (data["ProcessId"], data["ExitCode"], data["LastWaitResult"]) == (pid, 0xFFFFFFFF, 0)
        assert run(core, end)[0] == 0x8037011F
        core.close_process(other)
        core.close_process(process)


def promise_of_what_is_not_there(make: MakeCore) -> None:
    core = make(Heard().deliver)
    assert core.open_system("no such system") == (0x8037010E, 0)
    with created(core) as (_, system):
        assert call(core, SystemCall.START, system) == 0
        assert core.open_process(system, 3) == (0x80070490, 0)


PROMISES = [value for name, value in list(globals().items()) if name.startswith("promise_")]
