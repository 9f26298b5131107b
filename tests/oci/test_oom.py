"""Kills for lack of memory: what proves one, and who is told when; on files and the real kernel."""

import asyncio
import gc
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, strategies as st

from podshim.engines.oci import oom
from podshim.engines.oci.cgroups import Host, LegacyCgroup, UnifiedCgroup
from podshim.engines.oci.oom import ChangeWaker, Counter, OomWatch
from podshim.engines.oci.oomledger import OomLedger
from podshim.errors import NotFoundError

#: For what has to happen; nothing is proven by how long it takes.
DEADLINE = 30.0

Lacking = Callable[[str], NoReturn]


# The ledger.


@pytest.mark.parametrize(
    ("first", "then", "proof"),
    [(0, 0, False), (0, 1, True), (3, 3, False), (3, 9, True), (None, 0, False), (3, 0, False)],
)
def test_a_counter_that_rises_is_a_proof(first: int | None, then: int, proof: bool) -> None:
    assert OomLedger(first).look(then) is proof


def test_a_signal_alone_is_a_doubt_until_the_counter_rises() -> None:
    ledger = OomLedger(0)
    steps = [ledger.look(0, 1), ledger.doubtful, ledger.look(1), ledger.doubtful]
    assert steps == [False, True, True, False]
    assert not ledger.settle(cgroups_below=True)  # it is explained: no second kill


@pytest.mark.parametrize("below", [True, False])
def test_an_unexplained_signal_counts_only_with_cgroups_below(below: bool) -> None:
    ledger = OomLedger(0)
    ledger.look(0, 1)
    assert ledger.settle(cgroups_below=below) is below
    assert not ledger.doubtful


def test_without_a_counter_a_signal_is_taken_at_its_word() -> None:
    ledger = OomLedger(None)
    assert not ledger.look(None)
    assert ledger.look(None, 1)
    assert not ledger.look(None)


@pytest.mark.parametrize(
    ("doubts", "signals", "proof"), [(0, 0, False), (0, 1, False), (0, 2, True), (1, 0, True)]
)
def test_the_removal_is_a_signal_by_itself(doubts: int, signals: int, proof: bool) -> None:
    ledger = OomLedger(0)
    ledger.look(0, doubts)
    assert ledger.removed(signals) is proof
    assert not ledger.doubtful


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2))))
def test_every_rise_is_told_once_and_nothing_else(steps: list[tuple[int, int]]) -> None:
    ledger = OomLedger(0)
    count = 0
    for rise, signals in steps:
        count += rise
        assert ledger.look(count, signals) is (rise > 0)


# The watch, with files and signals of the test's making.


class Bell:
    """A waker that the test rings."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.heard = 0

    def ring(self) -> None:
        os.eventfd_write(self.fd, 1)

    def fileno(self) -> int:
        return self.fd

    def drain(self) -> int:
        try:
            signals = os.eventfd_read(self.fd)
        except BlockingIOError:
            return 0
        self.heard += signals
        return signals

    def close(self) -> None:
        os.close(self.fd)


class Scene:
    """A watch of a file that the test writes, and what its waiter was told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count(0)
        self.watch = OomWatch(str(path.parent))
        self.watch.begin(Counter(str(path)))
        self.bell = Bell()
        self.watch.add_waker(self.bell)
        self.told = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiter = asyncio.create_task(self._announce())

    def count(self, kills: int) -> None:
        # In place: what is open must see it, as with the kernel's files.
        self.path.write_text(f"low 0\noom_kill {kills}\n")

    async def _announce(self) -> None:
        """Do as the task layer does."""
        while True:
            try:
                await self.watch.wait()
            except NotFoundError:
                return
            await self.gate.wait()
            self.told += 1


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path / "memory.events")
    await asyncio.sleep(0)  # the waiter gets to its place
    yield scene
    scene.watch.close()
    await scene.waiter


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - a change in the kernel sets no event
            await asyncio.sleep(0.005)


async def test_a_kill_is_told(scene: Scene) -> None:
    for number in (1, 2):
        scene.count(number)
        scene.bell.ring()
        await until(lambda expected=number: scene.told == expected)  # type: ignore[misc] # a default pins it
    assert not await scene.watch.finish()
    assert scene.told == 2


