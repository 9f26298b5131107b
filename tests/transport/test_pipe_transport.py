"""A pipe as a transport: order, flow control both ways, every end; with a pipe in memory."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings, strategies as st

from podshim.transport.pipe_transport import HIGH, LOW, PIECE, PipeTransport


class FakePipe:
    """Operations that the test completes."""

    def __init__(self) -> None:
        self.reads: list[asyncio.Future[bytes]] = []
        self.writes: list[tuple[bytes, asyncio.Future[int]]] = []
        self.closed = False
        self.failure: OSError | None = None

    def read(self, limit: int) -> asyncio.Future[bytes]:
        assert limit > 0
        assert not self.pending_read
        self._check()
        self.reads.append(asyncio.get_running_loop().create_future())
        return self.reads[-1]

    def write(self, data: bytes) -> asyncio.Future[int]:
        assert not self.pending_write
        self._check()
        self.writes.append((data, asyncio.get_running_loop().create_future()))
        return self.writes[-1][1]

    def close(self) -> None:
        self.closed = True
        for reading in self.reads:
            reading.cancel()
        for _, writing in self.writes:
            writing.cancel()

    @property
    def pending_read(self) -> bool:
        return bool(self.reads) and not self.reads[-1].done()

    @property
    def pending_write(self) -> bool:
        return bool(self.writes) and not self.writes[-1][1].done()

    def _check(self) -> None:
        assert not self.closed
        if self.failure is not None:
            raise self.failure


class Recorder(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None
        self.data: list[bytes] = []
        self.ended = False
        self.keep_open = False
        self.lost: list[Exception | None] = []
        self.paused: list[bool] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert not self.lost
        self.data.append(data)

    def eof_received(self) -> bool:
        self.ended = True
        return self.keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)

    def pause_writing(self) -> None:
        self.paused.append(True)

    def resume_writing(self) -> None:
        self.paused.append(False)


async def turn() -> None:
    """Let the loop run what is ready, and what that makes ready."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def pipe() -> FakePipe:
    return FakePipe()


@pytest.fixture
def protocol() -> Recorder:
    return Recorder()


@pytest.fixture
async def transport(pipe: FakePipe, protocol: Recorder) -> PipeTransport:
    made = PipeTransport(pipe, protocol)
    await turn()
    return made


async def test_reading(pipe: FakePipe, protocol: Recorder, transport: PipeTransport) -> None:
    assert protocol.transport is transport
    pipe.reads[0].set_result(b"a")
    await turn()
    pipe.reads[1].set_result(b"b")
    await turn()
    assert protocol.data == [b"a", b"b"]
    assert len(pipe.reads) == 3


async def test_paused_reading_takes_one_piece_more_and_keeps_it(
    pipe: FakePipe, protocol: Recorder, transport: PipeTransport
) -> None:
    transport.pause_reading()
    assert not transport.is_reading()
    pipe.reads[0].set_result(b"a")
    await turn()
    assert protocol.data == []
    assert len(pipe.reads) == 1
    # However often it is resumed and paused in one turn, one read is begun and nothing is lost.
    for _ in range(3):
        transport.resume_reading()
        transport.pause_reading()
    transport.resume_reading()
    await turn()
    assert protocol.data == [b"a"]
    assert len(pipe.reads) == 2


async def test_a_protocol_that_pauses_while_it_receives(pipe: FakePipe) -> None:
    class Pausing(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            assert isinstance(self.transport, PipeTransport)
            self.transport.pause_reading()

    protocol = Pausing()
    transport = PipeTransport(pipe, protocol)
    for number in range(3):
        await turn()
        pipe.reads[number].set_result(b"%d" % number)
        await turn()
        assert len(pipe.reads) == number + 1
        transport.resume_reading()
    await turn()
    assert protocol.data == [b"0", b"1", b"2"]


async def test_the_end_of_the_peer_closes(
    pipe: FakePipe, protocol: Recorder, transport: PipeTransport
) -> None:
    pipe.reads[0].set_result(b"")
    await turn()
    assert protocol.ended
    assert protocol.lost == [None]
    assert pipe.closed
    assert transport.is_closing()


async def test_a_protocol_may_go_on_after_the_end(
    pipe: FakePipe, protocol: Recorder, transport: PipeTransport
) -> None:
    protocol.keep_open = True
    pipe.reads[0].set_result(b"")
    await turn()
    transport.pause_reading()
    transport.resume_reading()
    await turn()
    assert not protocol.lost
    assert len(pipe.reads) == 1
    transport.write(b"bye")
    assert pipe.writes[0][0] == b"bye"
    transport.abort()
    await turn()
    assert protocol.lost == [None]


async def test_an_error_of_reading_ends_it(
    pipe: FakePipe, protocol: Recorder, transport: PipeTransport
) -> None:
    error = OSError("broken")
    transport.write(b"x")
    pipe.reads[0].set_exception(error)
    await turn()
    assert protocol.lost == [error]
    assert pipe.closed


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_error_of_writing_ends_it(
    pipe: FakePipe, protocol: Recorder, transport: PipeTransport, *, at_once: bool
) -> None:
    error = OSError("broken")
    if at_once:
        pipe.failure = error
    transport.write(b"x")
    assert protocol.lost == []
    if not at_once:
        pipe.writes[0][1].set_exception(error)
    await turn()
    assert protocol.lost == [error]
    transport.write(b"y")
    await turn()
    assert protocol.lost == [error]


async def test_a_read_that_can_not_be_begun_ends_it(protocol: Recorder) -> None:
    pipe = FakePipe()
    pipe.failure = OSError("broken")
    PipeTransport(pipe, protocol)
    await turn()
    assert protocol.lost == [pipe.failure]


@pytest.mark.parametrize("method", ["data_received", "eof_received"])
async def test_a_protocol_that_fails_is_told_and_loses_its_connection(
    pipe: FakePipe,
    protocol: Recorder,
    transport: PipeTransport,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    error = ZeroDivisionError("nobody foresaw this")
    told: list[object] = []

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(protocol, method, fail)
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what["exception"]))
    pipe.reads[-1].set_result(b"" if method == "eof_received" else b"x")
    await turn()
    assert told == [error]
    assert protocol.lost == [error]
    assert pipe.closed
    assert transport.is_closing()


