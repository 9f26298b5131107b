"""`serve` on Windows: its streams, its log's pipe, and how it ends."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from podshim.api import task_v2_pb2 as task
from podshim.api.runhcs_options_pb2 import Options
from podshim.shim.runhcs import names
from podshim.transport import pipes
from podshim.transport.pipe_stream import PipeStream

assert sys.platform == "win32"

from google.protobuf.any_pb2 import Any  # noqa: E402 - after the line that tells where this runs

from windows.cases.process_support import (  # noqa: E402
    LIMIT,
    Shim,
    connected,
    shim_pid,
    shut_down,
)


@pytest.fixture(autouse=True)
def helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def shim(tmp_path: Path) -> Shim:
    shim = Shim(tmp_path)
    shim.spec()
    return shim


def options(**fields: object) -> bytes:
    message = Options(**fields)  # type: ignore[arg-type] # whatever the case wants
    packed = Any(type_url="containerd.runhcs.v1.Options", value=message.SerializeToString())
    return packed.SerializeToString()


class Serving:
    """A server that this process has started itself."""

    def __init__(self, process: "asyncio.subprocess.Process", panic_log: Path) -> None:
        self.process = process
        self.panic_log = panic_log

    async def ready(self) -> bytes:
        """What it says before it closes its standard output."""
        assert self.process.stdout
        return await asyncio.wait_for(self.process.stdout.read(), LIMIT)

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), LIMIT)


@asynccontextmanager
async def serving(
    shim: Shim,
    *more: str,
    stdin: bytes = b"",
    socket: str | None = None,
    panic_log: Path | None = None,
    **variables: str,
) -> AsyncIterator[Serving]:
    """A server as `start` makes it."""
    panic_log = panic_log or shim.bundle / "panic.log"
    words = ["serve", "--socket", shim.address if socket is None else socket, *more]
    with panic_log.open("wb") as panic:
        process = await asyncio.create_subprocess_exec(
            *shim.command(*words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=panic,
            cwd=shim.bundle,
            env=shim.environment(**variables),
        )
    assert process.stdin
    process.stdin.write(stdin)
    process.stdin.close()
    try:
        yield Serving(process, panic_log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def reader(shim: Shim) -> PipeStream:
    return await pipes.dial(names.log_pipe(shim.namespace, "i"), timeout=LIMIT, missing_for=LIMIT)


async def line(stream: PipeStream) -> str:
    """What comes next in the log, at least a line."""
    text = b""
    async with asyncio.timeout(LIMIT):
        while not text.endswith(b"\n"):
            piece = await stream.read(65536)
            assert piece, "the log has ended"
            text += piece
    return text.decode()


async def test_it_closes_standard_output_when_it_serves(shim: Shim) -> None:
    async with serving(shim) as server:
        assert await server.ready() == b""
        assert await shim_pid(shim.address) == server.process.pid
        await shut_down(shim.address)
        assert await server.ended() == 0
        assert server.panic_log.read_bytes() == b""


@pytest.mark.parametrize("socket", ["", "x", "\\\\.\\other", "unix:///x"])
async def test_what_is_no_pipe_is_refused(shim: Shim, socket: str) -> None:
    async with serving(shim, socket=socket) as server:
        assert await server.ready() == b"socket is required to be pipe address\n"
        assert await server.ended() == 1


async def test_what_cant_be_a_pipe_is_refused(shim: Shim) -> None:
    async with serving(shim, socket="\\\\.\\pipe") as server:
        assert b"pipe" in await server.ready()
        assert await server.ended() == 1


async def test_options_that_cant_be_read_are_told_on_standard_error(shim: Shim) -> None:
    async with serving(shim, stdin=options(log_level="loud")) as server:
        assert await server.ready() == b""
        assert await server.ended() == 1
        assert server.panic_log.read_text().startswith('failed to parse shim log level "loud": ')


async def test_logging_into_files_is_a_crash(shim: Shim) -> None:
    async with serving(shim, stdin=options(debug_type=Options.FILE)) as server:
        assert await server.ready() == b""
        assert await server.ended() == 2
        assert "file log output mode is not supported" in server.panic_log.read_text()


async def test_the_last_reader_of_the_log_gets_it(shim: Shim) -> None:
    async with serving(shim, stdin=options(debug=True), ENGINE="Talks") as server:
        with await reader(shim) as first:
            assert await server.ready() == b""
            text = await line(first)
            stamp = r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"'
            wanted = rf'^{stamp} level=debug msg=something key="a value"$'
            assert re.search(wanted, text, re.MULTILINE)
            with await reader(shim) as second:
                # The first one is let go, and what happens now is the second one's.
                async with asyncio.timeout(LIMIT):
                    while await first.read(65536):
                        pass
                await line(second)
                await shut_down(shim.address)
        assert await server.ended() == 0


async def test_without_a_reader_the_log_is_in_the_panic_log(shim: Shim) -> None:
    given = options(debug=True, log_level="warning")
    async with serving(shim, stdin=given) as server:
        assert await server.ready() == b""
        text = server.panic_log.read_text()
        assert "level=warning" in text
        assert "level=debug" not in text
        await shut_down(shim.address)
        assert await server.ended() == 0


async def test_a_reader_that_does_not_read_holds_up_nothing(shim: Shim) -> None:
    async with serving(shim, stdin=options(log_level="trace")) as server:
        with await reader(shim):
            assert await server.ready() == b""
            for _ in range(200):
                assert await shim_pid(shim.address) == server.process.pid
            await shut_down(shim.address)
            assert await server.ended() == 0


async def test_with_etw_no_text_is_logged(shim: Shim) -> None:
    given = options(debug=True, debug_type=Options.ETW)
    async with serving(shim, stdin=given) as server:
        assert await server.ready() == b""
        with pytest.raises(FileNotFoundError):
            await pipes.dial(names.log_pipe(shim.namespace, "i"), timeout=0.1)
        await shut_down(shim.address)
        assert await server.ended() == 0
        assert server.panic_log.read_bytes() == b""


async def test_a_log_pipe_that_is_taken_is_told(shim: Shim) -> None:
    with pipes.listen(names.log_pipe(shim.namespace, "i")):
        async with serving(shim) as server:
            assert await server.ready() == b""
            assert await server.ended() == 1
            assert server.panic_log.read_text().startswith("open \\\\.\\pipe\\")


def creation(shim: Shim) -> task.CreateTaskRequest:
    spec = {
        "ociVersion": "1.0.2",
        "process": {"args": ["x"], "cwd": "C:\\", "user": {}},
        "root": {"path": ""},
        "windows": {"layerFolders": ["C:\\a", "C:\\b"]},
    }
    (shim.bundle / "config.json").write_text(json.dumps(spec))
    return task.CreateTaskRequest(id="i", bundle=str(shim.bundle))


@pytest.mark.parametrize(("now", "code"), [(True, 0), (False, 1)])
async def test_shutdown_with_a_call_under_way(shim: Shim, now: bool, code: int) -> None:
    async with serving(shim, ENGINE="NeverCreates") as server:
        assert await server.ready() == b""
        async with connected(shim.address) as (stub, _):
            call = asyncio.ensure_future(stub.create(creation(shim), timeout=LIMIT))
            await asyncio.sleep(0)
            await stub.connect(task.ConnectRequest(id="i"), timeout=LIMIT)  # it has arrived
            begun = asyncio.get_running_loop().time()
            await stub.shutdown(task.ShutdownRequest(id="i", now=now), timeout=LIMIT)
            assert await server.ended() == code
            took = asyncio.get_running_loop().time() - begun
            assert now or took >= 2.9
            with pytest.raises(Exception):  # noqa: B017, PT011 - however the connection ended
                await call


async def test_what_never_returns_does_not_keep_the_process(shim: Shim) -> None:
    async with serving(shim, ENGINE="StuckThread") as server:
        assert await server.ready() == b""
        async with connected(shim.address) as (stub, _):
            call = asyncio.ensure_future(stub.create(creation(shim), timeout=LIMIT))
            await asyncio.sleep(0)
            await stub.connect(task.ConnectRequest(id="i"), timeout=LIMIT)  # it has arrived
            await stub.shutdown(task.ShutdownRequest(id="i", now=True), timeout=LIMIT)
            assert await server.ended() == 0
            with pytest.raises(Exception):  # noqa: B017, PT011 - however the connection ended
                await call


async def test_shutdown_of_another_id_is_ignored(shim: Shim) -> None:
    async with serving(shim) as server:
        assert await server.ready() == b""
        await shut_down(shim.address, "other")
        assert await shim_pid(shim.address) == server.process.pid
        await shut_down(shim.address)
        assert await server.ended() == 0


async def test_a_task_that_nobody_waits_for_fails_into_the_panic_log(shim: Shim) -> None:
    async with serving(shim, ENGINE="LosesTasks") as server:
        assert await server.ready() == b""
        await shut_down(shim.address)
        assert await server.ended() == 0
        text = server.panic_log.read_text()
        assert text.startswith("panic: ")
        assert "ZeroDivisionError: in a task" in text


async def test_it_does_not_hold_on_to_the_bundle(shim: Shim) -> None:
    async with serving(shim, panic_log=shim.folder / "panic.log") as server:
        assert await server.ready() == b""
        shutil.rmtree(shim.bundle)
        await shut_down(shim.address)
        assert await server.ended() == 0
