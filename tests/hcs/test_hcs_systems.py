"""Systems, processes and containers where something goes wrong, over a service in memory."""

import asyncio
import json
import logging
import threading

import pytest

from hcs.core_fake import Fault
from hcs.engine_support import PIPES, World, make_container, start, tear_down, world
from podshim.engine import Stdio
from podshim.engines.hcs import results
from podshim.engines.hcs.assembly import Guest
from podshim.engines.hcs.results import ClosedError, HcsError
from podshim.errors import FailedPreconditionError, NotFoundError, ShimError
from windows.cases.core_contract import DOCUMENT

#: What a container's life calls, up to its process's end.
CALLS = [
    "HcsCreateComputeSystem",
    "HcsSetComputeSystemCallback",
    "HcsGetComputeSystemProperties",
    "HcsStartComputeSystem",
    "HcsCreateProcess",
    "HcsSetProcessCallback",
    "HcsOpenComputeSystem",
    "HcsOpenProcess",
    "HcsTerminateProcess",
]


async def live(made: World) -> int:
    """A whole life; the exit code of the process."""
    system, process = await start(made)
    try:
        await process.kill()
        async with asyncio.timeout(10):
            return await process.wait()
    finally:
        await process.close()
        await system.close()


@pytest.mark.parametrize("stage", ["call", "completion", "after"])
@pytest.mark.parametrize("name", CALLS)
async def test_whatever_fails_nothing_is_left(name: str, stage: str) -> None:
    async with world(release=0.01) as made:
        made.core.faults[name] = Fault(0x80070057, stage=stage)
        if name == "HcsOpenComputeSystem":
            # Without a way in, the container is ended, and its processes with it.
            assert await live(made) == 0xFFFFFFFF
        elif name == "HcsCreateProcess" and stage == "after":
            assert await live(made) == 0xFFFFFFFF  # it was there nevertheless
        else:
            with pytest.raises(HcsError) as caught:
                await live(made)
            assert caught.value.result == 0x57


@pytest.mark.parametrize("broken", range(3))
async def test_a_pipe_that_cannot_be_used_ends_the_process(broken: int) -> None:
    async with world() as made:
        made.broken_pipe = broken
        with pytest.raises(OSError, match="no handle"):
            await live(made)
        assert len(made.pipes) == 3
        assert "HcsTerminateProcess" in made.core.calls


async def test_a_hard_kill_overtakes_a_signal_that_hangs() -> None:
    async with world() as made:
        system, process = await start(made)
        gate = threading.Event()
        made.core.faults["HcsSignalProcess"] = Fault(gate=gate)
        signal = asyncio.ensure_future(process.signal({"Signal": "CtrlShutdown"}))
        async with asyncio.timeout(10):
            while "HcsSignalProcess" not in made.core.calls:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            assert await process.kill()
            assert await process.wait() == 0xFFFFFFFF
            await process.close()
            assert "HcsCloseProcess" not in made.core.calls[-1]  # the handle is in use
            gate.set()
            assert not await signal  # the process is gone
        await system.close()


@pytest.mark.parametrize(
    ("code", "delivered"), [(0xC0370105, False), (0x8037010E, False), (0x80070490, True)]
)
async def test_a_process_that_is_called_gone_is_released(code: int, delivered: bool) -> None:
    async with world(release=0.01) as made:
        system, process = await start(made)
        made.core.faults["HcsTerminateProcess"] = Fault(code)
        assert await process.kill() == delivered
        async with asyncio.timeout(10):
            assert await process.wait() == results.UNKNOWN_EXIT_CODE
        await process.close()
        await system.close()


async def test_an_exit_in_time_keeps_its_code() -> None:
    async with world(release=0.05) as made:
        system, process = await start(made)
        made.core.faults["HcsTerminateProcess"] = Fault(0xC0370105)
        assert not await process.kill()
        made.core.exit_process(process.pid, 7)
        async with asyncio.timeout(10):
            assert await process.wait() == 7
        await process.close()
        await system.close()


