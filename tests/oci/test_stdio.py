"""Streams of real containers: nothing lost, nothing blocked, nothing leaked."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from oci.oci_support import Holdings, Workshop, settled
from podshim.engine import Stdio
from podshim.engines.oci import process, stdio as stdio_module
from podshim.engines.oci.fifo import reopen
from podshim.errors import DeadlineExceededError, ShimError
from podshim.manager.stdio import FifoReader


async def test_a_burst_before_the_end_is_byte_exact(shop: Workshop) -> None:
    box = await shop.shell("yes 0123456789abcde | head -c 8388608")
    assert box.fifos is not None
    reading = asyncio.create_task(box.fifos.stdout.read_all())
    assert (await box.run()).status == 0
    data = await reading
    await box.remove()
    assert data == b"0123456789abcde\n" * (8388608 // 16)


async def test_20_mib_through_cat(shop: Workshop) -> None:
    box = await shop.box("/bin/cat", stdin=True)
    assert box.fifos is not None
    assert box.fifos.stdin is not None
    data = os.urandom(1 << 20) * 20
    await box.container.init.start()
    reading = asyncio.create_task(box.fifos.stdout.read_all())
    await box.fifos.stdin.write(data)
    box.fifos.stdin.detach()
    await box.container.init.close_stdin()
    assert (await box.container.init.wait()).status == 0
    assert hashlib.sha256(await reading).digest() == hashlib.sha256(data).digest()
    await box.remove()


async def test_a_client_that_leaves_is_no_end_of_input(shop: Workshop) -> None:
    box = await shop.box("/bin/cat", stdin=True)
    assert box.fifos is not None
    assert box.fifos.stdin is not None
    await box.container.init.start()
    await box.fifos.stdin.write(b"one\n")
    assert await box.fifos.stdout.read_until(b"one\n") == b"one\n"
    box.fifos.detach()
    # A write to a fifo with no reader at all would fail; the shim's own keeps it open.
    fd = os.open(box.fifos.stdin.path, os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, b"two\n")
    os.close(fd)
    box.fifos.attach()
    assert await box.fifos.stdout.read_until(b"two\n") == b"two\n"
    assert box.container.init.exit is None  # type: ignore[attr-defined]
    box.fifos.stdin.detach()
    await box.container.init.close_stdin()
    await box.container.init.close_stdin()
    assert (await box.container.init.wait()).status == 0
    assert await box.fifos.stdout.read_all() == b""
    await box.remove()


async def test_output_without_a_reader_is_kept_after_the_end(shop: Workshop) -> None:
    box = await shop.shell("yes 0123456789abcde | head -c 61440; echo end >&2")
    assert box.fifos is not None
    box.fifos.detach()
    assert (await box.run()).status == 0
    # Nobody has been there: an end of file, or fewer bytes, would be a loss.
    await asyncio.sleep(0)
    box.fifos.attach()
    assert len(await box.fifos.stdout.read_all()) == 61440
    assert await box.fifos.stderr.read_all() == b"end\n"
    await box.remove()


async def test_a_reader_that_leaves_half_way_loses_nothing(shop: Workshop) -> None:
    box = await shop.shell("yes 0123456789abcde | head -c 61440")
    assert box.fifos is not None
    assert isinstance(box.fifos.stdout, FifoReader)
    assert (await box.run()).status == 0
    first = os.read(box.fifos.stdout._fd, 1000)
    box.fifos.detach()
    box.fifos.attach()
    rest = await box.fifos.stdout.read_all()
    assert first + rest == b"0123456789abcde\n" * (61440 // 16)
    await box.remove()


async def test_output_that_nobody_reads_does_not_hold_up_the_exit(shop: Workshop) -> None:
    box = await shop.shell("echo unread")
    assert box.fifos is not None
    box.fifos.detach()
    before = Holdings.now()
    assert (await box.run()).status == 0
    async with asyncio.timeout(5):
        await box.remove()
    assert Holdings.now().fds <= before.fds


@pytest.mark.parametrize("missing", ["stdout", "stderr", "both"])
async def test_missing_streams_are_dev_null(shop: Workshop, missing: str) -> None:
    fifos = shop.streams()
    stdio = Stdio(
        stdout="" if missing in {"stdout", "both"} else fifos.stdio.stdout,
        stderr="" if missing in {"stderr", "both"} else fifos.stdio.stderr,
    )
    script = "echo out || exit 1; echo err >&2 || exit 2; read x && exit 3; exit 0"
    box = await shop.create(shop.request(shop.spec("/bin/sh", "-c", script), stdio))
    assert (await box.run()).status == 0
    if missing == "stderr":
        assert await fifos.stdout.read_all() == b"out\n"
    if missing == "stdout":
        assert fifos.stderr is not None
        assert await fifos.stderr.read_all() == b"err\n"
    await box.remove()


async def test_fifo_scheme_and_one_path_for_both(shop: Workshop) -> None:
    fifos = shop.streams()
    uri = "fifo://" + fifos.stdio.stdout
    spec = shop.spec("/bin/sh", "-c", "echo out; echo err >&2")
    box = await shop.create(shop.request(spec, Stdio(stdout=uri, stderr=uri)))
    assert (await box.run()).status == 0
    assert await fifos.stdout.read_all() == b"out\nerr\n"
    await box.remove()


@pytest.mark.parametrize("user", [(0, 0), (1000, 1000)])
async def test_dev_stdout_can_be_reopened(shop: Workshop, user: tuple[int, int]) -> None:
    script = "echo one > /dev/stdout && echo two > /dev/stderr && echo ok"
    box = await shop.shell(script, user=user)
    assert box.fifos is not None
    assert (await box.run()).status == 0
    assert await box.fifos.stdout.read_all() == b"one\nok\n"
    assert await box.fifos.stderr.read_all() == b"two\n"
    await box.remove()


async def test_dev_stdout_can_be_reopened_in_a_user_namespace(shop: Workshop) -> None:
    fifos = shop.streams()
    spec = shop.spec("/bin/sh", "-c", "echo one > /dev/stdout && id -u && echo ok")
    spec["linux"]["namespaces"].append({"type": "user"})
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    spec["linux"]["uidMappings"] = spec["linux"]["gidMappings"] = maps
    spec["mounts"] = [m for m in spec["mounts"] if m["destination"] in {"/proc", "/dev"}]
    for folder in (*shop.folder.parents, shop.folder):
        if folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o711)
    request = shop.request(spec, fifos.stdio, io_uid=100000, io_gid=100000)
    os.chmod(request.bundle.path, 0o711)
    box = await shop.create(request, fifos)
    assert (await box.run()).status == 0, await fifos.stderr.read_all()
    assert await fifos.stdout.read_all() == b"one\n0\nok\n"
    await box.remove()


async def test_file_scheme_appends_both_streams(shop: Workshop) -> None:
    path = shop.folder / "deep/er/out.log"
    spec = shop.spec("/bin/sh", "-c", "echo out; echo err >&2")
    stdio = Stdio(stdout=f"file://{path}", stderr=f"file://{path}")
    for _ in range(2):
        box = await shop.create(shop.request(dict(spec, linux=dict(spec["linux"])), stdio))
        assert (await box.run()).status == 0
        await box.remove()
    assert sorted(path.read_text().split()) == ["err", "err", "out", "out"]
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o755


async def test_a_log_file_that_nobody_serves_holds_up_no_one(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that hangs, or a fifo instead of a file: other containers must not feel it."""
    before = Holdings.now()
    fifo = shop.folder / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(ShimError, match="No such device or address"):
        await shop.create(shop.request(shop.spec("/bin/true"), Stdio(stdout=f"file://{fifo}")))
    monkeypatch.setattr(stdio_module, "OPEN_LIMIT", 0.2)
    opened = threading.Event()
    real_open = stdio_module.open_log_file

    def slow_open(path: str) -> int:
        opened.wait(60)
        return real_open(path)

    monkeypatch.setattr(stdio_module, "open_log_file", slow_open)
    stdio = Stdio(stdout=f"file://{shop.folder}/log")
    with pytest.raises(DeadlineExceededError, match="opening the log file did not end"):
        await shop.create(shop.request(shop.spec("/bin/true"), stdio))
    opened.set()
    await settled(before)


