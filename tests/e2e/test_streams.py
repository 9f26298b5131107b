"""Streams without a terminal: fifos that the container holds itself, files, nothing."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING

import pytest

from e2e.e2e_support import RUNNING, Holdings, House, begin, refused, unchanged, until
from podshim.engine import Stdio
from podshim.errors import Code, DeadlineExceededError
from podshim.manager import Streams, Task

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def folder(house: House, tmp_path: Path) -> Path:
    """Where a test keeps streams of its own."""
    return tmp_path


async def feed(task: Task, data: bytes) -> None:
    await task.stdin.write(data)
    await task.close_stdin()


async def test_20_mib_through_cat(house: House) -> None:
    """20 MiB through stdin, cat and stdout are byte exact, for the init as for an exec."""
    data = random.Random(1).randbytes(20 * MIB)
    async with house.running("cat") as task:
        (output, errors), _ = await asyncio.gather(task.read_all(), feed(task, data))
        assert output == data
        assert errors == b""
        assert (await task.wait()).status == 0
    async with house.running() as task:
        result = await task.run("e", ["cat"], stdin=data)
        assert result.stdout == data


async def test_a_burst_before_the_end(house: House) -> None:
    """8 MiB, immediate exit and Delete: all of it arrives."""
    script = f"yes 0123456 | head -c {8 * MIB}; exit 5"
    async with house.shell(script) as task:
        reading = asyncio.ensure_future(task.read_all())
        assert (await task.wait()).status == 5
        await task.delete()
        output, _ = await reading
        assert len(output) == 8 * MIB
        assert output == b"0123456\n" * MIB


async def test_fast_output_of_many_execs(house: House) -> None:
    """What an exec prints just before its end is never lost, however often it is tried."""
    async with house.running() as task:
        for number in range(15):
            result = await task.run(f"e{number}", ["sh", "-c", f"echo {number}; exit {number}"])
            assert (result.status, result.stdout) == (number, f"{number}\n".encode())


async def test_the_end_of_file_comes_without_delete(house: House) -> None:
    """A reader sees the end of stdout and stderr after the exit, though nobody has deleted."""
    async with house.shell("echo out; echo err >&2") as task:
        assert await task.read_all() == (b"out\n", b"err\n")
        assert (await task.wait()).status == 0
    async with house.running() as task:
        process = await begin(task, "e", "echo out; echo err >&2")
        assert await process.read_all() == (b"out\n", b"err\n")


async def test_the_end_of_input_is_the_shim_s_to_tell(house: House) -> None:
    """The client's close of stdin is no end of file; CloseIO is; again is no error."""
    async with house.running("sh", "-c", "cat; echo over") as task:
        await task.stdin.write(b"one\n")
        assert await task.stdout.read_until(b"one\n") == b"one\n"
        task.stdin.detach()
        with pytest.raises(DeadlineExceededError):
            await task.stdout.read(timeout=0.3)
        task.stdin.attach()
        await task.stdin.write(b"two\n")
        assert await task.stdout.read_until(b"two\n") == b"two\n"
        await task.close_stdin()
        assert await task.stdout.read_until(b"over\n") == b"over\n"
        await task.close_stdin()
        assert (await task.wait()).status == 0
        await task.close_stdin()


async def test_a_client_that_goes_and_comes_back(house: House) -> None:
    """Detached, the container is not hurt by EPIPE and waits when the pipe is full; then goes on.

    Not a byte is lost, whoever reads.
    """
    count = 200_000
    async with house.shell(f"seq {count}; echo done >&2") as task:
        first = await task.stdout.read_until(b"\n1000\n")
        task.fifos.detach()
        await asyncio.sleep(0)
        task.fifos.attach()
        middle = await task.stdout.read_until(b"\n100000\n")
        task.fifos.detach()
        assert (await task.state()).status == RUNNING
        task.fifos.attach()
        rest, errors = await task.read_all()
        assert (await task.wait()).status == 0
    expected = b"".join(b"%d\n" % number for number in range(1, count + 1))
    assert first + middle + rest == expected
    assert errors == b"done\n"


