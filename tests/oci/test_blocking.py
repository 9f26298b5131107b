"""Calls in threads: their results, their errors, their deadlines."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from functools import partial

import pytest

from oci.oci_support import Holdings, settled
from podshim.engines.oci.blocking import Caller, Worker, in_thread
from podshim.errors import DeadlineExceededError


async def test_results_and_errors_come_back() -> None:
    before = Holdings.now()
    assert await in_thread(lambda: 7, limit=20, what="count") == 7
    with pytest.raises(KeyError):
        await in_thread(lambda: os.environ["NO_SUCH_VARIABLE"], limit=20, what="fail")
    assert await in_thread(threading.current_thread, limit=20, what="x") is not (
        threading.current_thread()
    )
    await settled(before)


async def test_a_call_that_hangs_lets_its_caller_go() -> None:
    before = Holdings.now()
    go = threading.Event()
    with pytest.raises(DeadlineExceededError, match=r"unmount did not end within 0\.01 s"):
        await in_thread(lambda: go.wait(20), limit=0.01, what="unmount")
    go.set()
    await settled(before)


async def test_no_more_than_one_call_is_left_hanging() -> None:
    before = Holdings.now()
    go = threading.Event()
    caller = Caller()
    assert await caller.run(lambda: 7, limit=20, what="count") == 7
    with pytest.raises(DeadlineExceededError, match=r"unmount did not end within 0\.01 s"):
        await caller.run(lambda: go.wait(20), limit=0.01, what="unmount")
    for _ in range(3):
        with pytest.raises(DeadlineExceededError, match="unmount of before has not ended yet"):
            await caller.run(lambda: 8, limit=0.01, what="unmount")
    assert threading.active_count() == before.threads + 1
    waiting = asyncio.create_task(caller.run(lambda: 9, limit=20, what="unmount"))
    await asyncio.sleep(0)
    go.set()
    assert await waiting == 9
    with pytest.raises(KeyError):
        await caller.run(lambda: os.environ["NO_SUCH_VARIABLE"], limit=20, what="fail")
    assert await caller.run(lambda: 10, limit=20, what="count") == 10
    await settled(before)


async def test_a_time_out_of_the_call_s_own_is_not_the_deadline() -> None:
    def fail() -> None:
        raise OSError(errno.ETIMEDOUT, "network is slow")

    with pytest.raises(TimeoutError, match="network is slow"):
        await in_thread(fail, limit=20, what="read")


async def test_a_worker_keeps_the_order() -> None:
    before = Holdings.now()
    worker = Worker("file")
    done: list[int] = []
    await asyncio.gather(*(worker.run(partial(done.append, number)) for number in range(50)))
    assert done == list(range(50))
    worker.submit(lambda: done.append(50))
    worker.close()
    await settled(before)
    assert done[-1] == 50


def test_a_loop_that_has_gone_is_no_error() -> None:
    go = threading.Event()

    def work() -> None:
        go.wait(20)

    async def give_up() -> None:
        with pytest.raises(DeadlineExceededError):
            await in_thread(work, limit=0.01, what="late")

    asyncio.run(give_up())
    threads = [thread for thread in threading.enumerate() if thread.name == "late"]
    go.set()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
