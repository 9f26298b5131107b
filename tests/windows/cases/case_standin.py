"""The stand-in HCS, seen by a program on Windows through its four DLLs."""

import ctypes
import json
import os
import sys
import threading
import uuid
from collections.abc import Iterator
from ctypes import byref, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any

import pytest

assert sys.platform == "win32"

from windows.cases.hcs import (  # noqa: E402 - after the line that tells type checkers where this runs
    CREATE,
    PENDING,
    CoreCallback,
    Listener,
    ProcessInformation,
    configure,
    core,
    create,
    legacy,
    network,
    read_all,
    running,
    spawn,
    storage,
    submit,
    take,
    trace,
    unsigned,
    write,
)

PYTHON = sys.executable


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path) -> Iterator[None]:
    os.environ["HCS_STANDIN_TRACE"] = str(tmp_path / "trace.jsonl")
    os.environ.pop("HCS_STANDIN_CONFIG", None)
    yield
    os.environ.pop("HCS_STANDIN_CONFIG", None)


@pytest.fixture
def name() -> str:
    return f"c-{uuid.uuid4()}"


def properties(system: c_void_p, *types: str) -> dict[str, Any]:
    query = json.dumps({"PropertyTypes": list(types)} if types else {})
    called, waited, document = submit(core.HcsGetComputeSystemProperties, system, after=(query,))
    assert (called, waited) == (0, 0)
    answer: dict[str, Any] = json.loads(document or "")
    return answer


def terminate(system: c_void_p) -> tuple[int, int | None]:
    return submit(core.HcsTerminateComputeSystem, system, after=("",))[:2]


def python(program: str) -> str:
    return f'"{PYTHON}" -c "{program}"'


# ---- systems ----


def test_a_system_goes_from_created_to_running_to_gone(name: str) -> None:
    result, system = create(name)
    assert result == (0, 0, None)
    assert properties(system)["State"] == "Created"
    assert submit(core.HcsStartComputeSystem, system, after=("",))[:2] == (0, 0)
    seen = properties(system)
    assert (seen["Id"], seen["SystemType"], seen["Owner"]) == (name, "Container", "test")
    assert seen["State"] == "Running"
    assert terminate(system) == (0, 0)
    assert terminate(system)[1] == 0x80370110
    core.HcsCloseComputeSystem(system)
    assert unsigned(core.HcsOpenComputeSystem(name, 0x10000000, byref(system))) == 0x8037010E


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"SchemaVersion":{}}',
        '{"SchemaVersion":{},"Container":{},"VirtualMachine":{}}',
    ],
)
def test_a_document_that_is_none_is_refused(name: str, document: str) -> None:
    result, system = create(name, document)
    assert (result[0], system.value) == (0x8037010D, None)


def test_a_taken_id_is_refused(name: str) -> None:
    with running(name):
        result, other = create(name)
        assert (result[0], other.value) == (0x8037010F, None)


def test_a_system_cannot_start_twice(name: str) -> None:
    with running(name) as system:
        assert submit(core.HcsStartComputeSystem, system, after=("",))[1] == 0x80370105


def test_pause_and_resume(name: str) -> None:
    with running(name) as system:
        assert submit(core.HcsPauseComputeSystem, system, after=("",))[:2] == (0, 0)
        assert properties(system)["State"] == "Paused"
        assert submit(core.HcsPauseComputeSystem, system, after=("",))[1] == 0x80370105
        assert submit(core.HcsResumeComputeSystem, system, after=("",))[:2] == (0, 0)


@pytest.mark.parametrize(
    ("end", "exit_type"),
    [("HcsShutDownComputeSystem", "GracefulExit"), ("HcsTerminateComputeSystem", "ForcedExit")],
)
def test_the_exit_is_told_on_another_thread(name: str, end: str, exit_type: str) -> None:
    listener = Listener()
    with running(name) as system:
        assert core.HcsSetComputeSystemCallback(system, 4, None, listener.core) == 0
        assert submit(getattr(core, end), system, after=("",))[:2] == (0, 0)
        assert listener.wait(1) == [(1, {"Status": 0, "ExitType": exit_type})]
        assert threading.get_ident() not in listener.threads


