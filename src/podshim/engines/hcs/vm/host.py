"""The host of VMs: what making and running one needs, and who does it.

Theory of operation. Everything that a VM asks of Windows comes in through `VmHost`, so that tests
can be Windows. Calls that block are made in the engine's threads.
"""

from __future__ import annotations

import functools
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar  # Any: parsed JSON documents
from uuid import UUID

from podshim.engines.hcs.documents.jsontext import present
from podshim.engines.hcs.hcn import ComputeNetwork
from podshim.engines.hcs.layers import Drivers
from podshim.engines.hcs.vm.guest import hvsockets
from podshim.engines.hcs.vm.vsmb import BUILDS_WANTING_FILE_IDS, Shared
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from podshim.engines.hcs.assembly import Setting
    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.hcn import HostNetworks
    from podshim.engines.hcs.layers import Threads
    from podshim.engines.hcs.results import HcsError
    from podshim.engines.hcs.vm.guest.sockets import Listen
    from podshim.engines.hcs.vm.ncproxy import ComputeAgent, Serving
    from podshim.ttrpc import Client
    from podshim.win32.timezone import SystemTime

T = TypeVar("T")

#: Tells a confidential Windows guest that a disk is to be formatted.
UNFORMATTED_DISK = UUID("a7b3c5d1-4e2f-4a8b-9c6d-1e3f5a7b9c2d")
#: How long to try to reach a network proxy that is busy, in s.
_PROXY_LIMIT = 10.0
UTC: Json = {
    "StandardName": "Coordinated Universal Time",
    "StandardDate": {},
    "DaylightName": "Coordinated Universal Time",
    "DaylightDate": {},
}


class VmSystem(Protocol):
    """A VM as a compute system; see `podshim.engines.hcs.system.System`."""

    id: str

    @property
    def closed(self) -> bool:
        """Whether the handle has been closed."""

    @property
    def exit_error(self) -> HcsError | None:
        """What a VM that ended by itself died of."""

    async def start(self) -> None:
        """Start it."""

    async def terminate(self) -> None:
        """End it hard."""

    async def wait(self) -> None:
        """Wait for its end."""

    async def properties(
        self, types: Sequence[str] = (), *, operation: str = "hcs::System::Properties"
    ) -> dict[str, Any]:
        """Ask for properties."""

    async def modify(self, settings: Any) -> None:  # noqa: ANN401 - a document or its text
        """Change it while it runs."""

    async def close(self) -> None:
        """Give up the handle."""


class Closable(Protocol):
    """Something that holds until it is closed."""

    def close(self) -> None:
        """Close it."""


class VmService(Protocol):
    """The compute service; see `podshim.engines.hcs.system.Hcs`."""

    async def create_system(self, system_id: str, document: str) -> VmSystem:
        """Create a compute system."""

    async def service_properties(self, query: str) -> dict[str, Any]:
        """Ask the service about itself."""

    async def modify_service(self, settings: str) -> None:
        """Change the service's settings."""


class Files:
    """What is done to files of the host for a VM, by Windows. Every method blocks."""

    def grant(self, vm_id: str, path: str) -> None:
        """Let one VM use a file; raises OSError."""
        from podshim.win32.vmaccess import grant_vm_access

        grant_vm_access(vm_id, path)

    def grant_group(self, path: str) -> None:
        """Let all VMs use a file or folder; raises OSError."""
        from podshim.win32.vmaccess import grant_vm_group_access

        grant_vm_group_access(path)

    def mark_unformatted(self, path: str) -> None:
        """Mark a disk as one that its guest formats; raises OSError."""
        from podshim.win32.virtualdisks import set_identifier

        set_identifier(path, UNFORMATTED_DISK)

    def redirect(self, system: UUID, vm: UUID) -> Closable:
        """Send hv-socket connections for a container's GUID into its VM; raises OSError."""
        from podshim.win32.addressinfo import redirect

        return redirect(system, vm)

    def vm_working_set(self, vm: UUID) -> int:
        """How much memory a VM's memory process has in use, in bytes; raises OSError."""
        from podshim.win32.vmmemory import working_set

        return working_set(vm)

    def look(self, path: str, build: int) -> Shared:
        """Look at what is to be shared with a VM; raises OSError."""
        folder = stat.S_ISDIR(os.stat(path).st_mode)
        if build not in BUILDS_WANTING_FILE_IDS:
            return Shared(folder)
        from podshim.win32.fileids import has_file_id

        return Shared(folder, mappable=has_file_id(path if folder else os.path.dirname(path)))


