"""What hv-sockets are, whoever makes them: streams between a VM's guest and its host.

Theory of operation. The host listens for one service of one VM, which a GUID names; the guest
connects. A Linux guest knows services by vsock ports, which are a range of GUIDs. Either end may
end its own direction and still read: that is how a process learns of the end of its input.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from uuid import UUID

from podshim.transport.streams import DuplexStream, Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    #: Listens for a service of one VM; raises OSError.
    Listen = Callable[[UUID], Awaitable["GuestListener"]]

WINDOWS_AGENT = UUID("acef5661-84a1-4e44-856b-6245e69f4620")
#: The agent that stands before a confidential Windows guest's own, and enforces the policy.
WINDOWS_POLICY_AGENT = UUID("ae8da506-a019-4553-a52b-902bc0fa0411")
WINDOWS_LOG = UUID("172dad59-976d-45f2-8b6c-6d1b13f2ac4d")
LINUX_AGENT_PORT = 0x40000000
#: Where a Windows guest finds its host.
WINDOWS_HOST = UUID("894cc2d6-9d79-424f-93fe-42969ae6d8d1")
_VSOCK = 0x0000FACB11E6BD5864006A7986D3


def vsock_service(port: int) -> UUID:
    """The service that a vsock port is."""
    return UUID(int=port << 96 | _VSOCK)


class GuestStream(DuplexStream):
    """A connection with a guest."""

    @abstractmethod
    async def end_writing(self) -> None:
        """Let the guest read the end; nothing can be written after it.

        Raises:
            OSError: The connection is gone.
        """


class GuestListener(Stream, ABC):
    """What waits for a guest to connect."""

    @abstractmethod
    async def accept(self) -> GuestStream:
        """Wait for the next connection.

        Raises:
            OSError: It is closed, or can't listen.
        """
