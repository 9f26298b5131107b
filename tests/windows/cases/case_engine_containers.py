"""A container's whole life over the stand-in, but for what it is made from."""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

assert sys.platform == "win32"

# ruff: noqa: E402 - after the line that tells where this runs

from podshim.bundle import Bundle
from podshim.engine import Stdio
from podshim.engines.hcs.assembly import Setting, assemble, connect_init
from podshim.engines.hcs.container import HcsContainer
from podshim.engines.hcs.results import HcsError
from podshim.engines.hcs.system import Hcs
from podshim.engines.hcs.updates import ArgonUpdates
from podshim.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ShimError,
    UnimplementedError,
)
from podshim.task.runhcs.host import ContainerRequest
from windows.cases.engine import DOCUMENT, Client, service
from windows.cases.hcs import configure, python, trace

KILLED = 0xFFFFFFFF
SHUT_DOWN = 0x40010004


@dataclass
class Resources:
    """Stands for layers and the like: writes down when it is released."""

    said: list[str] = field(default_factory=list)
    problem: Exception | None = None

    async def release(self) -> None:
        self.said.append("released")
        if self.problem is not None:
            raise self.problem


@dataclass
class Made:
    container: HcsContainer
    resources: Resources
    affinities: list[Any]


@asynccontextmanager
async def container(
    command_line: str,
    stdio: Stdio | None = None,
    *,
    build: int = 20348,
    configure_after_creation: Callable[[], None] | None = None,
    **timeouts: float,
) -> AsyncIterator[Made]:
    """A container that is torn down as the task layer does it."""
    name = f"c-{uuid.uuid4()}"
    async with service(**timeouts) as made:
        setting = Setting("test", build, made.timeouts, made.spawn)
        spec = {"process": {"commandLine": command_line}}
        request = ContainerRequest(name, Bundle("."), spec, stdio=stdio or Stdio())
        upstream = await connect_init(setting, request)
        system = await Hcs(made).create_system(name, DOCUMENT)
        resources, affinities = Resources(), list[Any]()

        async def resolve(path: str) -> str:
            return f"resolved {path}"

        async def set_affinity(container_id: str, groups: Sequence[Any]) -> None:
            affinities.append(groups)

        updates = ArgonUpdates(system, build, 4, resolve, set_affinity)
        one = assemble(setting, request, upstream, system, resources, updates)
        if configure_after_creation is not None:
            configure_after_creation()
        try:
            yield Made(one, resources, affinities)
        finally:
            await one.init_exited()
            await one.init.delete()
            await one.delete()
            assert resources.said == ["released"]


def calls(tmp_path: Path) -> list[str]:
    lines = trace(tmp_path / "trace.jsonl")
    names = [line["name"] for line in lines if line["what"] == "call"]
    assert names.count("HcsCreateOperation") == names.count("HcsCloseOperation")
    return [name for name in names if "Operation" not in name]


async def ended(process: Any) -> int:
    async with asyncio.timeout(20):
        status: int = (await process.wait()).status
        return status


async def test_create_start_output_exit_delete(tmp_path: Path) -> None:
    async with Client() as client:
        async with container(
            python("import sys; print(1); print(2, file=sys.stderr); sys.exit(7)"), client.stdio
        ) as made:
            assert made.container.init.pid == 0
            await made.container.init.start()
            assert made.container.init.pid > 0
            assert await ended(made.container.init) == 7
        assert await client.read("stdout") == b"1\r\n"
        assert await client.read("stderr") == b"2\r\n"
    assert calls(tmp_path) == [
        "HcsCreateComputeSystem",
        "HcsSetComputeSystemCallback",
        "HcsGetComputeSystemProperties",
        "HcsStartComputeSystem",
        "HcsCreateProcess",
        "HcsSetProcessCallback",
        "HcsShutDownComputeSystem",
        "HcsCloseProcess",
        "HcsCloseComputeSystem",
    ]


async def test_stdin_reaches_the_process_and_its_end_too() -> None:
    async with Client(stdin=True) as client:
        program = python("import sys; sys.stdout.write(sys.stdin.read().upper())")
        async with container(program, client.stdio) as made:
            await made.container.init.start()
            await (await client.stream("stdin")).write(b"hello")
            await made.container.init.close_stdin()
            assert await ended(made.container.init) == 0
        assert await client.read() == b"HELLO"


