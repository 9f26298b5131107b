"""Operations of the stand-in, faults to order, and the trace."""

import json
import sys
import threading
from ctypes import byref, c_void_p
from pathlib import Path

assert sys.platform == "win32"

from windows.cases.hcs import (  # noqa: E402 - after the line that tells where this runs
    CREATE,
    CoreCallback,
    Listener,
    configure,
    core,
    create,
    properties,
    read_all,
    running,
    spawn,
    submit,
    take,
    trace,
    unsigned,
)


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
