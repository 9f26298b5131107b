"""What may be asked of a container in each state, and how it is killed and removed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from e2e.e2e_support import CREATED, RUNNING, STOPPED, House, refused, run, unchanged
from podshim.engine import Stdio
from podshim.errors import Code
from podshim.manager import Task
from support import census


async def test_what_create_tells(house: House) -> None:
    """Create returns the pid that `init.pid` and Connect tell; State is CREATED and echoes all.

    The user's program does not run yet.
    """
    spec = house.spec(["sh", "-c", "echo runs"])
    async with house.place(spec) as shim:
        task = await shim.create()
        state = await task.state()
        bundle = shim.bundle
        assert task.pid == state.pid == (await shim.server()).task_pid > 0
        assert int(Path(bundle.file("init.pid")).read_text()) == task.pid
        assert (state.id, state.bundle, state.status) == (shim.id, bundle.path, CREATED)
        stdio = task.fifos.stdio
        told = Stdio(state.terminal, state.stdin, state.stdout, state.stderr)
        assert told == stdio
        assert b"runs" not in Path(f"/proc/{task.pid}/cmdline").read_bytes()
        await task.start()
        assert await task.stdout.read_all() == b"runs\n"


async def test_start_twice(house: House) -> None:
    """Start makes it RUNNING with the same pid; a second one is refused and changes nothing."""
    async with house.task("sleep", "1000") as task:
        assert await task.start() == task.pid
        with refused(Code.UNKNOWN, "cannot start a running process"):
            await task.start()
        state = await task.state()
        assert (state.status, state.pid) == (RUNNING, task.pid)
        assert census.is_alive(task.pid)


async def test_a_running_container_is_not_deleted(house: House) -> None:
    """Delete of a running container is refused, not as NotFound, and changes nothing."""
    async with house.running() as task:
        with refused(Code.UNKNOWN, "cannot delete a running process"):
            await task.delete()
        assert (await task.state()).status == RUNNING
        assert (await task.run("e", ["echo", "well"])).stdout == b"well\n"


async def test_a_created_container_is_deleted(house: House) -> None:
    """Delete of a created container kills its process and removes it; waiters are let go."""
    async with house.task("sleep", "1000", rootfs=house.rootfs_mount()) as task:
        waiter = asyncio.ensure_future(task.wait())
        deleted = await task.delete()
        assert (deleted.status, deleted.at, deleted.pid) == (0, None, task.pid)
        await waiter
        assert not census.is_alive(task.pid)
        assert not census.mounts_below(Path(house.bundles[task.task_id].path))
        assert not house.runtime_state(task.task_id).exists()
        await house.deleted(task)
        assert [topic for topic, _ in house.topics(task)] == ["create", "exit", "delete"]


async def test_a_stopped_container_refuses_what_needs_a_process(house: House) -> None:
    """Once stopped: Kill is NotFound, Start, Pause, Resume, Exec and Update are refused."""
    async with house.shell("exit 0") as task:
        await task.wait()
        with refused(Code.NOT_FOUND, "process already finished: not found"):
            await task.kill()
        with refused(Code.UNKNOWN, "cannot start a stopped process"):
            await task.start()
        with refused(Code.UNKNOWN, "cannot pause a stopped container"):
            await task.pause()
        with refused(Code.UNKNOWN, "cannot resume a stopped container"):
            await task.resume()
        with refused(Code.UNKNOWN, "cannot exec in a stopped state"):
            await task.exec("e", ["true"])
        with refused(Code.UNKNOWN, "cannot update a stopped container"):
            await task.update({"memory": {"limit": 64 << 20}})
        assert (await task.state()).status == STOPPED


async def test_a_created_container_is_neither_paused_nor_resumed(house: House) -> None:
    """Pause and Resume before Start are refused."""
    async with house.task("true") as task:
        with refused(Code.UNKNOWN, "cannot pause task in created state"):
            await task.pause()
        with refused(Code.UNKNOWN, "cannot resume task in created state"):
            await task.resume()


async def test_a_created_container_is_killed(house: House) -> None:
    """SIGKILL before Start ends the container with status 137."""
    async with house.task("sleep", "1000") as task:
        await task.kill(signal.SIGKILL)
        assert (await task.wait()).status == 137
        assert (await task.state()).status == STOPPED


async def test_init_dies_between_create_and_start(house: House) -> None:
    """Init killed behind the shim's back before Start: Wait says 137, Start fails, STOPPED."""
    async with house.task("sleep", "1000") as task:
        waiter = asyncio.ensure_future(task.wait())
        os.kill(task.pid, signal.SIGKILL)
        assert (await waiter).status == 137
        with refused(Code.UNKNOWN, "cannot start a stopped process"):
            await task.start()
        assert (await task.state()).status == STOPPED
        assert (await task.delete()).status == 137
        await house.deleted(task)
        assert [topic for topic, _ in house.topics(task)] == ["create", "exit", "delete"]