async def test_execs_run_beside_the_init() -> None:
    async with container("ping -n 600 127.0.0.1") as made, Client() as client:
        await made.container.init.start()
        spec = json.dumps({"args": ["cmd", "/c", "echo", "hi"], "cwd": "C:\\"}).encode()
        process = await made.container.exec("e", spec, client.stdio)
        assert process.stdio == client.stdio
        await process.start()
        assert await ended(process) == 0
        assert process.pid != made.container.init.pid
        await process.delete()
        assert await client.read() == b"hi\r\n"
        for bad in (b"[]", b"{", b'{"args": 3}', b'{"user": []}'):
            with pytest.raises(InvalidArgumentError):
                await made.container.exec("bad", bad, Stdio())
        assert made.container.init.pid in await made.container.pids()


@pytest.mark.parametrize(
    ("signal", "status"), [(9, KILLED), (15, SHUT_DOWN), (6, SHUT_DOWN), (0, 0xC000013A)]
)
async def test_kill(signal: int, status: int) -> None:
    async with container("ping -n 600 127.0.0.1") as made:
        await made.container.init.start()
        with pytest.raises(FailedPreconditionError, match="signal 3: invalid signal value"):
            await made.container.init.kill(3)
        await made.container.init.kill(signal)
        assert await ended(made.container.init) == status
        with pytest.raises(NotFoundError):
            await made.container.init.kill(signal)
        await made.container.init.terminate()  # it has ended: nothing to do


async def test_kill_where_signals_are_not_supported(tmp_path: Path) -> None:
    async with container("ping -n 600 127.0.0.1", build=17134) as made:
        await made.container.init.start()
        with pytest.raises(FailedPreconditionError, match="invalid signal value"):
            await made.container.init.kill(0)
        await made.container.init.kill(15)
        assert await ended(made.container.init) == KILLED
    assert "HcsSignalProcess" not in calls(tmp_path)


async def test_a_graceful_signal_waits_for_nobody(tmp_path: Path) -> None:
    fault = {"call": "HcsSignalProcess", "delay_ms": 1500}
    configure(tmp_path, faults=[fault])
    async with container("ping -n 600 127.0.0.1") as made:
        await made.container.init.start()
        async with asyncio.timeout(1):
            await made.container.init.kill(15)
            # While that signal is under way, a hard kill gets through.
            await made.container.init.kill(9)
        assert await ended(made.container.init) == KILLED


async def test_a_signal_that_is_ignored_and_a_signal_that_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [
        {"call": "HcsSignalProcess", "stage": "completion", "result": "0x0", "times": 1},
        {"call": "HcsSignalProcess", "result": "0x80070057"},
    ]
    configure(tmp_path, faults=faults)
    async with container("ping -n 600 127.0.0.1") as made:
        init = made.container.init
        await init.start()
        await init.kill(15)
        await init.kill(15)
        await init.terminate()
        assert await ended(init) == KILLED
    assert "did not get its signal" in caplog.text


async def test_everyone_is_signalled() -> None:
    async with container("ping -n 600 127.0.0.1") as made:
        await made.container.init.start()
        spec = json.dumps({"commandLine": "ping -n 600 127.0.0.1"}).encode()
        processes = [await made.container.exec(f"e{i}", spec, Stdio()) for i in range(2)]
        for process in processes:
            await process.start()
        await made.container.kill(9, everyone=True)
        for process in [*processes, made.container.init]:
            assert await ended(process) == KILLED
            await process.delete()


async def test_processes_end_with_their_container() -> None:
    async with container("cmd /c exit 0") as made:
        await made.container.init.start()
        spec = json.dumps({"commandLine": "ping -n 600 127.0.0.1"}).encode()
        running = await made.container.exec("running", spec, Stdio())
        waiting = await made.container.exec("waiting", spec, Stdio())
        await running.start()
        assert await ended(made.container.init) == 0
        await made.container.init_exited()
        assert await ended(running) in {SHUT_DOWN, KILLED}
        assert await ended(waiting) == 1
        late = await made.container.exec("late", spec, Stdio())
        assert await ended(late) == 1
        with pytest.raises(FailedPreconditionError):
            await late.start()
        for process in (running, waiting, late):
            await process.delete()


async def test_a_failed_start_of_the_container_ends_it(tmp_path: Path) -> None:
    answer = json.dumps({"ErrorEvents": [{"Message": "no room"}]})
    fault = {"call": "HcsStartComputeSystem", "stage": "completion", "result": "0x80070008"}
    configure(tmp_path, faults=[fault | {"answer": answer}])
    async with container("cmd /c exit 0") as made:
        with pytest.raises(
            HcsError, match=r"hcs::System::Start c-.*: .*\n\[Event Detail: no room]"
        ):
            await made.container.init.start()
        assert await ended(made.container.init) == 1
    assert calls(tmp_path)[-3:] == [
        "HcsStartComputeSystem",
        "HcsShutDownComputeSystem",
        "HcsCloseComputeSystem",
    ]


