"""The server's ttrpc: many calls and connections at once, strange frames, who may connect."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from e2e.e2e_support import RUNNING, House, refused, run, until_async
from podshim.api import task_v3_pb2, task_v3_ttrpc
from podshim.errors import Code
from podshim.transport.address import parse
from podshim.transport.unix import connect
from podshim.ttrpc import Kind, MethodDescriptor, StatusError, envelope, frames

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message

    from podshim.ttrpc import Client

import pytest_asyncio

SERVICE = task_v3_ttrpc.STATE.service


def address(house: House) -> str:
    assert house.sandbox.answer is not None
    return house.sandbox.answer.address


class Raw:
    """A connection on which any bytes can be sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = frames.Decoder()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    def ask(self, stream_id: int, method: str = "State", request: Message | None = None) -> None:
        """Send a request, of the pause container's state unless told otherwise."""
        message = request or task_v3_pb2.StateRequest(id="pod")
        payload = envelope.encode_request(SERVICE, method, message.SerializeToString(), 0, {})
        self.send(frames.encode(stream_id, frames.REQUEST, frames.REMOTE_CLOSED, payload))

    async def answer(self) -> tuple[int, Code]:
        """The next response: its stream and the status's code."""
        async with asyncio.timeout(30):
            while (frame := self._decoder.next_frame()) is None:
                data = await self._reader.read(1 << 16)
                assert data, "the connection has ended"
                self._decoder.feed(data)
        assert isinstance(frame, frames.Frame)
        assert frame.kind == frames.RESPONSE
        try:
            envelope.decode_response(frame.payload)
        except StatusError as error:
            return frame.stream_id, error.code
        return frame.stream_id, Code.OK

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@pytest_asyncio.fixture(loop_scope="session")
async def raw(house: House) -> AsyncIterator[Raw]:
    """A connection for one test, which must still be of use afterwards."""
    target = parse(address(house))
    connection = Raw(*await asyncio.open_unix_connection(target.name))
    yield connection
    connection.ask(1_000_001)
    assert await connection.answer() == (1_000_001, Code.OK)
    await connection.close()


@pytest.fixture
def unknown() -> list[MethodDescriptor[task_v3_pb2.StateRequest, task_v3_pb2.StateResponse]]:
    request, response = task_v3_pb2.StateRequest, task_v3_pb2.StateResponse
    return [
        MethodDescriptor(SERVICE, "Levitate", Kind.UNARY, request, response),
        MethodDescriptor("no.such.Service", "State", Kind.UNARY, request, response),
    ]


async def test_unknown_methods(
    house: House,
    unknown: list[MethodDescriptor[task_v3_pb2.StateRequest, task_v3_pb2.StateResponse]],
) -> None:
    """An unknown service or method is Unimplemented, and the connection stays of use."""
    client = await connect(address(house), timeout=10)
    try:
        for method in unknown:
            with refused(Code.UNIMPLEMENTED):
                await client.call(method, task_v3_pb2.StateRequest(id="pod"), timeout=10)
        request = task_v3_pb2.StateRequest(id="pod")
        state = await client.call(task_v3_ttrpc.STATE, request, timeout=10)
        assert state.status == RUNNING
    finally:
        client.close()
        await client.closed


async def test_stream_ids_out_of_order(raw: Raw) -> None:
    """An even, a repeated or a lower stream id is InvalidArgument on that id; others go on."""
    raw.ask(5)
    assert await raw.answer() == (5, Code.OK)
    for stream_id in (6, 5, 3):
        raw.ask(stream_id)
        assert await raw.answer() == (stream_id, Code.INVALID_ARGUMENT)
    raw.ask(7)
    assert await raw.answer() == (7, Code.OK)


async def test_large_payloads(raw: Raw) -> None:
    """4 MiB are read; one byte more is ResourceExhausted on its stream, and nothing else."""
    room = frames.MAX_PAYLOAD
    raw.send(frames.encode(1, frames.REQUEST, frames.REMOTE_CLOSED, b"\x00" * room))
    stream_id, code = await raw.answer()
    assert stream_id == 1
    assert code is not Code.RESOURCE_EXHAUSTED
    header = (room + 1).to_bytes(4) + (3).to_bytes(4) + bytes([frames.REQUEST, 1])
    raw.send(header + b"\x00" * (room + 1))
    assert await raw.answer() == (3, Code.RESOURCE_EXHAUSTED)
    raw.ask(5)
    assert await raw.answer() == (5, Code.OK)


async def test_strange_frames(raw: Raw) -> None:
    """A type that nobody knows, data for a unary call, garbage in a request: the server lives."""
    raw.send(frames.encode(1, 77, 0, b"whatever"))
    raw.ask(1, "Wait", task_v3_pb2.WaitRequest(id="pod"))
    raw.send(frames.encode(1, frames.DATA, 0, b"not for a unary call"))
    raw.send(frames.encode(99, frames.DATA, 0, b"for nobody"))
    raw.send(frames.encode(3, frames.REQUEST, frames.REMOTE_CLOSED, b"\xff\xff\xff"))
    raw.ask(5)
    answers = {}
    while 5 not in answers:
        stream_id, code = await raw.answer()
        answers[stream_id] = code
    assert answers[5] is Code.OK
    assert 3 in answers
    assert answers[3] is not Code.OK


