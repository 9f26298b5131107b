"""Whole lives of containers, driven at the engine as the task layer drives it."""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

assert sys.platform == "win32"

# ruff: noqa: E402 - after the line that tells where this runs

from podshim.bundle import Bundle
from podshim.engine import CreateRequest, Environment, Stdio
from podshim.engines.hcs.engine import HcsEngine
from podshim.errors import FailedPreconditionError, InvalidArgumentError, ShimError
from podshim.task.runhcs.host import ContainerRequest, VmRequest, WindowsContainer
from windows.cases.engine import Client
from windows.cases.hcs import configure, python, trace

HOST_PROCESS = {
    "microsoft.com/hostprocess-container": "true",
    "microsoft.com/hostprocess-inherit-user": "true",
}
KILLED = 0xFFFFFFFF


@asynccontextmanager
async def engine() -> AsyncIterator[HcsEngine]:
    made = HcsEngine(Environment("test", "t1"))
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def request(
    folder: Path, command_line: str, stdio: Stdio | None = None, **members: Any
) -> ContainerRequest:
    """A request for a container with a base layer and a scratch layer of its own."""
    (folder / "base").mkdir(parents=True)
    (folder / "scratch").mkdir()
    (folder / "scratch" / "sandbox.vhdx").touch()
    spec = {
        "ociVersion": "1.0.2",
        "process": {"commandLine": command_line, "cwd": "C:\\"},
        "root": {"path": ""},
        "hostname": "box",
        "windows": {"layerFolders": [str(folder / "base"), str(folder / "scratch")]},
        **members,
    }
    (folder / "config.json").write_text(json.dumps(spec))
    bundle = Bundle(str(folder))
    return ContainerRequest(f"c-{uuid.uuid4()}", bundle, spec, stdio=stdio or Stdio())


async def ended(process: Any) -> int:
    async with asyncio.timeout(30):
        status: int = (await process.wait()).status
        return status


async def tear_down(container: WindowsContainer) -> None:
    await container.init_exited()
    await container.init.delete()
    await container.delete()


def calls(tmp_path: Path) -> list[str]:
    lines = trace(tmp_path / "trace.jsonl")
    return [
        line["name"] for line in lines if line["what"] == "call" and "Operation" not in line["name"]
    ]


async def test_the_life_of_a_process_isolated_container(tmp_path: Path) -> None:
    async with engine() as made, Client(stdin=True) as client:
        assert made.build == 20348
        program = python("import sys; sys.stdout.write(sys.stdin.read().upper()); sys.exit(5)")
        container = await made.create_container(request(tmp_path / "c", program, client.stdio))
        assert container.init.stdio == client.stdio
        await container.init.start()
        async with Client() as second:
            spec = json.dumps({"args": ["cmd", "/c", "echo", "exec"]}).encode()
            process = await container.exec("e", spec, second.stdio)
            await process.start()
            assert await ended(process) == 0
            await process.delete()
            assert await second.read() == b"exec\r\n"
        details = await container.process_details()
        assert container.init.pid in {one.process_id for one in details}
        assert (await container.statistics()).windows.uptime_ns > 0
        await container.update(b'{"memory": {"limit": 2097152}}')
        await container.add_mount(str(tmp_path), "C:\\mounted", read_only=False)
        stdin = await client.stream("stdin")
        await stdin.write(b"hello")
        stdin.close()
        assert await ended(container.init) == 5
        await tear_down(container)
        assert await client.read() == b"HELLO"
    names = calls(tmp_path)
    life = [name for name in names if name != "NameToGuid"]
    assert life[:4] == ["ActivateLayer", "PrepareLayer", "GetLayerMountPath", "GetLayerMountPath"]
    assert life[-4:] == [
        "HcsCloseProcess",
        "UnprepareLayer",
        "DeactivateLayer",
        "HcsCloseComputeSystem",
    ]
    assert life.index("HcsShutDownComputeSystem") < life.index("UnprepareLayer")
    lines = trace(tmp_path / "trace.jsonl")
    (document,) = [
        json.loads(line["document"])
        for line in lines
        if line["what"] == "call" and line["name"] == "HcsCreateComputeSystem"
    ]
    assert document["Container"]["GuestOs"] == {"HostName": "box"}
    assert document["ShouldTerminateOnLastHandleClosed"] is True


