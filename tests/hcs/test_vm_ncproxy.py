"""Networks of VMs that a proxy sets up: our calls to it, and its calls to us."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from hcs.vm_machine import Document, FakeMachine
from hcs.vm_world import FakeNetworks, FakeThreads, World
from podshim.api import computeagent_pb2 as agent_api, ncproxy_pb2 as proxy_api
from podshim.api.computeagent_ttrpc import ComputeAgentStub, compute_agent_service
from podshim.api.ncproxy_ttrpc import NetworkConfigProxyService, network_config_proxy_service
from podshim.engines.hcs import vm
from podshim.engines.hcs.vm.ncproxy import (
    HOST_ENDPOINT,
    PROXY_ENDPOINT,
    ComputeAgent,
    ProxiedNetwork,
)
from podshim.engines.hcs.vm.network import HostLookup, VmNetwork
from podshim.engines.hcs.vm.pci import PciManager
from podshim.errors import Code, ShimError
from podshim.transport import unix
from podshim.transport.address import UnixAddress
from podshim.ttrpc import CallContext, Client, Server, StatusError

ADAPTERS = "VirtualMachine/Devices/NetworkAdapters/"


def endpoint(document: object, kind: str = HOST_ENDPOINT) -> AnyMessage:
    return AnyMessage(type_url=kind, value=json.dumps(document).encode())


@dataclass
class FakeProxy(NetworkConfigProxyService):
    """The proxy: it remembers what it was asked, and refuses if told so."""

    asked: list[object] = field(default_factory=list)
    refuses: bool = False

    async def register_compute_agent(
        self, request: proxy_api.RegisterComputeAgentRequest, context: CallContext
    ) -> proxy_api.RegisterComputeAgentResponse:
        assert context.metadata is not None
        self.asked.append((request.agent_address, request.container_id))
        return proxy_api.RegisterComputeAgentResponse()

    async def unregister_compute_agent(
        self, request: proxy_api.UnregisterComputeAgentRequest, context: CallContext
    ) -> proxy_api.UnregisterComputeAgentResponse:
        assert context.metadata is not None
        self.asked.append(request.container_id)
        return proxy_api.UnregisterComputeAgentResponse()

    async def configure_networking(
        self, request: proxy_api.ConfigureNetworkingInternalRequest, context: CallContext
    ) -> proxy_api.ConfigureNetworkingInternalResponse:
        assert context.metadata is not None
        self.asked.append((request.container_id, request.request_type))
        if self.refuses:
            raise ShimError("no network")
        return proxy_api.ConfigureNetworkingInternalResponse()


class Pipes:
    """Unix sockets in the place of pipes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.proxy = FakeProxy()
        self._open: list[unix.Listener] = []
        self._servers: list[Server] = []
        self.served: list[str] = []

    async def serve(self, name: str, server: Server) -> unix.Listener:
        listening = unix.listen(str(self.folder / name))
        listener = await unix.serve(listening, server, same_user=True)
        self._open.append(listener)
        self._servers.append(server)
        return listener

    async def serve_agent(self, address: str, agent: ComputeAgent) -> unix.Listener:
        self.served.append(address)
        return await self.serve("agent", Server([compute_agent_service(agent)]))

    async def connect_proxy(self) -> Client:
        return await unix.connect(UnixAddress(str(self.folder / "proxy")), timeout=5.0)

    async def close(self) -> None:
        for listener in self._open:
            listener.close()
        for server in self._servers:
            server.close()
            await server.wait_closed()


@dataclass
class Setting:
    """A VM's network, and the proxy."""

    machine: FakeMachine
    network: VmNetwork
    agent: ComputeAgent
    pipes: Pipes
    proxied: ProxiedNetwork


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    machine = FakeMachine()
    lookup = HostLookup(FakeNetworks(), FakeThreads())
    network = VmNetwork(machine.modifier, lookup, windows=False, namespaces=True)
    agent = ComputeAgent(network, PciManager(machine.modifier, 20348, windows=False), "pod@vm")
    pipes = Pipes(tmp_path)
    proxied = ProxiedNetwork(network, agent, "pod", pipes.connect_proxy, pipes.serve_agent)
    yield Setting(machine, network, agent, pipes, proxied)
    proxied.close()
    await pipes.close()


async def serve_proxy(setting: Setting) -> FakeProxy:
    server = Server([network_config_proxy_service(setting.pipes.proxy)])
    await setting.pipes.serve("proxy", server)
    return setting.pipes.proxy


