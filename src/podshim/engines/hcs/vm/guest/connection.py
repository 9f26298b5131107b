"""What a VM's agent is asked for, beside containers and processes.

Theory of operation. `connect` agrees with the agent on the one version of the protocol that there
is, learns what the guest can do, and tells it that the VM begins to live, if it wants to be told.
A `Guest` is then the way to everything inside the VM. It knows which containers it has made: the
end of another is an error of the agent's, the end of the bridge is the end of all.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import Json, dumps
from podshim.engines.hcs.vm.guest.bridge import TIMEOUT, Bridge, BridgeClosedError
from podshim.engines.hcs.vm.guest.channels import Channel
from podshim.engines.hcs.vm.guest.core import VM_ITSELF
from podshim.engines.hcs.vm.guest.sockets import LINUX_AGENT_PORT, vsock_service
from podshim.engines.hcs.vm.guest.wire import BridgeError, Rpc
from podshim.errors import AlreadyExistsError, InvalidArgumentError, ShimError
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.engines.hcs.vm.guest.sockets import Listen
    from podshim.transport.streams import DuplexStream

VERSION = 4
_LOG_SERVICE = "LogForwardService"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a guest can do.

    Args:
        os: `windows` or `linux`.
        namespaces: Take network namespaces.
        signals: Deliver signals.
        stacks: Tell the stacks of its agent.
        delete_state: Remove what it keeps of a container.
        update_containers: Change limits of containers.
        log_forwarding: Forward its logs.
        host_process: Run HostProcess containers.
    """

    os: str = "windows"
    namespaces: bool = False
    signals: bool = False
    stacks: bool = False
    delete_state: bool = False
    update_containers: bool = False
    log_forwarding: bool = False
    host_process: bool = False


def capabilities_of(answer: Member) -> Capabilities:
    """What a guest can do, from its answer to the negotiation.

    Raises:
        InvalidArgumentError: A member of another type than the protocol's.
    """
    told = answer["Capabilities"]
    guest = told["GuestDefinedCapabilities"]
    return Capabilities(
        os=told["RuntimeOsType"].text().lower() or "windows",
        namespaces=guest["NamespaceAddRequestSupported"].flag(),
        signals=guest["SignalProcessSupported"].flag(),
        stacks=guest["DumpStacksSupported"].flag(),
        delete_state=guest["DeleteContainerStateSupported"].flag(),
        update_containers=guest["UpdateContainerSupported"].flag(),
        log_forwarding=guest["LogForwardingSupported"].flag(),
        host_process=guest["HostProcessContainerSupported"].flag(),
    )