async def test_a_failed_start_of_the_init_ends_the_container(tmp_path: Path) -> None:
    async with Client() as client:
        async with container("C:\\no\\such\\program.exe", client.stdio) as made:
            with pytest.raises(HcsError, match=r"hcs::System::CreateProcess: C:\\no\\such\\prog"):
                await made.container.init.start()
            assert await ended(made.container.init) == 1
        assert await client.read() == b""
    assert "HcsTerminateComputeSystem" in calls(tmp_path)


async def test_a_failed_start_of_an_exec_leaves_the_container(tmp_path: Path) -> None:
    async with container("ping -n 600 127.0.0.1") as made:
        await made.container.init.start()
        spec = json.dumps({"commandLine": "C:\\no\\such\\program.exe"}).encode()
        process = await made.container.exec("e", spec, Stdio())
        with pytest.raises(HcsError):
            await process.start()
        assert await ended(process) == 1
        await process.delete()
        # A console's host may have joined the init's job under Wine; nothing else may be there.
        left = await made.container.process_details()
        assert [one.process_id for one in left if one.image_name.lower() != "conhost.exe"] == [
            made.container.init.pid
        ]


async def test_a_container_that_exits_before_its_start_returns(tmp_path: Path) -> None:
    configure(tmp_path, faults=[{"call": "HcsStartComputeSystem", "exit_first": True}])
    async with container("cmd /c exit 0") as made:
        with pytest.raises(HcsError, match="hcs::System::CreateProcess"):
            await made.container.init.start()
        assert await ended(made.container.init) == 1


async def test_a_container_that_is_killed_before_its_start() -> None:
    async with container("cmd /c exit 0") as made:
        await made.container.init.kill(15)
        assert await ended(made.container.init) == 1


async def test_loss_of_the_service_ends_everything(tmp_path: Path) -> None:
    async with container("ping -n 600 127.0.0.1") as made:
        await made.container.init.start()
        configure(tmp_path, faults=[{"call": "HcsGetComputeSystemProperties", "disconnect": True}])
        await made.container.pids()
        assert await ended(made.container.init) == 0xFFFFFFFF


async def test_teardown_terminates_what_does_not_shut_down(tmp_path: Path) -> None:
    fault = {"call": "HcsShutDownComputeSystem", "stage": "completion", "result": "0x0"}
    configure(tmp_path, faults=[fault])
    async with container("ping -n 600 127.0.0.1", shutdown=0.2) as made:
        await made.container.init.start()
    names = calls(tmp_path)
    assert names[names.index("HcsShutDownComputeSystem") + 1] == "HcsTerminateComputeSystem"
    assert names[-1] == "HcsCloseComputeSystem"


async def test_teardown_goes_on_where_nothing_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [
        {"call": "HcsShutDownComputeSystem", "result": "0x80070057"},
        {"call": "HcsTerminateComputeSystem", "stage": "completion", "result": "0x0"},
    ]
    configure(tmp_path, faults=faults)
    async with container("ping -n 600 127.0.0.1", terminate=0.2) as made:
        await made.container.init.start()
        made.resources.problem = ShimError("failed to release one or more container resources")
    assert "has not ended" in caplog.text
    assert "failed to release one or more container resources" in caplog.text
    assert calls(tmp_path)[-1] == "HcsCloseComputeSystem"


@pytest.mark.parametrize("code", ["0xC0370110", "0x80370110", "0x8037010E", "0xC0370103"])
async def test_a_shutdown_that_comes_too_late_is_no_failure(tmp_path: Path, code: str) -> None:
    fault = {"call": "HcsShutDownComputeSystem", "result": code}

    def configured() -> None:
        configure(tmp_path, faults=[fault])

    async with container(
        "cmd /c exit 0", configure_after_creation=configured, shutdown=0.2
    ) as made:
        await made.container.init.start()
        assert await ended(made.container.init) == 0
    assert "HcsTerminateComputeSystem" in calls(tmp_path)  # nothing told that it had ended


async def test_processes_are_told() -> None:
    async with container("ping -n 600 127.0.0.1") as made:
        await made.container.init.start()
        told = {one.process_id: one for one in await made.container.process_details()}
        details = told[made.container.init.pid]  # Wine may have added a console's host
        assert details.image_name.lower() == "ping.exe"
        assert details.created_at.seconds > 0


