"""The manager on Windows: programs, streams, logs and events in pipes, and the life of whole shims.

The shim is podshim's own, or the one of which `PODSHIM_ORIGINAL_SHIM` says the path.
"""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from podshim.api import (
    events_service_pb2,
    events_service_ttrpc,
    task_v3_pb2,
    task_v3_ttrpc,
)
from podshim.errors import Code, DeadlineExceededError, ResourceExhaustedError
from podshim.manager import (
    Manager,
    Shim,
    ShimCommandError,
    Streams,
    finished,
    pod_annotations,
)
from podshim.manager.events import EventsServer
from podshim.manager.platform import LogReader, ProcessHandle, run
from podshim.transport import pipes
from podshim.ttrpc import ConnectionLost, StatusError

assert sys.platform == "win32"

ORIGINAL = os.environ.get("PODSHIM_ORIGINAL_SHIM")
LIMIT = 30.0


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[Manager]:
    os.environ["HCS_STANDIN_TRACE"] = str(tmp_path / "trace.jsonl")
    namespace = f"n{uuid.uuid4().hex[:12]}"
    made = Manager(
        ORIGINAL or "io.containerd.runhcs.v1",
        namespace=namespace,
        loses_first=ORIGINAL is not None,
    )
    async with made as manager:
        yield manager


def spec(manager: Manager, name: str, *args: str, **annotations: str) -> dict[str, Any]:
    """A spec with layers of its own."""
    layers = [Path(manager.folder) / f"{name}-{layer}" for layer in ("base", "scratch")]
    for layer in layers:
        layer.mkdir()
    (layers[1] / "sandbox.vhdx").touch()
    return {
        "ociVersion": "1.0.2",
        "process": process(*args),
        "root": {"path": ""},
        "hostname": "podshim",
        "annotations": annotations,
        "windows": {"layerFolders": [str(layer) for layer in layers]},
    }


def process(*args: str) -> dict[str, Any]:
    return {"args": list(args), "cwd": "C:\\", "user": {}}


WAITING = ("ping", "-n", "600", "127.0.0.1")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


# Programs and processes.


async def test_a_program_is_run(tmp_path: Path) -> None:
    code = (
        "import os, sys; sys.stdout.write(sys.stdin.read() + os.environ['WORD']);"
        "sys.stdout.flush(); sys.stderr.write(os.getcwd()); sys.exit(7)"
    )
    env = {**os.environ, "WORD": "word"}
    done = await run(python(code), cwd=str(tmp_path), env=env, stdin=b"in ", timeout=LIMIT)
    assert (done.status, done.stdout, done.stderr) == (7, b"in word", str(tmp_path).encode())
    done = await run(python(code), cwd=str(tmp_path), env=env, merge=True, timeout=LIMIT)
    assert (done.stdout, done.stderr) == (b"word" + str(tmp_path).encode(), b"")


async def test_a_deadline_ends_a_program() -> None:
    with pytest.raises(DeadlineExceededError, match=r"killed after 0\.5 s"):
        await run(["ping", "-n", "600", "127.0.0.1"], cwd="C:\\", env=os.environ, timeout=0.5)


async def test_too_much_output_ends_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "MAX_OUTPUT", 1000)
    code = "while True: print('x' * 100)"
    with pytest.raises(ResourceExhaustedError, match="1000 bytes"):
        await run(python(code), cwd="C:\\", env=os.environ, timeout=LIMIT)


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        await run(["C:\\nothing.exe"], cwd="C:\\", env=os.environ, timeout=LIMIT)


async def test_a_process_is_watched_and_ended() -> None:
    child = await asyncio.create_subprocess_exec(*WAITING, stdout=asyncio.subprocess.DEVNULL)
    with ProcessHandle(child.pid) as handle:
        with pytest.raises(DeadlineExceededError, match="still runs"):
            await handle.wait(0.05)
        assert not handle.has_ended()
        waiting = asyncio.create_task(handle.wait(LIMIT))
        await asyncio.sleep(0)
        handle.kill()
        await waiting
        assert handle.has_ended()
        handle.kill()
        await handle.wait(LIMIT)
    await child.wait()


# Streams.


@pytest.fixture
async def streams() -> AsyncIterator[Streams]:
    streams = Streams("", f"c-{uuid.uuid4()}")
    yield streams
    streams.close()
    streams.close()
    for path in (streams.stdio.stdin, streams.stdio.stdout, streams.stdio.stderr):
        with pytest.raises(FileNotFoundError):
            await pipes.dial(path)


