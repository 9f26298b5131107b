"""Which containers share a server, how long it stays, and what it does without its first bundle."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.e2e_support import RUNNING, SHIM, House, options, until
from podshim.manager import Manager, container_spec, pod_annotations, process_spec
from podshim.manager.spec import GROUP
from support import census

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from podshim.manager.spec import Spec

import pytest
import pytest_asyncio


@pytest_asyncio.fixture(loop_scope="session")
async def manager(runtime: str, private_world: None) -> AsyncIterator[Manager]:
    """A small containerd for one test."""
    name = f"e2e-pods-{secrets.token_hex(4)}"
    async with Manager(SHIM, namespace=name, options=options(runtime)) as manager:
        yield manager


def spec(rootfs: Path, annotations: Mapping[str, str], *args: str) -> Spec:
    return container_spec(
        process_spec(args or ("sleep", "1000")),
        root=str(rootfs),
        annotations=annotations,
        cgroup=f"/podshim-e2e-{secrets.token_hex(4)}",
    )


async def test_a_pod_of_three_is_one_process(manager: Manager, rootfs: Path) -> None:
    """Sandbox and containers of a pod share one server, by `start` of each; another does not."""
    pod, member = pod_annotations("pod", sandbox=True), pod_annotations("pod")
    before = set(census.shims())
    async with (
        manager.task("pod", spec=spec(rootfs, pod)) as (sandbox, pause),
        manager.task("web", spec=spec(rootfs, member)) as (web, one),
        manager.task("log", spec=spec(rootfs, member)) as (log, two),
    ):
        for task in (pause, one, two):
            await task.start()
        assert sandbox.answer is not None
        assert sandbox.answer == web.answer == log.answer
        pids = {(await shim.server()).shim_pid for shim in (sandbox, web, log)}
        assert pids == set(census.shims()) - before
        (pid,) = pids
        for shim in (sandbox, web, log):
            assert int(Path(shim.bundle.file("shim.pid")).read_text()) == pid
            assert Path(shim.bundle.file("address")).read_text() == sandbox.answer.address
        other = spec(rootfs, pod_annotations("other", sandbox=True))
        async with manager.task("other", spec=other) as (shim, _):
            assert shim.answer != sandbox.answer
        assert (await one.state()).status == RUNNING
    assert await sandbox.wait_gone()


async def test_containers_without_a_pod_have_a_server_each(manager: Manager, rootfs: Path) -> None:
    """Without annotations every container gets a server of its own; a group name joins them."""
    async with (
        manager.task("a", spec=spec(rootfs, {})) as (first, _),
        manager.task("b", spec=spec(rootfs, {})) as (second, _),
        manager.task("c", spec=spec(rootfs, {GROUP: "g", **pod_annotations("x")})) as (third, _),
        manager.task("d", spec=spec(rootfs, {GROUP: "g", **pod_annotations("y")})) as (fourth, _),
    ):
        assert first.answer != second.answer
        assert third.answer == fourth.answer
        assert third.answer not in {first.answer, second.answer}


async def test_twenty_starts_at_once(manager: Manager, rootfs: Path) -> None:
    """20 `start`s of one pod at the same time make one server, and all get its address."""
    before = set(census.shims())
    shims = [
        manager.prepare(f"c{number}", spec(rootfs, pod_annotations("pod"))) for number in range(20)
    ]
    answers = await asyncio.gather(*(shim.start() for shim in shims))
    assert len({answer.address for answer in answers}) == 1
    assert len(set(census.shims()) - before) == 1
    tasks = await asyncio.gather(*(shim.create() for shim in shims[:6]))
    await asyncio.gather(*(task.start() for task in tasks))
    assert len({task.pid for task in tasks}) == 6
    for shim in shims:
        await shim.close()
    assert all([await shim.wait_gone() for shim in shims])
    assert not set(census.shims()) - before


async def test_a_server_outlives_its_first_bundle(manager: Manager, rootfs: Path) -> None:
    """When the sandbox is deleted, bundle and all, the server goes on for the others as before.

    It takes new containers, its log goes to the fifo of one that is there, and it ends with the
    last of them.
    """
    member = pod_annotations("pod")
    async with manager.task("stays", spec=spec(rootfs, pod_annotations("pod2"))) as (other, _):
        sandbox = manager.prepare("pod", spec(rootfs, pod_annotations("pod", sandbox=True)))
        await sandbox.start()
        pause = await sandbox.create()
        await pause.start()
        async with manager.task("web", spec=spec(rootfs, member)) as (web, task):
            await task.start()
            await sandbox.close()
            assert not os.path.lexists(sandbox.bundle.path)
            assert sandbox.answer is not None
            assert sandbox.answer != other.answer
            assert (await task.state()).status == RUNNING
            assert (await task.run("e", ["echo", "on"])).stdout == b"on\n"
            async with manager.task("late", spec=spec(rootfs, member)) as (late, new):
                await new.start()
                assert late.answer == web.answer
                assert (await new.run("e", ["echo", "on"])).stdout == b"on\n"
            assert web.process is not None
            os.kill(web.process.pid, signal.SIGUSR1)
            await until(lambda: "web" in web.bundle.log.text, "the log goes on")
        assert await web.wait_gone()


async def test_shutdown_spares_a_pod_that_has_containers(house: House) -> None:
    """Shutdown while there are containers is answered, and does nothing, even with `now`."""
    async with house.place(house.spec(["sleep", "1000"])) as shim:
        await shim.shutdown(now=True)
        task = await shim.create()
        await task.start()
        await shim.shutdown(now=True)
        assert (await task.state()).status == RUNNING
        assert (await house.pause.state()).status == RUNNING


async def test_shutdown_ends_a_server_without_containers(manager: Manager, rootfs: Path) -> None:
    """Shutdown with nothing left, or with nothing ever made: process and socket are gone."""
    for makes_a_task in (False, True):
        shim = manager.prepare(f"c{makes_a_task:d}", spec(rootfs, {}, "true"))
        answer = await shim.start()
        path = answer.address.removeprefix("unix://")
        if makes_a_task:
            task = await shim.create()
            await task.start()
            await task.wait()
            await task.delete()
        assert os.path.exists(path)
        await shim.shutdown()
        assert await shim.wait_gone(timeout=5)
        assert not os.path.exists(path)
        await shim.close()


async def test_a_server_outlives_the_exit_of_its_pause(own_house: House) -> None:
    """When the sandbox's container exits first, the workload lives on and can be used."""
    house = own_house
    async with house.running() as task:
        await house.pause.kill(signal.SIGKILL)
        await house.pause.wait()
        await house.pause.delete()
        await house.sandbox.shutdown()
        assert (await task.run("e", ["echo", "on"])).stdout == b"on\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_a_server_in_order(own_house: House, number: int) -> None:
    """SIGTERM and SIGINT end the server and remove its socket; containers run on until `delete`."""
    house = own_house
    assert house.sandbox.answer is not None
    path = house.sandbox.answer.address.removeprefix("unix://")
    os.kill(house.server_pid, number)
    assert await house.sandbox.wait_gone()
    assert not os.path.exists(path)
    assert census.is_alive(house.pause.pid)
    await house.sandbox.disconnect()
    ended = await house.sandbox.delete()
    assert (ended.status, ended.pid) == (137, house.pause.pid)
    assert not census.is_alive(house.pause.pid)
