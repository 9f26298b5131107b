"""Asking a running shim whether it hosts us: one ttrpc call, blocking, without asyncio.

Theory of operation. A `start` that finds a listening socket calls `Task/Connect` on it. The answer
proves that a shim serves there, and tells its pid. If the server is only just starting, the call
waits in the socket until it serves. If the server dies instead, the connection breaks: then nobody
hosts the group, and `start` begins again, as it does when the server says that it is leaving. If
nothing comes in time, the server hangs, and it would be wrong to take its place: it may hold
running containers.

The call says that a container is coming (`wire.JOINING`), so that a server which is told to go in
between, because its last other container has been deleted, stays until that has come.

`start` runs this module.
"""

import _socket
import os
import time

from podshim import wire
from podshim.shim.rendezvous import peer
from podshim.ttrpc import blocking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_UNAVAILABLE = 14
_SHORTEST_WAIT = 0.001


class HostingError(Exception):
    """A server listens, but it can't host the container."""


class GoneError(Exception):
    """The connection broke before an answer: the server has ended, or is about to."""


class Visitor:
    """A connection to a shim that may host a container. Use it as a context manager.

    Args:
        connection: The connected socket; this object owns it.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: _socket.socket) -> None:
        self._connection = connection

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        self._connection.close()

    def host_pid(self, container_id: str, deadline: float) -> int:
        """Ask the shim for its pid.

        Args:
            container_id: The container that wants to join.
            deadline: When to give up, by the monotonic clock (s).

        Raises:
            GoneError: The connection broke.
            HostingError: The server is another user's, hangs, refuses, or talks nonsense.
        """
        pid, uid = peer(self._connection)
        if uid not in {0, os.geteuid()}:
            raise HostingError(f"the shim's socket is served by process {pid} of user {uid}")
        try:
            return wire.shim_pid(self._connect(container_id, deadline)) or pid
        except TimeoutError:
            raise HostingError(
                f"the hosting shim, process {pid}, does not answer; "
                "it may hold running containers, so it is not replaced"
            ) from None
        except ConnectionError as error:
            raise GoneError(f"process {pid} has ended: {error}") from error
        except wire.WireError as error:
            raise HostingError(f"the hosting shim, process {pid}: {error}") from error

    def _connect(self, container_id: str, deadline: float) -> bytes:
        """Call Task/Connect; return the response message."""
        request = wire.ttrpc_request(
            wire.TASK_SERVICE,
            "Connect",
            wire.connect_request(container_id),
            int(_remaining(deadline) * 1e9),
            wire.JOINING,
        )
        response = blocking.call(_Timed(self._connection), request, deadline)
        if response.code == _UNAVAILABLE:
            raise ConnectionResetError(response.message)
        if response.code:
            raise HostingError(
                "failed to get shim pid from hosting shim: "
                f"{response.message or f'status {response.code}'}"
            )
        return response.payload


class _Timed:
    """A socket whose every call ends by a deadline."""

    __slots__ = ("_socket",)

    def __init__(self, connection: _socket.socket) -> None:
        self._socket = connection

    def send_all(self, data: bytes, deadline: float) -> None:
        self._socket.settimeout(_remaining(deadline))
        self._socket.sendall(data)

    def recv(self, limit: int, deadline: float) -> bytes:
        self._socket.settimeout(_remaining(deadline))
        return self._socket.recv(limit)


def _remaining(deadline: float) -> float:
    """How long the next call may take, in s.

    Raises:
        TimeoutError: It is too late.
    """
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return max(remaining, _SHORTEST_WAIT)