def test_an_exit_waits_for_its_callback(name: str) -> None:
    listener = Listener()
    with running(name) as system:
        terminate(system)
        assert core.HcsSetComputeSystemCallback(system, 4, None, listener.core) == 0
        assert listener.wait(1)[0][0] == 1


def test_close_ends_the_system_and_its_processes_without_an_event(name: str) -> None:
    listener, watcher = Listener(), Listener()
    with running(name) as system:
        _, process, _ = spawn(system, CommandLine="ping -n 600 127.0.0.1")
        core.HcsSetComputeSystemCallback(system, 4, None, listener.core)
        core.HcsSetProcessCallback(process, 0, None, watcher.core)
    assert watcher.wait(1)[0][1]["ExitCode"] == 0xFFFFFFFF
    assert listener.events == []
    other = c_void_p()
    assert unsigned(core.HcsOpenComputeSystem(name, 0x10000000, byref(other))) == 0x8037010E
    core.HcsCloseProcess(process)


def test_close_waits_for_a_callback_that_runs(name: str) -> None:
    entered, leave, closed = threading.Event(), threading.Event(), threading.Event()

    def slow(_event: int, _context: int) -> None:
        entered.set()
        leave.wait(30)

    callback = CoreCallback(slow)
    _, system = create(name)
    core.HcsSetComputeSystemCallback(system, 4, None, callback)
    terminate(system)
    assert entered.wait(30)
    closer = threading.Thread(
        target=lambda: (core.HcsCloseComputeSystem(system), closed.set())  # type: ignore[func-returns-value]
    )
    closer.start()
    assert not closed.is_set()
    leave.set()
    closer.join(30)
    assert closed.is_set()


def test_a_second_handle_sees_the_same_system(name: str) -> None:
    with running(name) as system:
        other = c_void_p()
        assert core.HcsOpenComputeSystem(name, 0x10000000, byref(other)) == 0
        assert terminate(other) == (0, 0)
        core.HcsCloseComputeSystem(other)
        assert submit(core.HcsGetComputeSystemProperties, system, after=("{}",))[1] == 0x80370110


def test_another_process_can_end_a_system(name: str) -> None:
    listener = Listener()
    program = (
        "import ctypes as c; d = c.WinDLL('vmcompute'); s, r = c.c_void_p(), c.c_void_p();"
        f"d.HcsOpenComputeSystem('{name}', c.byref(s), c.byref(r));"
        "d.HcsTerminateComputeSystem(s, '', c.byref(r)); import time; time.sleep(600)"
    )
    with running(name) as system, running(f"{name}-other") as elsewhere:
        core.HcsSetComputeSystemCallback(system, 4, None, listener.core)
        spawn(elsewhere, CommandLine=python(program))
        assert listener.wait(1)[0][1]["ExitType"] == "ForcedExit"


def test_enumeration_lists_what_fits(name: str) -> None:
    with running(name):
        for query, found in (({}, True), ({"Ids": [name]}, True), ({"Owners": ["nobody"]}, False)):
            _, _, document = submit(core.HcsEnumerateComputeSystems, json.dumps(query))
            ids = [system["Id"] for system in json.loads(document or "")]
            assert (name in ids) == found


def test_modify_wants_a_path_of_the_right_kind(name: str) -> None:
    with running(name) as system:
        for path, expected in (("Container/Processor", 0), ("VirtualMachine/x", 0x80070057)):
            settings = json.dumps({"ResourcePath": path, "RequestType": "Update", "Settings": {}})
            assert (
                submit(core.HcsModifyComputeSystem, system, after=(settings, None))[1] == expected
            )