async def test_the_proxy_is_told_and_asked(setting: Setting) -> None:
    proxy = await serve_proxy(setting)
    await setting.proxied.set_up("ns")
    address = "\\\\.\\pipe\\computeagent-pod"
    assert setting.pipes.served == [address]
    assert proxy.asked == [(address, "pod"), ("pod", proxy_api.Setup)]
    await setting.network.add_card("ns", "n1", {"ID": "e1"})  # the guest has the namespace
    proxy.asked.clear()
    await setting.proxied.tear_down()
    assert proxy.asked == [("pod", proxy_api.Teardown), "pod"]


async def test_a_proxy_that_is_not_there(setting: Setting) -> None:
    with pytest.raises(ShimError, match="failed to connect to ncproxy service: "):
        await setting.proxied.set_up("ns")


async def test_a_proxy_that_refuses(setting: Setting) -> None:
    proxy = await serve_proxy(setting)
    proxy.refuses = True
    with pytest.raises(StatusError, match="no network"):
        await setting.proxied.set_up("ns")


@pytest.fixture
async def stub(setting: Setting) -> AsyncIterator[ComputeAgentStub]:
    await setting.network.add_namespace("ns")
    await setting.pipes.serve_agent("agent", setting.agent)
    client = await unix.connect(UnixAddress(str(setting.pipes.folder / "agent")), timeout=5.0)
    yield ComputeAgentStub(client)
    client.close()


async def test_cards_of_endpoints_of_this_host(setting: Setting, stub: ComputeAgentStub) -> None:
    asked = agent_api.AddNICInternalRequest(nic_id="n1", endpoint=endpoint({"ID": "e1"}))
    await stub.add_nic(asked)
    (_, added), (_, told) = setting.machine.take()
    assert added["ResourcePath"] == ADAPTERS + "n1"
    assert told["Settings"]["ID"] == "n1"
    changed = agent_api.ModifyNICInternalRequest(
        nic_id="n1",
        endpoint=endpoint({"ID": "e1"}),
        iov_policy_settings=agent_api.IovSettings(IovOffloadWeight=7, InterruptModeration=200),
    )
    await stub.modify_nic(changed)
    assert setting.machine.take() == [
        (
            "host",
            {
                "ResourcePath": ADAPTERS + "n1",
                "RequestType": "Update",
                "Settings": {
                    "EndpointId": "e1",
                    "MacAddress": "00-e1",
                    "IovSettings": {
                        "OffloadWeight": 7,
                        "QueuePairsRequested": 0,
                        "InterruptModeration": "Medium",
                    },
                },
            },
        )
    ]
    await stub.delete_nic(
        agent_api.DeleteNICInternalRequest(nic_id="n1", endpoint=endpoint({"ID": "e1"}))
    )
    assert setting.machine.sides() == [("guest", "Remove"), ("host", "Remove")]


@pytest.mark.parametrize(
    ("gateway", "routes"),
    [
        ("", None),
        ("10.0.0.1", [{"NextHop": "10.0.0.1", "DestinationPrefix": "0.0.0.0/0"}]),
        ("fd::1", [{"NextHop": "fd::1", "DestinationPrefix": "::/0"}]),
    ],
)
async def test_cards_of_the_proxys_own(
    setting: Setting, stub: ComputeAgentStub, gateway: str, routes: object
) -> None:
    document = {
        "NamespaceID": "ns",
        "Settings": {
            "IPAddress": "10.0.0.2",
            "IPAddressPrefixLength": 24,
            "DefaultGateway": gateway,
        },
    }
    own = endpoint(document, PROXY_ENDPOINT)
    await stub.add_nic(agent_api.AddNICInternalRequest(nic_id="n1", endpoint=own))
    ((_, told),) = setting.machine.take()
    expected: Document = {
        "NamespaceID": "ns",
        "ID": "n1",
        "VPCIAssigned": True,
        "IPConfigs": [{"IPAddress": "10.0.0.2", "PrefixLength": 24}],
    }
    assert told["Settings"] == (expected if routes is None else {**expected, "Routes": routes})
    await stub.delete_nic(agent_api.DeleteNICInternalRequest(nic_id="n1", endpoint=own))
    ((_, told),) = setting.machine.take()
    assert (told["RequestType"], told["Settings"]) == ("Remove", {"ID": "n1"})


