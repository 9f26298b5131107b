"""Kills by the out-of-memory killer in one container's cgroup.

How its owner uses it, so that a kill of the init is announced before the init's exit:

1. `OomWatch.open(cgroup)` when the container has been created, before its init is started;
2. `Container.wait_oom` is `watch.wait`: the task layer loops over it and announces each return,
   until it raises NotFoundError;
3. `Container.init_exited` awaits `watch.finish()` *first*. The kernel counts a kill before it sends
   the signal, so one last reading of the counter, after the init was reaped, can't miss it: on both
   versions of cgroups. It hands an unannounced kill to the waiter, and returns when that waiter has
   come back for more, which is when it has announced it. Only if the cgroup has been removed by
   then (systemd removes an empty scope) it may be too late: the counter went with it;
4. `watch.close()` on every path.

Theory of operation. The counter's file stays open: if the cgroup is removed, and another made at
the same path, a read fails with ENODEV instead of telling of a stranger. What makes us read it:

- v2: the kernel reports EPOLLPRI for an open `memory.events` that has changed. The event loop can
  only wait for "readable", which such a file always is, so an epoll instance of our own stands
  between. (inotify would do as well, but a user has 128 instances for all programs together.)
- v1: an eventfd, registered in `cgroup.event_control`. It fires before the kill, so the counter is
  read a few times more, at growing distances, until it has risen or the signal proves to have
  been about a neighbour (see `oomledger`).

There is no thread and no blocking call: these files are counters in memory, read in microseconds.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Protocol

from podshim.engines.oci.cgroupfiles import keyed
from podshim.engines.oci.cgrouppaths import Mode
from podshim.engines.oci.oomledger import OomLedger
from podshim.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from podshim.engines.oci.cgroups import Cgroup

log = logging.getLogger(__name__)

#: After a v1 signal, the counter is read again after each of these times, in seconds. Choosing and
#: killing a victim takes the kernel a few milliseconds, on a machine out of memory much longer.
RECHECKS: Final = (0.01, 0.04, 0.15, 0.5, 2.0)

#: How long `finish` waits for the waiter to announce a kill, in seconds.
HANDOVER: Final = 1.0


class Counter:
    """The open file of a counter in a cgroup.

    Args:
        path: The file, with lines of `key number`.
        key: Which of its numbers to read.

    Raises:
        OSError: It can't be opened.
    """

    def __init__(self, path: str, key: str = "oom_kill") -> None:
        self._key = key
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def read(self) -> int | None:
        """Read the number; None when the kernel does not have it.

        Raises:
            OSError: The cgroup was removed.
        """
        return keyed(os.pread(self._fd, 4096, 0).decode(errors="replace")).get(self._key)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Waker(Protocol):
    """A descriptor that becomes readable when the counter should be read."""

    def fileno(self) -> int:
        """The descriptor."""

    def drain(self) -> int:
        """Take what has come, never blocking: the number of signals, if it has such."""

    def close(self) -> None:
        """Close the descriptor."""


class ChangeWaker:
    """Wakes when an open file of cgroup v2 has changed; reading the file ends it.

    Raises:
        OSError: The file is none that the kernel reports changes of.
    """

    def __init__(self, counter: Counter) -> None:
        self._epoll = select.epoll()
        try:
            self._epoll.register(counter.fileno(), select.EPOLLPRI)
        except OSError:
            self._epoll.close()
            raise

    def fileno(self) -> int:
        """The descriptor."""
        return self._epoll.fileno()

    def drain(self) -> int:
        """Do nothing: whoever was woken reads the file."""
        return 0

    def close(self) -> None:
        """Close the descriptor."""
        self._epoll.close()


class SignalWaker:
    """Wakes when a cgroup of v1, or one above it, runs out of memory, or when it is removed.

    Args:
        counter: Its open `memory.oom_control`.
        folder: Its folder.

    Raises:
        OSError: The kernel refuses the registration.
    """

    def __init__(self, counter: Counter, folder: str) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            control = os.open(f"{folder}/cgroup.event_control", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(control, f"{self._fd} {counter.fileno()}".encode())
            finally:
                os.close(control)
        except OSError:
            os.close(self._fd)
            raise

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def drain(self) -> int:
        """Take the signals that have come."""
        try:
            return os.eventfd_read(self._fd)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Close the descriptor, which also ends the registration."""
        os.close(self._fd)