@pytest.mark.parametrize("code", [0x80070005, 0x8037011F, 0xC0370110])
async def test_a_kill_that_comes_too_late_has_been_delivered(code: int) -> None:
    async with world() as made:
        system, process = await start(made)
        made.core.faults["HcsTerminateProcess"] = Fault(code, times=1)
        assert await process.kill()
        assert await process.kill()
        assert made.core.calls.count("HcsTerminateProcess") == 1
        await process.close()
        await system.close()


async def test_a_kill_without_a_way_in_that_cannot_terminate_either() -> None:
    async with world() as made:
        system, process = await start(made)
        made.core.faults["HcsOpenComputeSystem"] = Fault(0x80070005)
        made.core.faults["HcsTerminateComputeSystem"] = Fault(0x80070005, times=1)
        with pytest.raises(HcsError, match="hcs::System::Terminate c1"):
            await process.kill()
        await process.close()
        await system.close()


async def test_what_nobody_waits_for_any_more_is_ended() -> None:
    async with world() as made:
        system = await made.hcs.create_system("c1", DOCUMENT)
        await system.start()
        gate = threading.Event()
        made.core.faults["HcsCreateProcess"] = Fault(gate=gate)
        task = asyncio.ensure_future(system.create_process(PIPES))
        async with asyncio.timeout(10):
            while "HcsCreateProcess" not in made.core.calls:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        async with asyncio.timeout(10):
            while "HcsCloseProcess" not in made.core.calls[-1]:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert "HcsTerminateProcess" in made.core.calls
        await system.close()


async def test_closing_amid_events_is_no_exit() -> None:
    async with world() as made:
        for _ in range(30):
            system, process = await start(made)
            ends = [asyncio.ensure_future(process.wait()), asyncio.ensure_future(system.wait())]
            storm = threading.Thread(target=made.core.exit_process, args=(process.pid, 3))
            storm.start()
            await process.close()
            await system.close()
            storm.join(10)
            ended = await asyncio.gather(*ends, return_exceptions=True)
            assert ended[0] == 3 or isinstance(ended[0], ClosedError)
            assert isinstance(ended[1], ClosedError)


@pytest.mark.parametrize("answer", ["", "[]", "{", '"x"'])
async def test_an_answer_that_cannot_be_read_is_an_error(answer: str) -> None:
    async with world() as made:
        fault = Fault(0, stage="completion", answer=answer)
        made.core.faults["HcsGetComputeSystemProperties"] = fault
        with pytest.raises(HcsError, match="unexpected value returned from hcs"):
            await made.hcs.create_system("c1", DOCUMENT)
        assert "HcsTerminateComputeSystem" in made.core.calls


