"""Compute systems of the stand-in: their states, ends, handles and events."""

import json
import sys
import threading
import uuid
from ctypes import byref, c_void_p

import pytest

assert sys.platform == "win32"

from windows.cases.hcs import (  # noqa: E402 - after the line that tells where this runs
    CREATE,
    CoreCallback,
    Listener,
    core,
    create,
    properties,
    python,
    running,
    spawn,
    submit,
    terminate,
    unsigned,
)


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


def test_only_virtual_machines_have_a_runtime_id(name: str) -> None:
    machine = {"SchemaVersion": {"Major": 2, "Minor": 1}, "VirtualMachine": {}}
    for document, found in ((CREATE, False), (machine, True)):
        result, system = create(name, document)
        assert result[:2] == (0, 0)
        told = properties(system)
        core.HcsCloseComputeSystem(system)
        assert ("RuntimeId" in told) == found
    assert str(uuid.UUID(told["RuntimeId"])) == told["RuntimeId"]


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
