"""The one owner of child exits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci.oci_support import Holdings, children, settled, until
from podshim.engine import Exit
from podshim.engines.oci.reaper import Child, Reaper
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def reaper(private_world: None) -> AsyncIterator[Reaper]:
    reaper = Reaper()
    reaper.open()
    yield reaper
    reaper.close()


def spawn(reaper: Reaper, *argv: str) -> Child:
    return reaper.spawn(argv, stdin=0, stdout=1, stderr=2, cwd="/", env=dict(os.environ))


def orphan(script: str) -> list[str]:
    """A command that leaves a child behind, whose pid it prints, and waits for nobody.

    A shell won't do: it takes the exit of a quick child itself.
    """
    program = (
        "import os, sys\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os.close(1)\n"
        "    os.execv('/bin/sh', ['sh', '-c', sys.argv[1]])\n"
        "os.write(1, b'%d\\n' % pid)\n"
        "os._exit(0)\n"
    )
    return [sys.executable, "-I", "-S", "-c", program, script]


async def run_orphan(reaper: Reaper, script: str) -> int:
    read, write = os.pipe()
    child = reaper.spawn(
        orphan(script), stdin=0, stdout=write, stderr=2, cwd="/", env={"PATH": "/bin"}
    )
    os.close(write)
    await child.wait()
    with open(read) as file:
        return int(file.readline())


async def test_every_exit_arrives_once_with_its_status(reaper: Reaper) -> None:
    spawned = [spawn(reaper, "/bin/sh", "-c", f"exit {number % 256}") for number in range(40)]
    exits = await asyncio.gather(*(child.wait() for child in spawned))
    assert [exit_.status for exit_ in exits] == [number % 256 for number in range(40)]
    assert children() == []


async def test_a_killed_child_is_128_more(reaper: Reaper) -> None:
    child = spawn(reaper, "/bin/sleep", "600")
    assert child.exit is None
    assert child.signal(signal.SIGTERM)
    assert (await child.wait()).status == 128 + 15
    assert not child.signal(signal.SIGTERM)
    child.kill_all()


async def test_a_waiter_that_gives_up_hurts_nobody(reaper: Reaper) -> None:
    child = spawn(reaper, "/bin/sleep", "600")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(child.wait(), 0.001)
    child.signal(signal.SIGKILL)
    assert (await child.wait()).status == 137


async def test_a_process_that_died_before_it_was_known(reaper: Reaper) -> None:
    with reaper.launch() as launch:
        pid = await run_orphan(reaper, "exit 5")
        await until(lambda: pid in launch.strangers)
        assert (await launch.adopt(pid).wait()).status == 5
    assert children() == []


async def test_a_process_that_lives_when_it_becomes_known(reaper: Reaper) -> None:
    with reaper.launch() as launch:
        pid = await run_orphan(reaper, "exec sleep 600")
        child = launch.adopt(pid)
    assert child.exit is None
    assert child.signal(signal.SIGKILL)
    assert (await child.wait()).status == 137


async def test_a_reused_pid_is_not_taken_for_its_forerunner(reaper: Reaper) -> None:
    with reaper.launch() as launch:
        pid = await run_orphan(reaper, "exec sleep 600")
        launch.strangers[pid] = Exit(99, 1)  # as if another process of this pid had been reaped
        child = launch.adopt(pid)
    child.signal(signal.SIGKILL)
    assert (await child.wait()).status == 137


async def test_a_stranger_can_not_be_adopted(reaper: Reaper) -> None:
    with reaper.launch() as launch, pytest.raises(ShimError, match="is not a child of the shim"):
        launch.adopt(os.getppid())


async def test_strangers_are_forgotten_with_the_launch(reaper: Reaper) -> None:
    with reaper.launch() as launch:
        await run_orphan(reaper, "exit 0")
    pid = await run_orphan(reaper, "exit 0")
    await until(lambda: not Path(f"/proc/{pid}").exists())
    assert pid not in launch.strangers
    assert not reaper._launches
    assert not reaper._children
    assert not reaper._popens


async def test_two_launches_each_see_all_strangers(reaper: Reaper) -> None:
    with reaper.launch() as one, reaper.launch() as two:
        first, second = await asyncio.gather(
            run_orphan(reaper, "exit 1"), run_orphan(reaper, "exit 2")
        )
        both = {first, second}
        await until(lambda: both <= one.strangers.keys() & two.strangers.keys())
        assert (await one.adopt(first).wait()).status == 1
        assert (await two.adopt(second).wait()).status == 2


async def test_a_crowd_loses_nobody(reaper: Reaper) -> None:
    """Launches of all timings at once: dead before, while and after they become known."""
    random.seed(1)

    async def one(number: int) -> None:
        with reaper.launch() as launch:
            pause = random.choice(("", "sleep 0.01; ", "sleep 0.05; "))
            pid = await run_orphan(reaper, f"{pause}exit {number}")
            await asyncio.sleep(random.choice((0, 0.005, 0.02)))
            child = launch.adopt(pid)
        assert (await child.wait()).status == number

    async with asyncio.timeout(60):
        await asyncio.gather(*(one(number) for number in range(60)))
    assert children() == []


async def test_what_can_not_be_executed_leaves_nothing(reaper: Reaper) -> None:
    before = Holdings.now()
    with pytest.raises(FileNotFoundError):
        spawn(reaper, "/no/such/program")
    await settled(before)


async def test_the_exit_is_timed(reaper: Reaper) -> None:
    before = time.time_ns()
    exit_ = await spawn(reaper, "/bin/true").wait()
    assert before <= exit_.at <= time.time_ns()


async def test_closing_lets_waiters_go(private_world: None) -> None:
    reaper = Reaper()
    reaper.open()
    child = spawn(reaper, "/bin/sleep", "600")
    waiting = asyncio.create_task(child.wait())
    await asyncio.sleep(0)
    reaper.close()
    reaper.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    os.kill(child.pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, child.pid, 0)
    with pytest.raises(ShimError, match="closed"):
        reaper.own(1)
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL


def test_runtime_commands_die_with_the_shim(private_world: None, tmp_path: Path) -> None:
    script = """
import asyncio, os, sys
from podshim.engines.oci.reaper import Reaper
async def main():
    reaper = Reaper()
    reaper.open()
    child = reaper.spawn(["/bin/sleep", "600"], stdin=0, stdout=2, stderr=2, cwd="/", env={})
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as shim:
        assert shim.stdout is not None
        pid = int(shim.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        shim.kill()
    deadline = time.monotonic() + 60
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # reaped
        while " Z " not in Path(f"/proc/{pid}/stat").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.005)
