"""Systems and processes as the engine has them, over the stand-in."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

assert sys.platform == "win32"

# ruff: noqa: E402 - after the line that tells where this runs

from podshim.engines.hcs.results import (
    UNKNOWN_EXIT_CODE,
    ClosedError,
    HcsError,
    LostServiceError,
)
from podshim.engines.hcs.system import Hcs
from windows.cases.engine import DOCUMENT, created, eventually, read_all, running, service, spawn
from windows.cases.hcs import configure, python, trace


async def test_a_system_is_created_started_and_ended(name: str, tmp_path: Path) -> None:
    async with created(name) as system:
        assert (system.facts.type, system.facts.os, system.facts.owner) == (
            "container",
            "windows",
            "test",
        )
        await system.start()
        assert system.started_at is not None
        await system.shutdown()
        async with asyncio.timeout(20):
            await system.wait()
        assert system.exited
        assert system.exit_error is None
        await system.shutdown()  # it has ended: nothing to do
    calls = [line["name"] for line in trace(tmp_path / "trace.jsonl") if line["what"] == "call"]
    interesting = [call for call in calls if "Operation" not in call]
    assert interesting == [
        "HcsCreateComputeSystem",
        "HcsSetComputeSystemCallback",
        "HcsGetComputeSystemProperties",
        "HcsStartComputeSystem",
        "HcsShutDownComputeSystem",
        "HcsCloseComputeSystem",
    ]
    assert calls.count("HcsCreateOperation") == calls.count("HcsCloseOperation")


async def test_a_process_runs_with_its_pipes(name: str) -> None:
    async with running(name) as system:
        echo = python("import sys; sys.stdout.write(sys.stdin.read().upper()); sys.exit(3)")
        process = await spawn(
            system, echo, CreateStdInPipe=True, CreateStdOutPipe=True, CreateStdErrPipe=True
        )
        assert process.pid > 0
        assert process.pipes.stdin is not None
        await process.pipes.stdin.write(b"hello")
        await process.close_stdin()
        assert process.pipes.stdin is None
        assert await read_all(process.pipes.stdout) == b"HELLO"
        assert await read_all(process.pipes.stderr) == b""
        async with asyncio.timeout(20):
            assert await process.wait() == 3
        await process.close()


async def test_a_process_without_pipes_has_none(name: str) -> None:
    async with running(name) as system:
        process = await spawn(system, "cmd /c exit 9")
        assert process.pipes.stdin is process.pipes.stdout is process.pipes.stderr is None
        async with asyncio.timeout(20):
            assert await process.wait() == 9
        await process.close_stdin()
        await process.close()


async def test_closing_is_no_exit(name: str) -> None:
    async with running(name) as system:
        process = await spawn(system, "ping -n 600 127.0.0.1")
        waits = [asyncio.ensure_future(process.wait()), asyncio.ensure_future(system.wait())]
        await asyncio.sleep(0)
        await process.close()
        await system.close()
        for wait in waits:
            with pytest.raises(ClosedError, match="the handle has already been closed"):
                await wait
        assert not process.exited
        assert not system.exited
        with pytest.raises(ClosedError):
            await system.start()
        with pytest.raises(ClosedError):
            await process.signal({"Signal": "CtrlShutdown"})
        with pytest.raises(ClosedError):
            await process.kill()
        await system.terminate()  # closed: nothing to do


async def test_a_kill_goes_through_new_handles(name: str, tmp_path: Path) -> None:
    async with running(name) as system:
        process = await spawn(system, "ping -n 600 127.0.0.1")
        assert await process.kill()
        async with asyncio.timeout(20):
            assert await process.wait() == 0xFFFFFFFF
        with pytest.raises(HcsError, match="hcs::Process::Kill"):
            await process.kill()
        await process.close()
    calls = [line["name"] for line in trace(tmp_path / "trace.jsonl") if line["what"] == "call"]
    kill = calls[calls.index("HcsOpenComputeSystem") :]
    assert [call for call in kill if "Operation" not in call] == [
        "HcsOpenComputeSystem",
        "HcsOpenProcess",
        "HcsTerminateProcess",
        "HcsCloseProcess",
        "HcsCloseComputeSystem",
        "HcsCloseProcess",
        "HcsCloseComputeSystem",
    ]


@pytest.mark.parametrize("code", ["0x80070005", "0x8037011F"])
async def test_a_kill_that_is_refused_so_counts(name: str, tmp_path: Path, code: str) -> None:
    configure(tmp_path, faults=[{"call": "HcsTerminateProcess", "result": code}])
    async with running(name) as system:
        process = await spawn(system, "ping -n 600 127.0.0.1")
        assert await process.kill()
        await process.close()


async def test_a_kill_of_a_process_that_cannot_be_opened(name: str, tmp_path: Path) -> None:
    configure(tmp_path, faults=[{"call": "HcsOpenProcess", "result": "0x80070490", "times": 1}])
    async with running(name) as system:
        process = await spawn(system, "ping -n 600 127.0.0.1")
        assert await process.kill()
        await process.close()
        configure(tmp_path, faults=[{"call": "HcsOpenProcess", "result": "0x80070057"}])
        process = await spawn(system, "ping -n 600 127.0.0.1")
        with pytest.raises(HcsError, match=f"hcs::Process::Kill {name}:{process.pid}: "):
            await process.kill()
        await process.close()


async def test_a_kill_without_a_way_in_ends_the_container(name: str, tmp_path: Path) -> None:
    configure(tmp_path, faults=[{"call": "HcsOpenComputeSystem", "result": "0x80370114"}])
    async with running(name) as system:
        process = await spawn(system, "ping -n 600 127.0.0.1")
        assert await process.kill()
        assert system.closed
        async with asyncio.timeout(20):
            assert await process.wait() == 0xFFFFFFFF
        await process.close()


async def test_a_process_that_is_said_to_be_gone_is_released(name: str, tmp_path: Path) -> None:
    configure(tmp_path, faults=[{"call": "HcsSignalProcess", "result": "0x8037010E"}])
    async with running(name, release=0.05) as system:
        process = await spawn(system, "ping -n 600 127.0.0.1")
        assert not await process.signal({"Signal": "CtrlShutdown"})
        async with asyncio.timeout(20):
            assert await process.wait() == UNKNOWN_EXIT_CODE
        await process.close()


async def test_a_signal_and_its_refusal(name: str, tmp_path: Path) -> None:
    async with running(name) as system:
        process = await spawn(system, "ping -n 600 127.0.0.1")
        configure(tmp_path, faults=[{"call": "HcsSignalProcess", "result": "0x80070057"}])
        with pytest.raises(HcsError, match="hcs::Process::Signal"):
            await process.signal({"Signal": "CtrlShutdown"})
        configure(tmp_path, faults=[])
        assert await process.signal({"Signal": "CtrlShutdown"})
        async with asyncio.timeout(20):
            assert await process.wait() == 0x40010004
        await process.close()
    documents = [
        line["document"]
        for line in trace(tmp_path / "trace.jsonl")
        if line["what"] == "call" and line["name"] == "HcsSignalProcess"
    ]
    assert [json.loads(document) for document in documents] == [{"Signal": "CtrlShutdown"}] * 2


@pytest.mark.parametrize("stage", ["call", "completion"])
@pytest.mark.parametrize(
    "call",
    [
        "HcsCreateComputeSystem",
        "HcsSetComputeSystemCallback",
        "HcsGetComputeSystemProperties",
    ],
)
async def test_a_failed_creation_leaves_nothing(
    name: str, tmp_path: Path, call: str, stage: str
) -> None:
    if (call, stage) == ("HcsSetComputeSystemCallback", "completion"):
        stage = "call"  # it is done when it returns
    answer = {"ErrorEvents": [{"Message": "no", "Provider": "p", "EventId": 7}]}
    fault = {"call": call, "stage": stage, "result": "0x800705AF", "answer": json.dumps(answer)}
    configure(tmp_path, faults=[fault])
    async with service() as made:
        with pytest.raises(HcsError) as caught:
            await Hcs(made).create_system(name, DOCUMENT)
        assert caught.value.result == 0x5AF
        assert caught.value.operation in {"hcs::CreateComputeSystem", "hcs::System::Properties"}
        if call != "HcsSetComputeSystemCallback":
            assert str(caught.value).endswith("\n[Event Detail: no Provider: p EventID: 7]")
        configure(tmp_path)
        assert await Hcs(made).enumerate_systems(json.dumps({"Ids": [name]})) == []


async def test_a_start_that_never_ends_is_cancelled(name: str, tmp_path: Path) -> None:
    configure(tmp_path, faults=[{"call": "HcsStartComputeSystem", "never": True}])
    async with created(name) as system:
        with pytest.raises(HcsError) as caught:
            await system.start(limit=0.05)
        assert caught.value.result == 0x80370118
    calls = [line["name"] for line in trace(tmp_path / "trace.jsonl") if line["what"] == "call"]
    assert "HcsCancelOperation" in calls
    assert calls.count("HcsCreateOperation") == calls.count("HcsCloseOperation")


async def test_a_cancelled_caller_does_not_stop_the_call(name: str, tmp_path: Path) -> None:
    configure(tmp_path, faults=[{"call": "HcsCreateComputeSystem", "delay_ms": 200}])
    async with service() as made:
        hcs = Hcs(made)
        task = asyncio.ensure_future(hcs.create_system(name, DOCUMENT))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The system is made nevertheless, and then ended, because nobody wants it.

        async def closed() -> bool:
            return "HcsCloseComputeSystem" in (tmp_path / "trace.jsonl").read_text()

        async def gone() -> bool:
            return not await hcs.enumerate_systems(json.dumps({"Ids": [name]}))

        await eventually(closed)
        await eventually(gone)
        assert "HcsTerminateComputeSystem" in (tmp_path / "trace.jsonl").read_text()


async def test_a_system_that_exits_by_itself(name: str, tmp_path: Path) -> None:
    configure(tmp_path, faults=[{"call": "HcsStartComputeSystem", "exit_first": True}])
    async with created(name) as system:
        await system.start()
        async with asyncio.timeout(20):
            await system.wait()
        assert system.exit_error is not None
        assert system.exit_error.result == 0xC0370106


async def test_the_service_is_lost(name: str, tmp_path: Path) -> None:
    async with running(name) as system:
        process = await spawn(system, "ping -n 600 127.0.0.1")
        configure(tmp_path, faults=[{"call": "HcsGetComputeSystemProperties", "disconnect": True}])
        await system.properties()
        for wait in (system.wait(), process.wait()):
            async with asyncio.timeout(20):
                with pytest.raises(LostServiceError, match="lost communication with compute serv"):
                    await wait
        await process.close()


async def test_a_process_that_is_there_although_its_creation_failed(
    name: str, tmp_path: Path
) -> None:
    fault = {"call": "HcsCreateProcess", "stage": "after", "result": "0x80370118"}
    configure(tmp_path, faults=[fault])
    async with running(name) as system:
        process = await spawn(system, "cmd /c echo late", CreateStdOutPipe=True)
        assert await read_all(process.pipes.stdout) == b"late\r\n"
        async with asyncio.timeout(20):
            assert await process.wait() == 0
        await process.close()


async def test_a_failed_creation_of_a_process_tells_the_first_error(
    name: str, tmp_path: Path
) -> None:
    faults = [
        {"call": "HcsCreateProcess", "stage": "after", "result": "0x80370118"},
        {"call": "HcsGetProcessInfo", "result": "0x80070006"},
    ]
    configure(tmp_path, faults=faults)
    async with running(name) as system:
        with pytest.raises(HcsError) as caught:
            await spawn(system, "cmd /c echo late")
        assert caught.value.result == 0x80370118
        assert caught.value.operation == "hcs::System::CreateProcess: cmd /c echo late"
    calls = [line["name"] for line in trace(tmp_path / "trace.jsonl") if line["what"] == "call"]
    assert "HcsCloseProcess" in calls


async def test_a_process_that_has_exited_when_it_is_created(name: str, tmp_path: Path) -> None:
    configure(tmp_path, faults=[{"call": "HcsCreateProcess", "exit_first": True}])
    async with running(name) as system:
        process = await spawn(system, "cmd /c exit 5")
        async with asyncio.timeout(20):
            assert await process.wait() == 5
        await process.close()


async def test_a_process_without_a_callback_is_ended(name: str, tmp_path: Path) -> None:
    configure(tmp_path, faults=[{"call": "HcsSetProcessCallback", "result": "0x80070057"}])
    async with running(name) as system:
        with pytest.raises(HcsError, match="CreateProcess"):
            await spawn(system, "ping -n 600 127.0.0.1", CreateStdOutPipe=True)

        async def empty() -> bool:
            left = (await system.properties(["ProcessList"]))["ProcessList"]
            # Of a process that is killed at its birth, Wine may leave the console's host for ever.
            return all(one["ImageName"].lower() == "conhost.exe" for one in left)

        await eventually(empty)