def test_closed_and_invented_handles_are_refused(name: str) -> None:
    with running(name) as system:
        pass
    for number in (system.value or 0, 0, 4, 0x12345678, 0xFFFFFFFFFFFFFFFF):
        handle = c_void_p(number)
        assert submit(core.HcsStartComputeSystem, handle, after=("",))[0] == 0x80070006
        core.HcsCloseComputeSystem(handle)
        core.HcsCloseProcess(handle)
        core.HcsCloseOperation(handle)


# ---- processes ----


def test_a_process_runs_with_its_pipes(name: str) -> None:
    listener = Listener()
    with running(name) as system:
        result, process, info = spawn(
            system,
            CommandLine=python(
                "import sys; sys.stderr.write('err'); print(input()); sys.exit(300)"
            ),
            CreateStdInPipe=True,
            CreateStdOutPipe=True,
            CreateStdErrPipe=True,
        )
        assert result == 0
        core.HcsSetProcessCallback(process, 0, None, listener.core)
        write(info.stdin, b"hello\r\n")
        assert (read_all(info.stdout), read_all(info.stderr)) == (b"hello\r\n", b"err")
        expected = {"ProcessId": info.pid, "Exited": True, "ExitCode": 300, "LastWaitResult": 0}
        assert listener.wait(1) == [(0x10000, expected)]
        ctypes.windll.kernel32.CloseHandle(c_void_p(info.stdin))
        core.HcsCloseProcess(process)


def test_end_of_input_is_seen(name: str) -> None:
    with running(name) as system:
        program = python("import sys; print(len(sys.stdin.read()))")
        _, process, info = spawn(
            system, CommandLine=program, CreateStdInPipe=True, CreateStdOutPipe=True
        )
        settings = json.dumps({"Operation": "CloseHandle", "CloseHandle": {"Handle": "StdIn"}})
        assert submit(core.HcsModifyProcess, process, after=(settings,))[:2] == (0, 0)
        ctypes.windll.kernel32.CloseHandle(c_void_p(info.stdin))
        assert read_all(info.stdout) == b"0\r\n"
        core.HcsCloseProcess(process)


def test_environment_user_and_folder_are_those_of_the_document(name: str) -> None:
    with running(name) as system:
        program = python(
            "import os; names = ['X', 'COMPUTERNAME', 'USERNAME'];"
            "print(*map(os.environ.get, names), os.getcwd())"
        )
        _, process, info = spawn(
            system,
            CommandLine=program,
            CreateStdOutPipe=True,
            Environment={"X": "a=b", "x_other": ""},
            User="ContainerAdministrator",
            WorkingDirectory="C:\\windows",
        )
        assert read_all(info.stdout).decode().split() == [
            "a=b",
            "box",
            "ContainerAdministrator",
            "C:\\windows",
        ]
        core.HcsCloseProcess(process)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"CommandLine": "no-such-program"}, 0x80070002),
        ({"CommandLine": "cmd /c exit", "WorkingDirectory": "C:\\no\\such"}, None),
        ({}, None),
    ],
)
def test_a_process_that_cannot_start_says_why(
    name: str, parameters: dict[str, Any], expected: int | None
) -> None:
    with running(name) as system:
        result, process, info = spawn(system, **parameters)
        assert result >= 0x80000000
        assert expected in {None, result}
        assert (info.pid, info.stdin) == (0, None)
        core.HcsCloseProcess(process)


def test_a_process_needs_a_running_system(name: str) -> None:
    _, system = create(name)
    result, process, _ = spawn(system, CommandLine="cmd /c exit")
    assert result == 0x80370105
    core.HcsCloseProcess(process)
    terminate(system)
    result, process, _ = spawn(system, CommandLine="cmd /c exit")
    assert result == 0x80370110
    core.HcsCloseProcess(process)
    core.HcsCloseComputeSystem(system)