async def test_statistics_are_told() -> None:
    async with container("ping -n 600 127.0.0.1") as made:
        await made.container.init.start()
        measured = (await made.container.statistics()).windows
        assert measured.uptime_ns > 0
        assert measured.memory.memory_usage_commit_bytes > 0
        stats = await made.container.stats()
        assert stats.type_url == "containerd.runhcs.stats.v1.Statistics"


@pytest.mark.parametrize("code", ["0x80070005", "0x80070006", "0xC037010E", "0x80370105"])
async def test_a_container_that_does_not_tell(tmp_path: Path, code: str) -> None:
    async with container("ping -n 600 127.0.0.1") as made:
        await made.container.init.start()
        fault = {"call": "HcsGetComputeSystemProperties", "result": code}
        configure(tmp_path, faults=[fault])
        with pytest.raises(NotFoundError):
            await made.container.process_details()
        with pytest.raises(NotFoundError):
            await made.container.statistics()
        configure(tmp_path, faults=[fault | {"result": "0x80070057"}])
        with pytest.raises(HcsError, match="hcs::System::PropertiesV2"):
            await made.container.statistics()


async def test_limits_are_updated(tmp_path: Path) -> None:
    async with container("ping -n 600 127.0.0.1") as made:
        await made.container.init.start()
        await made.container.update(b'{"memory": {"limit": 3145728}}')
        await made.container.update(b'{"cpu": {"count": 9}}')
        await made.container.update(b'{"cpu": {"affinity": [{"mask": 3}]}}')
        with pytest.raises(InvalidArgumentError):
            await made.container.update(b'{"cpu": {"count": 1, "shares": 5}}')
        with pytest.raises(InvalidArgumentError):
            await made.container.update(b"[]")
        await made.container.add_mount("C:\\a", "C:\\b", read_only=True)
        (groups,) = made.affinities
        assert [(group.mask, group.group) for group in groups] == [(3, 0)]
    documents = [
        json.loads(line["document"])
        for line in trace(tmp_path / "trace.jsonl")
        if line["what"] == "call" and line["name"] == "HcsModifyComputeSystem"
    ]
    assert documents == [
        {"ResourcePath": "Container/Memory/SizeInMB", "RequestType": "Update", "Settings": 4},
        {
            "ResourcePath": "Container/Processor",
            "RequestType": "Update",
            "Settings": {"Count": 4},
        },
        {
            "ResourcePath": "Container/MappedDirectories",
            "RequestType": "Add",
            "Settings": {
                "HostPath": "resolved C:\\a",
                "ContainerPath": "C:\\b",
                "ReadOnly": True,
            },
        },
    ]


async def test_limits_that_this_build_cannot_update() -> None:
    async with container("ping -n 600 127.0.0.1", build=19041) as made:
        await made.container.init.start()
        with pytest.raises(UnimplementedError):
            await made.container.update(b'{"cpu": {"count": 1}}')


async def test_a_terminal_is_resized(tmp_path: Path) -> None:
    async with Client(terminal=True) as client, container("ping -n 600 127.0.0.1") as made:
        await made.container.init.start()
        await made.container.init.resize(80, 25)  # it has none: nothing to do
        spec = json.dumps({"commandLine": "ping -n 600 127.0.0.1", "terminal": True}).encode()
        process = await made.container.exec("e", spec, client.stdio)
        await process.start()
        await process.resize(132, 0x10000 + 43)
        await process.kill(9)
        assert await ended(process) == KILLED
        await process.delete()
    documents = [
        json.loads(line["document"])
        for line in trace(tmp_path / "trace.jsonl")
        if line["what"] == "call" and line["name"] == "HcsModifyProcess"
    ]
    assert documents == [{"Operation": "ConsoleSize", "ConsoleSize": {"Height": 43, "Width": 132}}]


async def test_the_processes_end_of_input_is_asked_for(tmp_path: Path) -> None:
    program = python("import sys; sys.stdin.read()")
    async with Client(stdin=True) as client, container(program, client.stdio) as made:
        await made.container.init.start()
        (await client.stream("stdin")).close()
        assert await ended(made.container.init) == 0
    documents = [
        json.loads(line["document"])
        for line in trace(tmp_path / "trace.jsonl")
        if line["what"] == "call" and line["name"] == "HcsModifyProcess"
    ]
    assert documents == [{"Operation": "CloseHandle", "CloseHandle": {"Handle": "StdIn"}}]
