"""The folder where a group's shims meet: who serves a socket, and who may.

Theory of operation. A `start` that wants to serve binds the group's socket itself and hands the
listening descriptor to its server, so the address can be connected to from that moment on. Between
looking ("does anybody listen?") and acting (remove a dead server's file, bind) lies a race; a lock
on the *folder's own descriptor* closes it: everybody who removes or binds a socket here holds it,
for a few system calls, never while waiting for a server. Nothing is left on disk by the lock, and
the kernel drops it when its holder dies.

A server that ends removes its file under the same lock, and only if the file is still its own.

`start` runs this module: `_socket` saves the 6 ms that `socket` takes (it makes enums).
"""

# ruff: noqa: SIM105 - contextlib is too heavy for the start path

import _socket
import errno
import fcntl
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

BACKLOG = 1024
_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.05
#: The kernel's flag of a process that runs no code of its own any more.
_PF_EXITING = 0x4


class RendezvousError(Exception):
    """The socket folder can't be used, or what is there is not ours."""


class Rendezvous:
    """A socket folder, opened: for its owner alone, never a symbolic link.

    Use it as a context manager, or `close` it.

    Args:
        path: The folder, absolute.
        make: Whether to make it, and what leads to it, where it is missing, and to take its
            permissions from everybody else.

    Raises:
        OSError: It can't be made or opened.
        RendezvousError: It belongs to somebody else.
    """

    __slots__ = ("_fd", "path")

    def __init__(self, path: str, *, make: bool = True) -> None:
        self.path = path
        if make:
            os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                pass
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            facts = os.fstat(self._fd)
            if facts.st_uid != os.geteuid():
                raise RendezvousError(f"socket directory {path} belongs to user {facts.st_uid}")
            if make and facts.st_mode & 0o7777 != 0o700:
                os.fchmod(self._fd, 0o700)
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the folder back, and its lock if it is still held."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def socket_path(self, name: str) -> str:
        """The path of a socket in the folder."""
        return f"{self.path}/{name}"

    def locked(self, timeout: float) -> "_Locked":
        """Hold the folder's lock in a `with` block.

        Args:
            timeout: How long to wait for it, in s.

        Raises:
            RendezvousError: Somebody else held it all the time.
        """
        return _Locked(self._fd, self.path, timeout)

    def identity(self, name: str) -> tuple[int, int]:
        """What tells a socket file from a later one of the same name.

        Raises:
            OSError: There is none.
        """
        facts = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        return facts.st_dev, facts.st_ino

    def bind(self, name: str) -> _socket.socket:
        """Make the socket, mode 0600, listening. The caller holds the lock and closes the socket.

        Raises:
            OSError: It can't be made; the name is free again.
        """
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            mask = os.umask(0o177)
            try:
                listener.bind(self.socket_path(name))
            finally:
                os.umask(mask)
            try:
                listener.listen(BACKLOG)
            except BaseException:
                os.unlink(name, dir_fd=self._fd)
                raise
        except BaseException:
            listener.close()
            raise
        return listener

    def remove(self, name: str, identity: "tuple[int, int] | None" = None) -> None:
        """Remove a socket file. The caller holds the lock.

        Args:
            name: The file's name.
            identity: If given, a file of another identity is left alone.

        Raises:
            OSError: It can't be removed; its absence is no error.
        """
        try:
            if identity is None or self.identity(name) == identity:
                os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            pass

    def remove_dead(self, name: str) -> None:
        """Remove a socket file on which nobody listens any more. The caller holds the lock.

        A server that was killed may be heard to be gone before the kernel has closed all that it
        had open, this socket included: it still answers a knock then, and counts as gone.

        Raises:
            OSError: It can't be looked at or removed.
        """
        try:
            visitor = knock(self.socket_path(name))
        except BlockingIOError:
            return
        if visitor is not None:
            pid, _ = peer(visitor)
            visitor.close()
            if not _has_ended(pid):
                return
        self.remove(name)


class _Locked:
    __slots__ = ("_fd", "_path", "_timeout")

    def __init__(self, fd: int, path: str, timeout: float) -> None:
        self._fd = fd
        self._path = path
        self._timeout = timeout

    def __enter__(self) -> None:
        deadline = time.monotonic() + self._timeout
        pause = _FIRST_PAUSE
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise RendezvousError(
                        f"socket directory {self._path} has been locked for too long"
                    ) from None
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                return

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)


def knock(path: str) -> "_socket.socket | None":
    """See whether anybody listens on a socket, without waiting.

    Returns:
        A connection, which the caller closes, or None: no such file, or a dead server's.

    Raises:
        BlockingIOError: Somebody listens, but has no room for a further connection now.
        OSError: It can't be told.
    """
    visitor = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        visitor.setblocking(False)  # noqa: FBT003 - the standard library's signature
        problem = visitor.connect_ex(path)
        if problem == 0:
            return visitor
        if problem not in {errno.ECONNREFUSED, errno.ENOENT}:
            raise OSError(problem, os.strerror(problem), path)
    except BaseException:
        visitor.close()
        raise
    visitor.close()
    return None


def peer(connection: _socket.socket) -> tuple[int, int]:
    """Who listens at the other end of a connection.

    Returns:
        The process that called `listen` last, and its user.
    """
    raw = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    pid = int.from_bytes(raw[0:4], sys.byteorder, signed=True)
    return pid, int.from_bytes(raw[4:8], sys.byteorder)


def _has_ended(pid: int) -> bool:
    """Whether a process has ended or is about to; not said of one that can't be seen from here."""
    if not pid:  # of another pid namespace
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return fields[0] in {b"Z", b"X"} or bool(int(fields[6]) & _PF_EXITING)