@pytest.mark.parametrize(
    ("call", "options", "code"),
    [
        ("HcsTerminateProcess", "", 0xFFFFFFFF),
        ("HcsSignalProcess", '{"Signal":"CtrlShutdown"}', 0x40010004),
        ("HcsSignalProcess", '{"Signal":"CtrlC"}', 0xC000013A),
        ("HcsSignalProcess", '{"Signal":15}', 143),
    ],
)
def test_signals_end_a_process(name: str, call: str, options: str, code: int) -> None:
    listener = Listener()
    with running(name) as system:
        _, process, _ = spawn(system, CommandLine="ping -n 600 127.0.0.1")
        core.HcsSetProcessCallback(process, 0, None, listener.core)
        assert submit(getattr(core, call), process, after=(options,))[:2] == (0, 0)
        assert listener.wait(1)[0][1]["ExitCode"] == code
        assert submit(getattr(core, call), process, after=(options,))[1] == 0x8037011F
        core.HcsCloseProcess(process)


def test_statistics_and_process_list(name: str) -> None:
    with running(name) as system:
        _, process, info = spawn(system, CommandLine="ping -n 600 127.0.0.1")
        seen = properties(system, "Statistics", "ProcessList")
        statistics = seen["Statistics"]
        assert statistics["Uptime100ns"] > 0
        assert statistics["Memory"]["MemoryUsageCommitPeakBytes"] > 0
        assert {"TotalRuntime100ns", "RuntimeUser100ns"} < set(statistics["Processor"])
        # A process without a window has a console host beside it, as on Windows.
        names = {one["ProcessId"]: one["ImageName"].lower() for one in seen["ProcessList"]}
        assert names.pop(info.pid) == "ping.exe"
        assert set(names.values()) <= {"conhost.exe"}
        core.HcsCloseProcess(process)


def test_a_process_can_be_opened_by_its_id(name: str) -> None:
    with running(name) as system:
        _, process, info = spawn(system, CommandLine="ping -n 600 127.0.0.1")
        other = c_void_p()
        assert core.HcsOpenProcess(system, info.pid, 0x10000000, byref(other)) == 0
        assert submit(core.HcsTerminateProcess, other, after=("",))[:2] == (0, 0)
        assert unsigned(core.HcsOpenProcess(system, 1, 0x10000000, byref(other))) == 0x80070490
        core.HcsCloseProcess(process)


def test_a_terminal_has_one_output(name: str) -> None:
    with running(name) as system:
        result, process, info = spawn(
            system,
            CommandLine="cmd",
            EmulateConsole=True,
            ConsoleSize=[30, 100],
            CreateStdInPipe=True,
            CreateStdOutPipe=True,
            CreateStdErrPipe=True,
        )
        assert (result, info.stderr) == (0, None)
        assert info.stdin
        assert info.stdout
        size = json.dumps({"Operation": "ConsoleSize", "ConsoleSize": {"Height": 40, "Width": 120}})
        assert submit(core.HcsModifyProcess, process, after=(size,))[:2] == (0, 0)
        submit(core.HcsTerminateProcess, process, after=("",))
        read_all(info.stdout)
        core.HcsCloseProcess(process)


# ---- operations ----


def test_an_operation_serves_once(name: str) -> None:
    operation = c_void_p(core.HcsCreateOperation(None, None))
    document = c_void_p()
    assert unsigned(core.HcsGetOperationResult(operation, byref(document))) == 0x80370115
    with running(name) as system:
        query = (system, operation, "{}")
        assert core.HcsGetComputeSystemProperties(*query) == 0
        assert core.HcsWaitForOperationResult(operation, 20000, byref(document)) == 0
        take(document)
        assert unsigned(core.HcsGetComputeSystemProperties(*query)) == 0x80370116
    core.HcsCloseOperation(operation)


def test_an_operation_may_be_closed_while_it_runs(name: str, tmp_path: Path) -> None:
    listener = Listener()
    configure(tmp_path, faults=[{"call": "HcsTerminateComputeSystem", "delay_ms": 50}])
    with running(name) as system:
        core.HcsSetComputeSystemCallback(system, 4, None, listener.core)
        operation = c_void_p(core.HcsCreateOperation(None, None))
        assert core.HcsTerminateComputeSystem(system, operation, "") == 0
        core.HcsCloseOperation(operation)
        listener.wait(1)


