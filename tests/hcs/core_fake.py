"""A Host Compute Service in memory, for faults that are hard to order from another process.

It does what the stand-in does (`core_contract` holds both to it), but its processes are dreams:
they run until somebody ends them. Events come on threads of their own.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from podshim.engines.hcs.computecore import (
    Completion,
    ProcessCall,
    ProcessInformation,
    SystemCall,
)

E_HANDLE = 0x80070006
NOT_STARTED = 0x80370115
ALREADY_STARTED = 0x80370116
PENDING = 0x80370117
TIMEOUT = 0x80370118
CANCELLED = 0x80370121
NOT_FOUND = 0x8037010E
EXISTS = 0x8037010F
STOPPED = 0x80370110
INVALID_STATE = 0x80370105
NO_INFORMATION = 0x8037011D
PROCESS_STOPPED = 0x8037011F
NO_ELEMENT = 0x80070490


@dataclass
class Fault:
    """What goes wrong with a call, so many times (-1: always).

    Stages: `call` refuses the call, `completion` fails the operation, `after` does everything and
    then fails; `never` lets the operation go on until it is cancelled.
    """

    result: int = 0
    stage: str = "call"
    answer: str = ""
    times: int = -1
    gate: threading.Event | None = None  # the call blocks until it is set


@dataclass
class _Operation:
    state: str = "idle"
    result: int = 0
    answer: str = ""
    process: "_Process | None" = None
    cancelled: bool = False


@dataclass
class _System:
    id: str
    state: str = "Created"
    exit: str = ""
    processes: "list[_Process]" = field(default_factory=list)


@dataclass
class _Process:
    system: _System
    pid: int
    pipes: tuple[int | None, int | None, int | None]
    started: bool = False
    code: int | None = None


@dataclass
class _Handle:
    of: Any
    context: int | None = None


class FakeCore:
    """Implements `ComputeCore`; `deliver` takes events."""

    def __init__(self, deliver: Callable[[int, int, str], None]) -> None:
        self.faults: dict[str, Fault] = {}
        self.calls: list[str] = []
        self.documents: list[tuple[str, str]] = []
        self.pipes: dict[int, str] = {}
        self._deliver = deliver
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._next = 0x1000
        self._operations: dict[int, _Operation] = {}
        self._handles: dict[int, _Handle] = {}
        self._systems: dict[str, _System] = {}
        self._threads: list[threading.Thread] = []

    @property
    def open_handles(self) -> int:
        return len(self._handles) + len(self._operations)

    def join(self) -> None:
        """Wait until all events have been delivered."""
        for thread in self._threads:
            thread.join(10)

    # What happens by itself.

    def exit_process(self, pid: int, code: int) -> None:
        with self._lock:
            for handle in list(self._handles.values()):
                process = handle.of
                if isinstance(process, _Process) and process.pid == pid:
                    self._end_process(process, code)

    def exit_system(self, system_id: str, kind: str) -> None:
        with self._lock:
            self._end_system(self._systems[system_id], kind)

    def disconnect(self) -> None:
        with self._lock:
            for handle in list(self._handles.values()):
                self._tell(handle, 0x02000000, "")

    # Operations.

    def create_operation(self) -> int:
        with self._lock:
            number = self._number()
            self._operations[number] = _Operation()
            return number

    def close_operation(self, operation: int) -> None:
        with self._lock:
            del self._operations[operation]

    def cancel_operation(self, operation: int) -> int:
        with self._lock:
            self.calls.append("HcsCancelOperation")
            found = self._operations[operation]
            if found.state == "idle":
                return NOT_STARTED
            if found.state == "running":
                found.cancelled, found.state, found.result = True, "done", CANCELLED
                self._changed.notify_all()
            return 0

    def operation_result(self, operation: int) -> Completion:
        with self._lock:
            found = self._operations[operation]
            if found.state == "done":
                return Completion(found.result, found.answer)
            return Completion(NOT_STARTED if found.state == "idle" else PENDING)

    def wait_for_operation(
        self, operation: int, milliseconds: int, *, process: bool = False
    ) -> Completion:
        with self._changed:
            found = self._operations[operation]
            if found.state == "idle":
                return Completion(NOT_STARTED)
            seconds = None if milliseconds == 0xFFFFFFFF else milliseconds / 1000
            if not self._changed.wait_for(lambda: found.state == "done", seconds):
                return Completion(TIMEOUT)
            information = None
            if process:
                information = ProcessInformation(0)
                if found.process is not None:
                    information = ProcessInformation(found.process.pid, *found.process.pipes)
            return Completion(found.result, found.answer, information)

    # Systems.

    def enumerate_systems(self, query: str, operation: int) -> int:
        ids = json.loads(query).get("Ids", [])

        def work(found: _Operation) -> int:
            told = [self._facts(one) for one in self._systems.values() if one.id in ids or not ids]
            found.answer = json.dumps(told)
            return 0

        return self._begin("HcsEnumerateComputeSystems", operation, work)

    def create_system(self, system_id: str, document: str, operation: int) -> tuple[int, int]:
        made = 0

        def check() -> int:
            nonlocal made
            if system_id in self._systems:
                return EXISTS
            self._systems[system_id] = _System(system_id)
            made = self._open(self._systems[system_id])
            return 0

        result = self._begin("HcsCreateComputeSystem", operation, None, document, check)
        return result, made

    def open_system(self, system_id: str) -> tuple[int, int]:
        with self._lock:
            if result := self._refused("HcsOpenComputeSystem"):
                return result, 0
            system = self._systems.get(system_id)
            return (0, self._open(system)) if system is not None else (NOT_FOUND, 0)

    def close_system(self, system: int) -> None:
        self._pass("HcsCloseComputeSystem")
        with self._lock:
            closed = self._handles.pop(system).of
            if not any(handle.of is closed for handle in self._handles.values()):
                self._end_system(closed, "ForcedExit")

    def system_call(self, call: SystemCall, system: int, operation: int, document: str) -> int:
        handle = self._handles.get(system)
        if handle is None:
            return E_HANDLE
        one: _System = handle.of

        def work(found: _Operation) -> int:
            if one.state == "Stopped":
                return STOPPED
            if call is SystemCall.START:
                if one.state != "Created":
                    return INVALID_STATE
                one.state = "Running"
            elif call is SystemCall.SHUT_DOWN:
                self._end_system(one, "GracefulExit")
            elif call is SystemCall.TERMINATE:
                self._end_system(one, "ForcedExit")
            elif call is SystemCall.PROPERTIES:
                found.answer = json.dumps(self._facts(one))
            return 0

        return self._begin(call.value, operation, work, document)

    def set_system_callback(self, system: int, options: int, context: int) -> int:
        with self._lock:
            if result := self._refused("HcsSetComputeSystemCallback"):
                return result
            handle = self._handles[system]
            handle.context = context
            one: _System = handle.of
            if one.state == "Stopped":
                self._tell(handle, 1, self._exit_of(one))
            return 0

    # Processes.

    def create_process(self, system: int, parameters: str, operation: int) -> tuple[int, int]:
        one: _System = self._handles[system].of
        made = 0

        def check() -> int:
            nonlocal made
            asked = json.loads(parameters)
            names = ("CreateStdInPipe", "CreateStdOutPipe", "CreateStdErrPipe")
            pipes = [self._pipe(name) if asked.get(name) else None for name in names]
            process = _Process(one, self._number(), (pipes[0], pipes[1], pipes[2]))
            made = self._open(process)
            return 0

        def work(found: _Operation) -> int:
            if one.state != "Running":
                return STOPPED if one.state == "Stopped" else INVALID_STATE
            process: _Process = self._handles[made].of
            one.processes.append(process)
            process.started = True
            found.process = process
            return 0

        result = self._begin("HcsCreateProcess", operation, work, parameters, check)
        return result, made

    def open_process(self, system: int, process_id: int) -> tuple[int, int]:
        with self._lock:
            if result := self._refused("HcsOpenProcess"):
                return result, 0
            one: _System = self._handles[system].of
            for process in one.processes:
                if process.pid == process_id:
                    return 0, self._open(process)
            return NO_ELEMENT, 0

    def close_process(self, process: int) -> None:
        self._pass("HcsCloseProcess")
        with self._lock:
            del self._handles[process]

    def process_call(self, call: ProcessCall, process: int, operation: int, document: str) -> int:
        one: _Process = self._handles[process].of

        def work(found: _Operation) -> int:
            if not one.started:
                return NO_INFORMATION
            if call is ProcessCall.INFORMATION:
                found.process = one
            elif call is ProcessCall.PROPERTIES:
                found.answer = self._status(one)
            elif one.code is not None:
                return PROCESS_STOPPED
            elif call is ProcessCall.TERMINATE:
                self._end_process(one, 0xFFFFFFFF)
            elif call is ProcessCall.SIGNAL:
                self._end_process(one, 0x40010004)
            return 0

        return self._begin(call.value, operation, work, document)

    def set_process_callback(self, process: int, options: int, context: int) -> int:
        with self._lock:
            if result := self._refused("HcsSetProcessCallback"):
                return result
            handle = self._handles[process]
            handle.context = context
            one: _Process = handle.of
            if one.code is not None:
                self._tell(handle, 0x10000, self._status(one))
            return 0

    # The service.

    def service_properties(self, query: str) -> Completion:
        fault = self._pass("HcsGetServiceProperties", query)
        result = 0 if fault is None else fault.result
        return Completion(result, "" if result else '{"Properties":[]}')

    def modify_service(self, settings: str) -> Completion:
        fault = self._pass("HcsModifyServiceSettings", settings)
        return Completion(0 if fault is None else fault.result)

    # Within.

    def _begin(
        self,
        name: str,
        operation: int,
        work: Callable[[_Operation], int] | None,
        document: str = "",
        check: Callable[[], int] | None = None,
    ) -> int:
        fault = self._pass(name, document)
        with self._changed:
            found = self._operations[operation]
            if found.state != "idle":
                return ALREADY_STARTED
            if fault is not None and fault.stage == "call" and fault.result:
                found.state, found.result, found.answer = "done", fault.result, fault.answer
                return fault.result
            if check is not None and (result := check()):
                return result
            found.state = "running"
            if fault is not None and fault.stage == "never":
                return 0
            result = 0
            if fault is not None and fault.stage == "completion":
                result, found.answer = fault.result, fault.answer
            elif work is not None:
                result = work(found)
            if fault is not None and fault.stage == "after":
                result, found.answer, found.process = fault.result, fault.answer, None
            found.state, found.result = "done", result
            self._changed.notify_all()
            return 0

    def _pass(self, name: str, document: str = "") -> Fault | None:
        """Begin a call: note it, and wait at its gate if it has one."""
        fault = self._fault(name, document)
        if fault is not None and fault.gate is not None:
            assert fault.gate.wait(20)
        return fault

    def _fault(self, name: str, document: str = "") -> Fault | None:
        with self._lock:
            self.calls.append(name)
            self.documents.append((name, document))
            fault = self.faults.get(name)
            if fault is None or fault.times == 0:
                return None
            fault.times -= 1
            return fault

    def _refused(self, name: str) -> int:
        fault = self._fault(name)
        return 0 if fault is None else fault.result

    def _number(self) -> int:
        self._next += 4
        return self._next

    def _open(self, thing: object) -> int:
        number = self._number()
        self._handles[number] = _Handle(thing)
        return number

    def _pipe(self, name: str) -> int:
        number = self._number()
        self.pipes[number] = name
        return number

    def _facts(self, one: _System) -> dict[str, object]:
        return {"Id": one.id, "SystemType": "Container", "State": one.state, "Owner": "Test"}

    def _exit_of(self, one: _System) -> str:
        return json.dumps({"Status": 0, "ExitType": one.exit})

    def _status(self, one: _Process) -> str:
        ended = one.code is not None
        status = {"ProcessId": one.pid, "Exited": ended, "ExitCode": one.code or 0}
        return json.dumps({**status, "LastWaitResult": 0})

    def _end_process(self, one: _Process, code: int) -> None:
        if one.code is None:
            one.code = code
            for handle in list(self._handles.values()):
                if handle.of is one:
                    self._tell(handle, 0x10000, self._status(one))

    def _end_system(self, one: _System, kind: str) -> None:
        if one.state != "Stopped":
            one.state, one.exit = "Stopped", kind
            for process in one.processes:
                self._end_process(process, 0xFFFFFFFF)
            self._systems.pop(one.id, None)
            for handle in list(self._handles.values()):
                if handle.of is one:
                    self._tell(handle, 1, self._exit_of(one))

    def _tell(self, handle: _Handle, kind: int, data: str) -> None:
        if handle.context is not None:
            arguments = (handle.context, kind, data)
            thread = threading.Thread(target=self._deliver, args=arguments)
            self._threads.append(thread)
            thread.start()
