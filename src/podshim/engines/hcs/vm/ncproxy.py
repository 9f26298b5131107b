r"""Networks of VMs that a service on the host sets up: what we ask of it, and what it asks of us.

Theory of operation. The service, a proxy of whoever manages networks, listens on a pipe. It is told
of a pod's VM and where its agent listens, which is us; asked to configure the VM's network, it
calls the agent back for each card: `ComputeAgent` adds, changes and removes cards and PCI devices.
So the agent is there before the proxy is asked, and stays until the VM is gone.

Endpoints come as documents: those of the Host Compute Network, which are looked up on this host,
and the proxy's own, which the guest is told of without a card of the host.
"""

# ruff: noqa: ARG002  # handlers of calls get their context

from __future__ import annotations

import ipaddress
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from podshim.api import computeagent_pb2 as agent_api, ncproxy_pb2 as proxy_api
from podshim.api.computeagent_ttrpc import ComputeAgentService
from podshim.api.ncproxy_ttrpc import NetworkConfigProxyStub
from podshim.engines.hcs.documents.jsontext import Json, present
from podshim.engines.hcs.vm.options import AssignedDevice
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from google.protobuf.any_pb2 import Any

    from podshim.engines.hcs.vm.network import VmNetwork
    from podshim.engines.hcs.vm.pci import PciManager
    from podshim.ttrpc import CallContext, Client

HOST_ENDPOINT = "ncproxy/hcn/HostComputeEndpoint"
PROXY_ENDPOINT = "ncproxy/ncproxynetworking/Endpoint"
_MODERATIONS = {0: "Default", 1: "Adaptive", 2: "Off", 100: "Low", 200: "Medium", 300: "High"}
#: How long the proxy may take for one call, in s.
_LIMIT = 120.0


class Serving(Protocol):
    """A service that is served."""

    def close(self) -> None:
        """Stop serving."""


class ComputeAgent(ComputeAgentService):
    """What the proxy may do with one VM.

    Args:
        network: The VM's network.
        pci: Its PCI devices.
        vm_id: Its id.
    """

    def __init__(self, network: VmNetwork, pci: PciManager, vm_id: str) -> None:
        self._network = network
        self._pci = pci
        self._vm_id = vm_id

    async def add_nic(
        self, request: agent_api.AddNICInternalRequest, context: CallContext
    ) -> agent_api.AddNICInternalResponse:
        """Add a card for an endpoint."""
        _require(request.nic_id, request.HasField("endpoint"))
        endpoint = _document(request.endpoint)
        if _kind(request.endpoint) == PROXY_ENDPOINT:
            await self._network.tell_guest("Add", guest_adapter(request.nic_id, endpoint))
        else:
            found, namespace = await self._look_up(endpoint)
            await self._network.add_card(namespace, request.nic_id, found)
        return agent_api.AddNICInternalResponse()

    async def modify_nic(
        self, request: agent_api.ModifyNICInternalRequest, context: CallContext
    ) -> agent_api.ModifyNICInternalResponse:
        """Change how a card offloads to hardware."""
        settings = request.iov_policy_settings
        wanted = request.HasField("endpoint") and request.HasField("iov_policy_settings")
        _require(request.nic_id, wanted)
        endpoint = _document(request.endpoint)
        if _kind(request.endpoint) == PROXY_ENDPOINT:
            raise ShimError("modifying ncproxy networking endpoints is not supported")
        found, _ = await self._look_up(endpoint)
        iov = {
            "OffloadWeight": settings.IovOffloadWeight,
            "QueuePairsRequested": settings.QueuePairsRequested,
            "InterruptModeration": _MODERATIONS.get(settings.InterruptModeration, ""),
        }
        card = {"EndpointId": found.get("ID"), "MacAddress": found.get("MacAddress")}
        await self._network.update_card(request.nic_id, {**present(card), "IovSettings": iov})
        return agent_api.ModifyNICInternalResponse()

    async def delete_nic(
        self, request: agent_api.DeleteNICInternalRequest, context: CallContext
    ) -> agent_api.DeleteNICInternalResponse:
        """Remove a card."""
        _require(request.nic_id, request.HasField("endpoint"))
        endpoint = _document(request.endpoint)
        if _kind(request.endpoint) == PROXY_ENDPOINT:
            await self._network.tell_guest("Remove", {"ID": request.nic_id})
        else:
            found, namespace = await self._look_up(endpoint)
            await self._network.remove_card(namespace, str(found.get("ID", "")))
        return agent_api.DeleteNICInternalResponse()

    async def assign_pci(
        self, request: agent_api.AssignPCIInternalRequest, context: CallContext
    ) -> agent_api.AssignPCIInternalResponse:
        """Give the VM a PCI device."""
        _require(request.device_id, True)  # noqa: FBT003 - nothing else is required
        device = AssignedDevice(request.device_id, request.virtual_function_index & 0xFFFF)
        bus = await self._pci.assign(device, request.nic_id)
        return agent_api.AssignPCIInternalResponse(id=bus)

    async def remove_pci(
        self, request: agent_api.RemovePCIInternalRequest, context: CallContext
    ) -> agent_api.RemovePCIInternalResponse:
        """Take a PCI device away."""
        _require(request.device_id, True)  # noqa: FBT003 - nothing else is required
        device = AssignedDevice(request.device_id, request.virtual_function_index & 0xFFFF)
        await self._pci.remove(device, self._vm_id)
        return agent_api.RemovePCIInternalResponse()

    async def _look_up(self, endpoint: Member) -> tuple[Json, str]:
        """An endpoint of this host, and its namespace."""
        identifier = endpoint["ID"].text()
        if not identifier:
            raise InvalidArgumentError("the endpoint has no ID")
        found = await self._network.lookup.endpoint(identifier)
        return found, Member(found, document="endpoint")["HostComputeNamespace"].text()