async def test_writing_in_pieces_and_in_order(
    pipe: FakePipe, protocol: Recorder, transport: PipeTransport
) -> None:
    data = bytes(range(256)) * 1024
    transport.writelines([data[:100], data[100:]])
    transport.write(b"")
    assert transport.get_write_buffer_size() == len(data)
    done = b""
    while transport.get_write_buffer_size():
        piece, writing = pipe.writes[-1]
        assert len(piece) <= PIECE
        writing.set_result(min(len(piece), 50_000))  # in part
        done += piece[:50_000]
        await turn()
        assert transport.get_write_buffer_size() == len(data) - len(done)
    assert done == data
    assert protocol.paused == [True, False]


async def test_the_limits_of_the_queue(
    pipe: FakePipe, protocol: Recorder, transport: PipeTransport
) -> None:
    assert transport.get_write_buffer_limits() == (LOW, HIGH)
    transport.set_write_buffer_limits(high=8)
    assert transport.get_write_buffer_limits() == (2, 8)
    transport.write(b"12345678")
    assert protocol.paused == []
    transport.write(b"9")
    assert protocol.paused == [True]
    transport.set_write_buffer_limits(high=100, low=50)
    assert protocol.paused == [True, False]
    transport.set_write_buffer_limits(low=5)
    assert transport.get_write_buffer_limits() == (5, 20)
    with pytest.raises(ValueError, match="must be"):
        transport.set_write_buffer_limits(high=1, low=2)
    assert pipe.pending_write


async def test_closing_writes_what_waits_and_reads_no_more(
    pipe: FakePipe, protocol: Recorder, transport: PipeTransport
) -> None:
    transport.write(b"x")
    transport.close()
    transport.close()
    transport.write(b"too late")
    pipe.reads[0].set_result(b"unwanted")
    await turn()
    assert protocol.lost == []
    assert protocol.data == []
    pipe.writes[0][1].set_result(1)
    await turn()
    assert pipe.closed
    assert protocol.lost == [None]
    assert len(pipe.writes) == 1


async def test_closing_with_nothing_to_write(
    pipe: FakePipe, protocol: Recorder, transport: PipeTransport
) -> None:
    transport.close()
    assert pipe.closed
    assert protocol.lost == []  # not from within a call
    await turn()
    assert protocol.lost == [None]


async def test_aborting_cancels_what_is_under_way(
    pipe: FakePipe, protocol: Recorder, transport: PipeTransport
) -> None:
    transport.write(b"x")
    transport.abort()
    transport.abort()
    assert pipe.closed
    assert pipe.reads[0].cancelled()
    assert pipe.writes[0][1].cancelled()
    assert transport.get_write_buffer_size() == 0
    await turn()
    assert protocol.lost == [None]


async def test_aborting_after_closing(
    pipe: FakePipe, protocol: Recorder, transport: PipeTransport
) -> None:
    transport.write(b"x")
    transport.close()
    transport.abort()
    await turn()
    assert pipe.closed
    assert protocol.lost == [None]


async def test_another_protocol(
    pipe: FakePipe, protocol: Recorder, transport: PipeTransport
) -> None:
    other = Recorder()
    transport.set_protocol(other)
    assert transport.get_protocol() is other
    pipe.reads[0].set_result(b"x")
    await turn()
    assert (protocol.data, other.data) == ([], [b"x"])
    with pytest.raises(TypeError):
        transport.set_protocol(asyncio.BaseProtocol())


async def test_there_is_no_half_close(transport: PipeTransport) -> None:
    assert not transport.can_write_eof()
    with pytest.raises(NotImplementedError):
        transport.write_eof()


MOVES = st.lists(st.sampled_from(["read", "pause", "resume", "turn"]), max_size=40)


@settings(max_examples=200, deadline=None)
@given(MOVES)
def test_whatever_is_paused_and_resumed_nothing_is_lost_or_doubled(moves: list[str]) -> None:
    async def run() -> None:
        pipe, protocol = FakePipe(), Recorder()
        transport = PipeTransport(pipe, protocol)
        sent = 0
        for move in (*moves, "resume", "turn"):
            match move:
                case "read" if pipe.pending_read:
                    pipe.reads[-1].set_result(b"%d," % sent)
                    sent += 1
                case "pause":
                    transport.pause_reading()
                case "resume":
                    transport.resume_reading()
                case "turn":
                    await turn()
        assert b"".join(protocol.data) == b"".join(b"%d," % number for number in range(sent))
        assert pipe.pending_read
        transport.abort()
        await turn()

    asyncio.run(run())