class Guest:
    """A VM's agent, connected; made by `connect`.

    Args:
        stream: The connection; owned from now on.
        listen: Listens for connections of the guest.
        timeout: How long the agent may take to answer, in s.
    """

    def __init__(self, stream: DuplexStream, listen: Listen, timeout: float = TIMEOUT) -> None:
        self.capabilities = Capabilities()
        self.bridge = Bridge(stream, self._container_ended, timeout)
        self._listen = listen
        self._next_port = LINUX_AGENT_PORT + 1
        self._ends: dict[str, asyncio.Event] = {}
        self._watch = asyncio.create_task(self._watch_end(), name="guest-end")

    @property
    def windows(self) -> bool:
        """Whether the guest is a Windows."""
        return self.capabilities.os == "windows"

    async def wait(self) -> None:
        """Wait for the end of the connection."""
        await self.bridge.wait()

    async def close(self) -> None:
        """Give up the connection; any number of calls."""
        await self.bridge.close()
        await asyncio.wait((self._watch,))

    async def modify(self, request: Mapping[str, object]) -> None:
        """Tell the guest of something that its VM has got, or shall have no more.

        Args:
            request: RequestType, ResourceType and Settings.

        Raises:
            HcsError: The guest refuses, or is gone.
        """
        await self.bridge.call(Rpc.MODIFY_SETTINGS, VM_ITSELF, {"Request": dict(request)})

    async def modify_log_service(self, rpc: str, settings: str = "") -> None:
        """Tell the guest's log service what to do.

        Args:
            rpc: `ModifyServiceSettings`, `StartLogForwarding` or `StopLogForwarding`.
            settings: The service's own settings as text.

        Raises:
            HcsError: The guest refuses, or is gone.
        """
        asked: Json = {"RPCType": rpc}
        if settings:
            asked["Settings"] = settings
        members = {"PropertyType": _LOG_SERVICE, "Settings": asked}
        await self.bridge.call(Rpc.MODIFY_SERVICE_SETTINGS, VM_ITSELF, members)

    async def stacks(self) -> str:
        """The stacks of the guest's agent.

        Raises:
            HcsError: The guest does not tell, or is gone.
            ShimError: Its answer is none.
        """
        answer = read(await self.bridge.call(Rpc.DUMP_STACKS, VM_ITSELF))
        try:
            return answer["GuestStacks"].text()
        except InvalidArgumentError as error:
            raise ShimError(error.detail) from None

    async def delete_state(self, container_id: str) -> None:
        """Let the guest remove what it keeps of a container.

        Raises:
            HcsError: The guest refuses, or is gone.
        """
        await self.bridge.call(Rpc.DELETE_CONTAINER_STATE, container_id)

    async def open_channel(self) -> tuple[Channel, int]:
        """Listen for a stream of a process.

        Returns:
            The stream, and its vsock port.

        Raises:
            OSError: It can't be listened for.
        """
        port = self._next_port
        self._next_port += 1
        return Channel(await self._listen(vsock_service(port))), port

    def expect_end(self, container_id: str) -> asyncio.Event:
        """Register a container before it is created, so that its end is not missed.

        Returns:
            What is set when it has ended, or when nothing more will be heard of it.

        Raises:
            AlreadyExistsError: There is one of this id.
            BridgeClosedError: The bridge is dead.
        """
        if self.bridge.closed:
            raise BridgeClosedError
        if container_id in self._ends:
            raise AlreadyExistsError(f"container {container_id}")
        ended = self._ends[container_id] = asyncio.Event()
        return ended

    def forget(self, container_id: str) -> None:
        """Take back `expect_end` for a container that was not created."""
        self._ends.pop(container_id, None)

    def _container_ended(self, container_id: str) -> None:
        ended = self._ends.pop(container_id, None)
        if ended is None:
            raise BridgeError(f"bridge notification failed: container {container_id} not found")
        ended.set()

    async def _watch_end(self) -> None:
        await self.bridge.wait()
        ends, self._ends = self._ends, {}
        for ended in ends.values():
            ended.set()


async def connect(
    stream: DuplexStream,
    listen: Listen,
    *,
    time_zone: Mapping[str, object] | None = None,
    timeout: float = TIMEOUT,  # noqa: ASYNC109  # of each call, for ever after
) -> Guest:
    """Begin to talk to a VM's agent that has connected.

    Args:
        stream: The connection; owned from now on, also after a failure.
        listen: Listens for further connections of the guest.
        time_zone: The guest's time zone, as HCS takes it; None to leave it.
        timeout: How long the agent may take for an answer, in s.

    Raises:
        HcsError: The agent refuses, or is gone.
        ShimError: It speaks another version, or its answer is none.
    """
    guest = Guest(stream, listen, timeout)
    try:
        await _greet(guest, time_zone)
    except BaseException:
        await guest.close()
        raise
    return guest


async def _greet(guest: Guest, time_zone: Mapping[str, object] | None) -> None:
    bridge = guest.bridge
    versions = {"MinimumVersion": VERSION, "MaximumVersion": VERSION}
    answer = read(await bridge.call(Rpc.NEGOTIATE_PROTOCOL, "", versions, ignorable=True))
    try:
        version = answer["Version"].unsigned(32) or 0
        if version != VERSION:
            raise ShimError(f"unexpected version {version} returned")
        guest.capabilities = capabilities_of(answer)
        wants_create = answer["Capabilities"]["SendHostCreateMessage"].flag()
        wants_start = answer["Capabilities"]["SendHostStartMessage"].flag()
    except InvalidArgumentError as error:
        raise ShimError(error.detail) from None
    if not wants_create:
        return
    config: Json = {"SystemType": "Container"}
    if time_zone is not None:
        config["TimeZoneInformation"] = dict(time_zone)
    await bridge.call(Rpc.CREATE, VM_ITSELF, {"ContainerConfig": dumps(config)}, ignorable=True)
    if wants_start:
        await bridge.call(Rpc.START, VM_ITSELF, ignorable=True)


def read(answer: Json) -> Member:
    """An answer of a guest, to be read with its types checked."""
    return Member(answer, document="answer of the guest")


def inner(answer: Json, name: str) -> Json:
    """A document that an answer carries as text.

    Raises:
        ShimError: It is none.
    """
    value = answer.get(name, "{}")
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        raise ShimError(f"answer of the guest: {name} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ShimError(f"answer of the guest: {name} is no JSON object")
    return found
