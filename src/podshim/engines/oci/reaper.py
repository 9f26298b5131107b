"""The one owner of child exits.

Theory of operation. A shim is a subreaper: besides the runtime commands that it spawns, every
container's init and exec becomes its child when the runtime has exited, and so does every orphan.
`waitpid(-1)` takes the exit of any of them, so exactly one place may call it: the SIGCHLD callback
here, on the loop's thread. It hands an exit to whoever watches that pid:

- `spawn` and `own` register a child in the same step of the loop that makes it, so its exit can't
  be missed;
- a container's process is known by its pid only after the runtime has written it down, and may be
  dead by then. `launch` remembers the exits of unknown pids for as long as one runtime command
  runs, and `Launch.adopt` looks there first. What nobody adopted is forgotten with the launch.

A pid is in the table only while its process is unreaped, and the kernel does not reuse the pid of
an unreaped child: so `Child.signal`, which runs on the same thread as the reaping, can never hit a
stranger. Nothing else in the process may wait for children (no `Popen.wait`, no asyncio
subprocess, no `subprocess.run`) while a reaper is open.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from podshim.engine import Exit
from podshim.engines.oci import syscalls
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Child:
    """A child process that has not been reaped, or how it ended.

    Args:
        pid: Its process id.
        loop: Where its exit is announced.
    """

    def __init__(self, pid: int, loop: asyncio.AbstractEventLoop) -> None:
        self.pid = pid
        self._exit: asyncio.Future[Exit] = loop.create_future()

    @property
    def exit(self) -> Exit | None:
        """How it ended; None while it has not been reaped."""
        done = self._exit.done() and not self._exit.cancelled()
        return self._exit.result() if done else None

    async def wait(self) -> Exit:
        """Wait for the end; any number may wait, and giving up hurts nobody else."""
        return await asyncio.shield(self._exit)

    def signal(self, number: int) -> bool:
        """Send a signal; call it on the loop's thread.

        Returns:
            False when the process has been reaped: its pid may be somebody else's now.
        """
        if self._exit.done():
            return False
        os.kill(self.pid, number)
        return True

    def kill_all(self) -> None:
        """Kill it with all its descendants, and the process group that `Reaper.spawn` made for it.

        A runtime gives the container's process a session of its own, where a kill of the group
        alone would leave it behind. Nothing happens if this process has been reaped.
        """
        if self._exit.done():
            return
        os.killpg(self.pid, signal.SIGSTOP)  # while it stands still it neither forks nor reaps
        below = _descendants(self.pid)
        os.killpg(self.pid, signal.SIGKILL)
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def ended(self, exit_: Exit) -> None:
        """Announce the end (the reaper's to call)."""
        if not self._exit.done():
            self._exit.set_result(exit_)

    def forget(self) -> None:
        """Give up on it: whoever waits is cancelled (the reaper's to call when it closes)."""
        self._exit.cancel()


def _descendants(pid: int) -> list[int]:
    """The living processes below one, nearest first; none where the kernel can't tell."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children", "rb") as file:
                    found.extend(int(word) for word in file.read().split())
    return found[1:]


class Launch:
    """A runtime command in flight that will leave a process behind (see `Reaper.launch`)."""

    def __init__(self, reaper: Reaper) -> None:
        self._reaper = reaper
        #: Exits of pids that nobody knew, since the launch began.
        self.strangers: dict[int, Exit] = {}

    def adopt(self, pid: int) -> Child:
        """Watch the process that the command left behind, dead or alive.

        Raises:
            ShimError: It is not, and during the launch never was, a child of this process.
        """
        return self._reaper.adopt(pid, self.strangers)


def _is_child(pid: int) -> bool:
    """Whether an unreaped child has this pid."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


class Reaper:
    """Spawns and reaps; one per process, used on the event loop's thread only."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._was_subreaper = False
        self._children: dict[int, Child] = {}
        #: Kept until reaped: a Popen that is dropped earlier would try to wait by itself.
        self._popens: dict[int, subprocess.Popen[bytes]] = {}
        self._launches: set[Launch] = set()

    def open(self) -> None:
        """Become a subreaper and take over SIGCHLD; on the running loop, in the main thread."""
        self._loop = asyncio.get_running_loop()
        self._was_subreaper = syscalls.set_child_subreaper(True)
        self._loop.add_signal_handler(signal.SIGCHLD, self.reap)

    def close(self) -> None:
        """Give SIGCHLD back; whoever still waits for a child is cancelled."""
        if self._loop is None:
            return
        self.reap()
        self._loop.remove_signal_handler(signal.SIGCHLD)
        syscalls.set_child_subreaper(self._was_subreaper)
        self._loop = None
        for child in self._children.values():
            child.forget()
        for popen in self._popens.values():
            popen.returncode = -1  # nobody waits for it any more, not even its destructor
        self._children.clear()
        self._popens.clear()

    def reap(self) -> None:
        """Take all exits that there are."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            self._ended(pid, Exit(code if code >= 0 else 128 - code, time.time_ns()))

    def _ended(self, pid: int, exit_: Exit) -> None:
        popen = self._popens.pop(pid, None)
        if popen is not None:
            popen.returncode = exit_.status
        child = self._children.pop(pid, None)
        if child is not None:
            child.ended(exit_)
            return
        for launch in self._launches:
            launch.strangers[pid] = exit_

    def spawn(
        self,
        argv: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        cwd: str,
        env: Mapping[str, str],
    ) -> Child:
        """Start a program in a process group of its own that dies with this process.

        It is the one place where the loop waits for fork and exec, some milliseconds: the death
        signal is bound to the thread that forks, which must therefore live as long as the shim.

        Args:
            argv: The program's path and its arguments.
            stdin: A descriptor; likewise `stdout` and `stderr`.
            stdout: See `stdin`.
            stderr: See `stdin`.
            cwd: Its working directory.
            env: Its whole environment.

        Raises:
            OSError: It can't be executed.
        """
        with warnings.catch_warnings():
            # Python 3.12 warns of any function between fork and exec in a process with threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            popen = subprocess.Popen(
                list(argv),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env=dict(env),
                process_group=0,
                preexec_fn=syscalls.before_exec(signal.SIGKILL),  # noqa: PLW1509 - takes no lock
            )
        self._popens[popen.pid] = popen
        return self.own(popen.pid)

    def own(self, pid: int) -> Child:
        """Watch a child that was made in this step of the loop."""
        if self._loop is None:
            raise ShimError("the reaper is closed")
        child = Child(pid, self._loop)
        self._children[pid] = child
        return child

    @contextmanager
    def launch(self) -> Iterator[Launch]:
        """Remember the exits of unknown pids while a runtime command makes a process."""
        launch = Launch(self)
        self._launches.add(launch)
        try:
            yield launch
        finally:
            self._launches.discard(launch)

    def adopt(self, pid: int, strangers: Mapping[int, Exit]) -> Child:
        """Watch a process that a runtime left behind (see `Launch.adopt`)."""
        if _is_child(pid):
            # Even if `strangers` knows this pid: that one is reaped, so the pid has been reused.
            return self.own(pid)
        exit_ = strangers.get(pid)
        if exit_ is None:
            raise ShimError(f"process {pid} is not a child of the shim")
        child = self.own(pid)
        del self._children[pid]
        child.ended(exit_)
        return child