async def test_a_hundred_calls_at_once(house: House) -> None:
    """100 calls on one connection are answered independently: Waits hold up no State."""
    async with house.running() as task:
        waiters = [asyncio.ensure_future(task.wait()) for _ in range(100)]
        states = await asyncio.gather(*(task.state() for _ in range(100)))
        assert {state.status for state in states} == {RUNNING}
        assert not any(waiter.done() for waiter in waiters)
        await task.kill(signal.SIGTERM)
        assert {ended.status for ended in await asyncio.gather(*waiters)} == {0}


async def test_a_deadline(house: House) -> None:
    """A Wait with a deadline of 100 ms ends with an error, and changes nothing."""
    async with house.running() as task:
        with refused(Code.DEADLINE_EXCEEDED):
            await task.wait(timeout=0.1)
        assert (await task.state()).status == RUNNING
        await task.kill(signal.SIGTERM)
        assert (await task.wait()).status == 0


async def test_a_deadline_that_the_server_keeps(raw: Raw) -> None:
    """The server itself ends a call whose `timeout_nano` is over."""
    wait = task_v3_pb2.WaitRequest(id="pod").SerializeToString()
    payload = envelope.encode_request(SERVICE, "Wait", wait, 100_000_000, {})
    raw.send(frames.encode(1, frames.REQUEST, frames.REMOTE_CLOSED, payload))
    assert await raw.answer() == (1, Code.DEADLINE_EXCEEDED)


async def test_calls_without_a_namespace(raw: Raw) -> None:
    """The namespace is fixed by the command line: metadata without it is tolerated."""
    raw.ask(1)
    assert await raw.answer() == (1, Code.OK)


async def test_several_connections(house: House) -> None:
    """Many connections at once are all served; a dropped one touches no container."""
    clients: list[Client] = list(
        await asyncio.gather(*(connect(address(house), timeout=30) for _ in range(30)))
    )
    async with house.running() as task:
        requests = task_v3_pb2.StateRequest(id=task.task_id)
        waits = [
            asyncio.ensure_future(
                client.call(task_v3_ttrpc.WAIT, task_v3_pb2.WaitRequest(id=task.task_id))
            )
            for client in clients
        ]
        states = await asyncio.gather(
            *(client.call(task_v3_ttrpc.STATE, requests, timeout=30) for client in clients)
        )
        assert {state.pid for state in states} == {task.pid}
        for client in clients:
            client.close()
            await client.closed
        answers = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(answer, ConnectionError) for answer in answers)
        assert (await task.state()).status == RUNNING


async def test_a_connection_that_is_lost_in_the_middle_of_create(house: House) -> None:
    """A client that goes away during Create: what was made is removed again, the id is free."""
    async with house.place(house.spec(["sleep", "1000"], root="rootfs")) as shim:
        creation = asyncio.ensure_future(shim.create(rootfs=house.rootfs_mount()))
        await asyncio.sleep(0.005)
        await shim.disconnect()
        (result,) = await asyncio.gather(creation, return_exceptions=True)
        assert isinstance(result, ConnectionError)
        await shim.connect()

        async def again() -> bool:
            try:
                await shim.create(rootfs=house.rootfs_mount())
            except StatusError as error:  # the first one is still being unmade
                if error.code is not Code.ALREADY_EXISTS:
                    raise
                return False
            return True

        await until_async(again, "the id is free")
        assert shim.task is not None
        await shim.task.start()
        assert (await shim.task.state()).status == RUNNING


#: Connects as another user, or group, that may pass every permission, and says what comes.
STRANGER = """
import ctypes, os, socket, sys
path, uid, gid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP = 28, 4
assert ctypes.CDLL(None).prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
with socket.socket(socket.AF_UNIX) as connection:
    connection.settimeout(30)
    connection.connect(path)
    try:
        connection.sendall(bytes.fromhex(sys.argv[4]))
        print(len(connection.recv(1)))
    except (BrokenPipeError, ConnectionResetError):
        print(0)
"""


@pytest.mark.parametrize(
    ("uid", "gid", "answered"), [(1000, 0, False), (0, 1000, False), (0, 0, True)]
)
async def test_who_may_connect(house: House, uid: int, gid: int, answered: bool) -> None:
    """Another user, or root with another group, is let go of at once, unanswered.

    That does not hang on the socket's permissions, which this stranger passes.
    """
    message = task_v3_pb2.StateRequest(id="pod").SerializeToString()
    payload = envelope.encode_request(SERVICE, "State", message, 0, {})
    request = frames.encode(1, frames.REQUEST, frames.REMOTE_CLOSED, payload)
    words = [parse(address(house)).name, str(uid), str(gid), request.hex()]
    output = await run(sys.executable, "-c", STRANGER, *words)
    assert output == f"{answered:d}\n"
    assert (await house.pause.state()).status == RUNNING