async def test_output_that_nobody_reads_is_kept(house: House) -> None:
    """60 KiB printed with no reader, then the end: a reader that comes gets all, the end, 7."""
    async with house.task("sh", "-c", "head -c 61440 /dev/zero; exit 7") as task:
        task.fifos.detach()
        await task.start()
        assert (await task.wait()).status == 7
        task.fifos.attach()
        output, errors = await task.read_all()
        assert (output, errors) == (bytes(61440), b"")
        assert (await task.delete()).status == 7


async def test_output_that_nobody_reads_of_an_exec(house: House) -> None:
    """The same for an exec."""
    async with house.running() as task:
        process = await task.exec("e", ["sh", "-c", "head -c 61440 /dev/zero; exit 7"])
        process.fifos.detach()
        await process.start()
        assert (await process.wait()).status == 7
        process.fifos.attach()
        assert await process.read_all() == (bytes(61440), b"")
        await process.delete()


async def test_a_delete_does_not_wait_for_a_reader(house: House) -> None:
    """Delete of a container whose output nobody reads returns, and its descriptors go."""
    async with house.task("sh", "-c", "head -c 60000 /dev/zero") as task:
        task.fifos.detach()
        await task.start()
        await task.wait()
        await task.delete(timeout=30)
    await unchanged(house)


async def test_grandchildren_keep_the_output_open(house: House) -> None:
    """What a background child prints after its parent exec has ended still arrives."""
    async with house.running() as task:
        script = "mkfifo /dev/shm/go; (read line < /dev/shm/go; echo late) & echo early"
        process = await begin(task, "e", script, stdin=False)
        assert await process.stdout.read_until(b"early\n") == b"early\n"
        assert (await process.wait()).status == 0
        await task.run("go", ["sh", "-c", "echo > /dev/shm/go"])
        assert await process.stdout.read_until(b"late\n") == b"late\n"
        assert await process.read_all() == (b"", b"")


@pytest.mark.parametrize("kept", ["stdin", "stdout", "stderr", "none"])
async def test_streams_that_are_left_empty(house: House, folder: Path, kept: str) -> None:
    """Any stream may be missing, or all: what goes there is discarded, what comes is nothing."""
    script = "echo out; echo err >&2; read line; echo $line >&2; exit 4"
    fifos = Streams(str(folder), "kept")
    whole = fifos.stdio
    given = {} if kept == "none" else {kept: getattr(whole, kept)}
    try:
        async with house.shell(script, stdio=Stdio(**given)) as task:
            if kept == "stdin":
                await fifos.stdin.write(b"x\n")
            assert (await task.wait()).status == 4
            if kept == "stdout":
                assert await fifos.stdout.read_all() == b"out\n"
            if kept == "stderr":
                assert await fifos.stderr.read_all() == b"err\n\n"
            await task.delete()
        async with house.running() as task:
            process = await task.exec("e", ["sh", "-c", script], stdio=Stdio(**given))
            await process.start()
            if kept == "stdin":
                await fifos.stdin.write(b"x\n")
            assert (await process.wait()).status == 4
    finally:
        fifos.close()


async def test_file_takes_both_outputs(house: House, folder: Path) -> None:
    """`file://` makes folders and file, appends both outputs to it, and keeps what was there."""
    path = folder / "logs/of/it.log"
    path.parent.mkdir(parents=True)
    path.write_text("before\n")
    uri = f"file://{path}"
    async with house.shell("echo out; echo err >&2", stdio=Stdio(stdout=uri, stderr=uri)) as task:
        await task.wait()
        await task.delete()
        assert sorted(path.read_text().splitlines()) == ["before", "err", "out"]
    new = folder / "new/folder/it.log"
    async with house.running() as task:
        stdio = Stdio(stdout=f"file://{new}", stderr=f"file://{new}")
        process = await task.exec("e", ["sh", "-c", "seq 50000; echo err >&2"], stdio=stdio)
        await process.start()
        await process.wait()
        await process.delete()
    # The two streams are copied side by side: the one may come in the middle of the other's line.
    text = new.read_text()
    assert text.replace("err\n", "", 1).splitlines() == [str(n) for n in range(1, 50_001)]
    assert text.count("err\n") == 1
    assert new.stat().st_mode & 0o777 == 0o644


