"""HostProcess containers run real processes: output, input, statuses, execs, ends."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from podshim.engine import Stdio
from podshim.errors import FailedPreconditionError, NotFoundError, ShimError, UnimplementedError
from podshim.transport.proactor import signalled
from podshim.win32.running import open_process
from windows.cases.hostprocesses import (
    ended,
    finish,
    handle_count,
    host,
    python,
)

SLEEP = "import sys, time; print('ready', flush=True); time.sleep(600)"


def spec(args: list[str], **members: object) -> bytes:
    return json.dumps({"args": args, **members}).encode()


async def test_output_and_status(tmp_path: Path) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    async with host(tmp_path) as machine:
        assert await machine.run(python(code)) == (7, "out\n", "err\n")
        assert machine.layers.mounted == 0


async def test_statuses_are_unsigned_and_32_bits_wide(tmp_path: Path) -> None:
    code = "import ctypes; ctypes.windll.kernel32.ExitProcess(0xC000013A)"
    async with host(tmp_path) as machine:
        status, _, _ = await machine.run(python(code))
        assert status == 0xC000013A


async def test_input_reaches_the_process_and_its_end_too(tmp_path: Path) -> None:
    code = "import sys; data = sys.stdin.buffer.read(); print(len(data), data[:5])"
    async with host(tmp_path) as machine:
        client = machine.client(stdin=True)
        container = await machine.create(python(code), client.stdio)
        await container.init.start()
        await client.send(b"hello" + b"x" * 200_000)
        await client.end_input()
        assert await ended(container.init) == 0
        await finish(container)
        await client.ends()
        assert client.out == "200005 b'hello'\n"


async def test_close_io_ends_the_input(tmp_path: Path) -> None:
    code = "import sys; print(sys.stdin.read())"
    async with host(tmp_path) as machine:
        client = machine.client(stdin=True)
        container = await machine.create(python(code), client.stdio)
        await container.init.start()
        await client.send(b"all of it")
        await container.init.close_stdin()
        assert await ended(container.init) == 0
        await finish(container)
        await client.ends()
        assert client.out == "all of it\n"


async def test_much_output_comes_out_whole(tmp_path: Path) -> None:
    code = "import sys\nfor i in range(200000): print(i)"
    async with host(tmp_path) as machine:
        status, out, _ = await machine.run(python(code))
        assert status == 0
        assert out == "".join(f"{number}\n" for number in range(200_000))


async def test_execs_run_in_the_same_job(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        client, other = machine.client(), machine.client()
        container = await machine.create(python(SLEEP), client.stdio)
        await container.init.start()
        await client.until("ready")
        process = await container.exec(
            "e1",
            spec(python("import os; print(os.getpid()); import sys; sys.exit(3)")),
            other.stdio,
        )
        assert process.pid == 0
        await process.start()
        assert await ended(process) == 3
        await process.delete()
        await other.ends()
        assert other.out == f"{process.pid}\n"
        assert list(await container.pids()) == [container.init.pid]
        await container.init.kill(9)
        assert await ended(container.init) == 1
        await finish(container)


async def test_many_execs_at_once_keep_their_output_apart(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        container = await machine.create(python(SLEEP))
        await container.init.start()
        code = "import sys\nfor i in range(20000): print(sys.argv[1])\nsys.exit(int(sys.argv[1]))"

        async def run(number: int) -> None:
            client = machine.client()
            process = await container.exec(
                f"e{number}", spec(python(code, str(number))), client.stdio
            )
            await process.start()
            assert await ended(process) == number
            await process.delete()
            await client.ends()
            assert client.out == f"{number}\n" * 20_000

        await asyncio.gather(*(run(number) for number in range(1, 9)))
        await container.init.terminate()
        assert await ended(container.init) == 1
        await container.init.terminate()


async def test_the_inits_end_ends_what_still_runs(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        client, other = machine.client(), machine.client()
        container = await machine.create(python(SLEEP), client.stdio)
        waiting = await container.exec("waits", spec(python("pass")), Stdio())
        await container.init.start()
        process = await container.exec("e1", spec(python(SLEEP)), other.stdio)
        await process.start()
        await other.until("ready")
        await container.init.kill(9)
        assert await ended(container.init) == 1
        await container.init.delete()
        await container.init_exited()
        await ended(process)
        assert await ended(waiting) == 1
        assert list(await container.pids()) == []
        late = await container.exec("late", spec(python("pass")), Stdio())
        assert await ended(late) == 1
        await container.delete()
        with pytest.raises(NotFoundError):
            await container.pids()


# A program that hears of control events: it writes their numbers, and heeds them if it is told to.
HEARS = """
import ctypes, os, sys, time
def hear(event):
    os.write(1, f"heard {event}\\n".encode())
    if "heed" in sys.argv:
        ctypes.windll.kernel32.ExitProcess(9)
    return 1