async def test_output_is_read_to_its_end(streams: Streams) -> None:
    with await pipes.dial(streams.stdio.stdout) as shim:
        writing = asyncio.create_task(shim.write(b"one\ntwo\nrest"))
        assert await streams.stdout.read_until(b"two\n") == b"one\ntwo\n"
        await writing
        assert await streams.stdout.read() == b"rest"
    assert await streams.stdout.read() == b""
    assert await streams.stdout.read_all() == b""


async def test_nothing_is_lost_when_a_deadline_passes(streams: Streams) -> None:
    with pytest.raises(DeadlineExceededError, match="no the end"):
        await streams.stderr.read_all(timeout=0.05)
    with await pipes.dial(streams.stdio.stderr) as shim:
        writing = asyncio.create_task(shim.write(b"half"))
        with pytest.raises(DeadlineExceededError, match="half"):
            await streams.stderr.read_until(b"\n", timeout=0.2)
        await writing
    with pytest.raises(EOFError, match="half"):
        await streams.stderr.read_until(b"\n")
    assert await streams.stderr.read_all() == b"half"


async def test_a_client_that_does_not_read_makes_the_shim_wait(streams: Streams) -> None:
    with await pipes.dial(streams.stdio.stdout) as shim:
        writing = asyncio.create_task(shim.write(b"x"))
        done, _ = await asyncio.wait((writing,), timeout=0.1)
        assert not done
        assert await streams.stdout.read() == b"x"
        assert await writing == 1


async def test_a_client_goes_away_and_comes_back(streams: Streams) -> None:
    with await pipes.dial(streams.stdio.stdout) as shim:
        writing = asyncio.create_task(shim.write(b"a"))
        assert await streams.stdout.read() == b"a"
        await writing
        streams.detach()
        with pytest.raises(OSError, match="WinError"):
            await shim.write(b"b")
        with pytest.raises(ValueError, match="is detached"):
            await streams.stdout.read()
    streams.attach()
    with await pipes.dial(streams.stdio.stdout) as shim:
        writing = asyncio.create_task(shim.write(b"c"))
        assert await streams.stdout.read() == b"c"
        await writing


async def test_input_is_written_and_ended(streams: Streams) -> None:
    writing = asyncio.create_task(streams.stdin.write(b"input"))
    with await pipes.dial(streams.stdio.stdin) as shim:
        assert await shim.read(100) == b"input"
        await writing
        with pytest.raises(DeadlineExceededError, match="3 bytes of 3 not taken"):
            await streams.stdin.write(b"abc", timeout=0.1)
        streams.stdin.detach()
        assert await shim.read(100) == b""


async def test_terminals_and_no_input() -> None:
    streams = Streams("", f"c-{uuid.uuid4()}", terminal=True, stdin=False)
    assert (streams.stdio.stdin, streams.stdio.stderr) == ("", "")
    assert streams.stdio.terminal
    for end in ("stdin", "stderr"):
        with pytest.raises(ValueError, match="there is no standard"):
            getattr(streams, end)
    streams.close()


# Logs and events.


async def test_a_log_is_collected_wherever_it_comes_from() -> None:
    name = f"c-{uuid.uuid4()}"
    reader = LogReader("", "ns", name)
    reader.begin(loses_first=False)
    await asyncio.sleep(0.05)
    with (
        pipes.listen(f"\\\\.\\pipe\\containerd-shim-ns-{name}-log") as listener,
        await listener.accept() as shim,
    ):
        await shim.write(b"hello \xff\n")
        async with asyncio.timeout(LIMIT):
            while not reader.text:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.005)
    assert reader.text == "hello \ufffd\n"
    reader.close()
    reader.close()


async def test_events_are_taken_at_a_pipe() -> None:
    path = f"\\\\.\\pipe\\events-{uuid.uuid4()}"
    request = events_service_pb2.ForwardRequest()
    request.envelope.topic = "/tasks/exit"
    request.envelope.namespace = "ns"
    request.envelope.timestamp.seconds = 1
    request.envelope.event.type_url = "other"
    async with EventsServer(path) as server:
        for _ in range(2):
            async with await pipes.connect(path, timeout=LIMIT) as client:
                await client.call(events_service_ttrpc.FORWARD, request)
            async with server.away():
                with pytest.raises(FileNotFoundError):
                    await pipes.dial(path)
    assert [event.topic for event in server.recorded] == ["/tasks/exit"] * 2


