"""Calls that the Host Compute Service does not answer, over a service in memory."""

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass

import pytest

from hcs.core_fake import Fault
from hcs.engine_support import PIPES, World, make_container, start, tear_down, world
from podshim.engine import Stdio
from podshim.engines.hcs import results
from podshim.engines.hcs.results import HcsError
from podshim.errors import ShimError


@dataclass
class Calls:
    """Calls that hang until they are let go."""

    gate: threading.Event
    tasks: list[asyncio.Task[object]]

    async def let_go(self) -> list[object]:
        """What becomes of them."""
        self.gate.set()
        async with asyncio.timeout(10):
            return await asyncio.gather(*self.tasks, return_exceptions=True)


async def hung(made: World, name: str, calls: Iterable[Coroutine[None, None, object]]) -> Calls:
    """So many calls that hang in the service, and what lets them go on."""
    gate = threading.Event()
    made.core.faults[name] = Fault(gate=gate)
    before = made.core.calls.count(name)
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while made.core.calls.count(name) < before + 64:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return Calls(gate, tasks)


async def test_signals_that_hang_hold_up_nothing_else() -> None:
    async with world() as made:
        system, process = await start(made)
        signal = {"Signal": "CtrlShutdown"}
        signals = await hung(made, "HcsSignalProcess", (process.signal(signal) for _ in range(70)))
        async with asyncio.timeout(10):
            other = await system.create_process(PIPES)
            assert await other.kill()
            await other.close()
            assert await process.kill()
            assert await process.wait() == 0xFFFFFFFF
            await process.close()
            await system.terminate()
            await system.wait()
            await system.close()
        await signals.let_go()


async def test_whatever_hangs_an_end_is_not_held_up() -> None:
    async with world() as made:
        system, process = await start(made)
        creations = (system.create_process(PIPES) for _ in range(70))
        made_too_late = await hung(made, "HcsCreateProcess", creations)
        async with asyncio.timeout(10):
            assert await process.kill()
            assert await process.wait() == 0xFFFFFFFF
            await process.close()
            await system.terminate()
            await system.wait()
            await system.close()
        assert all(isinstance(one, HcsError) for one in await made_too_late.let_go())


async def test_a_shutdown_that_does_not_come_back_is_followed_by_a_termination() -> None:
    async with world(shutdown=0.05) as made:
        container = await make_container(made)
        await container.init.start()
        gate = threading.Event()
        made.core.faults["HcsShutDownComputeSystem"] = Fault(gate=gate)
        async with asyncio.timeout(10):
            await container.init_exited()
            assert (await container.init.wait()).status == 0xFFFFFFFF
        assert "HcsTerminateComputeSystem" in made.core.calls
        gate.set()
        await tear_down(container)


async def test_a_container_whose_every_end_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("podshim.engines.hcs.container._LAST_WORDS", 0.05)
    monkeypatch.setattr("podshim.engines.hcs.process._KILL", 0.05)
    async with world(shutdown=0.05, terminate=0.05, close=0.05, release=0.05) as made:
        container = await make_container(made)
        await container.init.start()
        process = await container.exec("e", b"{}", Stdio())
        await process.start()
        gate = threading.Event()
        for name in ("ShutDown", "Terminate", "Close"):
            made.core.faults[f"Hcs{name}ComputeSystem"] = Fault(gate=gate)
        for name in ("Terminate", "Close"):
            made.core.faults[f"Hcs{name}Process"] = Fault(gate=gate)
        async with asyncio.timeout(10):
            await container.init_exited()
            for one in (container.init, process):
                assert (await one.wait()).status == results.UNKNOWN_EXIT_CODE
            await container.init.delete()
            await container.delete()
        gate.set()
    assert "container c1 has not ended" in caplog.text
    assert "has not come back" in caplog.text


@pytest.mark.parametrize("call", ["HcsStartComputeSystem", "HcsCreateProcess"])
async def test_a_start_that_hangs_fails_when_its_container_ends(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podshim.engines.hcs.container._LAST_WORDS", 0.05)
    async with world(release=0.05) as made:
        container = await make_container(made)
        gate = threading.Event()
        made.core.faults[call] = Fault(gate=gate)
        starting = asyncio.ensure_future(container.init.start())
        async with asyncio.timeout(10):
            while call not in made.core.calls:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            made.core.exit_system("c1", "UnexpectedExit")
            with pytest.raises(ShimError, match="the container ended"):
                await starting
            await tear_down(container)
        gate.set()


async def test_processes_whose_handles_do_not_close_are_freed_side_by_side() -> None:
    async with world() as made:
        container = await make_container(made)
        await container.init.start()
        for name in ("e1", "e2"):
            await (await container.exec(name, b"{}", Stdio())).start()
        await container.init_exited()
        gate = threading.Event()
        made.core.faults["HcsCloseProcess"] = Fault(gate=gate)
        deletion = asyncio.ensure_future(container.delete())
        async with asyncio.timeout(10):
            while made.core.calls.count("HcsCloseProcess") < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            gate.set()
            await deletion


async def test_a_question_to_the_service_has_a_limit() -> None:
    async with world(call=0.05) as made:
        gate = threading.Event()
        for name in ("HcsGetServiceProperties", "HcsModifyServiceSettings"):
            made.core.faults[name] = Fault(gate=gate)
        async with asyncio.timeout(10):
            for call in (made.hcs.service_properties("{}"), made.hcs.modify_service("{}")):
                with pytest.raises(HcsError) as caught:
                    await call
                assert caught.value.result == 0x80370118
        gate.set()