async def test_a_kill_that_comes_after_its_signal_is_told(scene: Scene) -> None:
    scene.bell.ring()
    await until(lambda: scene.bell.heard == 1)
    scene.count(1)
    await until(lambda: scene.told == 1)


async def test_the_signal_of_a_neighbour_is_forgotten(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oom, "RECHECKS", (0.001, 0.001))
    scene.bell.ring()
    await until(lambda: scene.bell.heard == 1 and not scene.watch._ledger.doubtful)
    assert not await scene.watch.finish()
    assert scene.told == 0


async def test_a_signal_with_cgroups_below_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scene.path.parent / "below").mkdir()
    monkeypatch.setattr(oom, "RECHECKS", (0.001, 0.001))
    scene.bell.ring()
    await until(lambda: scene.told == 1)
    assert not await scene.watch.finish()


async def test_the_last_reading_finds_what_nothing_signalled(scene: Scene) -> None:
    scene.count(1)
    assert await scene.watch.finish()
    assert scene.told == 1  # before finish returned
    assert scene.waiter.done()


async def test_the_last_reading_settles_a_doubt(scene: Scene) -> None:
    (scene.path.parent / "below").mkdir()
    scene.bell.ring()
    assert await scene.watch.finish()
    assert scene.told == 1


async def test_finish_waits_for_the_announcement(scene: Scene) -> None:
    scene.gate.clear()
    scene.count(1)
    finishing = asyncio.create_task(scene.watch.finish())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not finishing.done()
    scene.gate.set()
    assert await finishing
    assert scene.told == 1


async def test_finish_waits_for_an_announcement_that_is_under_way(scene: Scene) -> None:
    scene.gate.clear()
    scene.count(1)
    scene.bell.ring()
    await until(lambda: not scene.watch._news and scene.watch._ledger._kills == 1)
    finishing = asyncio.create_task(scene.watch.finish())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not finishing.done()
    scene.gate.set()
    assert not await finishing
    assert scene.told == 1


