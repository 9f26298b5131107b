"""Two hundred lives later a server holds what it held before: memory too."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e.e2e_support import House, options, refused, unchanged
from podshim.engine import Mount, Stdio
from podshim.errors import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

CYCLES = 200
WARM_UP = 40
#: As many lives at a time: each waits for processes most of the time.
ABREAST = 4
MIB = 1 << 20


def private_dirty(pid: int) -> int:
    """The bytes of memory that a process has for itself alone and that can't be given back."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))


async def live(house: House, number: int) -> None:
    """Create, exec, delete; with a terminal, with a mount and by a signal now and then."""
    terminal = number % 4 == 3
    mounts = house.rootfs_mount() if number % 2 else []
    async with house.running("sleep", "1000", rootfs=mounts, terminal=terminal) as task:
        process = await task.exec("e", ["sh", "-c", "echo x; exit 1"], terminal=terminal)
        await process.start()
        assert (await process.wait()).status == 1
        await process.delete()
        await task.kill(9)
        assert (await task.wait()).status == 137
        await task.delete()


async def fail(house: House, number: int) -> None:
    """Create in vain, at one step or another."""
    chosen = options("no-such-runtime") if number % 4 == 0 else None
    mounts, stdio = house.rootfs_mount(), None
    if number % 4 == 1:
        mounts = [*mounts, Mount("nosuchfs", "x")]
    elif number % 4 == 2:
        stdio = Stdio(stdout="/no/such/fifo")
    spec = house.spec(["/no/such/program"])
    async with house.place(spec, runtime_options=chosen) as shim:
        with refused(Code.UNKNOWN):
            await shim.create(rootfs=mounts, stdio=stdio)


async def repeat(
    count: int, action: Callable[[House, int], Coroutine[None, None, None]], house: House
) -> None:
    """Do something many times, a few at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await action(house, number)

    await asyncio.gather(*(worker() for _ in range(ABREAST)))


@pytest.mark.parametrize("action", [live, fail])
async def test_cycles_leave_nothing(
    own_house: House, action: Callable[[House, int], Coroutine[None, None, None]]
) -> None:
    """200 cycles of create, exec and delete, and as many failing creates, leave nothing.

    Descriptors, threads, processes, zombies, mounts, sockets, cgroups, folders and temporary files
    are as they were, and private memory within 1 MiB after a warm-up.
    """
    house = own_house
    await repeat(WARM_UP, action, house)
    memory = private_dirty(house.server_pid)
    await repeat(CYCLES, action, house)
    await unchanged(house)
    grown = private_dirty(house.server_pid) - memory
    assert grown < MIB, f"{grown / 1024:.0f} KiB more"