class ProxiedNetwork:
    """A VM's network that a proxy sets up.

    Args:
        network: The VM's network.
        agent: What the proxy may do.
        container_id: The id by which the proxy knows the VM.
        connect: Connects to the proxy.
        serve: Serves the agent at an address.
    """

    def __init__(
        self,
        network: VmNetwork,
        agent: ComputeAgent,
        container_id: str,
        connect: Callable[[], Awaitable[Client]],
        serve: Callable[[str, ComputeAgent], Awaitable[Serving]],
    ) -> None:
        self._network = network
        self._agent = agent
        self._container_id = container_id
        self._connect = connect
        self._serve = serve
        self._serving: Serving | None = None
        self.address = f"\\\\.\\pipe\\computeagent-{container_id}"

    async def set_up(self, namespace_id: str) -> None:
        """Give the guest a namespace, and let the proxy do the rest.

        Raises:
            ShimError: The guest or the proxy refuses, or the proxy is not there.
        """
        if self._serving is None:
            self._serving = await self._serve(self.address, self._agent)
        async with self._proxy() as proxy:
            await self._network.add_namespace(namespace_id)
            registered = proxy_api.RegisterComputeAgentRequest(
                agent_address=self.address, container_id=self._container_id
            )
            await proxy.register_compute_agent(registered, timeout=_LIMIT)
            await self._configure(proxy, proxy_api.Setup)

    async def tear_down(self) -> None:
        """Let the proxy take away what it has set up.

        Raises:
            ShimError: The proxy refuses, or is not there.
        """
        async with self._proxy() as proxy:
            await self._configure(proxy, proxy_api.Teardown)
            gone = proxy_api.UnregisterComputeAgentRequest(container_id=self._container_id)
            await proxy.unregister_compute_agent(gone, timeout=_LIMIT)

    def close(self) -> None:
        """Stop serving the agent; any number of calls."""
        if self._serving is not None:
            self._serving.close()
            self._serving = None

    async def _configure(
        self, proxy: NetworkConfigProxyStub, kind: proxy_api.RequestTypeInternal
    ) -> None:
        asked = proxy_api.ConfigureNetworkingInternalRequest(
            container_id=self._container_id, request_type=kind
        )
        await proxy.configure_networking(asked, timeout=_LIMIT)

    @asynccontextmanager
    async def _proxy(self) -> AsyncIterator[NetworkConfigProxyStub]:
        try:
            client = await self._connect()
        except OSError as error:
            raise ShimError(f"failed to connect to ncproxy service: {error}") from error
        try:
            yield NetworkConfigProxyStub(client)
        finally:
            client.close()


def guest_adapter(card_id: str, endpoint: Member) -> Json:
    """How a Linux guest sets up a card of the proxy's own.

    Raises:
        InvalidArgumentError: The endpoint is not what it should be.
        ShimError: Its gateway is no address.
    """
    settings = endpoint["Settings"]
    address = {
        "IPAddress": settings["IPAddress"].text(),
        "PrefixLength": settings["IPAddressPrefixLength"].unsigned(8),
    }
    gateway = settings["DefaultGateway"].text()
    routes = []
    if gateway:
        try:
            version = ipaddress.ip_address(gateway).version
        except ValueError:
            raise ShimError(f"invalid gateway address: {gateway}") from None
        everywhere = "0.0.0.0/0" if version == 4 else "::/0"
        routes.append({"NextHop": gateway, "DestinationPrefix": everywhere})
    return present(
        {
            "NamespaceID": endpoint["NamespaceID"].text(),
            "ID": card_id,
            "VPCIAssigned": True,
            "IPConfigs": [present(address)],
            "Routes": routes,
        }
    )


def _require(text: str, also: bool) -> None:
    if not text or not also:
        raise InvalidArgumentError("received empty field in request")


def _kind(endpoint: Any) -> str:
    """Which of the two kinds an endpoint is.

    Raises:
        InvalidArgumentError: Neither.
    """
    for kind in (HOST_ENDPOINT, PROXY_ENDPOINT):
        if endpoint.type_url in {kind, f"/{kind}"}:
            return kind
    raise InvalidArgumentError("invalid request endpoint type")


def _document(endpoint: Any) -> Member:
    """An endpoint's document.

    Raises:
        InvalidArgumentError: It is of no kind that is known, or no JSON object.
    """
    _kind(endpoint)
    try:
        document = json.loads(endpoint.value)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"the endpoint is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidArgumentError("the endpoint is no JSON object")
    return Member(document, document="endpoint")
