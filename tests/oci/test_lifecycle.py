"""Real containers, with runc and crun: from create to delete."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from podshim.engine import Exit
from podshim.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci.oci_support import Workshop


@pytest.mark.parametrize("status", [0, 1, 2, 42, 127, 255])
async def test_an_exit_status_arrives_unchanged(shop: Workshop, status: int) -> None:
    before = time.time_ns()
    box = await shop.shell(f"exit {status}")
    assert box.container.init.pid > 0
    exit_ = await box.run()
    assert exit_.status == status
    assert before < exit_.at <= time.time_ns()
    await box.remove()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
async def test_a_signal_is_128_more(shop: Workshop, number: signal.Signals) -> None:
    box = await shop.box("/bin/sleep", "600")
    await box.container.init.start()
    # pid 1 of a namespace is not killed by a signal that it could handle, so an exec is.
    spec = box.request.bundle.config()["process"]
    exec_ = await box.container.exec("e1", json.dumps(spec).encode(), box.request.stdio)
    await exec_.start()
    await exec_.kill(number)
    assert (await exec_.wait()).status == 128 + number
    with pytest.raises(NotFoundError, match="process already finished"):
        await exec_.kill(number)
    await exec_.delete()
    await box.container.kill(signal.SIGKILL, everyone=False)
    assert (await box.container.init.wait()).status == 137
    with pytest.raises(NotFoundError):
        await box.container.kill(signal.SIGKILL, everyone=False)
    await box.remove()


async def test_output_reaches_the_client(shop: Workshop) -> None:
    box = await shop.shell("echo out; echo err >&2")
    assert box.fifos is not None
    assert (await box.run()).status == 0
    assert box.fifos.stdout is not None
    assert box.fifos.stderr is not None
    assert await box.fifos.stdout.read_all() == b"out\n"
    assert await box.fifos.stderr.read_all() == b"err\n"
    await box.remove()


async def test_wait_before_start_and_after_the_end_give_the_same(shop: Workshop) -> None:
    box = await shop.shell("exit 3")
    waiting = [asyncio.create_task(box.container.init.wait()) for _ in range(10)]
    first = await box.run()
    assert isinstance(first, Exit)
    assert set(await asyncio.gather(*waiting)) == {first}
    assert await box.container.init.wait() == first
    await box.remove()


#: Signals 32 and 33, in whose place posix_spawn(3) puts "ignore": no program can set or send them
#: by the C library, which uses them between threads.
C_LIBRARYS_OWN = 0x1_8000_0000


@pytest.fixture
def nohup() -> Iterator[None]:
    """As in a server, which ignores SIGHUP, of a containerd that was started with `nohup ... &`."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR2)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def test_a_container_ignores_no_signal(nohup: None, shop: Workshop) -> None:
    """A shell can't trap what it ignores from its start, and a hang-up must end programs."""
    box = await shop.box("/bin/cat", "/proc/self/status")
    assert box.fifos is not None
    assert box.fifos.stdout is not None
    assert (await box.run()).status == 0
    status = (await box.fifos.stdout.read_all()).decode()
    ignored = int(status.partition("SigIgn:\t")[2].split()[0], 16)
    assert ignored & ~C_LIBRARYS_OWN == 0
    await box.remove()
