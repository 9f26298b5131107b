r"""Windows' named pipes as a carrier: connect, listen, serve; and pipes for a child's streams.

Theory of operation. The face of the modules `pipe_*`. A client opens the pipe's path: if all
instances are taken it tries again every 10 ms, if there is no such pipe that is an error at once
(or, if asked for, one that is expected to appear). A server refuses clients of other machines; who
else may connect is a matter of the pipe's access list, and of its name: only administrators can
make pipes under `\\.\pipe\ProtectedPrefix\Administrators`. The kernel tells a server the process
of each client, and no user.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from typing import TYPE_CHECKING

from podshim.transport.address import PIPE, PipeAddress, parse_pipe
from podshim.transport.pipe_listener import BUFFER, PipeListener, listen
from podshim.transport.pipe_stream import PipeStream
from podshim.transport.pipe_transport import PipeTransport
from podshim.transport.proactor import OverlappedPipe
from podshim.ttrpc.client import Client
from podshim.ttrpc.service import Peer
from podshim.win32 import security
from podshim.win32.binding import ERROR_FILE_NOT_FOUND, ERROR_PIPE_BUSY, code_of
from podshim.win32.pipes import client_process_id, create, open_child_end, open_client

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from podshim.ttrpc.server import Server
    from podshim.win32.handles import Handle

__all__ = [
    "Listener",
    "PipeListener",
    "PipeStream",
    "connect",
    "dial",
    "listen",
    "pipe_pair",
    "serve",
]

#: Between two attempts to connect (s).
RETRY = 0.01
#: For how long a busy pipe is tried, if nothing else is said (s).
TIMEOUT = 2.0
#: No user of Windows has a number.
NOBODY = -1
#: Who may connect to the pipes of `pipe_pair`: the system, administrators and ourselves.
_OWN = "D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;OW)"

log = logging.getLogger("podshim.transport")


async def dial(
    path: str | PipeAddress,
    *,
    timeout: float | None = TIMEOUT,  # noqa: ASYNC109 - it bounds the retries
    missing_for: float = 0.0,
) -> PipeStream:
    """Connect to a named pipe.

    Args:
        path: Its path.
        timeout: How long to try while it is busy (s); None for ever.
        missing_for: How long to try while there is no such pipe (s), within the timeout.

    Returns:
        The connection; the caller closes it.

    Raises:
        AddressError: The path is no pipe's, or on another machine.
        TimeoutError: It was busy all the time.
        OSError: It can't be opened; FileNotFoundError if there is no such pipe.
    """
    return PipeStream(await _open(path, timeout, missing_for))


async def connect(
    address: str | PipeAddress,
    *,
    timeout: float | None,  # noqa: ASYNC109 - it bounds the retries
    missing_for: float = 0.0,
) -> Client:
    """Connect to a ttrpc server.

    Args:
        address: Its address: see `address.parse_pipe`.
        timeout: How long to try while it is busy (s); None for ever.
        missing_for: How long to try while there is no such pipe (s), within the timeout.

    Returns:
        The client, connected; the caller closes it.

    Raises:
        AddressError, TimeoutError, OSError: As `dial`.
    """
    target = parse_pipe(address) if isinstance(address, str) else address
    pipe = OverlappedPipe(await _open(target, timeout, missing_for))
    client = Client()
    PipeTransport(pipe, client)
    return client


async def _open(path: str | PipeAddress, limit: float | None, missing_for: float) -> Handle:
    target = PipeAddress(path) if isinstance(path, str) else path
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        try:
            return open_client(target.path)
        except OSError as error:
            passed = loop.time() + RETRY - begun
            late = limit is not None and passed > limit
            code = code_of(error)
            if code == ERROR_PIPE_BUSY:
                if late:
                    raise TimeoutError(f"open {target}: i/o timeout") from None
            elif code != ERROR_FILE_NOT_FOUND or late or passed > missing_for:
                raise
        await asyncio.sleep(RETRY)


def peer_of(pipe: OverlappedPipe) -> Peer:
    """Who connected, as the kernel knew it at that moment.

    Raises:
        OSError: The kernel can't tell.
    """
    return Peer(client_process_id(pipe.handle), NOBODY, NOBODY)


async def serve(listener: PipeListener, server: Server) -> Listener:
    """Hand all clients of a pipe to a ttrpc server, from now until the result is closed.

    Args:
        listener: Where they come; it is owned from now on.
        server: What serves them.
    """
    return Listener(listener, server)


class Listener:
    """Accepts connections for a server. Made by `serve`, on a running Proactor loop.

    Closing it stops accepting; connections that there are go on, and are the server's.
    """

    def __init__(self, listener: PipeListener, server: Server) -> None:
        self._listener = listener
        self._server = server
        self._task = asyncio.get_running_loop().create_task(self._accept())

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
        """Whether connections are accepted."""
        return not self._listener.closed

    def close(self) -> None:
        """Accept no more; the name is free when the connections have ended."""
        self._listener.close()

    async def wait_closed(self) -> None:
        """Wait until nothing is accepted any more and what was accepted is the server's."""
        await asyncio.wait((self._task,))

    async def _accept(self) -> None:
        try:
            while True:
                try:
                    pipe = await self._listener.accept_pipe()
                except OSError:
                    return  # closed
                self._welcome(pipe)
        finally:
            self._listener.close()

    def _welcome(self, pipe: OverlappedPipe) -> None:
        try:
            PipeTransport(pipe, self._server.protocol(peer_of(pipe)))
        except OSError as error:
            log.warning("ttrpc: refusing connection of an unknown peer: %s", error)
            pipe.close()
        except Exception:
            log.exception("ttrpc: a connection can't be served")
            pipe.close()


def pipe_pair(*, child_reads: bool) -> tuple[PipeStream, Handle]:
    """Make a pipe between us and a child that we are about to create.

    Args:
        child_reads: Whether the child reads what we write, as from its standard input; else we
            read what it writes.

    Returns:
        Our end, on the running Proactor loop, and the child's: for plain I/O, inheritable. The
        caller closes both, the child's as soon as the child has it, or our end never ends.

    Raises:
        OSError: It can't be made; nothing is left behind.
    """
    path = f"{PIPE}podshim-{os.getpid()}-{uuid.uuid4()}"
    with security.from_sddl(_OWN) as descriptor:
        server = create(
            path,
            descriptor,
            first=True,
            reads=not child_reads,
            writes=child_reads,
            instances=1,
            buffer=BUFFER,
        )
    try:
        child = open_child_end(path, reads=child_reads)
    except BaseException:
        server.close()
        raise
    try:
        return PipeStream(server), child
    except BaseException:
        child.close()
        raise