async def test_an_existing_file_is_appended_to(house: House, folder: Path) -> None:
    """A plain path may be a regular file: it is appended to."""
    path = folder / "plain"
    path.write_text("old\n")
    async with house.shell("echo new", stdio=Stdio(stdout=str(path))) as task:
        await task.wait()
        await task.delete()
    assert path.read_text() == "old\nnew\n"


@pytest.mark.parametrize(
    ("stdout", "text"),
    [
        ("gopher://host/x", "unknown STDIO scheme gopher"),
        ("/no/such/folder/fifo", "/no/such/folder/fifo: no such file or directory"),
        ("file:///proc/nothing/x", "/proc/nothing"),
        ("binary:///no/such/logger", "/no/such/logger"),
    ],
)
async def test_streams_that_can_not_be(house: House, stdout: str, text: str) -> None:
    """An unknown scheme, a missing path: an error that names it, and no container is left."""
    async with house.place(house.spec(["true"])) as shim:
        with refused(Code.UNKNOWN, text):
            await shim.create(stdio=Stdio(stdout=stdout), rootfs=house.rootfs_mount())
        assert not house.runtime_state(shim.id).exists()
        assert house.topics(shim) == []
        # The id is free, and the bundle of use.
        task = await shim.create()
        await task.start()
        assert (await task.wait()).status == 0
    async with house.running() as task:
        process = await task.exec("e", ["true"], stdio=Stdio(stdout=stdout))
        with refused(Code.UNKNOWN, text):
            await process.start()
        await process.delete()
    await unchanged(house)


async def test_fifos_that_are_renamed_after_the_start(house: House) -> None:
    """A stream stays the one that was given, wherever its path leads later."""
    async with house.shell("read line; echo $line") as task:
        os.rename(task.stdout.path, f"{task.stdout.path}.moved")
        await task.stdin.write(b"on\n")
        assert (await task.read_all())[0] == b"on\n"


async def test_dev_stdout_can_be_reopened(house: House) -> None:
    """A process may open /dev/stdout and /dev/stderr again, as root and as another user."""
    script = "echo out > /dev/stdout; echo err > /dev/stderr"
    for user in ((0, 0), (1000, 1000)):
        spec = house.spec(["sh", "-c", script], user=user)
        async with house.running(spec=spec) as task:
            assert await task.read_all() == (b"out\n", b"err\n")
            assert (await task.wait()).status == 0


async def test_a_slow_reader_slows_the_writer_only(house: House) -> None:
    """A container that waits for its reader hinders nobody: State and execs are answered."""
    async with house.shell(f"head -c {4 * MIB} /dev/zero; exit 6") as task:
        await task.stdout.read()
        for number in range(3):
            assert (await task.run(f"e{number}", ["true"])).status == 0
        rest = await task.read_all()
        assert (await task.wait()).status == 6
        assert len(rest[0]) > 3 * MIB


async def test_the_shim_holds_nothing_of_a_reader_that_has_read_all(house: House) -> None:
    """After the end and the reader's end of file, the server has no descriptor of the streams."""
    async with house.shell("echo x") as task:
        await task.wait()
        await task.read_all()

        def of_streams() -> list[str]:
            return [text for text in Holdings.of(house).descriptors if task.task_id in text]

        await until(lambda: not [text for text in of_streams() if "std" in text], "streams closed")
    await unchanged(house)