async def test_a_container_of_a_bundle(tmp_path: Path) -> None:
    async with engine() as made:
        asked = request(tmp_path / "c", "cmd /c exit 4")
        container = await made.create(CreateRequest(asked.id, asked.bundle))
        assert isinstance(container, WindowsContainer)
        await container.init.start()
        assert await ended(container.init) == 4
        await tear_down(container)
        (tmp_path / "c" / "config.json").write_text("[]")
        with pytest.raises(InvalidArgumentError):
            await made.create(CreateRequest(asked.id, asked.bundle))


@pytest.mark.parametrize("call", ["ActivateLayer", "PrepareLayer", "HcsCreateComputeSystem"])
async def test_a_failed_creation_leaves_nothing(tmp_path: Path, call: str) -> None:
    configure(tmp_path, faults=[{"call": call, "result": "0x80070057"}])
    async with engine() as made, Client() as client:
        with pytest.raises(ShimError):
            await made.create_container(request(tmp_path / "c", "cmd", client.stdio))
        assert await client.read() == b""  # its pipes are closed
    names = calls(tmp_path)
    for begun, undone in (
        ("ActivateLayer", "DeactivateLayer"),
        ("PrepareLayer", "UnprepareLayer"),
    ):
        done = begun in names and call != begun
        assert (undone in names) == done, names


async def test_a_container_whose_client_is_not_there(tmp_path: Path) -> None:
    async with engine() as made:
        stdio = Stdio(stdout=f"\\\\.\\pipe\\{uuid.uuid4()}")
        with pytest.raises(ShimError, match="open "):
            await made.create_container(request(tmp_path / "c", "cmd", stdio))
    assert not (tmp_path / "trace.jsonl").exists() or calls(tmp_path) == []


async def test_a_container_with_a_bad_spec(tmp_path: Path) -> None:
    async with engine() as made, Client() as client:
        with pytest.raises(InvalidArgumentError, match="hostname must be a string"):
            await made.create_container(request(tmp_path / "a", "cmd", client.stdio, hostname=5))
        with pytest.raises(InvalidArgumentError, match="process: args must be a list"):
            await made.create_container(request(tmp_path / "b", "cmd", process={"args": 5}))
        with pytest.raises(FailedPreconditionError):
            await made.create_container(request(tmp_path / "c", "cmd", windows={}))


async def test_the_life_of_a_host_process_container(tmp_path: Path) -> None:
    async with engine() as made, Client() as client:
        program = python("print('on the host')")
        asked = request(tmp_path / "c", program, client.stdio, annotations=HOST_PROCESS)
        container = await made.create_container(asked)
        await container.init.start()
        assert await ended(container.init) == 0
        await tear_down(container)
        assert await client.read() == b"on the host\r\n"
    names = calls(tmp_path)
    assert "HcsCreateComputeSystem" not in names
    assert names[0] == "ActivateLayer"
    assert names[-1] == "DeactivateLayer"


async def test_many_containers_live_side_by_side(tmp_path: Path) -> None:
    async with engine() as made:

        async def live(number: int) -> int:
            asked = request(tmp_path / str(number), f"cmd /c exit {number}")
            container = await made.create_container(asked)
            await container.init.start()
            status = await ended(container.init)
            await tear_down(container)
            return status

        statuses = await asyncio.gather(*(live(number) for number in range(8)))
    assert statuses == list(range(8))


async def test_an_engine_closes_though_a_container_lives(tmp_path: Path) -> None:
    async with engine() as made:
        container = await made.create_container(request(tmp_path / "c", "ping -n 600 127.0.0.1"))
        await container.init.start()
        await container.init.terminate()
        assert await ended(container.init) == KILLED
        await tear_down(container)
    with pytest.raises(ShimError, match="not open"):
        await made.create_container(request(tmp_path / "d", "cmd"))


async def test_a_vm_is_created_as_far_as_this_machine_can(tmp_path: Path) -> None:
    """Wine has no hv-sockets, on which a guest would connect: the VM is given up, all of it."""
    boot = tmp_path / "boot"
    boot.mkdir()
    for name in ("vmlinux", "kernel", "initrd.img", "rootfs.vhd"):
        (boot / name).touch()
    spec = {
        "linux": {},
        "windows": {"hyperv": {}},
        "annotations": {"io.microsoft.virtualmachine.bootfilesrootpath": str(boot)},
    }
    bundle = Bundle(str(tmp_path))
    async with engine() as made:
        with pytest.raises(ShimError, match="listen hvsock "):
            await made.create_vm(VmRequest("p@vm", bundle, spec))
        with pytest.raises(ShimError, match="has no VM"):
            await made.create_container(ContainerRequest("c", bundle, spec))
    assert calls(tmp_path)[-2:] == ["HcsTerminateComputeSystem", "HcsCloseComputeSystem"]
