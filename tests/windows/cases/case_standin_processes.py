"""Processes of the stand-in: pipes, environment, signals, figures, terminals."""

import ctypes
import json
import sys
from ctypes import byref, c_void_p
from typing import Any

import pytest

assert sys.platform == "win32"

from windows.cases.hcs import (  # noqa: E402 - after the line that tells where this runs
    Listener,
    core,
    create,
    properties,
    python,
    read_all,
    running,
    spawn,
    submit,
    terminate,
    unsigned,
    write,
)


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