async def test_an_end_that_cannot_be_read_is_an_end(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as made:
        system = await made.hcs.create_system("c1", DOCUMENT)
        made.service.notifications.deliver(1, 1, "{")
        async with asyncio.timeout(10):
            await system.wait()
        assert system.exit_error is None
        assert "can't be read" in caplog.text
        await system.close()


async def test_an_unexpected_end_is_remembered() -> None:
    async with world() as made:
        system = await made.hcs.create_system("c1", DOCUMENT)
        await system.start()
        made.core.exit_system("c1", "UnexpectedExit")
        async with asyncio.timeout(10):
            await system.wait()
        assert system.exit_error is not None
        assert system.exit_error.result == 0xC0370106
        await system.close()


async def test_a_container_whose_processes_do_not_tell_of_their_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("podshim.engines.hcs.container._LAST_WORDS", 0.05)
    async with world() as made:
        container = await make_container(made)
        await container.init.start()
        made.core.faults["HcsTerminateProcess"] = Fault(0x80070005)
        # Only the system's end is told.
        made.service.notifications.deliver(1, 1, '{"ExitType":"GracefulExit"}')
        async with asyncio.timeout(10):
            assert (await container.init.wait()).status == results.UNKNOWN_EXIT_CODE
        await tear_down(container)


async def test_a_lost_service_settles_all_ends() -> None:
    async with world(shutdown=0.01, terminate=0.01) as made:
        container = await make_container(made)
        await container.init.start()
        waiting = await container.exec("e", b"{}", Stdio())
        made.core.disconnect()
        async with asyncio.timeout(10):
            assert (await container.init.wait()).status == results.UNKNOWN_EXIT_CODE
            assert (await waiting.wait()).status == 1
        await waiting.delete()
        await tear_down(container)


async def test_a_live_container_can_be_deleted() -> None:
    async with world() as made:
        container = await make_container(made)
        await container.init.start()
        await container.delete()
        async with asyncio.timeout(10):
            assert (await container.init.wait()).status == 0xFFFFFFFF


async def test_a_container_can_be_deleted_without_a_start() -> None:
    async with world() as made:
        container = await make_container(made)
        await tear_down(container)
        assert (await container.init.wait()).status == 1
        assert made.core.calls[-2:] == ["HcsShutDownComputeSystem", "HcsCloseComputeSystem"]


async def test_a_process_that_is_deleted_while_it_runs_is_ended() -> None:
    async with world() as made:
        container = await make_container(made)
        await container.init.start()
        process = await container.exec("e", b"{}", Stdio())
        await process.start()
        await process.delete()
        assert (await process.wait()).status == 0xFFFFFFFF
        await tear_down(container)


async def test_a_kill_of_a_process_that_is_gone() -> None:
    async with world(release=0.01) as made:
        container = await make_container(made)
        await container.init.start()
        made.core.faults["HcsTerminateProcess"] = Fault(0x8037010E, times=1)
        with pytest.raises(NotFoundError):
            await container.init.kill(9)
        async with asyncio.timeout(10):
            await container.init.wait()
        await tear_down(container)


async def test_a_kill_that_fails_is_an_error() -> None:
    async with world() as made:
        container = await make_container(made)
        await container.init.start()
        made.core.faults["HcsTerminateProcess"] = Fault(0x8007001F, times=2)
        for kill in (container.init.kill(9), container.init.terminate()):
            with pytest.raises(ShimError, match="hcs::Process::Kill c1:"):
                await kill
        await tear_down(container)


async def test_the_container_may_end_while_its_process_is_being_started() -> None:
    async with world() as made:
        container = await make_container(made)
        gate = threading.Event()
        made.core.faults["HcsCreateProcess"] = Fault(gate=gate)
        starting = asyncio.ensure_future(container.init.start())
        async with asyncio.timeout(10):
            while "HcsCreateProcess" not in made.core.calls:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            made.core.exit_system("c1", "UnexpectedExit")
            gate.set()
            with pytest.raises(HcsError):
                await starting
            assert (await container.init.wait()).status == 1
        await tear_down(container)


@pytest.mark.parametrize("scrub_logs", [True, False])
async def test_documents_are_logged_without_their_secrets(
    scrub_logs: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    parameters = json.dumps({"CommandLine": "x", "Environment": {"PASSWORD": "secret"}})
    async with world(scrub_logs=scrub_logs) as made:
        system = await made.hcs.create_system("c1", DOCUMENT)
        await system.start()
        process = await system.create_process(parameters)
        await process.close()
        await system.close()
    told = "".join(getattr(record, "document", "") for record in caplog.records)
    assert "CommandLine" in told
    assert "PASSWORD" in told
    assert ("secret" in told) != scrub_logs


async def test_a_signal_that_hangs_does_not_hold_up_the_engines_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("podshim.engines.hcs.leftovers._LAST_MOMENT", 0.05)
    async with world() as made:
        container = await make_container(made)
        await container.init.start()
        gate = threading.Event()
        made.core.faults["HcsSignalProcess"] = Fault(gate=gate)
        await container.init.kill(15)
        async with asyncio.timeout(10):
            while "HcsSignalProcess" not in made.core.calls:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            await made.service.close()
        gate.set()
        await tear_down(container)


async def test_a_linux_guest_gets_processes_and_signals_as_linux_has_them() -> None:
    async with world() as made:
        container = await make_container(made, guest=Guest(linux=True))
        await container.init.start()
        process = await container.exec("e", b'{"args": ["sh"], "cwd": "/"}', Stdio())
        await process.start()
        with pytest.raises(FailedPreconditionError, match="signal 99: invalid signal value"):
            await process.kill(99)
        await process.kill(10)
        async with asyncio.timeout(10):
            await process.wait()
        await process.delete()
        await tear_down(container)
    sent = {name: json.loads(text) for name, text in made.core.documents if text.startswith("{")}
    assert sent["HcsSignalProcess"] == {"Signal": 10}
    assert ("HcsSignalProcess", '{"Signal":10}') in made.core.documents  # without needless spaces
    processes = [text for name, text in made.core.documents if name == "HcsCreateProcess"]
    assert "OciProcess" not in json.loads(processes[0])
    assert json.loads(processes[1])["OciProcess"]["args"] == ["sh"]


async def test_a_linux_guests_signal_that_reaches_nobody() -> None:
    async with world(release=0.01) as made:
        container = await make_container(made, guest=Guest(linux=True))
        await container.init.start()
        made.core.faults["HcsSignalProcess"] = Fault(0x80070490)
        with pytest.raises(NotFoundError):
            await container.init.kill(15)
        await tear_down(container)


async def test_a_guest_without_signals_is_killed_hard() -> None:
    async with world() as made:
        container = await make_container(made, guest=Guest(signals_supported=False))
        await container.init.start()
        with pytest.raises(FailedPreconditionError):
            await container.init.kill(1)
        await container.init.kill(15)
        assert "HcsTerminateProcess" in made.core.calls
        assert "HcsSignalProcess" not in made.core.calls
        await tear_down(container)


async def test_the_end_of_a_container_ends_its_processes_by_itself() -> None:
    async with world() as made:
        container = await make_container(made)
        await container.init.start()
        await container.init_exited()
        async with asyncio.timeout(10):
            await container.init.wait()
        assert "HcsOpenComputeSystem" not in made.core.calls  # nobody had to be killed
        await tear_down(container)


async def test_a_kill_after_the_containers_end_takes_no_handle_away() -> None:
    async with world(release=0.01) as made:
        system, process = await start(made)
        made.core.faults["HcsOpenComputeSystem"] = Fault(0x8037010E)
        made.service.notifications.deliver(1, 1, '{"ExitType":"GracefulExit"}')
        async with asyncio.timeout(10):
            await system.wait()
            assert await process.kill()
            assert not system.closed
            assert await process.wait() == results.UNKNOWN_EXIT_CODE
        await process.close()
        await system.close()


async def test_what_was_begun_for_nobody_is_waited_for_at_the_engines_end() -> None:
    async with world() as made:
        gate = threading.Event()
        made.core.faults["HcsCreateComputeSystem"] = Fault(gate=gate)
        task = asyncio.ensure_future(made.hcs.create_system("c1", DOCUMENT))
        async with asyncio.timeout(10):
            while "HcsCreateComputeSystem" not in made.core.calls:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            asyncio.get_running_loop().call_later(0.05, gate.set)
            await made.service.close()
        assert made.core.calls[-2:] == ["HcsTerminateComputeSystem", "HcsCloseComputeSystem"]


async def test_the_container_of_an_init_that_fails_to_start_is_closed_after_its_end() -> None:
    async with world() as made:
        container = await make_container(made)
        made.core.faults["HcsCreateProcess"] = Fault(0x80070002)
        made.core.faults["HcsTerminateComputeSystem"] = Fault(stage="never")
        starting = asyncio.ensure_future(container.init.start())
        async with asyncio.timeout(10):
            while "HcsTerminateComputeSystem" not in made.core.calls:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.02)
            assert "HcsCloseComputeSystem" not in made.core.calls
            made.core.exit_system("c1", "ForcedExit")
            with pytest.raises(HcsError, match="hcs::System::CreateProcess: x c1:"):
                await starting
        assert made.core.calls[-1] == "HcsCloseComputeSystem"
        await tear_down(container)


async def test_a_process_that_cannot_be_freed_keeps_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world() as made:
        container = await make_container(made)
        process = await container.exec("e", b"{}", Stdio())

        async def fail() -> None:
            raise OSError(6, "no handle")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(process, "delete", fail)
            await tear_down(container)
        assert made.core.open_handles == 0
        await process.delete()
    assert "no handle" in caplog.text
