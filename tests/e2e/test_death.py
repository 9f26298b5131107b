"""A server that is killed, and `delete` that cleans up after it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e.e2e_support import House, options, run, until
from podshim.api import task_v3_pb2
from podshim.manager.dialects import arguments, environment
from podshim.manager.processes import run as run_command
from podshim.ttrpc import ConnectionLost
from support import census

if TYPE_CHECKING:
    from podshim.manager import Shim


async def delete(shim: Shim) -> tuple[task_v3_pb2.DeleteResponse, str]:
    """Run `delete`; what it answers and what it says besides."""
    done = await run_command(
        [shim.binary, *arguments(shim.question, "delete", shim.bundle.path)],
        cwd=shim.bundle.path if os.path.isdir(shim.bundle.path) else "/",
        env=environment(shim.line, shim.question, os.environ),
        timeout=5,  # containerd's own patience
    )
    assert done.status == 0, done
    return task_v3_pb2.DeleteResponse.FromString(done.stdout), done.stderr.decode()


async def test_a_killed_server(own_house: House) -> None:
    """SIGKILL of the server: containers run until `delete`, which removes all and answers 137.

    Container, mounts, runtime state and socket are gone then; `delete` again is no error.
    """
    house = own_house
    assert house.sandbox.answer is not None
    async with house.place(house.spec(["sleep", "1000"], root="rootfs")) as shim:
        task = await shim.create(rootfs=house.rootfs_mount())
        await task.start()
        waiter = asyncio.ensure_future(task.wait())
        before = time.time_ns()
        await house.sandbox.kill()
        with pytest.raises(ConnectionLost, match=r"^ttrpc: closed$"):
            await waiter
        await shim.disconnect()
        assert census.is_alive(task.pid)
        assert census.mounts_below(Path(shim.bundle.path)) == [shim.bundle.rootfs]
        for again in (False, True):
            answer, said = await delete(shim)
            assert (answer.exit_status, answer.pid) == (137, task.pid), again
            assert before < answer.exited_at.ToNanoseconds() <= time.time_ns()
            assert said == ""
            assert not census.is_alive(task.pid)
            assert census.mounts_below(Path(shim.bundle.path)) == []
            assert not house.runtime_state(shim.id).exists()
        assert census.is_alive(house.pause.pid)
        answer, _ = await delete(house.sandbox)
        assert (answer.exit_status, answer.pid) == (137, house.pause.pid)
        assert not os.path.exists(house.sandbox.answer.address.removeprefix("unix://"))


async def test_a_container_that_had_exited_before(own_house: House) -> None:
    """`delete` tells the true status and time of a container that ended before its server did."""
    house = own_house
    async with house.place(house.spec(["sh", "-c", "exit 42"])) as shim:
        task = await shim.create()
        await task.start()
        ended = await task.wait()
        await house.sandbox.kill()
        await shim.disconnect()
        answer, _ = await delete(shim)
        assert (answer.exit_status, answer.exited_at.ToNanoseconds()) == (42, ended.at)
        assert not house.runtime_state(shim.id).exists()


async def test_a_container_that_was_deleted_before(own_house: House) -> None:
    """After an ordinary Delete `delete` repeats its answer, with nothing to do."""
    house = own_house
    async with house.place(house.spec(["sh", "-c", "exit 7"])) as shim:
        task = await shim.create()
        await task.start()
        deleted = await task.wait()
        await task.delete()
        answer, said = await delete(shim)
        assert (answer.exit_status, answer.exited_at.ToNanoseconds()) == (7, deleted.at)
        assert said == ""


async def test_a_container_that_was_never_created(house: House) -> None:
    """`delete` of what was never created succeeds, and harms no sibling."""
    async with house.place(house.spec(["true"])) as shim:
        answer, _ = await delete(shim)
        assert (answer.exit_status, answer.pid) == (137, 0)
        assert answer.exited_at.ToNanoseconds() > 0
    assert census.is_alive(house.pause.pid)
    assert census.is_alive(house.server_pid)


async def test_a_container_that_was_created_and_not_started(own_house: House) -> None:
    """`delete` removes a container that waits for its start."""
    house = own_house
    async with house.place(house.spec(["sleep", "1000"], root="rootfs")) as shim:
        task = await shim.create(rootfs=house.rootfs_mount())
        await house.sandbox.kill()
        await shim.disconnect()
        answer, _ = await delete(shim)
        assert (answer.exit_status, answer.pid) == (137, task.pid)
        assert not census.is_alive(task.pid)
        assert census.mounts_below(Path(shim.bundle.path)) == []


async def test_a_server_that_dies_in_the_middle_of_create(own_house: House) -> None:
    """Killed while the runtime makes the container: `delete` leaves nothing of the half of it."""
    house = own_house
    async with house.place(house.spec(["sleep", "1000"], root="rootfs")) as shim:
        creation = asyncio.ensure_future(shim.create(rootfs=house.rootfs_mount()))
        mounted = Path(shim.bundle.rootfs, "bin")
        await until(lambda: mounted.exists() or creation.done(), "the mount")
        await house.sandbox.kill()
        await asyncio.gather(creation, return_exceptions=True)
        await shim.disconnect()
        await delete(shim)
        assert census.mounts_below(Path(shim.bundle.path)) == []
        assert not house.runtime_state(shim.id).exists()
        assert not [
            found
            for found in census.processes().values()
            if shim.id in found.name and found.pid != os.getpid()
        ]


async def test_a_paused_container_of_a_dead_server(own_house: House) -> None:
    """`delete` kills frozen processes as well."""
    house = own_house
    async with house.running("sleep", "1000") as task:
        await task.pause()
        shim = house.member_of(task)
        await house.sandbox.kill()
        answer, _ = await delete(shim)
        assert answer.exit_status == 137
        assert not census.is_alive(task.pid)


async def test_last_words_are_told(own_house: House) -> None:
    """What a dying server wrote into panic.log is on `delete`'s standard error, stdout is clean."""
    house = own_house
    os.kill(house.server_pid, signal.SIGABRT)
    assert await house.sandbox.wait_gone()
    await house.sandbox.disconnect()
    answer, said = await delete(house.sandbox)
    assert answer.exit_status == 137
    assert "found shim panic logs during delete: " in said
    assert "Fatal Python error: Aborted" in said


async def test_a_container_that_somebody_else_removed(own_house: House) -> None:
    """The runtime does not know the container any more: `delete` succeeds all the same."""
    house = own_house
    async with house.running("sleep", "1000", rootfs=house.rootfs_mount()) as task:
        shim = house.member_of(task)
        await house.sandbox.kill()
        await run(*house.command("delete", "--force", task.task_id))
        answer, _ = await delete(shim)
        assert answer.exit_status == 137
        assert census.mounts_below(Path(shim.bundle.path)) == []


async def test_delete_asks_the_runtime_that_create_used(own_house: House, tmp_path: Path) -> None:
    """`delete` finds the runtime's binary and state folder where Create has written them down."""
    house = own_house
    chosen = options(house.runtime, root=str(tmp_path / "state"))
    async with house.running("sleep", "1000", runtime_options=chosen) as task:
        state = tmp_path / "state" / house.manager.namespace / task.task_id
        assert state.is_dir()
        shim = house.member_of(task)
        await house.sandbox.kill()
        answer, _ = await delete(shim)
        assert answer.exit_status == 137
        assert not state.exists()
        assert not census.is_alive(task.pid)
