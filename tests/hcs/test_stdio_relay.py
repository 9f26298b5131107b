"""Copies between a process and its client."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from hcs.stdio_support import MemoryStream, pair, read_all
from podshim.engine import Stdio
from podshim.engines.hcs.stdio.relay import CHUNK, ProcessEnds, Relay
from podshim.engines.hcs.stdio.upstream import Input, Upstream
from podshim.errors import ShimError
from podshim.win32.binding import failure

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Rig:
    """A process and a client, each with the other ends of three streams."""

    upstream: Upstream
    ends: ProcessEnds
    client: dict[str, MemoryStream]
    process: dict[str, MemoryStream]
    stdin_closed: asyncio.Event = field(default_factory=asyncio.Event)
    closing: Callable[[], None] = lambda: None

    @classmethod
    def make(cls, *, room: int = 1 << 16, closing: Callable[[], None] = lambda: None) -> Rig:
        ups = {name: pair(room) for name in ("stdin", "stdout", "stderr")}
        own = {name: pair(room) for name in ("stdin", "stdout", "stderr")}

        async def close_stdin() -> None:
            own["stdin"][0].close()
            rig.stdin_closed.set()
            rig.closing()

        rig = cls(
            Upstream(Stdio(), ups["stdin"][0], ups["stdout"][0], ups["stderr"][0]),
            ProcessEnds(own["stdin"][0], own["stdout"][0], own["stderr"][0], close_stdin),
            {name: ends[1] for name, ends in ups.items()},
            {name: ends[1] for name, ends in own.items()},
            closing=closing,
        )
        return rig

    async def close(self) -> None:
        await self.upstream.close()


async def test_all_three_streams_are_copied() -> None:
    rig = Rig.make()
    relay = Relay(rig.upstream, rig.ends)
    relay.start()
    await rig.client["stdin"].write(b"question")
    assert await rig.process["stdin"].read(99) == b"question"
    await rig.process["stdout"].write(b"answer")
    await rig.process["stderr"].write(b"complaint")
    assert await rig.client["stdout"].read(99) == b"answer"
    assert await rig.client["stderr"].read(99) == b"complaint"
    for stream in rig.process.values():
        stream.close()
    await relay.drain()
    await rig.close()
    assert await read_all(rig.client["stdout"]) == b""
    assert len(asyncio.all_tasks()) == 1


async def test_output_before_the_end_is_drained_to_its_last_byte() -> None:
    rig = Rig.make(room=100)
    relay = Relay(rig.upstream, rig.ends)
    relay.start()
    sent = bytes(range(256)) * 20

    async def produce() -> None:
        await rig.process["stdout"].write(sent)
        rig.process["stdout"].close()
        rig.process["stderr"].close()

    producing = asyncio.create_task(produce())
    reading = asyncio.create_task(read_all(rig.client["stdout"]))
    await producing
    await relay.drain(10)
    await rig.close()
    assert await reading == sent


async def test_the_end_of_input_reaches_the_process() -> None:
    rig = Rig.make()
    relay = Relay(rig.upstream, rig.ends)
    relay.start()
    await rig.client["stdin"].write(b"all")
    rig.client["stdin"].close()
    assert await read_all(rig.process["stdin"]) == b"all"
    assert rig.stdin_closed.is_set()
    await relay.drain(0)
    await rig.close()


async def test_close_io_lets_what_was_sent_through_first() -> None:
    rig = Rig.make(room=10)
    relay = Relay(rig.upstream, rig.ends)
    await rig.client["stdin"].write(b"0123456789")
    await rig.upstream.close_stdin()
    await rig.upstream.close_stdin()
    relay.start()
    assert await read_all(rig.process["stdin"]) == b"0123456789"
    await rig.stdin_closed.wait()
    assert not rig.client["stdin"].closed
    await relay.drain(0)
    await rig.close()


@pytest.mark.parametrize("error", [ShimError("gone"), failure(6, "process")])
async def test_a_process_that_cant_take_the_end_of_input_does_no_harm(error: Exception) -> None:
    def closing() -> None:
        raise error

    rig = Rig.make(closing=closing)
    relay = Relay(rig.upstream, rig.ends)
    relay.start()
    rig.client["stdin"].close()
    await rig.stdin_closed.wait()
    await relay.drain(0)
    await rig.close()


async def test_input_that_the_process_does_not_read_ends_with_it() -> None:
    rig = Rig.make(room=10)
    relay = Relay(rig.upstream, rig.ends)
    relay.start()
    writing = asyncio.create_task(rig.client["stdin"].write(b"x" * 100))
    rig.process["stdin"].close()
    await rig.stdin_closed.wait()
    await relay.drain(0)
    await rig.close()
    with pytest.raises(OSError, match=r"stream|winapi"):
        await writing


async def test_drain_gives_up_output_that_a_descendant_holds_open() -> None:
    rig = Rig.make()
    relay = Relay(rig.upstream, rig.ends)
    relay.start()
    loop = asyncio.get_running_loop()
    before = loop.time()
    await relay.drain(0.2)
    assert 0.15 <= loop.time() - before < 5
    assert rig.ends.stdout is not None
    with pytest.raises(OSError, match=r"stream|winapi"):
        await rig.process["stdout"].write(b"late")
    await relay.drain(0.2)
    await rig.close()
    assert len(asyncio.all_tasks()) == 1


async def test_a_slow_reader_blocks_only_its_own_stream() -> None:
    rig = Rig.make(room=100)
    relay = Relay(rig.upstream, rig.ends)
    relay.start()
    flood = asyncio.create_task(rig.process["stdout"].write(b"o" * 1000))
    for number in range(50):
        await rig.process["stderr"].write(b"%d" % number)
        assert await rig.client["stderr"].read(99) == b"%d" % number
    assert not flood.done()
    assert await rig.client["stdout"].read(100) == b"o" * 100
    flood.cancel()
    await asyncio.gather(flood, return_exceptions=True)
    await relay.drain(0)
    await rig.close()


async def test_memory_is_bounded_by_a_chunk_for_each_stream() -> None:
    rig = Rig.make(room=CHUNK)
    relay = Relay(rig.upstream, rig.ends)
    relay.start()
    flood = asyncio.create_task(rig.process["stdout"].write(b"o" * (CHUNK * 10)))
    held = rig.client["stdout"].incoming
    waiting = rig.process["stdout"].outgoing
    async with asyncio.timeout(10):
        await waiting.until(lambda: len(held.data) == len(waiting.data) == CHUNK)
    # One chunk in either channel, at most one in the copy; all else is still the process's.
    assert rig.process["stdout"].written <= 3 * CHUNK
    assert not flood.done()
    flood.cancel()
    await asyncio.gather(flood, return_exceptions=True)
    await relay.drain(0)
    await rig.close()


async def test_a_client_that_is_gone_breaks_the_processs_output() -> None:
    rig = Rig.make()
    relay = Relay(rig.upstream, rig.ends)
    relay.start()
    rig.client["stdout"].close()
    await rig.process["stdout"].write(b"x")
    gone = rig.process["stdout"].outgoing
    async with asyncio.timeout(10):
        await gone.until(lambda: gone.reader_gone)
    await rig.process["stderr"].write(b"still")
    assert await rig.client["stderr"].read(9) == b"still"
    await relay.drain(0)
    await rig.close()


async def test_output_for_nobody_is_read_and_dropped() -> None:
    own, process = pair(10)

    async def close_stdin() -> None:
        raise AssertionError

    relay = Relay(Upstream(Stdio(), None, None, None), ProcessEnds(None, own, None, close_stdin))
    relay.start()
    await process.write(b"x" * 100)
    process.close()
    await relay.drain(10)


async def test_drain_without_a_start_closes_the_ends() -> None:
    rig = Rig.make()
    await Relay(rig.upstream, rig.ends).drain()
    assert all(stream.outgoing.reader_gone for stream in rig.process.values())
    await rig.close()


async def test_a_cancelled_read_of_input_loses_nothing() -> None:
    one, other = pair()
    stream = Input(one)
    reading = asyncio.create_task(stream.read(9))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await other.write(b"kept")
    assert await stream.read(9) == b"kept"
    stream.close()
    assert await stream.read(9) == b""
    other.close()


async def test_input_that_has_been_finished_is_closed_when_it_is_quiet() -> None:
    one, other = pair()
    stream = Input(one)
    await other.write(b"last words")
    stream.finish()
    assert await stream.read(99) == b"last words"
    gone = [other.outgoing.reader_gone]
    assert await stream.read(99) == b""
    gone.append(other.outgoing.reader_gone)
    assert gone == [False, True]
    other.close()
