"""A detached server process, and what it says before it serves.

Theory of operation. `start` executes its own program once more with the action `serve`, in a
session of its own, with four descriptors and no others: /dev/null as standard input and output,
the bundle's `panic.log` as standard error, the listening socket as 3 and the write end of a pipe
as 4. The server writes one byte into the pipe when it serves. If the pipe ends without that, the
server has died, and `panic.log` holds its last words.

`start` runs this module, so it uses `os.posix_spawn`, which costs no import and no copy of the
page tables.
"""

# ruff: noqa: SIM105 - contextlib is too heavy for the start path

import fcntl
import os
import select
import time

from podshim.bundle import tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podshim.bundle import Bundle

SOCKET_FD = 3
READY_FD = 4
READY = b"1"

#: The most of a dying server's words that an error repeats.
MAX_WORDS = 32 << 10

#: How long a server that is ending may take until it has said everything, in s.
LAST_WORDS_TIMEOUT = 10.0
_PAUSE = 0.005
_CLEAR_OF_TARGETS = 10
#: One more than the last signal that is not the C library's or a real-time one.
_SIGNALS = 32


class SpawnError(Exception):
    """The server could not be started, or ended before it served."""


class Server:
    """A server process that is being started. Call `serving`, or `kill` it.

    Args:
        pid: Its process id; it is this process's child and the leader of its own session.
        ready_fd: The read end of its pipe; this object owns it.
        panic_log: Where its standard error goes.
        panic_size: How large that file was before.
    """

    __slots__ = ("_panic_log", "_panic_size", "_ready_fd", "pid")

    def __init__(self, pid: int, ready_fd: int, panic_log: str, panic_size: int) -> None:
        self.pid = pid
        self._ready_fd = ready_fd
        self._panic_log = panic_log
        self._panic_size = panic_size

    def serving(self, deadline: float) -> None:
        """Wait until the server serves.

        Args:
            deadline: When to give up, by the monotonic clock (s).

        Raises:
            SpawnError: It has ended (the text is its last words), or the time is over.
                Call `kill` then.
        """
        poll = select.poll()
        poll.register(self._ready_fd, select.POLLIN)
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not poll.poll(remaining * 1000):
            raise SpawnError(f"the server, process {self.pid}, did not serve in time")
        if os.read(self._ready_fd, 1) != READY:
            self._wait(min(deadline, time.monotonic() + LAST_WORDS_TIMEOUT))
            words = tail(self._panic_log, self._panic_size, MAX_WORDS).strip()
            raise SpawnError(words or f"the server, process {self.pid}, died without a word")

    def kill(self) -> None:
        """End the server and whatever it has started, and wait for its end."""
        self.release()
        for kill in (os.killpg, os.kill):
            try:
                kill(self.pid, 9)
            except ProcessLookupError:  # it has no group yet
                pass
        os.waitpid(self.pid, 0)

    def _wait(self, deadline: float) -> None:
        """Wait for the end of a server that is ending: its last words come last."""
        # Not reaped here: as long as it is a zombie, nobody else has its pid.
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, self.pid, look) is None and time.monotonic() < deadline:
            time.sleep(_PAUSE)

    def release(self) -> None:
        """Give back what this process held of the server; the server goes on."""
        if self._ready_fd >= 0:
            os.close(self._ready_fd)
            self._ready_fd = -1


def spawn(
    program: "Sequence[str]",
    arguments: "Sequence[str]",
    environment: "Mapping[str, str]",
    bundle: "Bundle",
    listener: int,
) -> Server:
    """Start a server.

    Args:
        program: What to execute, as `program.own_program` gives it.
        arguments: The words behind it.
        environment: All of the server's environment.
        bundle: Its `panic.log` becomes the server's standard error.
        listener: The listening socket's descriptor; it stays the caller's.

    Raises:
        OSError: It can't be started; nothing is left behind but an empty `panic.log`.
    """
    owned: list[int] = []
    try:
        path = bundle.file("panic.log")
        panic = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        owned.append(panic)
        size = os.fstat(panic).st_size
        ready, said = os.pipe2(os.O_CLOEXEC)
        owned.extend((ready, said))
        # Above the targets, or one dup2 could overwrite the source of the next.
        sources = []
        for fd in (panic, listener, said):
            sources.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _CLEAR_OF_TARGETS))
            owned.append(sources[-1])
        pid = os.posix_spawn(
            program[0],
            [*program, *arguments],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, 0, 1),
                (os.POSIX_SPAWN_DUP2, sources[0], 2),
                (os.POSIX_SPAWN_DUP2, sources[1], SOCKET_FD),
                (os.POSIX_SPAWN_DUP2, sources[2], READY_FD),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=range(1, _SIGNALS),
        )
        owned.remove(ready)
    finally:
        for fd in owned:
            os.close(fd)
    return Server(pid, ready, path, size)