def test_a_completion_callback_is_called(name: str) -> None:
    called = threading.Event()
    callback = CoreCallback(lambda _operation, _context: called.set())
    with running(name) as system:
        operation = c_void_p(core.HcsCreateOperation(None, callback))
        core.HcsGetComputeSystemProperties(system, operation, "{}")
        assert called.wait(30)
        core.HcsCloseOperation(operation)


# ---- faults ----


def test_a_call_can_be_refused_some_times(name: str, tmp_path: Path) -> None:
    fault = {"call": "HcsCreateComputeSystem", "result": "0x800705AF", "skip": 1, "times": 1}
    configure(tmp_path, faults=[fault | {"system": name}])
    (result, system) = create(name)
    assert result[:2] == (0, 0)
    core.HcsCloseComputeSystem(system)
    (result, system) = create(name)
    assert (result[0], system.value) == (0x800705AF, None)
    assert json.loads(result[2] or "")["Error"] == 0x800705AF - (1 << 32)
    (result, system) = create(name)
    assert result[:2] == (0, 0)
    core.HcsCloseComputeSystem(system)


def test_an_operation_can_fail_with_a_document_of_choice(name: str, tmp_path: Path) -> None:
    answer = '{"Error":-1,"ErrorMessage":"chosen"}'
    fault = {"call": "HcsStartComputeSystem", "stage": "completion", "result": "0x80370105"}
    configure(tmp_path, faults=[fault | {"answer": answer}])
    _, system = create(name)
    result = submit(core.HcsStartComputeSystem, system, after=("",))
    assert result == (0, 0x80370105, answer)
    assert properties(system)["State"] == "Created"
    core.HcsCloseComputeSystem(system)


def test_a_process_can_be_there_although_its_operation_failed(name: str, tmp_path: Path) -> None:
    fault = {"call": "HcsCreateProcess", "stage": "after", "result": "0x80370118"}
    configure(tmp_path, faults=[fault])
    with running(name) as system:
        result, process, info = spawn(system, CommandLine="cmd /c echo late", CreateStdOutPipe=True)
        assert (result, info.pid) == (0x80370118, 0)
        operation = c_void_p(core.HcsCreateOperation(None, None))
        assert core.HcsGetProcessInfo(process, operation) == 0
        wait = core.HcsWaitForOperationResultAndProcessInfo
        assert wait(operation, 20000, byref(info), byref(c_void_p())) == 0
        core.HcsCloseOperation(operation)
        assert read_all(info.stdout) == b"late\r\n"
        core.HcsCloseProcess(process)


def test_an_operation_that_never_ends_times_out_and_can_be_cancelled(
    name: str, tmp_path: Path
) -> None:
    configure(tmp_path, faults=[{"call": "HcsStartComputeSystem", "never": True}])
    _, system = create(name)
    operation, document = c_void_p(core.HcsCreateOperation(None, None)), c_void_p()
    assert core.HcsStartComputeSystem(system, operation, "") == 0
    wait = core.HcsWaitForOperationResult
    assert unsigned(wait(operation, 20, byref(document))) == 0x80370118
    assert unsigned(core.HcsGetOperationResult(operation, byref(document))) == 0x80370117
    assert core.HcsCancelOperation(operation) == 0
    assert unsigned(wait(operation, 20000, byref(document))) == 0x80370121
    take(document)
    core.HcsCloseOperation(operation)
    core.HcsCloseComputeSystem(system)


def test_a_system_can_exit_before_its_start_returns(name: str, tmp_path: Path) -> None:
    configure(tmp_path, faults=[{"call": "HcsStartComputeSystem", "exit_first": True}])
    listener = Listener()
    _, system = create(name)
    core.HcsSetComputeSystemCallback(system, 4, None, listener.core)
    assert submit(core.HcsStartComputeSystem, system, after=("",))[:2] == (0, 0)
    assert listener.wait(1)[0][1]["ExitType"] == "UnexpectedExit"
    core.HcsCloseComputeSystem(system)


