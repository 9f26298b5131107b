"""What a ttrpc call costs: calls a second and latency, over a Unix socket between two processes.

Run it as any user: `python bench/ttrpc.py [seconds]`, the seconds for each line. What is measured:

    one by one       a call begins when the one before has been answered
    N at once        N callers, each one by one, on one connection
    64 KiB, 1 MiB    one by one, with a payload of that size in both directions
    server stream    messages of one stream, from the server to the client
    client stream    the other way
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from google.protobuf.wrappers_pb2 import BytesValue, Int64Value

from podshim.transport import unix
from podshim.ttrpc import Kind, MethodDescriptor, Server, Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from podshim.ttrpc import CallContext, Client

NAME = "podshim.bench.Bench"
ECHO = MethodDescriptor(NAME, "Echo", Kind.UNARY, BytesValue, BytesValue)
COUNT = MethodDescriptor(NAME, "Count", Kind.SERVER_STREAM, Int64Value, Int64Value)
SUM = MethodDescriptor(NAME, "Sum", Kind.CLIENT_STREAM, Int64Value, Int64Value)


async def echo(request: BytesValue, _context: CallContext) -> BytesValue:
    """Answer with the request."""
    return request


async def count(request: Int64Value, _context: CallContext) -> AsyncIterator[Int64Value]:
    """Send so many messages."""
    for number in range(request.value):
        yield Int64Value(value=number)


async def total(requests: AsyncIterator[Int64Value], _context: CallContext) -> Int64Value:
    """Add up what is sent."""
    result = 0
    async for request in requests:
        result += request.value
    return Int64Value(value=result)


async def serve(path: str) -> None:
    """Be the server until stdin ends."""
    service = Service(NAME, {"Echo": (ECHO, echo), "Count": (COUNT, count), "Sum": (SUM, total)})
    server = Server([service])
    async with await unix.serve(unix.listen(path), server, same_user=True):
        sys.stdout.write("serving\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
    server.close()
    await server.wait_closed()


async def calls(client: Client, seconds: float, callers: int, size: int) -> str:
    """Call for so long; a line of results."""
    request = BytesValue(value=bytes(size))
    times: list[float] = []
    clock = time.perf_counter

    async def caller(until: float) -> None:
        while (begin := clock()) < until:
            await client.call(ECHO, request)
            times.append(clock() - begin)

    begin = clock()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller(begin + seconds))
    took = clock() - begin
    times.sort()
    median, late = (times[int(len(times) * part)] * 1e6 for part in (0.5, 0.99))
    return f"{len(times) / took:8.0f} calls/s   median {median:7.0f} us   99 % {late:7.0f} us"


async def receive(client: Client, messages: int) -> str:
    """Read a server's stream."""
    begin = time.perf_counter()
    async with client.stream(COUNT, Int64Value(value=messages)) as stream:
        async for _ in stream:
            pass
    return f"{messages / (time.perf_counter() - begin):8.0f} messages/s"


async def send(client: Client, messages: int) -> str:
    """Write a client's stream."""
    begin = time.perf_counter()
    async with client.stream(SUM) as stream:
        for number in range(messages):
            await stream.send(Int64Value(value=number))
        await stream.response()
    return f"{messages / (time.perf_counter() - begin):8.0f} messages/s"


async def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "bench")
        server = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            "serve",
            path,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        if server.stdin is None or server.stdout is None:
            raise AssertionError("both were asked for")
        await server.stdout.readline()
        try:
            async with await unix.connect(f"unix://{path}", timeout=10) as client:
                await calls(client, 0.2, 10, 16)
                lines = {
                    "one by one": calls(client, seconds, 1, 16),
                    "10 at once": calls(client, seconds, 10, 16),
                    "100 at once": calls(client, seconds, 100, 16),
                    "64 KiB": calls(client, seconds, 1, 64 << 10),
                    "1 MiB": calls(client, seconds, 1, 1 << 20),
                    "server stream": receive(client, int(seconds * 20_000)),
                    "client stream": send(client, int(seconds * 20_000)),
                }
                for name, line in lines.items():
                    sys.stdout.write(f"{name:14}{await line}\n")
        finally:
            server.stdin.close()
            await server.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[2]) if sys.argv[1:2] == ["serve"] else main())
