"""Containers and processes in a VM's guest, as the engine uses those of the host.

Theory of operation. These are the guest's `ComputeSystem` and `ComputeProcess`: what
`podshim.engines.hcs.container` and `.process` are written against. A container's end is told by a
notification, a process's by the answer to a wait that is asked for as soon as the process is there,
so that no end is missed. Closing either gives up our interest in it; the guest is not told.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any  # Any: members of parsed JSON documents

from podshim.engines.hcs import results
from podshim.engines.hcs.documents.jsontext import dumps
from podshim.engines.hcs.results import ClosedError, HcsError
from podshim.engines.hcs.vm.guest.bridge import GuestError
from podshim.engines.hcs.vm.guest.connection import inner, read
from podshim.engines.hcs.vm.guest.core import VM_ITSELF
from podshim.engines.hcs.vm.guest.sockets import vsock_service
from podshim.engines.hcs.vm.guest.wire import Rpc
from podshim.errors import InvalidArgumentError, ShimError
from podshim.win32.binding import ERROR_NOT_FOUND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.vm.guest.channels import Channel
    from podshim.engines.hcs.vm.guest.connection import Guest

_log = logging.getLogger(__name__)

#: How long a guest may take to answer that it shuts a container down, in s.
_SHUTDOWN = 30.0
_FOR_EVER = 0xFFFFFFFF
_STREAMS = (
    ("StdIn", "CreateStdInPipe"),
    ("StdOut", "CreateStdOutPipe"),
    ("StdErr", "CreateStdErrPipe"),
)


class GuestProcess:
    """A process in a guest; made by `create_process`.

    Args:
        guest: The guest.
        container_id: The container that it is in, or the VM itself.
        channels: Its streams, in the order of `stdin`, `stdout` and `stderr`; owned from now on.
        pid: Its process id in the guest.
    """

    def __init__(
        self, guest: Guest, container_id: str, channels: Sequence[Channel | None], pid: int
    ) -> None:
        self._guest = guest
        self._container_id = container_id
        self._pid = pid
        self._stdin, self._stdout, self._stderr = channels
        self._closed = asyncio.Event()
        members = {"ProcessId": pid, "TimeoutInMs": _FOR_EVER}
        self._exit = guest.bridge.begin(Rpc.WAIT_FOR_PROCESS, container_id, members)

    @property
    def pid(self) -> int:
        """Its process id in the guest."""
        return self._pid

    @property
    def pipes(self) -> GuestProcess:
        """Its streams are its own."""
        return self

    @property
    def stdin(self) -> Channel | None:
        """What it reads."""
        return self._stdin

    @property
    def stdout(self) -> Channel | None:
        """What it writes."""
        return self._stdout

    @property
    def stderr(self) -> Channel | None:
        """What it writes."""
        return self._stderr

    async def wait(self) -> int:
        """Wait for its end; its exit code, unsigned.

        Raises:
            ClosedError: It was closed here.
            HcsError: The guest is gone, or does not tell.
        """
        closing = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait((self._exit, closing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()
        if not self._exit.done():
            raise ClosedError("guest process", str(self._pid))
        try:
            answer, unknown = read(self._exit.result()), 0
        except GuestError as error:
            if error.result != ERROR_NOT_FOUND:
                raise
            # It has ended; the guest may have forgotten how.
            answer, unknown = read(error.document), results.UNKNOWN_EXIT_CODE
        try:
            code = answer["ExitCode"].unsigned(32)
        except InvalidArgumentError as error:
            raise HcsError("guest process", str(self._pid), 0, reason=error.detail) from None
        return unknown if code is None else code

    async def signal(self, options: Mapping[str, str | int]) -> bool:
        """Send a signal; whether it was delivered.

        Raises:
            HcsError: The guest refuses, or is gone.
        """
        return await self._signal({"Options": dict(options)})

    async def kill(self) -> bool:
        """End it hard; whether there was something to kill.

        Raises:
            HcsError: The guest refuses, or is gone.
        """
        return await self._signal({})

    async def resize(self, width: int, height: int) -> None:
        """Give its console another size.

        Raises:
            HcsError: The guest refuses, or is gone.
        """
        members = {"ProcessId": self._pid, "Height": height, "Width": width}
        await self._guest.bridge.call(
            Rpc.RESIZE_CONSOLE, self._container_id, members, ignorable=True
        )

    async def close_stdin(self) -> None:
        """Let it read the end of its input.

        Raises:
            OSError: The connection is gone.
        """
        if self._stdin is not None:
            await self._stdin.end_writing()

    async def close(self) -> None:
        """Give up the streams, and interest in its end; any number of calls."""
        self._closed.set()
        for channel in (self._stdin, self._stdout, self._stderr):
            if channel is not None:
                channel.close()

    async def _signal(self, members: Mapping[str, object]) -> bool:
        asked = {"ProcessId": self._pid, **members}
        try:
            await self._guest.bridge.call(Rpc.SIGNAL_PROCESS, self._container_id, asked)
        except HcsError as error:
            if error.result != ERROR_NOT_FOUND:
                raise
            if not self._exit.done():
                _log.warning("the guest does not know process %d any more", self._pid)
            return False
        return True


class GuestContainer:
    """A container in a guest; made by `create_container`.

    Args:
        guest: The guest.
        container_id: Its id.
        ended: Set when it has ended.
    """

    def __init__(self, guest: Guest, container_id: str, ended: asyncio.Event) -> None:
        self._guest = guest
        self._id = container_id
        self._ended = ended
        self._closed = asyncio.Event()

    @property
    def id(self) -> str:
        """Its id."""
        return self._id

    @property
    def closed(self) -> bool:
        """Whether it has been closed here."""
        return self._closed.is_set()

    @property
    def exit_error(self) -> HcsError | None:
        """A guest does not tell what a container died of."""
        return None

    async def start(self) -> None:
        """Start it.

        Raises:
            HcsError: The guest refuses, or is gone.
        """
        await self._guest.bridge.call(Rpc.START, self._id)

    async def shutdown(self) -> None:
        """Ask it to end.

        Raises:
            HcsError: The guest refuses, or is gone.
            TimeoutError: It has not answered in 30 s.
        """
        await self._shut_down(Rpc.SHUTDOWN_GRACEFUL)

    async def terminate(self) -> None:
        """End it hard; errors as of `shutdown`."""
        await self._shut_down(Rpc.SHUTDOWN_FORCED)

    async def wait(self) -> None:
        """Wait for its end, or that of its guest.

        Raises:
            ClosedError: It was closed here.
        """
        waits = [
            asyncio.ensure_future(self._ended.wait()),
            asyncio.ensure_future(self._closed.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self._ended.is_set():
            raise ClosedError("guest container", self._id, "container closed")

    async def properties(
        self,
        types: Sequence[str] = (),
        *,
        operation: str = "",  # noqa: ARG002  # the host's
    ) -> dict[str, Any]:
        """Ask for properties.

        Args:
            types: Which.
            operation: Of no meaning here.

        Raises:
            HcsError: The guest refuses, or is gone.
            ShimError: Its answer is none.
        """
        query = {"PropertyTypes": list(types)} if types else {}
        answer = await self._guest.bridge.call(
            Rpc.GET_PROPERTIES, self._id, {"Query": dumps(query)}, ignorable=True
        )
        return inner(answer, "Properties")

    async def modify(self, settings: Mapping[str, Any] | str) -> None:
        """Change it while it runs.

        Raises:
            HcsError: The guest refuses, or is gone.
        """
        request = json.loads(settings) if isinstance(settings, str) else dict(settings)
        await self._guest.bridge.call(Rpc.MODIFY_SETTINGS, self._id, {"Request": request})

    async def create_process(
        self,
        parameters: str,
        *,
        command_line: str = "",  # noqa: ARG002  # the host's
    ) -> GuestProcess:
        """Create a process in it; errors as of `create_process` below."""
        return await create_process(self._guest, self._id, parameters)

    async def close(self) -> None:
        """Give up interest in it; any number of calls."""
        self._closed.set()

    async def _shut_down(self, rpc: Rpc) -> None:
        try:
            async with asyncio.timeout(_SHUTDOWN):
                await self._guest.bridge.call(rpc, self._id, ignorable=True)
        except HcsError as error:
            if results.condition(error.result) is None or not results.is_not_exist(error.result):
                raise
            if not self._ended.is_set():
                _log.warning("container %s is not there any more: %s", self._id, error)


async def create_container(guest: Guest, container_id: str, config: Json) -> GuestContainer:
    """Create a container in a guest.

    Args:
        guest: The guest.
        container_id: The container's id.
        config: Its document, see `podshim.engines.hcs.documents.hosted`.

    Raises:
        AlreadyExistsError: There is one of this id.
        HcsError: The guest refuses, or is gone.
    """
    ended = guest.expect_end(container_id)
    try:
        await guest.bridge.call(Rpc.CREATE, container_id, {"ContainerConfig": dumps(config)})
    except BaseException:
        guest.forget(container_id)
        raise
    return GuestContainer(guest, container_id, ended)


async def create_process(guest: Guest, container_id: str, parameters: str) -> GuestProcess:
    """Create a process in a guest.

    Args:
        guest: The guest.
        container_id: In which container; `VM_ITSELF` for none.
        parameters: What it is, as JSON.

    Raises:
        HcsError: The guest refuses, or is gone.
        OSError: Its streams can't be listened for.
        ShimError: The guest's answer is none.
    """
    wanted = json.loads(parameters)
    channels: list[Channel | None] = []
    relays: Json = {}
    try:
        for name, member in _STREAMS:
            if not wanted.get(member):
                channels.append(None)
                continue
            channel, port = await guest.open_channel()
            channels.append(channel)
            relays[name] = str(vsock_service(port)) if guest.windows else port
        relay_name = "StdioRelaySettings" if guest.windows else "VsockStdioRelaySettings"
        settings = {"ProcessParameters": parameters, relay_name: relays}
        answer = await guest.bridge.call(Rpc.EXECUTE_PROCESS, container_id, {"Settings": settings})
        try:
            pid = read(answer)["ProcessId"].unsigned(32) or 0
        except InvalidArgumentError as error:
            raise ShimError(error.detail) from None
        return GuestProcess(guest, container_id, channels, pid)
    except BaseException:
        for opened in channels:
            if opened is not None:
                opened.close()
        raise


async def create_vm_process(guest: Guest, parameters: str) -> GuestProcess:
    """Create a process in a guest, outside containers; errors as of `create_process`."""
    return await create_process(guest, VM_ITSELF, parameters)
