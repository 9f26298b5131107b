"""One task from its creation to its deletion, and the events that tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runhcs.slot_support import argon

if TYPE_CHECKING:
    from runhcs.slot_support import Shim


async def test_a_task_lives_and_dies(shim: Shim) -> None:
    assert await shim.create(argon()) == 0
    assert await shim.status() == "CREATED 255 pid 0"
    pid = await shim.start()
    assert await shim.status() == f"RUNNING 255 pid {pid}"
    await shim.exec("c1", "e1", "exit", "3")
    exec_pid = await shim.start("c1", "e1")
    assert await shim.wait("c1", "e1") == 3
    assert await shim.delete("c1", "e1") == (exec_pid, 3)
    shim.process().finish(7)
    assert await shim.wait() == 7
    assert await shim.delete() == (pid, 7)
    assert shim.told() == [
        "create c1",
        "start c1",
        "exec-added c1/e1",
        "exec-started c1/e1",
        "exit c1/e1 3",
        "delete c1/e1 3",
        "exit c1 7",
        "delete c1 7",
    ]
    assert not shim.engine.containers
    assert not shim.engine.processes
    assert await shim.status() == f"STOPPED 7 pid {pid}"
