"""A runtime that hangs: only what waits for it waits, and not for ever."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from e2e.e2e_support import (
    CREATED,
    RUNNING,
    STOPPED,
    House,
    options,
    refused,
    unchanged,
    until,
    until_async,
)
from podshim.api import task_v3_pb2, task_v3_ttrpc
from podshim.errors import Code
from podshim.ttrpc import StatusError
from support import census

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Brake:
    """A runtime that hangs, as long as it is told to, when it gets a certain word.

    Args:
        folder: Where it is made.
        runtime: What it calls otherwise.
    """

    def __init__(self, folder: Path, runtime: str) -> None:
        self._folder = folder
        self.path = folder / f"brake-{runtime}"
        self.path.write_text(
            "#!/bin/sh\n"
            f'cd "{folder}"\n'
            "for word; do\n"
            '  while [ -e "hang-$word" ]; do : > "hangs-$word"; sleep 0.05; done\n'
            "done\n"
            f'exec {shutil.which(runtime)} "$@"\n'
        )
        self.path.chmod(0o755)

    def hang(self, word: str) -> None:
        """Hang from now on where a command, or a container's id, is this word."""
        (self._folder / f"hang-{word}").touch()

    async def hangs(self, word: str) -> None:
        """Wait until it does."""
        await until((self._folder / f"hangs-{word}").exists, f"{word} hangs")

    def let_go(self, word: str) -> None:
        """Hang no more."""
        (self._folder / f"hang-{word}").unlink()
        (self._folder / f"hangs-{word}").unlink()


@pytest.fixture
def brake(tmp_path: Path, runtime: str) -> Brake:
    return Brake(tmp_path, runtime)


@pytest_asyncio.fixture(loop_scope="session")
async def house(runtime: str, rootfs: Path, brake: Brake) -> AsyncIterator[House]:
    """A server whose runtime has a brake."""
    chosen = options(str(brake.path))
    async with House.open(runtime, rootfs, runtime_options=chosen) as house:
        yield house


async def siblings_are_well(house: House) -> None:
    """Another container of the pod lives a whole life, quickly."""
    async with asyncio.timeout(20):
        async with house.shell("read line; exit 5") as task:
            assert (await task.run("e", ["echo", "well"])).stdout == b"well\n"
            assert task.pid in await task.pids()
            await task.stdin.write(b"\n")
            assert (await task.wait()).status == 5
        assert (await house.pause.state()).status == RUNNING


async def test_a_create_that_hangs(house: House, brake: Brake) -> None:
    """While it hangs, others live; the id is taken; a caller that gives up gets its deadline.

    When it comes loose, what it made for nobody is removed.
    """
    brake.hang("victim")
    async with house.place(house.spec(["sleep", "1000"], root="rootfs"), "victim") as shim:
        creation = asyncio.ensure_future(shim.create(rootfs=house.rootfs_mount()))
        await brake.hangs("victim")
        await siblings_are_well(house)
        with refused(Code.ALREADY_EXISTS, "victim"):
            await shim.create()
        assert (await shim.server()).task_pid == 0
        await shim.disconnect()  # the client goes away
        (result,) = await asyncio.gather(creation, return_exceptions=True)
        assert isinstance(result, ConnectionError)
        await siblings_are_well(house)
        brake.let_go("victim")
        await until(lambda: not census.mounts_below(Path(shim.bundle.path)), "nothing is mounted")
        await until(lambda: not house.runtime_state("victim").exists(), "the runtime forgot it")
    assert house.topics(shim) == []
    await unchanged(house)


@asynccontextmanager
async def hanging(brake: Brake, word: str) -> AsyncIterator[None]:
    """Let a word hang for the time of the block, whatever happens in it."""
    brake.hang(word)
    try:
        yield
    finally:
        (brake.path.parent / f"hang-{word}").unlink(missing_ok=True)


async def test_a_start_that_hangs(house: House, brake: Brake) -> None:
    """Meanwhile the container's State is CREATED, it can be waited for and killed."""
    async with house.task("sleep", "1000") as task:
        async with hanging(brake, "start"):
            starting = asyncio.ensure_future(task.start())
            await brake.hangs("start")
            assert (await task.state()).status == CREATED
            waiter = asyncio.ensure_future(task.wait())
            await task.kill(signal.SIGKILL)
            assert (await house.pause.state()).status == RUNNING
            assert (await house.pause.run("e", ["true"])).status == 0
        with pytest.raises(StatusError):
            await starting
        assert (await waiter).status == 137
        assert (await task.state()).status == STOPPED
        assert (await task.delete()).status == 137


async def test_a_kill_that_hangs(house: House, brake: Brake) -> None:
    """Meanwhile State and execs are answered, and an exit is told to those who wait."""
    async with house.running() as task:
        process = await task.exec("e", ["sleep", "1000"])
        await process.start()
        async with hanging(brake, "kill"):
            with refused(Code.DEADLINE_EXCEEDED):
                request = task_v3_pb2.KillRequest(id=task.task_id, signal=15)
                await task._calls().call(task_v3_ttrpc.KILL, request, timeout=0.5)
            assert (await task.state()).status == RUNNING
            await process.kill(signal.SIGKILL)  # an exec's needs no runtime
            assert (await process.wait()).status == 137
            os.kill(task.pid, signal.SIGKILL)
            assert (await task.wait()).status == 137


async def test_an_exec_that_hangs(house: House, brake: Brake) -> None:
    """An exec whose start hangs holds up neither another exec nor the container's own calls."""
    async with house.running() as task:
        slow = await task.exec("slow", ["sh", "-c", "exit 3"])
        async with hanging(brake, "exec"):
            starting = asyncio.ensure_future(slow.start())
            await brake.hangs("exec")
            assert (await task.state()).status == RUNNING
            assert (await slow.state()).status == CREATED
            assert (await task.pids())[0] == task.pid
            other = await task.exec("other", ["true"])
            assert (await other.delete()).status == 0
        assert await starting > 0
        assert (await slow.wait()).status == 3


async def test_a_delete_that_hangs(house: House, brake: Brake) -> None:
    """Delete again, after the client's own deadline, ends well; State is answered meanwhile."""
    async with house.shell("exit 6") as task:
        await task.wait()
        async with hanging(brake, "delete"):
            with refused(Code.DEADLINE_EXCEEDED):
                await task.delete(timeout=0.5)
            assert (await task.state()).status == STOPPED
            again = asyncio.ensure_future(task.delete())
            assert (await house.pause.state()).status == RUNNING
            await house.sandbox.shutdown()  # not now: there are containers
        assert (await again).status == 6
        await house.deleted(task)


async def test_a_runtime_that_never_ends(tmp_path: Path, rootfs: Path) -> None:
    """The runtime's own time is limited: it is killed, with all that it started, and named."""
    brake = Brake(tmp_path, "runc")
    async with House.open("runc", rootfs, runtime_options=options(str(brake.path))) as house:
        async with hanging(brake, "ps"):
            with refused(Code.DEADLINE_EXCEEDED, "brake-runc ps: it did not end within 15 s"):
                await house.pause.pids()
            stuck = [item for item in census.processes().values() if "brake-runc" in item.name]
            assert stuck == []
        assert house.pause.pid in await house.pause.pids()

        async def answered() -> bool:
            return (await house.pause.run("e", ["true"])).status == 0

        await until_async(answered, "all is well again")