def test_a_process_can_exit_before_its_creation_returns(name: str, tmp_path: Path) -> None:
    configure(tmp_path, faults=[{"call": "HcsCreateProcess", "exit_first": True}])
    listener = Listener()
    with running(name) as system:
        result, process, _ = spawn(system, CommandLine="cmd /c exit 5")
        _, waited, document = submit(core.HcsGetProcessProperties, process, after=("",))
        assert (result, waited, json.loads(document or "")["ExitCode"]) == (0, 0, 5)
        core.HcsSetProcessCallback(process, 0, None, listener.core)
        assert listener.wait(1)[0][1]["ExitCode"] == 5
        core.HcsCloseProcess(process)


def test_the_service_can_disconnect(name: str, tmp_path: Path) -> None:
    configure(tmp_path, faults=[{"call": "HcsGetComputeSystemProperties", "disconnect": True}])
    listener, watcher = Listener(), Listener()
    with running(name) as system:
        _, process, _ = spawn(system, CommandLine="ping -n 600 127.0.0.1")
        core.HcsSetComputeSystemCallback(system, 4, None, listener.core)
        core.HcsSetProcessCallback(process, 0, None, watcher.core)
        properties(system)
        assert listener.wait(1) == watcher.wait(1) == [(0x02000000, None)]
        core.HcsCloseProcess(process)


def test_a_signal_can_be_ignored(name: str, tmp_path: Path) -> None:
    fault = {"call": "HcsSignalProcess", "stage": "completion", "result": "0x00000000"}
    configure(tmp_path, faults=[fault])
    with running(name) as system:
        _, process, _ = spawn(system, CommandLine="ping -n 600 127.0.0.1")
        options = '{"Signal":"CtrlShutdown"}'
        assert submit(core.HcsSignalProcess, process, after=(options,))[:2] == (0, 0)
        _, _, document = submit(core.HcsGetProcessProperties, process, after=("",))
        assert json.loads(document or "")["Exited"] is False
        core.HcsCloseProcess(process)


# ---- the trace ----


def test_every_call_is_traced_with_its_document(name: str, tmp_path: Path) -> None:
    with running(name) as system:
        _, process, info = spawn(system, CommandLine="cmd /c exit")
        core.HcsCloseProcess(process)
    lines = trace(tmp_path / "trace.jsonl")
    calls = {line["name"]: line for line in lines if line["what"] == "call"}
    assert json.loads(calls["HcsCreateComputeSystem"]["document"]) == CREATE
    assert calls["HcsCreateComputeSystem"]["system"] == name
    assert json.loads(calls["HcsCreateProcess"]["document"]) == {"CommandLine": "cmd /c exit"}
    assert calls["HcsCloseProcess"]["process"] == info.pid
    numbers = [line["number"] for line in lines]
    assert len(set(numbers)) == len(numbers)
    create_number = calls["HcsCreateComputeSystem"]["number"]
    outcomes = [
        (line["what"], line["result"]) for line in lines if line.get("call") == create_number
    ]
    assert sorted(outcomes) == [("completion", "0x00000000"), ("return", "0x00000000")]


# ---- vmcompute ----