class OomWatch:
    """Watches one cgroup; use it on the event loop's thread only.

    Args:
        folder: The cgroup's folder, as far as it has one.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder = folder
        self._loop = asyncio.get_running_loop()
        self._resources = ExitStack()
        #: None before the watch has begun and after it has ended.
        self._counter: Counter | None = None
        self._waker: Waker | None = None
        self._ledger = OomLedger(None)
        self._recheck: asyncio.TimerHandle | None = None
        #: A kill that `wait` has not told of yet.
        self._news = False
        self._wake = asyncio.Event()
        #: Whether anyone waits, or has taken news and is going to come back.
        self._attended = False
        #: Set while whoever attends has nothing to announce: it waits, or has gone away.
        self._idle = asyncio.Event()

    @classmethod
    def open(cls, cgroup: Cgroup | None) -> OomWatch:
        """Begin to watch, on the running loop. It never fails: what can't be watched is logged.

        Args:
            cgroup: What to watch; None, when it could not be loaded, makes a watch of nothing.
        """
        folder = None if cgroup is None else cgroup.memory_folder
        watch = cls(folder or "")
        if cgroup is not None and folder is not None:
            legacy = cgroup.mode is Mode.LEGACY
            try:
                counter = Counter(f"{folder}/{'memory.oom_control' if legacy else 'memory.events'}")
            except OSError as error:
                log.warning("can't watch for kills for lack of memory: %s", error)
                return watch
            watch.begin(counter)
            try:
                watch.add_waker(SignalWaker(counter, folder) if legacy else ChangeWaker(counter))
            except OSError as error:
                # The init's end is still told right: `finish` needs the counter alone.
                log.warning("kills in %s are only noticed at its end: %s", folder, error)
        return watch

    def begin(self, counter: Counter) -> None:
        """Take a counter, own it from now on, and remember where it stands."""
        self._resources.callback(counter.close)
        try:
            self._ledger = OomLedger(counter.read())
        except OSError as error:
            log.warning("%s is gone already: %s", self._folder, error)
            self._end()
        else:
            self._counter = counter

    def add_waker(self, waker: Waker) -> None:
        """Take what tells when to read the counter, and own it from now on."""
        self._resources.callback(waker.close)
        self._waker = waker
        self._loop.add_reader(waker.fileno(), self._look)
        self._resources.callback(self._loop.remove_reader, waker.fileno())

    async def wait(self) -> None:
        """Wait for the next kill that was not told of yet; one caller at a time.

        Several kills between two readings of the counter are told as one.

        Raises:
            NotFoundError: There can't be any more: the watch has ended, or could not begin.
        """
        self._attended = True
        while not self._news:
            self._idle.set()
            if self._counter is None:
                raise NotFoundError("watch for kills for lack of memory")
            try:
                await self._wake.wait()
            except asyncio.CancelledError:
                self._attended = False
                self._idle.set()
                raise
            self._wake.clear()
        self._news = False
        self._idle.clear()

    async def finish(self) -> bool:
        """Read the counter one last time, when the init has ended; then stop watching.

        Returns:
            Whether there was a kill that nobody had been told of.
        """
        if self._counter is not None:
            self._look()
            self._settle()
            self._end()
        found = self._news
        try:
            async with asyncio.timeout(HANDOVER):
                if self._attended:
                    await self._idle.wait()
        except TimeoutError:
            log.warning("a kill for lack of memory in %s was not announced in time", self._folder)
        return found

    def close(self) -> None:
        """Give back all descriptors; it may be called again."""
        self._end()

    def _look(self) -> None:
        """Read the counter, now that something may have happened."""
        if self._counter is None:
            return
        signals = self._waker.drain() if self._waker is not None else 0
        try:
            proof = self._ledger.look(self._counter.read(), signals)
        except OSError as error:
            if error.errno != errno.ENODEV:
                log.warning("can't watch %s for kills any longer: %s", self._folder, error)
            proof = self._ledger.removed(signals)
            self._end()
        if proof:
            self._tell()
        if self._ledger.doubtful and self._recheck is None:
            self._look_again(iter(RECHECKS))

    def _look_again(self, delays: Iterator[float]) -> None:
        """Read the counter after each delay, as long as a signal is unexplained."""
        self._recheck = None
        delay = next(delays, None)
        if delay is None:
            self._settle()
            return

        def again() -> None:
            self._look()
            if self._ledger.doubtful:
                self._look_again(delays)
            else:
                self._recheck = None

        self._recheck = self._loop.call_later(delay, again)

    def _settle(self) -> None:
        if self._ledger.doubtful and self._ledger.settle(cgroups_below=self._has_cgroups_below()):
            self._tell()

    def _has_cgroups_below(self) -> bool:
        try:
            return os.stat(self._folder).st_nlink > 2
        except OSError:
            return False

    def _tell(self) -> None:
        self._news = True
        self._idle.clear()
        self._wake.set()

    def _end(self) -> None:
        if self._recheck is not None:
            self._recheck.cancel()
            self._recheck = None
        self._counter = None
        self._waker = None
        self._resources.close()
        self._wake.set()