# Whole shims.


async def test_a_container_s_whole_life(manager: Manager) -> None:
    name = f"c-{uuid.uuid4()}"
    whole = spec(manager, name, "cmd", "/c", "set /p X= & echo got it& exit 3")
    async with manager.task(name, spec=whole) as (shim, task):
        assert shim.answer is not None
        assert shim.answer.version == 2
        assert shim.process is not None
        pid = await task.start()
        assert (await task.state()).pid == pid
        await task.stdin.write(b"line\r\n")
        stdout, stderr = await task.read_all()
        assert (stdout.strip(), stderr) == (b"got it", b"")
        ended = await task.wait()
        assert ended.status == 3
        assert ended.at is not None
        assert (await task.delete()).status == 3
        await manager.events.wait("/tasks/delete", name)
        assert manager.events.topics(name)[:4] == [
            "/tasks/create",
            "/tasks/start",
            "/tasks/exit",
            "/tasks/delete",
        ]
        assert (Path(shim.bundle.path) / "address").read_text() == shim.answer.address
        assert shim.bundle.read_start() == shim.answer
    assert not os.path.exists(shim.bundle.path)
    assert await shim.wait_gone()


async def test_execs(manager: Manager) -> None:
    name = f"c-{uuid.uuid4()}"
    async with manager.task(name, spec=spec(manager, name, *WAITING)) as (_, task):
        await task.start()
        echo = await task.exec(f"e-{uuid.uuid4()}", spec=process("cmd", "/c", "echo exec& exit 5"))
        await echo.start()
        assert (await echo.read_all())[0].strip() == b"exec"
        assert (await echo.wait()).status == 5
        assert (await echo.delete()).status == 5
        assert await task.pids()
        assert (await task.stats()).DESCRIPTOR.full_name == "containerd.runhcs.stats.v1.Statistics"
        await task.kill(9)
        assert (await task.wait()).status != 0


async def test_a_pod_has_one_server(manager: Manager) -> None:
    pod, name = f"p-{uuid.uuid4()}", f"c-{uuid.uuid4()}"
    sandbox = spec(manager, pod, *WAITING, **pod_annotations(pod, sandbox=True))
    member = spec(manager, name, "cmd", "/c", "echo member", **pod_annotations(pod))
    async with manager.task(pod, spec=sandbox) as (first, pause):
        await pause.start()
        async with manager.task(name, spec=member) as (second, task):
            assert first.answer == second.answer
            assert first.process is not None
            assert second.process is not None
            assert first.process.pid == second.process.pid
            await task.start()
            assert (await task.read_all())[0].strip() == b"member"
            await task.wait()
    assert await first.wait_gone()


async def test_a_daemon_that_restarts_finds_its_shim(manager: Manager) -> None:
    name = f"c-{uuid.uuid4()}"
    async with manager.task(name, spec=spec(manager, name, *WAITING)) as (shim, task):
        pid = await task.start()
        await shim.disconnect()
        with pytest.raises(ConnectionLost):
            await task.state()
        await shim.connect()
        assert (await task.state()).pid == pid


async def test_a_server_that_was_killed_is_cleaned_up(manager: Manager) -> None:
    name = f"c-{uuid.uuid4()}"
    async with manager.task(name, spec=spec(manager, name, *WAITING)) as (shim, task):
        await task.start()
        await shim.kill()
        ended = await shim.delete()
        assert ended.status == 255
        with pytest.raises(OSError, match="WinError"):
            await shim.connect()


async def test_errors_of_a_shim_are_told(manager: Manager) -> None:
    name = f"c-{uuid.uuid4()}"
    shim = manager.prepare(name, None)  # without a config.json
    with pytest.raises(ShimCommandError, match="exit status 1"):
        await shim.start()
    await shim.close()
    async with manager.shim(name, spec(manager, name, *WAITING)) as shim:
        with pytest.raises(StatusError) as caught:
            await missing(shim)
        assert caught.value.code is Code.NOT_FOUND


async def missing(shim: Shim) -> None:
    await shim.calls.call(task_v3_ttrpc.STATE, task_v3_pb2.StateRequest(id="nobody"))
