"""How calls are made and events heard, without any service."""

import asyncio
import logging
import threading
import time

import pytest

from hcs.core_fake import FakeCore, Fault
from podshim.engines.hcs.computecore import Completion, ComputeCoreDll, SystemCall
from podshim.engines.hcs.hostservice import Service
from podshim.engines.hcs.notifications import Event, Notifications
from podshim.engines.hcs.operations import CallThreads, HandleClosedError, Owned, perform, submit
from podshim.engines.hcs.results import HcsError
from podshim.engines.hcs.system import Hcs
from podshim.transport.streams import DuplexStream
from windows.cases.core_contract import created


def core_with(name: str, fault: Fault) -> FakeCore:
    core = FakeCore(lambda *_: None)
    core.faults[name] = fault
    return core


def test_a_refused_call_brings_its_document() -> None:
    core = core_with("HcsEnumerateComputeSystems", Fault(0x80070057, answer="why"))
    done = perform(core, lambda operation: core.enumerate_systems("{}", operation), None)
    assert done == Completion(0x80070057, "why")
    assert core.open_handles == 0


def test_an_operation_is_cancelled_at_its_deadline() -> None:
    core = FakeCore(lambda *_: None)
    with created(core) as (_, system):
        core.faults["HcsStartComputeSystem"] = Fault(stage="never")
        done = perform(
            core,
            lambda operation: core.system_call(SystemCall.START, system, operation, ""),
            time.monotonic() - 1,
        )
    assert done.result == 0x80370118
    assert core.calls.count("HcsCancelOperation") == 1
    assert core.open_handles == 0


def test_what_is_submitted_is_not_waited_for() -> None:
    core = FakeCore(lambda *_: None)
    with created(core) as (_, system):
        core.faults["HcsTerminateComputeSystem"] = Fault(stage="never")
        done = submit(
            core, lambda operation: core.system_call(SystemCall.TERMINATE, system, operation, "")
        )
    assert done.result == 0
    assert core.open_handles == 0


def test_an_operation_is_closed_when_the_call_raises() -> None:
    core = FakeCore(lambda *_: None)

    def begin(operation: int) -> int:
        raise HandleClosedError

    with pytest.raises(HandleClosedError):
        perform(core, begin, None)
    with pytest.raises(HandleClosedError):
        submit(core, begin)
    assert core.open_handles == 0


def test_a_missing_library_is_an_answer() -> None:
    # ERROR_MOD_NOT_FOUND: this machine has no such library.
    core = ComputeCoreDll(lambda *_: None)
    assert core.open_system("c1") == (0x8007007E, 0)
    assert core.service_properties("{}") == Completion(0x8007007E)
    assert core.cancel_operation(1) == 0x8007007E
    with pytest.raises(OSError, match=r"HcsCreateOperation|computecore"):
        core.create_operation()


async def test_a_machine_without_the_service_is_an_error_of_the_call() -> None:
    def open_stream(handle: int) -> DuplexStream:
        raise AssertionError

    service = Service(ComputeCoreDll, open_stream)
    with pytest.raises(HcsError, match="hcs::CreateComputeSystem c1: ") as caught:
        await Hcs(service).create_system("c1", "{}")
    assert caught.value.result == 126
    with pytest.raises(HcsError, match="hcs::OpenComputeSystem c1: "):
        await Hcs(service).open_system("c1")
    await service.close()


def test_a_handle_is_closed_after_its_last_user() -> None:
    closed: list[int] = []
    handle = Owned(7, closed.append)
    inside, leave = threading.Event(), threading.Event()

    def use() -> None:
        with handle.use() as value:
            assert value == 7
            inside.set()
            assert leave.wait(10)
            assert closed == []

    user = threading.Thread(target=use)
    user.start()
    assert inside.wait(10)
    handle.close()  # waits for nobody
    assert handle.closed
    with pytest.raises(HandleClosedError), handle.use():
        pass
    assert closed == []
    leave.set()
    user.join(10)
    handle.close()
    assert closed == [7]


async def test_calls_run_side_by_side_within_bounds() -> None:
    threads = CallThreads(most=2)
    gate, running = threading.Event(), threading.Semaphore(0)

    def call() -> int:
        running.release()
        assert gate.wait(10)
        return threading.get_ident()

    calls = [asyncio.ensure_future(threads.run("call", call)) for _ in range(5)]
    for _ in range(2):
        assert await asyncio.to_thread(running.acquire, timeout=10)
    assert not running.acquire(blocking=False)
    gate.set()
    assert len(set(await asyncio.gather(*calls))) == 2
    threads.close()


async def test_a_machine_without_room_for_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads = CallThreads()
    called: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await threads.run("call", lambda: called.append("refused"))
    gate, inside = threading.Event(), threading.Event()

    def call() -> None:
        inside.set()
        assert gate.wait(10)

    first = asyncio.ensure_future(threads.run("call", call))
    assert await asyncio.to_thread(inside.wait, 10)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        second = asyncio.ensure_future(threads.run("call", lambda: called.append("second")))
        await asyncio.sleep(0)
    gate.set()
    async with asyncio.timeout(10):
        await asyncio.gather(first, second)
    assert called == ["second"]
    threads.close()


async def test_a_cancelled_caller_leaves_the_call_running() -> None:
    threads = CallThreads()
    gate, done = threading.Event(), threading.Event()

    def call() -> None:
        assert gate.wait(10)
        done.set()

    task = asyncio.ensure_future(threads.run("call", call))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert await asyncio.to_thread(done.wait, 10)
    threads.close()


async def test_what_a_call_raises_is_raised_where_it_is_awaited() -> None:
    threads = CallThreads()

    def call() -> None:
        raise OSError(5, "no")

    with pytest.raises(OSError, match="no"):
        await threads.run("call", call)
    threads.close()


async def test_a_call_that_does_not_come_back_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    threads = CallThreads(watchdog=0.01)
    gate = threading.Event()
    task = asyncio.ensure_future(threads.run("hcs::System::Start c1", gate.wait))
    async with asyncio.timeout(10):
        while not caplog.records:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    gate.set()
    await task
    assert caplog.messages == ["hcs::System::Start c1 has not come back within 0.01 s"]
    threads.close()


async def test_events_reach_their_receivers_on_the_loop() -> None:
    loop = asyncio.get_running_loop()
    table = Notifications(loop)
    heard: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
    here = threading.get_ident()

    def receive(event: Event) -> None:
        heard.put_nowait((threading.get_ident(), event))

    number = table.register(receive)
    await asyncio.to_thread(table.deliver, number, 1, "data")
    assert await asyncio.wait_for(heard.get(), 10) == (here, Event(1, "data"))
    table.deliver(number + 1, 1, "nobody's")
    table.deliver(number, 1, "too late")
    table.unregister(number)
    table.deliver(number, 1, "much too late")
    await asyncio.sleep(0.01)
    assert heard.empty()
    assert len(table) == 0
    assert table.register(receive) != number


def test_events_after_the_loops_end_are_dropped() -> None:
    loop = asyncio.new_event_loop()
    table = Notifications(loop)
    number = table.register(lambda event: None)
    loop.close()
    table.deliver(number, 1, "")