handler = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(hear)
ctypes.windll.kernel32.SetConsoleCtrlHandler(handler, 1)
print("ready", flush=True)
time.sleep(600)
"""


async def test_the_rest_is_told_to_shut_down(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        client, other = machine.client(), machine.client()
        container = await machine.create(python(SLEEP), client.stdio)
        await container.init.start()
        process = await container.exec("e1", spec(python(HEARS, "heed")), other.stdio)
        await process.start()
        await other.until("ready")
        await container.init.kill(9)
        await ended(container.init)
        await container.init_exited()
        assert await ended(process) == 9
        await process.delete()
        await other.ends()
        assert "heard 6\n" in other.out
        await container.delete()


async def test_what_does_not_shut_down_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podshim.engines.hcs.hostprocess.job.GRACE", 0.5)
    async with host(tmp_path) as machine:
        client, other = machine.client(), machine.client()
        container = await machine.create(python(SLEEP), client.stdio)
        await container.init.start()
        process = await container.exec("e1", spec(python(HEARS)), other.stdio)
        await process.start()
        await other.until("ready")
        await container.init.kill(9)
        await ended(container.init)
        await container.init_exited()
        assert await ended(process) == 1
        assert list(await container.pids()) == []
        await process.delete()
        await other.ends()
        assert "heard 6\n" in other.out
        await container.delete()


@pytest.mark.parametrize(("signal", "event"), [(0, 0), (1, 1), (2, 2), (5, 5), (6, 6), (15, 6)])
async def test_signals_are_control_events(tmp_path: Path, signal: int, event: int) -> None:
    async with host(tmp_path) as machine:
        client = machine.client()
        container = await machine.create(python(HEARS, "heed"), client.stdio)
        await container.init.start()
        await client.until("ready")
        await container.init.kill(signal)
        assert await ended(container.init) == 9
        await finish(container)
        await client.ends()
        assert f"heard {event}\n" in client.out


async def test_a_descendant_dies_with_its_job(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c',"
        " 'import time; time.sleep(600)']); print(child.pid, flush=True)"
    )
    async with host(tmp_path) as machine:
        client = machine.client()
        container = await machine.create(python(code), client.stdio)
        await container.init.start()
        assert await ended(container.init) == 0
        await client.until("\n")
        with open_process(int(client.out), 0x100000) as child:
            before = time.monotonic()
            await container.init.delete()  # the child holds the output open
            assert time.monotonic() - before < 5
            await container.init_exited()
            async with asyncio.timeout(20):
                await signalled(child)
            await container.delete()


async def test_closing_the_job_kills_what_is_left(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        client = machine.client()
        container = await machine.create(python(SLEEP), client.stdio)
        await container.init.start()
        with open_process(container.init.pid, 0x100000) as process:
            container._job.job.close()
            async with asyncio.timeout(20):
                await signalled(process)
        await ended(container.init)


async def test_signals_of_windows_end_a_process(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        client = machine.client()
        container = await machine.create(python(SLEEP), client.stdio)
        await container.init.start()
        await client.until("ready")
        await container.init.kill(15)
        await ended(container.init)
        with pytest.raises(NotFoundError, match="process already finished"):
            await container.init.kill(15)
        await finish(container)


@pytest.mark.parametrize("signal", [3, 4, 7, 8, 10, 99])
async def test_other_signals_are_refused(tmp_path: Path, signal: int) -> None:
    async with host(tmp_path) as machine:
        container = await machine.create(python(SLEEP))
        await container.init.start()
        with pytest.raises(FailedPreconditionError, match=f"signal {signal}: invalid signal value"):
            await container.init.kill(signal)


async def test_a_process_that_never_ran_ends_with_status_1(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        client = machine.client()
        container = await machine.create(python("pass"), client.stdio)
        await container.init.kill(15)
        assert await ended(container.init) == 1
        with pytest.raises(FailedPreconditionError):
            await container.init.start()
        await finish(container)
        await client.ends()


async def test_killing_everyone(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        client, other = machine.client(), machine.client()
        container = await machine.create(python(SLEEP), client.stdio)
        await container.init.start()
        process = await container.exec("e1", spec(python(SLEEP)), other.stdio)
        await process.start()
        await container.kill(9, everyone=True)
        assert await ended(process) == 1
        assert await ended(container.init) == 1
        await finish(container)


async def test_a_terminal_shows_what_a_living_process_writes(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        client = machine.client(stdin=True, terminal=True)
        # Wine gives a process no standard handles of its console: it opens the console itself.
        code = "import time; print('ready', file=open('CONOUT$', 'w'), flush=True); time.sleep(600)"
        container = await machine.create(python(code), client.stdio, terminal=True)
        await container.init.start()
        await client.until("ready")
        text = "^failed to resize pseudo console for job container: "
        with pytest.raises(ShimError, match=text):
            await container.init.resize(100, 40)  # which Wine can't
        await container.init.close_stdin()
        assert list(await container.pids())
        await container.init.kill(9)
        assert await ended(container.init) == 1
        await finish(container)
        await client.ends()


async def test_without_a_terminal_there_is_nothing_to_resize(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        container = await machine.create(python(SLEEP))
        await container.init.resize(80, 25)
        await container.init.start()
        with pytest.raises(ShimError, match="no pseudo console assigned for process"):
            await container.init.resize(80, 25)


async def test_limits_can_not_be_changed(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        container = await machine.create(python("pass"))
        with pytest.raises(ShimError, match=r"^modify not supported for job containers$"):
            await container.update(b'{"memory": {"limit": 1000000}}')
        with pytest.raises(UnimplementedError):
            await container.update(b'{"cpu": {"affinity": [{"mask": 1}]}}')
        with pytest.raises(ShimError, match=r"^modify not supported for job containers$"):
            await container.add_mount("C:\\a", "C:\\b", read_only=False)


async def test_a_missing_pipe_fails_the_creation_and_leaves_nothing(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        before = handle_count()
        for _ in range(5):
            with pytest.raises(ShimError, match=r"open \\\\.\\pipe\\nobody-listens"):
                await machine.create(python("pass"), Stdio(stdout=r"\\.\pipe\nobody-listens"))
        assert machine.layers.mounted == 0
        assert handle_count() <= before + 3


async def test_no_handle_is_left_after_many_containers(tmp_path: Path) -> None:
    async def cycle() -> None:
        async with host(tmp_path) as machine:
            client, other = machine.client(stdin=True), machine.client()
            container = await machine.create(python("import sys; sys.stdin.read()"), client.stdio)
            await container.init.start()
            process = await container.exec("e1", spec(["cmd", "/c", "exit 4"]), other.stdio)
            await process.start()
            assert await ended(process) == 4
            await process.delete()
            await container.statistics()
            await container.process_details()
            await client.end_input()
            assert await ended(container.init) == 0
            await finish(container)
            with pytest.raises(ShimError):
                await machine.create(python("pass"), Stdio(stdout=r"\\.\pipe\nobody-listens"))

    for _ in range(2):
        await cycle()
    before = handle_count()
    for _ in range(16):
        await cycle()
    # A leak of one handle in a cycle would be sixteen; threads of the pool may have joined.
    assert handle_count() < before + 12
    assert len(asyncio.all_tasks()) == 1