def test_the_older_calls_are_pending_and_end_by_events(name: str) -> None:
    listener, watcher = Listener(), Listener()
    system, answer, registration = c_void_p(), c_void_p(), c_void_p()
    document = json.dumps(CREATE)
    call = legacy.HcsCreateComputeSystem
    assert unsigned(call(name, document, None, byref(system), byref(answer))) == PENDING
    register = legacy.HcsRegisterComputeSystemCallback
    assert register(system, listener.legacy, None, byref(registration)) == 0
    listener.wait(1)
    assert unsigned(legacy.HcsStartComputeSystem(system, "", byref(answer))) == PENDING
    listener.wait(2)
    info, process = ProcessInformation(), c_void_p()
    parameters = json.dumps({"CommandLine": "cmd /c exit 7"})
    create_process = legacy.HcsCreateProcess
    assert create_process(system, parameters, byref(info), byref(process), byref(answer)) == 0
    watching = c_void_p()
    assert legacy.HcsRegisterProcessCallback(process, watcher.legacy, None, byref(watching)) == 0
    assert watcher.wait(1)[0][0] == 0x10000
    status = c_void_p()
    assert legacy.HcsGetProcessProperties(process, byref(status), byref(answer)) == 0
    assert json.loads(take(status) or "")["ExitCode"] == 7
    assert legacy.HcsUnregisterProcessCallback(watching) == 0
    assert legacy.HcsCloseProcess(process) == 0
    assert unsigned(legacy.HcsShutdownComputeSystem(system, "", byref(answer))) == PENDING
    assert [(kind, value[0]) for kind, value in listener.wait(3)] == [(2, 0), (3, 0), (1, 0)]
    assert unsigned(legacy.HcsTerminateComputeSystem(system, "", byref(answer))) == PENDING
    assert [(kind, value[0]) for kind, value in listener.wait(4)][3] == (10, 0xC0370110)
    assert legacy.HcsUnregisterComputeSystemCallback(registration) == 0
    assert legacy.HcsCloseComputeSystem(system) == 0


def test_the_older_calls_spell_results_their_way() -> None:
    system, answer = c_void_p(), c_void_p()
    call = legacy.HcsOpenComputeSystem
    assert unsigned(call("no such system", byref(system), byref(answer))) == 0xC037010E


def test_both_doors_lead_to_the_same_systems(name: str) -> None:
    with running(name):
        system, answer, found = c_void_p(), c_void_p(), c_void_p()
        assert legacy.HcsOpenComputeSystem(name, byref(system), byref(answer)) == 0
        call = legacy.HcsGetComputeSystemProperties
        assert call(system, "{}", byref(found), byref(answer)) == 0
        assert json.loads(take(found) or "")["Id"] == name
        legacy.HcsCloseComputeSystem(system)


def test_service_properties() -> None:
    answer, ignored = c_void_p(), c_void_p()
    query = '{"PropertyTypes":["ProcessorTopology"]}'
    assert legacy.HcsGetServiceProperties(query, byref(answer), byref(ignored)) == 0
    (topology,) = json.loads(take(answer) or "")["Properties"]
    assert topology["LogicalProcessorCount"] == len(topology["LogicalProcessors"]) >= 1
    assert core.HcsGetServiceProperties(query, byref(answer)) == 0
    take(answer)


def test_instances_of_the_credential_guard_come_and_go() -> None:
    answer = c_void_p()

    def modify(operation: str) -> int:
        details = {"Id": "g", "CredentialSpec": '{"a":1}', "Transport": "LRPC"}
        settings = {"Operation": operation, "OperationDetails": details}
        text = json.dumps({"PropertyType": "ContainerCredentialGuard", "Settings": settings})
        result = unsigned(core.HcsModifyServiceSettings(text, byref(answer)))
        take(answer)
        return result

    def instances() -> list[dict[str, Any]]:
        query = '{"PropertyTypes":["ContainerCredentialGuard"]}'
        assert core.HcsGetServiceProperties(query, byref(answer)) == 0
        found: list[dict[str, Any]] = json.loads(take(answer) or "")["Properties"][0]["Instances"]
        return found

    assert modify("AddInstance") == 0
    assert instances()[0]["CredentialGuard"]["CredentialSpec"] == '{"a":1}'
    assert modify("RemoveInstance") == 0
    assert instances() == []
    assert modify("RemoveInstance") != 0


# ---- layers, storage, network ----


class Descriptor(ctypes.Structure):
    _fields_ = [("id", ctypes.c_ubyte * 16), ("flags", c_uint32), ("path", ctypes.c_wchar_p)]