async def test_a_start_that_meets_a_dying_init(house: House) -> None:
    """Init killed at the moment of Start: Start fails or not, but all ends as it must."""
    for _ in range(3):
        async with house.task("sleep", "1000") as task:
            os.kill(task.pid, signal.SIGKILL)
            await asyncio.gather(task.start(), return_exceptions=True)
            assert (await task.wait()).status == 137
            assert (await task.state()).status == STOPPED
            assert (await task.delete()).status == 137
            await house.deleted(task)
            assert len(house.exits(task)) == 1


async def test_a_task_that_does_not_exist(house: House) -> None:
    """Everything about an unknown id is NotFound, but for Connect, which tells the shim's pid."""
    async with house.place(house.spec(["true"])) as shim:
        task = Task(lambda: shim.calls, shim.id, 0, None, "")
        calls = (
            *(task.state, task.start, task.wait, task.kill, task.delete, task.pids, task.pause),
            *(task.resume, task.stats, task.close_stdin),
        )
        for call in calls:
            with refused(Code.NOT_FOUND, "container not created: not found"):
                await call()
        server = await shim.server()
        assert (server.shim_pid, server.task_pid) == (house.server_pid, 0)


async def test_a_live_id_is_not_created_again(house: House) -> None:
    """A second Create of a live id is AlreadyExists; the first container is unharmed."""
    async with house.place(house.spec(["sleep", "1000"])) as shim:
        task = await shim.create()
        await task.start()
        with refused(Code.ALREADY_EXISTS, f"{shim.id}: already exists"):
            await shim.create()
        assert shim.task is task
        assert (await task.state()).status == RUNNING
        assert [topic for topic, _ in house.topics(task)] == ["create", "start"]


async def test_an_id_of_76_characters(house: House) -> None:
    """The longest id that there may be works from Create to Delete."""
    async with house.shell("read line; exit 3", name="i" * 76) as task:
        assert (await task.run("e" * 76, ["echo", "x"])).stdout == b"x\n"
        await task.stdin.write(b"\n")
        assert (await task.wait()).status == 3
        await task.delete()


async def test_an_id_is_used_again(house: House) -> None:
    """After Delete the id is free: a new container gets its own status."""
    for status in (3, 4):
        async with house.shell(f"exit {status}", name="again") as task:
            assert (await task.wait()).status == status
            assert (await task.delete()).status == status
    await house.manager.events.wait_until(
        lambda: house.manager.events.topics("again").count("/tasks/delete") == 2, "two lives"
    )
    assert [topic.rpartition("/")[2] for topic in house.manager.events.topics("again")] == [
        *("create", "start", "exit", "delete")
    ] * 2


