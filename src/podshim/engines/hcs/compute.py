"""What runs containers and processes, whoever it is: the host's compute service, or a VM's guest.

Theory of operation. A container and its processes do the same wherever they live, so they are
written against these two. `System` and `HcsProcess` are those of the host; a utility VM has its
own. Ends are told by `wait`, which raises `ClosedError` where only our handle has been closed, and
`LostServiceError` where nothing will be heard any more; failures are `HcsError`s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol  # Any: members of parsed JSON documents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podshim.engines.hcs.results import HcsError
    from podshim.transport.streams import ReadStream, WriteStream


class ProcessPipes(Protocol):
    """A process's own pipe ends, each None if it has none."""

    @property
    def stdin(self) -> WriteStream | None:
        """What it reads."""

    @property
    def stdout(self) -> ReadStream | None:
        """What it writes."""

    @property
    def stderr(self) -> ReadStream | None:
        """What it writes."""


class ComputeProcess(Protocol):
    """A process that runs; see `HcsProcess`."""

    @property
    def pid(self) -> int:
        """Its process id, where it runs."""

    @property
    def pipes(self) -> ProcessPipes:
        """Its pipe ends."""

    async def wait(self) -> int:
        """Wait for its end; its exit code, unsigned."""

    async def signal(self, options: Mapping[str, str | int]) -> bool:
        """Send a signal; whether it was delivered."""

    async def kill(self) -> bool:
        """End it hard; whether there was something to kill."""

    async def resize(self, width: int, height: int) -> None:
        """Give its console another size."""

    async def close_stdin(self) -> None:
        """Let it read the end of its input."""

    async def close(self) -> None:
        """Give up the handle and the pipes."""


class ComputeSystem(Protocol):
    """A container; see `System`."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def closed(self) -> bool:
        """Whether the handle has been closed."""

    @property
    def exit_error(self) -> HcsError | None:
        """What a container that ended by itself died of."""

    async def start(self) -> None:
        """Start it."""

    async def shutdown(self) -> None:
        """Ask it to end."""

    async def terminate(self) -> None:
        """End it hard."""

    async def wait(self) -> None:
        """Wait for its end."""

    async def properties(
        self, types: Sequence[str] = (), *, operation: str = "hcs::System::Properties"
    ) -> dict[str, Any]:
        """Ask for properties."""

    async def modify(self, settings: Mapping[str, Any] | str) -> None:
        """Change it while it runs."""

    async def create_process(self, parameters: str, *, command_line: str = "") -> ComputeProcess:
        """Create a process in it."""

    async def close(self) -> None:
        """Give up the handle."""