async def test_finish_does_not_wait_for_ever(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(oom, "HANDOVER", 0.01)
    scene.gate.clear()
    scene.count(1)
    assert await scene.watch.finish()
    assert "was not announced in time" in caplog.text
    scene.gate.set()


async def test_finish_without_a_waiter_returns_and_keeps_the_news(tmp_path: Path) -> None:
    path = tmp_path / "memory.events"
    path.write_text("oom_kill 2\n")
    watch = OomWatch()
    watch.begin(Counter(str(path)))
    path.write_text("oom_kill 3\n")
    assert await watch.finish()
    await watch.wait()
    with pytest.raises(NotFoundError):
        await watch.wait()


async def test_finish_does_not_wait_for_a_waiter_that_was_cancelled(scene: Scene) -> None:
    scene.waiter.cancel()
    await asyncio.wait([scene.waiter])
    scene.count(1)
    assert await scene.watch.finish()
    scene.waiter = asyncio.create_task(scene._announce())
    await scene.waiter
    assert scene.told == 1


async def test_finish_twice_and_close_twice(scene: Scene) -> None:
    scene.count(1)
    assert await scene.watch.finish()
    scene.count(2)
    assert not await scene.watch.finish()
    scene.watch.close()
    scene.watch.close()
    assert scene.told == 1


async def test_close_ends_the_waiter_and_a_recheck(scene: Scene) -> None:
    scene.bell.ring()
    await until(lambda: scene.watch._recheck is not None)
    scene.watch.close()
    await scene.waiter
    assert scene.watch._recheck is None


async def test_a_watch_of_nothing_ends_at_once() -> None:
    for watch in (OomWatch.open(None), OomWatch.open(LegacyCgroup({"pids": "/nowhere"}))):
        with pytest.raises(NotFoundError):
            await watch.wait()
        assert not await watch.finish()
        watch.close()


@pytest.mark.parametrize("kind", ["legacy", "unified"])
async def test_what_can_t_be_watched_is_logged(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = f"{tmp_path}/gone"
    watch = OomWatch.open(
        LegacyCgroup({"memory": gone}) if kind == "legacy" else UnifiedCgroup(gone, Host())
    )
    assert f"{gone}/memory." in caplog.text
    with pytest.raises(NotFoundError):
        await watch.wait()


@pytest.mark.parametrize("kind", ["legacy", "unified"])
async def test_without_notifications_the_last_reading_still_tells(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A plain file can't be polled, a plain folder has no `cgroup.event_control`."""
    files = [tmp_path / "memory.oom_control", tmp_path / "memory.events"]
    for file in files:
        file.write_text("oom_kill 0\n")
    folder = str(tmp_path)
    watch = OomWatch.open(
        LegacyCgroup({"memory": folder}) if kind == "legacy" else UnifiedCgroup(folder, Host())
    )
    assert "only noticed at its end" in caplog.text
    for file in files:
        file.write_text("oom_kill 1\n")
    assert await watch.finish()


def descriptors() -> set[tuple[str, str]]:
    """What this process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
        except FileNotFoundError:
            continue  # the listing's own
    return found


async def test_nothing_stays_open(tmp_path: Path) -> None:
    before = descriptors()
    scene = Scene(tmp_path / "memory.events")
    assert descriptors() > before
    scene.watch.close()
    assert descriptors() == before
    await scene.waiter

    OomWatch.open(UnifiedCgroup(str(tmp_path), Host())).close()  # where polling is refused
    OomWatch.open(LegacyCgroup({"memory": str(tmp_path)})).close()  # where nothing is
    gc.collect()
    assert descriptors() == before


# The real kernel: cgroup v1's memory controller.

HOG = """
import sys
with open(sys.argv[1] + "/cgroup.procs", "w") as procs:
    procs.write("0")
print("ready", flush=True)
sys.stdin.readline()
hoard = bytearray(256 << 20)
for i in range(0, len(hoard), 4096):
    hoard[i] = 1
print("survived", flush=True)
"""


class Hog:
    """A process in a cgroup that takes more memory than there is, when it is told to."""

    def __init__(self, group: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", HOG, str(group)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def feed(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def die(self) -> None:
        """Let it be killed, without giving the event loop a turn."""
        self.feed()
        assert self.process.wait(DEADLINE) == -9

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def make(group: Path) -> None:
    """Make a cgroup of 24 MB."""
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(24 << 20))


def remove(group: Path) -> None:
    """Remove a cgroup, whose last process may still be on its way out."""
    end = time.monotonic() + DEADLINE
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


@pytest.fixture
def group(private_world: None, lacking: Lacking) -> Iterator[Path]:
    """Make a v1 memory cgroup that is gone after the test, with all below."""
    top = Path("/sys/fs/cgroup/memory")
    if not (top / "cgroup.event_control").exists():
        lacking("cgroup v1's memory controller")
    group = top / f"podshim-oom-test-{os.getpid()}"
    make(group)
    yield group
    for below in group.glob("*/"):
        remove(below)
    remove(group)


@pytest.fixture
def hogs() -> Iterator[Callable[[Path], Hog]]:
    """Make hogs that are gone after the test."""
    made: list[Hog] = []

    def make(group: Path) -> Hog:
        made.append(Hog(group))
        return made[-1]

    yield make
    for hog in made:
        hog.close()


@asynccontextmanager
async def attended(watch: OomWatch) -> AsyncIterator[tuple[list[float], asyncio.Task[None]]]:
    """Announce what a watch tells, as the task layer would; close it in the end."""
    told: list[float] = []

    async def announce() -> None:
        while True:
            try:
                await watch.wait()
            except NotFoundError:
                return
            told.append(time.monotonic())

    waiter = asyncio.create_task(announce())
    await asyncio.sleep(0)
    try:
        yield told, waiter
    finally:
        watch.close()
        await waiter


def watch_v1(folder: Path) -> OomWatch:
    return OomWatch.open(LegacyCgroup({"memory": str(folder)}))


async def test_a_real_kill_is_noticed(group: Path, hogs: Callable[[Path], Hog]) -> None:
    hog = hogs(group)
    watch = watch_v1(group)
    async with attended(watch) as (told, _):
        hog.feed()
        await until(lambda: len(told) == 1)
        assert await asyncio.to_thread(hog.process.wait, DEADLINE) == -9
        assert not await watch.finish()
        assert len(told) == 1


async def test_a_real_kill_is_told_before_the_end_is(
    group: Path, hogs: Callable[[Path], Hog]
) -> None:
    """The init is dead and reaped before the loop has a turn: the last reading must tell."""
    hog = hogs(group)
    watch = watch_v1(group)
    async with attended(watch) as (told, waiter):
        hog.die()
        assert told == []
        assert await watch.finish()
        assert len(told) == 1
        assert waiter.done()


async def test_a_real_kill_in_a_cgroup_below_is_told(
    group: Path, hogs: Callable[[Path], Hog]
) -> None:
    (group / "below").mkdir()
    hog = hogs(group / "below")
    watch = watch_v1(group)
    async with attended(watch) as (told, _):
        hog.die()
        assert await watch.finish()
        assert len(told) == 1


async def test_a_real_kill_of_a_neighbour_is_not_told(
    group: Path, hogs: Callable[[Path], Hog]
) -> None:
    (group / "mine").mkdir()
    (group / "other").mkdir()
    hog = hogs(group / "other")
    watch = watch_v1(group / "mine")
    async with attended(watch) as (told, _):
        hog.feed()
        await until(lambda: watch._ledger.doubtful)  # so the signal did come
        assert await asyncio.to_thread(hog.process.wait, DEADLINE) == -9
        assert not await watch.finish()
        assert told == []


async def test_the_real_removal_is_no_kill(group: Path) -> None:
    watch = watch_v1(group)
    async with attended(watch) as (told, waiter):
        remove(group)
        async with asyncio.timeout(DEADLINE):
            await waiter  # the kernel's signal of the removal ends the watch
        assert not await watch.finish()
        assert told == []


async def test_a_new_cgroup_at_the_same_path_is_a_stranger(
    group: Path, hogs: Callable[[Path], Hog]
) -> None:
    watch = watch_v1(group)
    async with attended(watch) as (told, _):
        remove(group)
        make(group)
        hogs(group).die()
        assert not await watch.finish()
        assert told == []


# The real kernel: cgroup v2's change notifications, with another counter than the kills.


@pytest.fixture
def v2_group(private_world: None, lacking: Lacking, tmp_path: Path) -> Iterator[Path]:
    """Make a cgroup in the unified hierarchy, mounted in the tests' own mount namespace."""
    top = tmp_path / "unified"
    top.mkdir()
    done = subprocess.run(
        ["mount", "-t", "cgroup2", "none", str(top)], capture_output=True, check=False
    )
    if done.returncode:
        lacking(f"cgroup v2: {done.stderr.decode()}")
    group = top / f"podshim-oom-test-{os.getpid()}"
    group.mkdir()
    yield group
    remove(group)
    subprocess.run(["umount", str(top)], check=True)


async def test_a_real_change_wakes_once(v2_group: Path) -> None:
    """`frozen` of `cgroup.events` stands in for `oom_kill`: it goes from 0 to 1 when we say so."""
    freeze = v2_group / "cgroup.freeze"
    watch = OomWatch(str(v2_group))
    counter = Counter(f"{v2_group}/cgroup.events", "frozen")
    watch.begin(counter)
    waker = ChangeWaker(counter)
    watch.add_waker(waker)
    async with attended(watch) as (told, waiter):
        freeze.write_text("1")
        await until(lambda: len(told) == 1)
        assert waker._epoll.poll(0) == []  # having been read, the file is quiet

        freeze.write_text("0")
        await until(lambda: watch._ledger._kills == 0)
        freeze.write_text("1")
        assert await watch.finish()
        assert len(told) == 2
        assert waiter.done()


async def test_the_real_removal_of_a_v2_cgroup_is_no_kill(v2_group: Path) -> None:
    watch = OomWatch(str(v2_group))
    counter = Counter(f"{v2_group}/cgroup.events", "frozen")
    watch.begin(counter)
    watch.add_waker(ChangeWaker(counter))
    async with attended(watch) as (told, waiter):
        remove(v2_group)
        assert not await watch.finish()
        await waiter
        assert told == []