@pytest.mark.parametrize("everyone", [True, False], ids=["all", "init"])
async def test_a_kill_in_the_host_s_pid_namespace_leaves_nobody(
    house: House, everyone: bool
) -> None:
    """With a shared pid namespace, Kill of all, or of init alone, ends the children too.

    Their ends come before the init's is told, so none of them can be left over.
    """
    spec = house.spec(["sh", "-c", "sleep 1000 & sleep 1000 & echo up; wait"])
    spec["linux"]["namespaces"] = [
        item for item in spec["linux"]["namespaces"] if item["type"] != "pid"
    ]
    async with house.running(spec=spec) as task:
        await task.stdout.read_until(b"up\n")
        pids = await task.pids()
        assert len(pids) == 3
        await task.kill(signal.SIGKILL, everyone=everyone)
        assert (await task.wait()).status == 137
        assert not any(map(census.is_alive, pids))
        await task.delete()


async def test_the_rest_is_killed_when_init_exits_in_the_host_s_pid_namespace(
    house: House,
) -> None:
    """When init exits by itself in a shared pid namespace, what remains is killed."""
    spec = house.spec(["sh", "-c", "sleep 1000 & echo up; read line; exit 5"])
    spec["linux"]["namespaces"] = [
        item for item in spec["linux"]["namespaces"] if item["type"] != "pid"
    ]
    async with house.running(spec=spec) as task:
        await task.stdout.read_until(b"up\n")
        pids = await task.pids()
        assert len(pids) == 2
        await task.stdin.write(b"\n")
        assert (await task.wait()).status == 5
        assert not any(map(census.is_alive, pids))


async def test_orphans_are_reaped(house: House) -> None:
    """The server is a subreaper: processes that lose their parent leave no zombies behind."""
    spec = house.spec(["sh", "-c", "(sleep 0.01 & sleep 0.02 & exit) ; echo up; read line"])
    spec["linux"]["namespaces"] = [
        item for item in spec["linux"]["namespaces"] if item["type"] != "pid"
    ]
    async with house.running(spec=spec) as task:
        await task.stdout.read_until(b"up\n")
        await task.stdin.write(b"\n")
        await task.wait()
    await unchanged(house)


async def test_a_container_removed_behind_the_shim_s_back(house: House) -> None:
    """`runc delete -f` outside: Wait returns, Kill is NotFound, Delete succeeds."""
    async with house.running("sleep", "1000", rootfs=house.rootfs_mount()) as task:
        await run(*house.command("delete", "--force", task.task_id))
        assert (await task.wait(timeout=2)).status == 137
        with refused(Code.NOT_FOUND, "not found"):
            await task.kill(signal.SIGKILL)
        assert (await task.delete()).status == 137
        await house.deleted(task)
        assert [topic for topic, _ in house.topics(task)] == ["create", "start", "exit", "delete"]


async def test_deletes_at_the_same_time(house: House) -> None:
    """Several Deletes together: each is answered with the end, or NotFound; none hangs."""
    async with house.shell("exit 9") as task:
        await task.wait()
        answers = await asyncio.gather(
            *(task.delete(timeout=30) for _ in range(5)), return_exceptions=True
        )
        ends = [answer for answer in answers if not isinstance(answer, BaseException)]
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        assert {end.status for end in ends} == {9}
        assert all(getattr(error, "code", None) is Code.NOT_FOUND for error in errors)
        await house.deleted(task)
        assert [topic for topic, _ in house.topics(task)].count("delete") == 1


async def test_nothing_is_left_of_a_container(house: House) -> None:
    """No process, mount, cgroup, runtime state or descriptor is left after a whole life."""
    async with house.shell("exit 0", rootfs=house.rootfs_mount()) as task:
        bundle = house.bundles[task.task_id]
        assert Path(bundle.rootfs, "bin/busybox").exists()
        await task.wait()
        await task.delete()
        assert not census.mounts_below(Path(bundle.path))
        assert not house.runtime_state(task.task_id).exists()
        record = json.loads(Path(bundle.file("exit.json")).read_text())
        assert (record["pid"], record["status"], record["deleted"]) == (task.pid, 0, True)
    await unchanged(house)
