"""Unix sockets as a carrier: connect, listen, serve.

Theory of operation. A server's socket file is for its owner alone (0600 in a folder of 0700) from
the moment it exists, and on top of that each connection's other end is asked of the kernel
(SO_PEERCRED): with `same_user` only a peer with the server's own effective uid *and* gid is served,
as containerd's shim contract wants it; any other is closed before a byte is read.

Accepting never ends for lack of descriptors or memory: it pauses, longer each time, and goes on
when there are some again.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import struct
from typing import TYPE_CHECKING

from podshim.transport.address import UnixAddress, parse
from podshim.ttrpc.client import Client
from podshim.ttrpc.service import Peer

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from podshim.ttrpc.server import Server

#: How many connections may wait to be accepted.
BACKLOG = 128
#: How many are accepted before anything else gets its turn.
_AT_ONCE = 16
#: The shortest and the longest pause after a failed accept, and after a connect to a socket whose
#: backlog is full (s).
_SHORTEST = 0.001
_LONGEST = 1.0
#: A lack that passes; anything else that `accept` says means that the socket is of no use.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_CREDENTIALS = struct.Struct("iII")

log = logging.getLogger("podshim.transport")


async def connect(
    address: str | UnixAddress,
    *,
    timeout: float,  # noqa: ASYNC109 - it bounds the retries too
) -> Client:
    """Connect to a server.

    Args:
        address: A shim's address as text (see `address.parse`), or a parsed one.
        timeout: How long to try (s).

    Returns:
        The client, connected; the caller closes it.

    Raises:
        AddressError: The text is no address.
        TimeoutError: Nobody accepted in time.
        OSError: Any other failure to connect.
    """
    target = parse(address) if isinstance(address, str) else address
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        try:
            async with asyncio.timeout(timeout):
                await _connect(sock, target)
        except TimeoutError:
            raise TimeoutError(f"connect {target}: no answer within {timeout:g} s") from None
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(target)) from error
        _, client = await asyncio.get_running_loop().create_connection(Client, sock=sock)
    except BaseException:
        sock.close()
        raise
    return client


async def _connect(sock: socket.socket, target: UnixAddress) -> None:
    """Connect at once or when the server's backlog has room.

    The kernel says EAGAIN for a full backlog and connects nothing; the event loop's own
    `sock_connect` takes that for a connection under way and reports success.
    """
    pause = _SHORTEST
    while True:
        try:
            sock.connect(target.sockaddr)
        except BlockingIOError:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST)
        else:
            return


def listen(path: str, *, backlog: int = BACKLOG) -> socket.socket:
    """Make a socket that listens at a path, for its owner alone.

    Args:
        path: Where; its folder is made (0700) if there is none. Nothing may be there yet.
        backlog: How many connections may wait to be accepted.

    Returns:
        The socket, not blocking; the caller closes it and removes the file.

    Raises:
        AddressError: The path is too long or none.
        OSError: It can't be made there; nothing is left behind.
    """
    address = UnixAddress(path)
    if folder := os.path.dirname(path):
        os.makedirs(folder, mode=0o700, exist_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        # Linux gives the file the mode of the socket: there is no moment in which it is more open.
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(address.sockaddr)
        try:
            sock.listen(backlog)
        except BaseException:
            os.unlink(path)
            raise
    except BaseException:
        sock.close()
        raise
    return sock


def peer_of(sock: socket.socket) -> Peer:
    """Who connected, as the kernel knew it at that moment.

    Raises:
        OSError: The kernel can't tell.
    """
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    return Peer(pid, uid, gid)


async def serve(sock: socket.socket, server: Server, *, same_user: bool) -> Listener:
    """Accept connections and hand them to a server, from now until the listener is closed.

    Args:
        sock: A listening Unix socket; the listener owns it from now on.
        server: What serves them.
        same_user: Whether to turn away peers whose uid or gid is not our own effective one.
    """
    sock.settimeout(0)
    return Listener(sock, server, same_user=same_user)


class Listener:
    """Accepts connections for a server. Made by `serve`, on a running event loop.

    Closing it stops accepting; connections that there are go on, and are the server's.
    """

    def __init__(self, sock: socket.socket, server: Server, *, same_user: bool) -> None:
        self._sock = sock
        self._server = server
        self._same_user = same_user
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        self._pause = 0.0
        self._timer: asyncio.TimerHandle | None = None
        #: Connections that are being handed over.
        self._handing: set[asyncio.Task[None]] = set()
        self._resume()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        await self.wait_closed()

    @property
    def is_serving(self) -> bool:
        """Whether connections are accepted, now or after a pause."""
        return not self._closed.is_set()

    def close(self) -> None:
        """Accept no more, and close the socket; its file is left to whoever made it."""
        if self._closed.is_set():
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._loop.remove_reader(self._sock)
        self._sock.close()
        self._closed.set()

    async def wait_closed(self) -> None:
        """Wait until nothing is accepted any more and what was accepted is the server's."""
        await self._closed.wait()
        if self._handing:
            await asyncio.wait(self._handing)

    def _resume(self) -> None:
        self._timer = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        """Accept what is waiting, and not so much that others wait for it."""
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._accept_failed(error)
                return
            self._pause = 0.0
            self._welcome(connection)

    def _accept_failed(self, error: OSError) -> None:
        if error.errno not in _PASSING:
            log.error("ttrpc: accept failed, serving no new connections: %s", error)
            self.close()
            return
        self._pause = min(max(2 * self._pause, _SHORTEST), _LONGEST)
        log.warning("ttrpc: accept failed, trying again in %g s: %s", self._pause, error)
        # The socket stays readable: not to look at it is the only way not to spin.
        self._loop.remove_reader(self._sock)
        self._timer = self._loop.call_later(self._pause, self._resume)

    def _welcome(self, connection: socket.socket) -> None:
        """Check who connected, and hand the connection to the server or close it."""
        try:
            peer = peer_of(connection)
            if self._same_user and (peer.uid, peer.gid) != (os.geteuid(), os.getegid()):
                log.warning("ttrpc: refusing connection of uid %d, gid %d", peer.uid, peer.gid)
                connection.close()
                return
            connection.settimeout(0)
        except OSError as error:
            log.warning("ttrpc: refusing connection of an unknown peer: %s", error)
            connection.close()
            return
        task = self._loop.create_task(self._hand_over(connection, peer))
        self._handing.add(task)
        task.add_done_callback(self._handing.discard)

    async def _hand_over(self, connection: socket.socket, peer: Peer) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._server.protocol(peer), connection
            )
        except Exception:
            log.exception("ttrpc: a connection can't be served")
            connection.close()
        except BaseException:
            connection.close()
            raise
