"""Programs run to their end, whatever they do."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from podshim.errors import DeadlineExceededError, ResourceExhaustedError
from podshim.manager import finished
from podshim.manager.finished import Finished
from podshim.manager.processes import ProcessHandle, run


def shell(
    script: str, *, stdin: bytes = b"", merge: bool = False, timeout: float = 30.0
) -> Coroutine[None, None, Finished]:
    return run(
        ["/bin/sh", "-c", script],
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        stdin=stdin,
        merge=merge,
        timeout=timeout,
    )


@pytest.fixture
def descriptors() -> Callable[[], int]:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    return count


async def test_input_output_status_and_place() -> None:
    done = await shell("cat; pwd; echo bad >&2; exit 3", stdin=b"in ")
    assert done == Finished(3, b"in /\n", b"bad\n")
    assert await shell("echo a; echo b >&2", merge=True) == Finished(0, b"a\nb\n", b"")
    assert await shell("kill -9 $$") == Finished(-9, b"", b"")
    assert await shell("cat") == Finished(0, b"", b"")


async def test_much_output_in_both_streams(descriptors: Callable[[], int]) -> None:
    before = descriptors()
    done = await shell("head -c 3000000 /dev/zero & head -c 2000000 /dev/zero >&2; wait")
    assert (len(done.stdout), len(done.stderr)) == (3_000_000, 2_000_000)
    assert descriptors() == before


def group_is_empty(path: Path) -> bool:
    """Whether nothing but zombies is left in the process group that a script wrote down."""
    group = path.read_text().strip()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        state, _, of, *_ = rest.split()
        if of == group and state not in "ZX":
            return False
    return True


async def test_a_deadline_ends_the_whole_group(
    tmp_path: Path, descriptors: Callable[[], int]
) -> None:
    before = descriptors()
    note = tmp_path / "pid"
    # Its child goes on and holds the pipes: waiting for the pipes' end would take for ever.
    script = f"sleep 1000 & echo $$ > {note}; exit 0"
    with pytest.raises(DeadlineExceededError, match=r"/bin/sh: killed after 0\.5 s"):
        await shell(script, timeout=0.5)
    await eventually(lambda: group_is_empty(note))
    assert descriptors() == before


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.01)


async def test_cancelling_ends_the_program(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    task = asyncio.ensure_future(shell(f"echo $$ > {note}.new; mv {note}.new {note}; sleep 1000"))
    await eventually(note.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: group_is_empty(note))


async def test_too_much_output_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "MAX_OUTPUT", 1000)
    with pytest.raises(ResourceExhaustedError):
        await shell("yes")


async def test_a_program_that_is_not_there(descriptors: Callable[[], int]) -> None:
    before = descriptors()
    with pytest.raises(FileNotFoundError):
        await run(["/none"], cwd="/", env={}, stdin=b"x", timeout=1)
    assert descriptors() == before


async def test_a_process_that_is_not_our_child() -> None:
    done = await shell("sleep 1000 >/dev/null 2>&1 & echo $!")
    with ProcessHandle(int(done.stdout)) as process:
        assert not process.has_ended()
        with pytest.raises(DeadlineExceededError):
            await process.wait(0.01)
        process.kill()
        await process.wait(30)
        assert process.has_ended()
        process.kill()
    process.close()