async def _connect(pipe: str) -> Client:
    from podshim.transport import pipes

    return await pipes.connect(pipe, timeout=_PROXY_LIMIT)


async def _serve_agent(address: str, agent: ComputeAgent) -> Serving:
    from podshim.api.computeagent_ttrpc import compute_agent_service
    from podshim.transport import pipes
    from podshim.ttrpc import Server

    server = Server([compute_agent_service(agent)])
    return _Served(await pipes.serve(pipes.listen(address), server), server)


@dataclass(frozen=True, slots=True)
class _Served:
    """A served agent: who listens, and the server with its connections."""

    listener: Closable
    server: Closable

    def close(self) -> None:
        self.listener.close()
        self.server.close()


def host_time_zone() -> Json:
    """The time zone of this machine, as HCS takes it.

    Raises:
        OSError: Windows does not tell.
    """
    from podshim.win32.timezone import time_zone

    zone = time_zone()
    return {
        **present({"Bias": zone.bias, "StandardName": zone.standard_name}),
        "StandardDate": _date(zone.standard_date),
        **present({"StandardBias": zone.standard_bias, "DaylightName": zone.daylight_name}),
        "DaylightDate": _date(zone.daylight_date),
        **present({"DaylightBias": zone.daylight_bias}),
    }


def _date(date: SystemTime) -> Json:
    return present(
        {
            "Year": date.year,
            "Month": date.month,
            "DayOfWeek": date.day_of_week,
            "Day": date.day,
            "Hour": date.hour,
            "Minute": date.minute,
            "Second": date.second,
            "Milliseconds": date.milliseconds,
        }
    )


@dataclass(frozen=True, slots=True)
class VmHost:
    """Where VMs live.

    Args:
        setting: What all containers of the engine have in common.
        owner: The shim's file name.
        program_folder: The folder that the shim's program is in.
        service: The compute service.
        threads: Where calls of Windows block.
        processors: The number of processors that this process may use.
        program_files: The folder of programs.
        log_level: How talkative guests' agents shall be.
        scrub_logs: Whether they keep secrets out of their logs.
        files: What does things to files.
        listening_for: Makes what listens for a VM's guest.
        drivers: Who knows layers.
        networks: The host's networks.
        connect: Connects to a network proxy's pipe; raises OSError.
        serve_agent: Serves what a network proxy may do, at a pipe; raises OSError.
        time_zone: The host's time zone, as HCS takes it; raises OSError.
    """

    setting: Setting
    owner: str
    program_folder: str
    service: VmService
    threads: Threads
    processors: int
    program_files: str = ""
    log_level: str = "info"
    scrub_logs: bool = True
    files: Files = field(default_factory=Files)
    listening_for: Callable[[UUID], Listen] = hvsockets.listening_for
    drivers: Drivers = field(default_factory=Drivers)
    networks: HostNetworks = field(default_factory=ComputeNetwork)
    connect: Callable[[str], Awaitable[Client]] = _connect
    serve_agent: Callable[[str, ComputeAgent], Awaitable[Serving]] = _serve_agent
    time_zone: Callable[[], Json] = host_time_zone

    async def run(self, what: str, function: Callable[..., T], *arguments: object) -> T:
        """Make a call that blocks.

        Args:
            what: What it does, for errors and the log.
            function: What to call.
            arguments: What it gets.

        Raises:
            ShimError: It failed.
        """
        try:
            return await self.threads.run(what, functools.partial(function, *arguments))
        except OSError as error:
            raise ShimError(f"failed to {what}: {error}") from error
