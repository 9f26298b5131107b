"""What else a container can do: execs, pause, update, statistics, the out-of-memory killer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from oci.oci_support import Box, Holdings, Workshop, children, runc_options, settled, until
from podshim.api import cgroups_v1_pb2
from podshim.engine import Process, Stdio
from podshim.engines.oci import OciEngine, runtime as runtime_module
from podshim.errors import DeadlineExceededError, NotFoundError, ShimError

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIVATE = ("ipc", "uts", "mount", "network")


async def exec_(box: Box, exec_id: str, *args: str, stdio: Stdio | None = None) -> Process:
    process = box.request.bundle.config()["process"]
    assert isinstance(process, dict)
    process["args"] = list(args)
    process["terminal"] = True  # the request's word counts
    return await box.container.exec(exec_id, json.dumps(process).encode(), stdio or Stdio())


async def end(box: Box) -> None:
    await box.container.kill(signal.SIGKILL, everyone=True)
    await box.container.init.wait()
    await box.container.init_exited()
    await box.remove()


async def stats(box: Box) -> cgroups_v1_pb2.Metrics:
    value = await box.container.stats()
    assert value.type_name == "io.containerd.cgroups.v1.Metrics"
    return cgroups_v1_pb2.Metrics.FromString(value.value)


async def test_fifty_execs_end_each_in_its_own_way(shop: Workshop) -> None:
    box = await shop.box("/bin/sleep", "600")
    await box.container.init.start()
    before = Holdings.now()

    async def one(number: int) -> None:
        process = await exec_(box, f"e{number}", "/bin/sh", "-c", f"exit {number}")
        assert process.pid == 0
        await process.start()
        assert process.pid > 0
        assert (await process.wait()).status == number
        await process.delete()

    for first in range(0, 50, 10):
        await asyncio.gather(*(one(number) for number in range(first, first + 10)))
    await settled(before)
    await end(box)


async def test_an_exec_may_be_called_init(shop: Workshop) -> None:
    box = await shop.box("/bin/sleep", "600")
    await box.container.init.start()
    pid = Path(box.request.bundle.file("init.pid")).read_text()
    process = await exec_(box, "init", "/bin/sh", "-c", "exit 4")
    await process.start()
    assert (await process.wait()).status == 4
    await process.delete()
    assert Path(box.request.bundle.file("init.pid")).read_text() == pid
    await end(box)


async def test_pids(shop: Workshop) -> None:
    fifos = shop.streams()
    box = await shop.shell("sleep 600 & echo up; wait")
    await box.container.init.start()
    process = await exec_(box, "e1", "/bin/sleep", "600", stdio=fifos.stdio)
    await process.start()
    assert box.fifos is not None
    await box.fifos.stdout.read_until(b"up\n")
    found = await box.container.pids()
    assert len(found) == 3
    assert box.container.init.pid in found
    assert process.pid in found
    await end(box)
    assert (await process.wait()).status == 137


async def test_pause_and_resume(shop: Workshop) -> None:
    box = await shop.box("/bin/cat", stdin=True)
    assert box.fifos is not None
    assert box.fifos.stdin is not None
    await box.container.init.start()
    await box.container.pause()
    if shop.runtime == "runc":  # crun does not mind
        with pytest.raises(ShimError, match="OCI runtime pause failed: "):
            await box.container.pause()
    await box.fifos.stdin.write(b"x\n")
    with pytest.raises(ShimError):
        await box.fifos.stdout.read(timeout=0.2)
    await box.container.resume()
    assert await box.fifos.stdout.read_until(b"x\n") == b"x\n"
    await end(box)


@pytest.mark.parametrize("everyone", [False, True])
async def test_a_paused_container_can_be_killed(shop: Workshop, everyone: bool) -> None:
    box = await shop.box("/bin/sleep", "600")
    await box.container.init.start()
    await box.container.pause()
    # Under cgroup v1, runc alone thaws what it kills.
    await box.container.kill(signal.SIGKILL, everyone=everyone)
    async with asyncio.timeout(20):
        assert (await box.container.init.wait()).status == 137
    await box.container.resume()  # as the task layer does
    await box.container.init_exited()
    await box.remove()


async def test_a_container_that_is_killed_while_it_is_being_paused_dies(
    shop: Workshop, tmp_path: Path
) -> None:
    """The kill comes when all are frozen already, but the runtime has not said so yet."""
    frozen, gate = tmp_path / "frozen", tmp_path / "gate"
    os.mkfifo(gate)
    binary = tmp_path / "slow-runtime"
    binary.write_text(
        f'#!/bin/sh\n{shop.runtime} "$@" || exit\n'
        f'case " $* " in *" pause "*) touch {frozen}; cat {gate} ;; esac\n'
    )
    binary.chmod(0o755)
    request = shop.request(shop.spec("/bin/sleep", "600"), binary_name=str(binary))
    box = await shop.create(request)
    await box.container.init.start()
    pause = asyncio.create_task(box.container.pause())
    await until(frozen.exists)
    await box.container.kill(signal.SIGKILL, everyone=False)
    await asyncio.to_thread(gate.write_bytes, b"")
    await pause
    async with asyncio.timeout(20):
        assert (await box.container.init.wait()).status == 137
    await box.container.init_exited()
    await box.remove()


async def test_a_container_that_is_not_frozen_can_be_thawed(shop: Workshop) -> None:
    box = await shop.box("/bin/sleep", "600")
    await box.container.init.start()
    await box.container.pause()
    await box.container.resume()
    await box.container.resume()
    await end(box)


async def test_a_pause_that_hangs_leaves_nothing_frozen(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "slow-runtime"
    binary.write_text(
        f'#!/bin/sh\n{shop.runtime} "$@" || exit\n'
        'case " $* " in *" pause "*) exec sleep 600 ;; esac\n'
    )
    binary.chmod(0o755)
    fifos = shop.streams(stdin=True)
    request = shop.request(shop.spec("/bin/cat"), fifos.stdio, binary_name=str(binary))
    # Long enough for a runtime to have frozen it on a busy machine.
    monkeypatch.setattr(runtime_module, "LIMITS", {**runtime_module.LIMITS, "pause": 5})
    box = await shop.create(request, fifos)
    await box.container.init.start()
    with pytest.raises(DeadlineExceededError, match="OCI runtime pause failed: slow-runtime pause"):
        await box.container.pause()
    await fifos.stdin.write(b"alive\n")
    assert await fifos.stdout.read_until(b"alive\n") == b"alive\n"
    await end(box)


async def test_update_is_seen_in_the_statistics(shop: Workshop) -> None:
    box = await shop.box("/bin/sleep", "600", resources={"memory": {"limit": 64 << 20}})
    await box.container.init.start()
    async with asyncio.timeout(20):
        # runc is done a moment before its threads in the container have become the program.
        while (before := await stats(box)).pids.current != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    assert before.memory.usage.limit == 64 << 20
    assert before.memory.usage.usage > 0
    assert before.cpu.usage.total > 0
    await box.container.update(json.dumps({"memory": {"limit": 96 << 20}}).encode())
    assert (await stats(box)).memory.usage.limit == 96 << 20
    with pytest.raises(ShimError, match="did not terminate successfully"):
        await box.container.update(b"{")
    await end(box)
    with pytest.raises(NotFoundError, match="cgroup does not exist"):
        await stats(box)


async def test_an_out_of_memory_kill_is_announced(shop: Workshop) -> None:
    limit = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
    box = await shop.shell("exec dd if=/dev/zero of=/dev/null bs=200000000", resources=limit)
    watching = asyncio.create_task(box.container.wait_oom())
    await box.container.init.start()
    async with asyncio.timeout(30):
        await box.container.init.wait()
        await box.container.init_exited()
        await watching
    await box.remove()


async def test_init_s_end_ends_what_shares_the_host_s_pids(shop: Workshop) -> None:
    box = await shop.shell(
        "sleep 601 & sleep 602 & echo up; read x", stdin=True, namespaces=PRIVATE
    )
    assert box.fifos is not None
    await box.container.init.start()
    await box.fifos.stdout.read_until(b"up\n")
    process = await exec_(box, "e1", "/bin/sleep", "603")
    await process.start()
    pids = set(await box.container.pids())
    assert len(pids) == 4
    os.kill(box.container.init.pid, signal.SIGKILL)
    assert (await box.container.init.wait()).status == 137
    await box.container.init_exited()
    assert (await process.wait()).status == 137
    await until(lambda: not pids & set(children()))
    await box.remove()


async def test_a_shared_pid_namespace_is_killed_whole(shop: Workshop) -> None:
    box = await shop.shell("sleep 601 & echo up; wait", namespaces=PRIVATE)
    assert box.fifos is not None
    await box.container.init.start()
    await box.fifos.stdout.read_until(b"up\n")
    await box.container.kill(signal.SIGKILL, everyone=True)
    await box.container.init.wait()
    await box.container.init_exited()
    await box.remove()
    await until(lambda: children() == [])


async def test_a_created_container_can_be_deleted(shop: Workshop) -> None:
    before = Holdings.now()
    box = await shop.box("/bin/sleep", "600", stdin=True)
    pid = box.container.init.pid
    assert pid in children()
    await box.remove()
    assert box.fifos is not None
    box.fifos.close()
    await settled(before)
    assert (await box.container.init.wait()).status == 137


async def test_a_running_container_can_be_deleted(shop: Workshop) -> None:
    before = Holdings.now()
    box = await shop.box("/bin/sleep", "600")
    await box.container.init.start()
    await box.remove()
    assert box.fifos is not None
    box.fifos.close()
    await settled(before)


@pytest.mark.parametrize("values", [{}, {"terminal": True}, {"args": ("/no/such",)}])
async def test_cycles_leave_nothing(shop: Workshop, values: Mapping[str, Any]) -> None:
    async def cycle() -> None:
        args = values.get("args", ("/bin/sh", "-c", "echo hello"))
        try:
            box = await shop.box(*args, stdin=True, terminal=values.get("terminal", False))
        except ShimError:
            shop.fifos.pop().close()
            return
        assert box.fifos is not None
        assert (await box.run()).status == 0
        process = await exec_(box, "late", "/bin/true")
        with pytest.raises(ShimError, match="is not running"):
            await process.start()
        await process.delete()
        await box.container.init_exited()
        await box.remove()
        box.fifos.close()
        shop.boxes.clear()
        shop.fifos.clear()

    await cycle()
    before = Holdings.now()
    for _ in range(10):
        await cycle()
    await settled(before)
    left = Path("/sys/fs/cgroup").glob(f"*/ocitest/*{shop.token}*")
    # Where cgroup2 was unmounted, crun makes ordinary folders instead, and leaves them.
    assert [path for path in left if "unified" not in path.parts] == []
    root = Path("/run/containerd/runc/ocitest")
    assert [path for path in root.iterdir() if path.name.startswith(shop.runtime)] == []


def test_the_engine_describes_itself(runtime: str) -> None:
    info = OciEngine.info(runc_options(binary_name=runtime))
    if runtime == "runc":
        assert info.features is not None
        assert "ociVersionMin" in json.loads(info.features.value)
        assert info.features.type_url == (
            "types.containerd.io/opencontainers/runtime-spec/1/features/Features"
        )
    with pytest.raises(ShimError, match="no-runc"):
        OciEngine.info(runc_options(binary_name="no-runc"))


def test_a_runtime_without_features_has_none() -> None:
    assert OciEngine.info(runc_options(binary_name="true")).features is None
    assert OciEngine.info(runc_options(binary_name="false")).features is None
