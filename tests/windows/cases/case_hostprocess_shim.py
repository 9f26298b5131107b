"""A pod of HostProcess containers, driven through a whole shim as containerd drives it."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from podshim.api.runhcs_stats_pb2 import Statistics
from podshim.engine import Stdio
from podshim.manager import Manager, pod_annotations
from podshim.transport.proactor import signalled
from podshim.ttrpc import StatusError
from podshim.win32.running import open_process
from windows.cases.loggers import uri

HOST_PROCESS = {"microsoft.com/hostprocess-container": "true"}
INHERIT = {"microsoft.com/hostprocess-inherit-user": "true"}
SLEEP = "import time; print('ready', flush=True); time.sleep(600)"
SYNCHRONIZE = 0x100000
PATIENCE = 60.0
RESOURCES = "types.containerd.io/opencontainers/runtime-spec/1/WindowsResources"


def process(code: str, **members: Any) -> dict[str, Any]:
    return {"args": [sys.executable, "-c", code], "cwd": "", "user": {}, **members}


def spec(manager: Manager, name: str, code: str, pod: str, **more: Any) -> dict[str, Any]:
    layers = [Path(manager.folder) / f"{name}-{layer}" for layer in ("base", "scratch")]
    for layer in layers:
        layer.mkdir()
    (layers[1] / "sandbox.vhdx").touch()
    return {
        "ociVersion": "1.0.2",
        "process": process(code),
        "root": {"path": ""},
        "annotations": {
            **pod_annotations(pod, sandbox=name == pod),
            **HOST_PROCESS,
            **INHERIT,
            **more.pop("annotations", {}),
        },
        "windows": {"layerFolders": [str(layer) for layer in layers], **more},
    }


@pytest.fixture
async def manager() -> AsyncIterator[Manager]:
    async with Manager("io.containerd.runhcs.v1", namespace=f"n{uuid.uuid4().hex[:12]}") as manager:
        yield manager


@pytest.fixture
async def pod(manager: Manager) -> AsyncIterator[str]:
    name = f"p-{uuid.uuid4()}"
    async with manager.task(name, spec=spec(manager, name, SLEEP, name), stdin=False) as (_, task):
        await task.start()
        yield name
        await task.kill(9)
        await task.wait()


async def test_a_container_of_a_host_process_pod(manager: Manager, pod: str) -> None:
    name = f"c-{uuid.uuid4()}"
    code = (
        "import os, sys; print(os.environ['CONTAINER_SANDBOX_MOUNT_POINT'], sys.stdin.read());"
        " sys.exit(9)"
    )
    resources = {"memory": {"limit": 1 << 30}}
    whole = spec(manager, name, code, pod, resources=resources)
    async with manager.task(name, spec=whole) as (_, task):
        pid = await task.start()
        with open_process(pid, SYNCHRONIZE):
            assert list(await task.pids()) == [pid]
        await task.stdin.write(b"input")
        await task.close_stdin()
        stdout, _ = await task.read_all()
        assert stdout.decode().split() == [f"C:\\hpc\\{name}\\", "input"]
        assert (await task.wait()).status == 9
        assert (await task.delete()).status == 9
        await manager.events.wait("/tasks/delete", name)
        assert manager.events.topics(name) == [
            "/tasks/create",
            "/tasks/start",
            "/tasks/exit",
            "/tasks/delete",
        ]
    assert not os.path.exists(f"C:\\hpc\\{name}")


async def test_two_containers_their_execs_and_figures(manager: Manager, pod: str) -> None:
    one, other = f"c-{uuid.uuid4()}", f"c-{uuid.uuid4()}"
    async with (
        manager.task(one, spec=spec(manager, one, SLEEP, pod)) as (_, first),
        manager.task(other, spec=spec(manager, other, SLEEP, pod)) as (_, second),
    ):
        await asyncio.gather(first.start(), second.start())
        for task in (first, second):
            done = await task.run(
                "e1", [sys.executable, "-c", "import os, sys; print(os.getpid()); sys.exit(4)"]
            )
            assert done.status == 4
            assert int(done.stdout)
        assert not set(await first.pids()) & set(await second.pids())
        measured = await first.stats()
        assert isinstance(measured, Statistics)
        assert measured.windows.uptime_ns > 0
        with pytest.raises(StatusError, match="modify not supported for job containers"):
            await first.update({"memory": {"limit": 1 << 30}}, type_url=RESOURCES)
        await first.kill(9)
        assert (await first.wait()).status == 1
        assert await second.pids()


async def test_loggers_of_a_container_and_its_exec(
    manager: Manager, pod: str, tmp_path: Path
) -> None:
    name = f"c-{uuid.uuid4()}"
    code = "import time; print('of the init', flush=True); time.sleep(600)"
    first, of_init = uri(tmp_path)
    second, of_exec = uri(tmp_path)
    whole = spec(manager, name, code, pod)
    async with manager.task(name, spec=whole, stdio=Stdio(stdout=first)) as (_, task):
        await task.start()
        state = await task.state()
        assert state.stdout == rf"\\.\pipe\binary-{name}-stdout"
        other = await task.exec(
            "e1", spec=process("print('of the exec')"), stdio=Stdio(stdout=second)
        )
        await other.start()
        assert (await other.wait()).status == 0
        assert json.loads(of_exec.read_text())["out"].split() == ["of", "the", "exec"]
        assert not of_init.exists()
        await task.kill(9)
        await task.wait()
        assert json.loads(of_init.read_text())["out"].split() == ["of", "the", "init"]


async def test_everything_dies_with_the_shim(manager: Manager) -> None:
    name = f"p-{uuid.uuid4()}"
    member = f"c-{uuid.uuid4()}"
    pod = spec(manager, name, SLEEP, name)
    async with manager.task(name, spec=pod, stdin=False) as (shim, pause):
        await pause.start()
        async with manager.task(member, spec=spec(manager, member, SLEEP, name)) as (joined, task):
            pid = await task.start()
            with open_process(pid, SYNCHRONIZE) as one:
                await shim.kill()
                async with asyncio.timeout(PATIENCE):
                    await signalled(one)
            assert (await joined.delete()).status == 255


async def test_what_is_refused_leaves_the_pod_alone(manager: Manager, pod: str) -> None:
    for change, text in (
        ({"resources": {"cpu": {"maximum": 10001}}}, "processor rate of `10001` is invalid"),
        ({"resources": {"cpu": {"shares": "x"}}}, "windows.resources.cpu.shares must be"),
        (
            {"annotations": {"microsoft.com/hostprocess-rootfs-location": "nowhere"}},
            "must be an absolute path",
        ),
    ):
        name = f"c-{uuid.uuid4()}"
        with pytest.raises(StatusError, match=text):
            async with manager.task(name, spec=spec(manager, name, SLEEP, pod, **change)):
                raise AssertionError("it was created")


async def test_a_program_that_is_not_there_is_told(manager: Manager, pod: str) -> None:
    name = f"c-{uuid.uuid4()}"
    whole = spec(manager, name, SLEEP, pod)
    whole["process"]["args"] = ["no-such-program"]
    async with manager.task(name, spec=whole) as (_, task):
        with pytest.raises(StatusError, match="failed to find executable"):
            await task.start()
        assert (await task.wait()).status == 1