def test_a_layer_is_mounted_in_order(tmp_path: Path) -> None:
    scratch, base = tmp_path / "scratch", tmp_path / "base"
    scratch.mkdir()
    base.mkdir()
    below = Descriptor(path=str(base))
    activate, prepare = legacy.ActivateLayer, legacy.PrepareLayer
    assert unsigned(activate(None, str(scratch))) == 0x80070002
    assert legacy.CreateSandboxLayer(None, str(scratch), c_void_p(), byref(below), 1) == 0
    assert unsigned(prepare(None, str(scratch), byref(below), 1)) == 0x80070015
    assert activate(None, str(scratch)) == 0
    assert prepare(None, str(scratch), byref(below), 1) == 0
    length = c_size_t()
    assert legacy.GetLayerMountPath(None, str(scratch), byref(length), None) == 0
    buffer = ctypes.create_unicode_buffer(length.value)
    assert legacy.GetLayerMountPath(None, str(scratch), byref(length), buffer) == 0
    assert buffer.value.startswith("\\\\?\\Volume{")
    assert len(buffer.value) + 1 == length.value
    assert legacy.UnprepareLayer(None, str(scratch)) == 0
    assert legacy.DeactivateLayer(None, str(scratch)) == 0
    assert unsigned(legacy.GetLayerMountPath(None, str(scratch), byref(length), None)) == 0x80070015


def test_names_make_the_same_guid_each_time() -> None:
    first, second, third = ((ctypes.c_ubyte * 16)() for _ in range(3))
    for name, guid in (("Layer", first), ("layer", second), ("other", third)):
        assert legacy.NameToGuid(name, guid) == 0
    assert bytes(first) == bytes(second) != bytes(third)


def test_storage_filters_want_their_layers() -> None:
    data = '{"SchemaVersion":{},"Layers":[],"FilterType":"UnionFS"}'
    assert storage.HcsAttachOverlayFilter("\\\\?\\Volume{x}", data) == 0
    assert unsigned(storage.HcsAttachOverlayFilter("\\\\?\\Volume{x}", "{}")) == 0x8037010D


def test_a_namespace_holds_endpoints_until_deleted(tmp_path: Path) -> None:
    endpoint = str(uuid.uuid4())
    configure(tmp_path, endpoints=[{"ID": endpoint, "Name": "eth0", "MacAddress": "00-15"}])
    error, handle, text = c_void_p(), c_void_p(), c_void_p()
    settings = '{"SchemaVersion":{"Major":2,"Minor":0}}'
    assert network.HcnCreateNamespace(None, settings, byref(handle), byref(error)) == 0

    def described() -> dict[str, Any]:
        call = network.HcnQueryNamespaceProperties
        assert call(handle, settings, byref(text), byref(error)) == 0
        answer: dict[str, Any] = json.loads(take(text) or "")
        return answer

    change = {"ResourceType": "Endpoint", "RequestType": "Add"}
    for which, expected in ((endpoint, 0), (str(uuid.uuid4()), 0x80070490)):
        body = json.dumps(change | {"Settings": {"EndpointId": which}})
        assert unsigned(network.HcnModifyNamespace(handle, body, byref(error))) == expected
        assert (take(error) is None) == (expected == 0)
    space = described()
    assert space["Resources"] == [{"Type": "Endpoint", "Data": {"ID": endpoint}}]
    path = f"/namespaces/{space['ID']}"
    body = json.dumps({"Type": "Endpoint", "Data": {"Id": endpoint}})
    for success in (True, False):
        assert legacy.HNSCall("POST", f"{path}/removeresource", body, byref(text)) == 0
        assert json.loads(take(text) or "")["Success"] is success
    assert legacy.HNSCall("DELETE", path, "", byref(text)) == 0
    assert json.loads(take(text) or "")["Success"] is True
    assert network.HcnCloseNamespace(handle) == 0
    guid = (ctypes.c_ubyte * 16).from_buffer_copy(uuid.UUID(space["ID"]).bytes_le)
    assert unsigned(network.HcnOpenNamespace(guid, byref(handle), byref(error))) == 0x80070490
    assert json.loads(take(error) or "")["Success"] is False