async def test_pci_devices(setting: Setting, stub: ComputeAgentStub) -> None:
    asked = agent_api.AssignPCIInternalRequest(device_id="PCI", virtual_function_index=2)
    answer = await stub.assign_pci(asked)
    (_, added), (_, told) = setting.machine.take()
    assert added["ResourcePath"].endswith(answer.id)
    assert told["Settings"] == {"VMBusGUID": answer.id}
    gone = agent_api.RemovePCIInternalRequest(device_id="PCI", virtual_function_index=2)
    await stub.remove_pci(gone)
    assert setting.machine.sides() == [("host", "Remove")]
    with pytest.raises(StatusError, match="no device with ID PCI and index 2 is present on the"):
        await stub.remove_pci(gone)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (agent_api.AddNICInternalRequest(nic_id="n"), "received empty field in request"),
        (
            agent_api.AddNICInternalRequest(endpoint=endpoint({})),
            "received empty field in request",
        ),
        (
            agent_api.AddNICInternalRequest(nic_id="n", endpoint=endpoint({}, "other")),
            "invalid request endpoint type",
        ),
        (
            agent_api.AddNICInternalRequest(nic_id="n", endpoint=endpoint([])),
            "the endpoint is no JSON object",
        ),
        (
            agent_api.AddNICInternalRequest(nic_id="n", endpoint=endpoint({"ID": 5})),
            "endpoint: ID must be a string",
        ),
        (
            agent_api.AddNICInternalRequest(nic_id="n", endpoint=endpoint({})),
            "the endpoint has no ID",
        ),
    ],
)
async def test_cards_that_can_not_be(
    stub: ComputeAgentStub, request_: agent_api.AddNICInternalRequest, message: str
) -> None:
    with pytest.raises(StatusError, match=message) as caught:
        await stub.add_nic(request_)
    assert caught.value.code is Code.INVALID_ARGUMENT


async def test_other_calls_that_can_not_be(setting: Setting, stub: ComputeAgentStub) -> None:
    own = endpoint({"Settings": {"DefaultGateway": "x"}}, PROXY_ENDPOINT)
    with pytest.raises(StatusError, match="invalid gateway address: x"):
        await stub.add_nic(agent_api.AddNICInternalRequest(nic_id="n", endpoint=own))
    iov = agent_api.IovSettings()
    with pytest.raises(StatusError, match="modifying ncproxy networking endpoints is not"):
        await stub.modify_nic(
            agent_api.ModifyNICInternalRequest(nic_id="n", endpoint=own, iov_policy_settings=iov)
        )
    with pytest.raises(StatusError, match="received empty field in request"):
        await stub.modify_nic(agent_api.ModifyNICInternalRequest(nic_id="n", endpoint=own))
    with pytest.raises(StatusError, match="received empty field in request"):
        await stub.delete_nic(agent_api.DeleteNICInternalRequest(nic_id="n"))
    with pytest.raises(StatusError, match="received empty field in request"):
        await stub.assign_pci(agent_api.AssignPCIInternalRequest())
    with pytest.raises(StatusError, match="received empty field in request"):
        await stub.remove_pci(agent_api.RemovePCIInternalRequest())
    assert setting.machine.take() == []


async def test_a_vm_whose_network_a_proxy_sets_up(tmp_path: Path) -> None:
    world, pipes = World(tmp_path), Pipes(tmp_path)
    asked = pipes.proxy.asked

    async def connect(pipe: str) -> Client:
        assert pipe == "\\\\.\\pipe\\proxy"
        return await pipes.connect_proxy()

    host = replace(world.host(), connect=connect, serve_agent=pipes.serve_agent)
    await pipes.serve("proxy", Server([network_config_proxy_service(pipes.proxy)]))
    spec: Document = {
        "windows": {"hyperv": {}, "layerFolders": world.windows_layers()},
        "annotations": {
            "io.microsoft.network.ncproxy": "\\\\.\\pipe\\proxy",
            "io.microsoft.network.ncproxy.containerid": "other",
        },
    }
    made = await vm.create(host, world.request(spec))
    await made.start()
    await made.set_up_network("ns")
    await made.tear_down_network("ns")
    assert asked[0] == ("\\\\.\\pipe\\computeagent-other", "other")
    assert len(asked) == 4
    await made.close()
    await world.close()
    await pipes.close()
