"""Our client against Go's server, Go's client against ours: what containerd really speaks.

The Go half is `interop/main.go`; `scripts/get-interop` builds it into the cache folder, where Go
is installed. Without it these tests are skipped.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue

from podshim.errors import Code
from podshim.transport import unix
from podshim.ttrpc import (
    Client,
    ConnectionLost,
    Kind,
    MethodDescriptor,
    Server,
    StatusError,
)
from ttrpc.ttrpc_support import BLOB, DEADLINE, GROW, JOIN, SAY, SPELL, TALK, Echo, word

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from podshim.ttrpc import CallContext

SOURCE = Path(__file__).parent / "interop"


@pytest.fixture(scope="module")
def go() -> Path:
    """The Go half."""
    names = ("go.mod", "go.sum", "main.go")
    key = hashlib.sha256(b"".join((SOURCE / name).read_bytes() for name in names)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "podshim" / "interop" / key / "interop"
    if not program.exists():
        pytest.skip("the Go half is not built: install Go and run scripts/get-interop")
    return program


@asynccontextmanager
async def go_server(go: Path, path: Path) -> AsyncIterator[Client]:
    """A client of ours, connected to Go's server."""
    process = await asyncio.create_subprocess_exec(
        go, "serve", path, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE):
            assert await process.stdout.readline() == b"serving\n"
        async with await unix.connect(f"unix://{path}", timeout=DEADLINE) as client:
            yield client
    finally:
        process.stdin.close()
        async with asyncio.timeout(DEADLINE):
            await process.wait()


async def answer(client: Client, value: str, **metadata: list[str]) -> str:
    response = await client.call(SAY, word(value), timeout=DEADLINE, metadata=metadata)
    return response.value


async def test_our_client_calls_go(go: Path, tmp_path: Path) -> None:
    async with go_server(go, tmp_path / "s") as client:
        assert await answer(client, "hi") == "hi!"
        assert await answer(client, "metadata", Key=["1", "2"]) == "1,2"
        assert await answer(client, "deadline") == "true"
        assert (await client.call(SAY, word("deadline"))).value == "false"
        unknown = MethodDescriptor("a.B", "Say", Kind.UNARY, StringValue, StringValue)
        for method, value, code, text in (
            (SAY, "missing", Code.NOT_FOUND, "task c1: not found"),
            (SAY, "bug", Code.UNKNOWN, "by zero"),
            (unknown, "", Code.UNIMPLEMENTED, "service a.B"),
        ):
            with pytest.raises(StatusError) as caught:
                await client.call(method, word(value), timeout=DEADLINE)
            assert (caught.value.code, caught.value.message) == (code, text)
        with pytest.raises(StatusError, match=r"^context deadline exceeded$"):
            await client.call(SAY, word("hold"), timeout=0.02)
        calls = [answer(client, str(number)) for number in range(100)]
        assert await asyncio.gather(*calls) == [f"{number}!" for number in range(100)]


async def test_our_client_streams_with_go(go: Path, tmp_path: Path) -> None:
    async with go_server(go, tmp_path / "s") as client:
        for value in ("abc", ""):
            async with client.stream(SPELL, word(value)) as spelling:
                assert "".join([each.value async for each in spelling]) == value
        async with client.stream(SPELL, word("a!")) as spelling:
            assert await anext(spelling) == word("a")
            with pytest.raises(StatusError, match=r"^letter: not found$"):
                await anext(spelling)
        async with client.stream(JOIN) as joining:
            for value in ("a", "", "c"):
                await joining.send(word(value))
            assert await joining.response() == word("a  c")
        async with client.stream(TALK) as talk:
            for value in ("a", "b"):
                await talk.send(word(value))
                assert await anext(talk) == word(value.upper())
            await talk.close_send()
            assert [each async for each in talk] == []
        async with client.stream(TALK) as talk:
            await talk.send(word("bye"))
            assert [each async for each in talk] == []


async def test_our_client_and_the_limits_of_go(go: Path, tmp_path: Path) -> None:
    async with go_server(go, tmp_path / "s") as client:
        large = BytesValue(value=bytes(4194304 - 35))
        assert (await client.call(BLOB, large)).value == bytes(10)
        most = 4194304 - 10
        grown = await client.call(GROW, Int64Value(value=most), timeout=DEADLINE)
        assert len(grown.value) == most
        # Go's server refuses an answer that is too large by ending the connection.
        with pytest.raises(ConnectionLost):
            await client.call(GROW, Int64Value(value=most + 1), timeout=DEADLINE)


async def test_our_client_when_go_is_killed(go: Path, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        go,
        "serve",
        tmp_path / "s",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"serving\n"
    async with await unix.connect(f"unix://{tmp_path / 's'}", timeout=DEADLINE) as client:
        call = asyncio.create_task(client.call(SAY, word("hold")))
        await answer(client, "hi")
        process.kill()
        await process.wait()
        with pytest.raises(ConnectionLost, match=r"^ttrpc: closed$"):
            await call


class GoEcho(Echo):
    """The same service as Go's: what its requests ask for is told in their text."""

    async def say(self, request: StringValue, context: CallContext) -> StringValue | None:
        if request.value == "metadata":
            return word(",".join(context.metadata["key"]))
        if request.value == "deadline":
            return word(str(context.deadline is not None).lower())
        return await super().say(request, context)


async def test_go_calls_our_server(
    go: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "s")
    echo = GoEcho()
    server = Server([echo.service()])
    async with await unix.serve(unix.listen(path), server, same_user=True):
        process = await asyncio.create_subprocess_exec(
            go, "call", path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(2 * DEADLINE):
            output, errors = await process.communicate()
    too_large = "message length 4194305 exceed maximum message size of 4194304"
    assert output.decode().splitlines() == [
        "hi: hi!",
        "missing: status 5 task c1: not found",
        "bug: status 2 by zero",
        "none: status 2 ttrpc: marshal called with nil",
        "metadata: 1,2",
        "deadline: true",
        "hold past the deadline: true",
        "unknown method: status 12 method Sing",
        "unknown service: status 12 service a.B",
        "large request: 10",
        # Refused by Go's client, which wraps its own error in the text.
        f"large request: status 8 rpc error: code = ResourceExhausted desc = {too_large}",
        "large response: 4194294",
        f"large response: status 8 {too_large}",
        "spell: a,b,c",
        "spell: ",
        "spell a: status 5 letter: not found",
        "join: a  c",
        "join: status 5 word: not found",
        "talk: A",
        "talk: C",
        "talk: A",
        "talk: ",
        "talk: A",
        "talk : status 5 answer: not found",
        "crowd: 100",
    ]
    # Go's client may have something to log: the answer to the call that it gave up.
    assert process.returncode == 0, errors
    assert await server.shutdown(DEADLINE)
    assert [record.getMessage() for record in caplog.records] == [
        "ttrpc: /podshim.test.Echo/Say failed"
    ]