async def test_an_existing_file_that_opens_slowly_holds_up_no_one(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shop.folder / "plain"
    path.touch()
    others_ran = threading.Event()
    loop = asyncio.get_running_loop()

    def slow_reopen(handle: int, flags: int) -> int:
        loop.call_soon_threadsafe(others_ran.set)
        assert others_ran.wait(10)
        return reopen(handle, flags)

    monkeypatch.setattr(stdio_module, "reopen", slow_reopen)
    spec = shop.spec("/bin/echo", "out")
    box = await shop.create(shop.request(spec, Stdio(stdout=str(path))))
    assert (await box.run()).status == 0
    await box.remove()
    assert path.read_text() == "out\n"


async def test_input_may_come_from_a_file_or_a_device(shop: Workshop) -> None:
    path = shop.folder / "input"
    path.write_text("first\nlast\n")
    before = Holdings.now()
    for stdin, printed in (("/dev/null", b"end\n"), (str(path), b"first\nlast\nend\n")):
        fifos = shop.streams()
        spec = shop.spec("/bin/sh", "-c", "cat && echo end")
        request = shop.request(spec, replace(fifos.stdio, stdin=stdin))
        box = await shop.create(request, fifos)
        assert (await box.run()).status == 0
        assert await fifos.stdout.read_all() == printed
        await box.remove()
        fifos.close()
    await settled(before)


async def test_an_existing_file_is_appended_to(shop: Workshop) -> None:
    path = shop.folder / "plain"
    path.write_text("before\n")
    spec = shop.spec("/bin/sh", "-c", "echo out; echo err >&2")
    box = await shop.create(shop.request(spec, Stdio(stdout=str(path), stderr=str(path))))
    assert (await box.run()).status == 0
    await box.remove()
    assert sorted(path.read_text().split()) == ["before", "err", "out"]


@pytest.mark.parametrize(
    ("stdout", "text"),
    [
        ("bogus://x", "failed to create init process I/O: unknown STDIO scheme bogus"),
        ("/does/not/exist", 'opening file "/does/not/exist" failed: open /does/not/exist: no such'),
        ("binary:///does/not/exist", "failed to start binary process: fork/exec /does/not/exist"),
    ],
)
async def test_what_can_not_be_opened_is_told(shop: Workshop, stdout: str, text: str) -> None:
    before = Holdings.now()
    with pytest.raises(ShimError) as caught:
        await shop.create(shop.request(shop.spec("/bin/true"), Stdio(stdout=stdout)))
    assert text in str(caught.value)
    await settled(before)


async def test_a_labelled_process_gets_pipes(shop: Workshop) -> None:
    """The label is seen by the shim alone: no SELinux here, so it is taken out for the runtime."""
    script = f"""#!/bin/sh
sed -i 's/"selinuxLabel": "x", //' config.json
exec {shop.runtime} "$@"
"""
    wrapper = shop.folder / "wrapper"
    wrapper.write_text(script)
    wrapper.chmod(0o755)
    fifos = shop.streams(stdin=True)
    spec = shop.spec("/bin/sh", "-c", "ls -l /proc/self/fd/1; cat; echo err >&2")
    spec["process"] = {"selinuxLabel": "x", **spec["process"]}
    request = shop.request(spec, fifos.stdio, binary_name=str(wrapper))
    box = await shop.create(request, fifos)
    await box.container.init.start()
    assert b"pipe:" in await fifos.stdout.read_until(b"\n")
    assert fifos.stdin is not None
    data = os.urandom(1 << 20)
    reading = asyncio.create_task(fifos.stdout.read_all())
    await fifos.stdin.write(data)
    fifos.stdin.detach()
    await box.container.init.close_stdin()
    assert (await box.container.init.wait()).status == 0
    assert await reading == data
    assert await fifos.stderr.read_all() == b"err\n"
    await box.remove()


async def test_a_full_disk_stops_no_container(
    shop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    spec = shop.spec("/bin/sh", "-c", "yes | head -c 1000000; echo late; exit 3")
    box = await shop.create(shop.request(spec, Stdio(stdout="/dev/full")))
    assert (await box.run()).status == 3
    await box.remove()
    assert "output is being discarded: No space left on device" in caplog.text


async def test_a_drain_has_an_end(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "DRAIN_LIMIT", 0.2)
    before = Holdings.now()
    box = await shop.box("/bin/yes", terminal=True)
    assert box.fifos is not None
    await box.container.init.start()
    await box.fifos.stdout.read_until(b"y\r\n")  # and no more: the fifo fills up
    await box.container.kill(9, everyone=True)
    assert (await box.container.init.wait()).status == 137
    async with asyncio.timeout(10):
        await box.remove()
    box.fifos.close()
    await settled(before)


async def test_a_closed_input_does_not_stop_the_client_s_other_streams(shop: Workshop) -> None:
    box = await shop.shell("exec 0<&-; sleep 0.05; echo alive", stdin=True)
    assert box.fifos is not None
    assert box.fifos.stdin is not None
    await box.container.init.start()
    await box.fifos.stdin.write(b"x" * 1000)
    assert (await box.container.init.wait()).status == 0
    assert await box.fifos.stdout.read_all() == b"alive\n"
    await box.remove()


async def test_a_flood_leaves_the_loop_to_others(shop: Workshop) -> None:
    path = shop.folder / "flood.log"
    spec = shop.spec("/bin/sh", "-c", "yes | head -c 50000000")
    box = await shop.create(shop.request(spec, Stdio(stdout=f"file://{path}")))
    await box.container.init.start()
    ended = asyncio.create_task(box.container.init.wait())
    turns = 0
    while not ended.done():
        await asyncio.sleep(0)
        turns += 1
    await box.remove()
    assert path.stat().st_size == 50000000
    assert turns > 100  # one that copied without a pause would leave a handful
