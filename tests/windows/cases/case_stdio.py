"""The relay over real pipes, and real logging programs."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from podshim.engine import Stdio
from podshim.engines.hcs.stdio import ProcessEnds, Relay, Upstream, connect, logger
from podshim.errors import ShimError, status_of
from podshim.transport.pipes import PipeListener, PipeStream, listen, pipe_pair
from windows.cases.hostprocesses import handle_count
from windows.cases.loggers import uri

assert sys.platform == "win32"

import msvcrt  # noqa: E402 - there is none elsewhere

PATIENCE = 60.0


@pytest.fixture
def name() -> str:
    return f"c-{uuid.uuid4()}"


@contextmanager
def pipes(stem: str) -> Iterator[dict[str, PipeListener]]:
    listeners = {
        key: listen(rf"\\.\pipe\ctr-{stem}-{key}") for key in ("stdin", "stdout", "stderr")
    }
    try:
        yield listeners
    finally:
        for listener in listeners.values():
            listener.close()


def stdio_of(stem: str) -> Stdio:
    return Stdio(
        stdin=rf"\\.\pipe\ctr-{stem}-stdin",
        stdout=rf"\\.\pipe\ctr-{stem}-stdout",
        stderr=rf"\\.\pipe\ctr-{stem}-stderr",
    )


async def read_all(stream: PipeStream) -> bytes:
    whole = b""
    async with asyncio.timeout(PATIENCE):
        while data := await stream.read(65536):
            whole += data
    return whole


async def test_a_child_and_its_client_over_real_pipes(name: str) -> None:
    code = (
        "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data[::-1]);"
        "sys.stderr.write(str(len(data)))"
    )
    with pipes(name) as listeners:
        upstream = await connect(name, stdio_of(name), "n", 0)
        client = {key: await one.accept() for key, one in listeners.items()}
        ours, theirs = {}, {}
        for key in client:
            ours[key], theirs[key] = pipe_pair(child_reads=key == "stdin")
        files = {key: msvcrt.open_osfhandle(handle.release(), 0) for key, handle in theirs.items()}
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            stdin=files["stdin"],
            stdout=files["stdout"],
            stderr=files["stderr"],
        )
        for file in files.values():
            os.close(file)

        async def close_stdin() -> None:
            ours["stdin"].close()

        relay = Relay(
            upstream, ProcessEnds(ours["stdin"], ours["stdout"], ours["stderr"], close_stdin)
        )
        relay.start()
        data = os.urandom(300_000)
        reading = asyncio.gather(read_all(client["stdout"]), read_all(client["stderr"]))
        await client["stdin"].write(data)
        client["stdin"].close()
        async with asyncio.timeout(PATIENCE):
            assert await child.wait() == 0
        await relay.drain(PATIENCE)
        await upstream.close()
        assert list(await reading) == [data[::-1], b"300000"]
        for stream in client.values():
            stream.close()
    assert len(asyncio.all_tasks()) == 1


async def test_a_pipe_that_is_not_there_closes_the_others(name: str) -> None:
    stdio = stdio_of(name)
    with pipes(name) as listeners:
        listeners["stderr"].close()
        with pytest.raises(ShimError) as caught:
            await connect(name, stdio, "n", 0)
        code, text = status_of(caught.value)
        assert (code.name, text.partition(": ")[0]) == ("UNKNOWN", f"open {stdio.stderr}")
        for key in ("stdin", "stdout"):
            with await listeners[key].accept() as stream:
                assert await read_all(stream) == b""


async def test_no_pipe_has_such_a_name(name: str) -> None:
    for path in ("C:/no/pipe", r"\\server\pipe\x", "\\\\.\\pipe\\"):
        with pytest.raises(ShimError):
            await connect(name, Stdio(stdin=path), "n", 0)


async def test_a_reader_that_comes_back_gets_what_was_not_taken(name: str) -> None:
    path = rf"\\.\pipe\ctr-{name}-stdout"
    first = listen(path)
    upstream = await connect(name, Stdio(stdout=path), "n", 0)
    reader = await first.accept()
    assert upstream.stdout is not None
    await upstream.stdout.write(b"before")
    assert await reader.read(99) == b"before"
    reader.close()
    first.close()
    data = os.urandom(500_000)
    writing = asyncio.create_task(upstream.stdout.write(data))
    done, _ = await asyncio.wait((writing,), timeout=0.5)
    assert not done  # there is no reader, and for no limit of time
    with listen(path) as second:
        async with asyncio.timeout(PATIENCE):
            reader = await second.accept()
        reading = asyncio.create_task(read_all(reader))
        assert await writing == len(data)
        await upstream.close()
        assert await reading == data
        reader.close()


async def test_a_reader_that_does_not_come_back_is_given_up(name: str) -> None:
    path = rf"\\.\pipe\ctr-{name}-stdout"
    with listen(path) as first:
        upstream = await connect(name, Stdio(stdout=path), "n", 0.5)
        (await first.accept()).close()
    assert upstream.stdout is not None
    with pytest.raises(TimeoutError) as caught:
        await upstream.stdout.write(b"x" * 100_000)
    assert str(caught.value) == f"reached timeout while retrying dial on {path}"
    await upstream.close()


async def log(upstream: Upstream) -> None:
    assert upstream.stdout is not None
    assert upstream.stderr is not None
    async with asyncio.timeout(PATIENCE):
        await upstream.stdout.write(b"o" * 200_000)
        await upstream.stderr.write(b"complaint")


@pytest.mark.parametrize("mode", ["", "silent", "late"])
async def test_a_logger_gets_all_output(
    tmp_path: Path, name: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHIM", "1")
    given, target = uri(tmp_path, *([mode] if mode else []))
    upstream = await connect(name, Stdio(terminal=True, stdin="x", stdout=given), "ns", 0)
    assert upstream.stdin is None
    assert upstream.stdio == Stdio(
        stdout=rf"\\.\pipe\binary-{name}-stdout", stderr=rf"\\.\pipe\binary-{name}-stderr"
    )
    await log(upstream)
    await upstream.close()
    written = json.loads(target.read_text())
    assert written["out"] == "o" * 200_000
    assert written["err"] == "complaint"
    ours = {key: value for key, value in written["env"].items() if key.startswith("CONTAINER_")}
    assert ours == {
        "CONTAINER_ID": name,
        "CONTAINER_NAMESPACE": "ns",
        "CONTAINER_STDOUT": upstream.stdio.stdout,
        "CONTAINER_STDERR": upstream.stdio.stderr,
        "CONTAINER_WAIT": rf"\\.\pipe\binary-{name}-wait",
    }
    assert not {"SECRET_OF_THE_SHIM", "PATHEXT"} & set(written["env"])


async def test_execs_log_at_the_same_time(tmp_path: Path, name: str) -> None:
    first, one = uri(tmp_path)
    second, other = uri(tmp_path)
    init = await connect(name, Stdio(stdout=first), "ns", 0)
    process = await connect(name, Stdio(stdout=second), "ns", 0, exec_id="e1")
    await asyncio.gather(log(init), log(process))
    await asyncio.gather(init.close(), process.close())
    assert one.exists()
    assert other.exists()


async def test_a_logger_that_does_not_get_ready(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logger, "START_LIMIT", 0.5)
    given, _ = uri(tmp_path, "mute")
    before = handle_count()
    for _ in range(3):
        with pytest.raises(ShimError, match=r"^failed to start binary logger: timeout$"):
            await connect(name, Stdio(stdout=given), "ns", 0)
    assert handle_count() <= before + 4


async def test_a_logger_that_fails_is_not_waited_for(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logger, "START_LIMIT", 10 * PATIENCE)
    given, _ = uri(tmp_path, "fail")
    before = handle_count()
    for _ in range(3):
        with pytest.raises(ShimError, match=r"^failed to start binary logger: exit status 3$"):
            async with asyncio.timeout(PATIENCE):
                await connect(name, Stdio(stdout=given), "ns", 0)
    assert handle_count() <= before + 4


async def test_a_logger_that_does_not_finish_is_killed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logger, "STOP_LIMIT", 0.5)
    given, target = uri(tmp_path, "stubborn")
    upstream = await connect(name, Stdio(stdout=given), "ns", 0)
    await log(upstream)
    async with asyncio.timeout(PATIENCE):
        await upstream.close()
    assert not target.exists()


async def test_a_logger_that_is_not_there(name: str) -> None:
    before = handle_count()
    for _ in range(3):
        with pytest.raises(ShimError, match=r"^failed to start binary logger: "):
            await connect(name, Stdio(stdout="binary:///C:/no/such.exe"), "ns", 0)
    assert handle_count() <= before + 3


async def test_no_handle_is_left_after_many_streams(tmp_path: Path, name: str) -> None:
    async def cycle(number: int) -> None:
        stem = f"{name}-{number}"
        with pipes(stem) as listeners:
            upstream = await connect(stem, stdio_of(stem), "n", 0)
            streams = [await one.accept() for one in listeners.values()]
            await upstream.close()
            for stream in streams:
                stream.close()

    for number in range(3):
        await cycle(number)
    before = handle_count()
    for number in range(20):
        await cycle(number)
    assert handle_count() < before + 10
