"""Networks of VMs: what is asked of host and guest, in what order, and what is taken back."""

import logging
from uuid import UUID

import pytest

from hcs.vm_machine import Document, FakeMachine
from hcs.vm_world import FakeNetworks, FakeThreads
from podshim.engines.hcs.vm.network import Card, HostLookup, VmNetwork, first_eth0, linux_adapter
from podshim.errors import ShimError

E1: Document = {"ID": "e1", "Name": "other", "HostComputeNamespace": "ns", "MacAddress": "00-e1"}
E2: Document = {"ID": "e2", "Name": "pod_eth0", "HostComputeNamespace": "ns", "MacAddress": "00-e2"}
NAMESPACE: Document = {
    "ID": "ns",
    "NamespaceId": 7,
    "Resources": [
        {"Type": "Endpoint", "Data": {"ID": "e1"}},
        {"Type": "Endpoint", "Data": {"ID": "e2"}},
    ],
}
ADAPTERS = "VirtualMachine/Devices/NetworkAdapters/"
FIRST, SECOND = str(UUID(int=1)), str(UUID(int=2))


def network(machine: FakeMachine, *, windows: bool = True, namespaces: bool = True) -> VmNetwork:
    numbers = iter(range(1, 100))
    return VmNetwork(
        machine.modifier,
        HostLookup(FakeNetworks(), FakeThreads()),
        windows=windows,
        namespaces=namespaces,
        new_id=lambda: UUID(int=next(numbers)),
    )


def host(kind: str, card: str, endpoint: Document) -> tuple[str, Document]:
    settings = {"EndpointId": endpoint["ID"], "MacAddress": endpoint["MacAddress"]}
    return "host", {"ResourcePath": ADAPTERS + card, "RequestType": kind, "Settings": settings}


def guest(resource: str, kind: str, settings: Document) -> tuple[str, Document]:
    return "guest", {"RequestType": kind, "ResourceType": resource, "Settings": settings}


async def test_a_windows_guest_gets_a_namespace_and_its_cards() -> None:
    machine = FakeMachine()
    vm = network(machine)
    await vm.set_up("ns")
    assert machine.take() == [
        guest("NetworkNamespace", "Add", NAMESPACE),
        guest("Network", "Add", {"AdapterId": FIRST, "RequestType": "PreAdd", "Settings": E2}),
        host("Add", FIRST, E2),
        guest("Network", "Add", {"AdapterId": FIRST, "RequestType": "Add"}),
        guest("Network", "Add", {"AdapterId": SECOND, "RequestType": "PreAdd", "Settings": E1}),
        host("Add", SECOND, E1),
        guest("Network", "Add", {"AdapterId": SECOND, "RequestType": "Add"}),
    ]
    await vm.tear_down("ns")
    assert machine.take() == [
        guest("Network", "Remove", {"AdapterId": FIRST, "RequestType": "Remove"}),
        host("Remove", FIRST, E2),
        guest("Network", "Remove", {"AdapterId": SECOND, "RequestType": "Remove"}),
        host("Remove", SECOND, E1),
        guest("NetworkNamespace", "Remove", NAMESPACE),
    ]


async def test_a_linux_guest_gets_cards_alone() -> None:
    machine = FakeMachine()
    vm = network(machine, windows=False)
    await vm.set_up("ns")
    common = {"NamespaceID": "ns"}
    assert machine.take() == [
        host("Add", FIRST, E2),
        guest("Network", "Add", {**common, "ID": FIRST, "MacAddress": "00-e2"}),
        host("Add", SECOND, E1),
        guest("Network", "Add", {**common, "ID": SECOND, "MacAddress": "00-e1"}),
    ]
    await vm.tear_down("ns")
    assert machine.take() == [
        guest("Network", "Remove", {**common, "ID": FIRST}),
        host("Remove", FIRST, E2),
        guest("Network", "Remove", {**common, "ID": SECOND}),
        host("Remove", SECOND, E1),
    ]


async def test_a_guest_without_namespaces() -> None:
    machine = FakeMachine()
    vm = network(machine, windows=False, namespaces=False)
    await vm.set_up("ns")
    assert machine.take() == [host("Add", FIRST, E2), host("Add", SECOND, E1)]
    with pytest.raises(ShimError, match="the guest does not support"):
        await vm.tell_guest("Add", {})


async def test_a_namespace_twice() -> None:
    machine = FakeMachine()
    vm = network(machine)
    await vm.set_up("ns")
    machine.take()
    with pytest.raises(ShimError, match=r"^network namespace already added$"):
        await vm.set_up("ns")
    assert machine.take() == []


async def test_a_card_that_is_refused_takes_all_back() -> None:
    machine = FakeMachine()
    vm = network(machine)
    machine.refuse = lambda side, document: side == "host" and SECOND in document["ResourcePath"]
    with pytest.raises(ShimError, match="adding VM resources: the host refuses"):
        await vm.set_up("ns")
    kinds = [(side, one["RequestType"]) for side, one in machine.take()]
    assert kinds[-3:] == [("guest", "Remove"), ("host", "Remove"), ("guest", "Remove")]
    machine.refuse = lambda *_: False
    await vm.set_up("ns")


async def test_what_can_not_be_taken_away_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = FakeMachine()
    vm = network(machine)
    await vm.set_up("ns")
    machine.take()
    machine.refuse = lambda side, one: side == "host" and FIRST in one["ResourcePath"]
    with pytest.raises(ShimError, match="remove nic from uVM: removing VM resources"):
        await vm.tear_down("ns")
    assert ("host", "Remove") in machine.sides()
    machine.refuse = lambda *_: False
    await vm.tear_down("ns")
    assert machine.sides() == [("guest", "Remove"), ("host", "Remove"), ("guest", "Remove")]
    with caplog.at_level(logging.WARNING):
        await vm.tear_down("ns")
    assert "the VM has no namespace ns to remove" in caplog.text


async def test_single_cards() -> None:
    machine = FakeMachine()
    vm = network(machine, windows=False)
    with pytest.raises(ShimError, match="network namespace not found"):
        await vm.add_card("ns", "n1", E1)
    await vm.add_namespace("ns")
    await vm.add_card("ns", "n1", E1)
    await vm.add_card("ns", "n2", E1)  # it has a card already
    assert [side for side, _ in machine.take()] == ["host", "guest"]
    await vm.update_card("n1", {"EndpointId": "e1"})
    assert machine.take() == [
        (
            "host",
            {
                "ResourcePath": ADAPTERS + "n1",
                "RequestType": "Update",
                "Settings": {"EndpointId": "e1"},
            },
        )
    ]
    await vm.tell_guest("Add", {"ID": "n3"})
    assert machine.take() == [guest("Network", "Add", {"ID": "n3"})]
    await vm.remove_card("ns", "e1")
    with pytest.raises(ShimError, match="NIC not found in network namespace"):
        await vm.remove_card("ns", "e1")


async def test_what_is_not_there() -> None:
    lookup = HostLookup(FakeNetworks(), FakeThreads())
    with pytest.raises(ShimError, match=r'^Namespace ID "gone" not found$'):
        await lookup.namespace("gone")


def test_eth0_comes_first_and_others_keep_their_order() -> None:
    endpoints: list[Document] = [{"Name": name} for name in ("b", "a", "x_eth0", "c", "eth0")]
    ordered = [one["Name"] for one in first_eth0(endpoints)]
    assert ordered == ["x_eth0", "eth0", "b", "a", "c"]


def test_how_a_linux_guest_sets_a_card_up() -> None:
    endpoint: Document = {
        **E1,
        "IpConfigurations": [{"IpAddress": "10.0.0.2", "PrefixLength": 24}],
        "Routes": [{"NextHop": "10.0.0.1", "DestinationPrefix": "0.0.0.0/0", "Metric": 5}],
        "Dns": {
            "Domain": "Pod.Local",
            "Search": ["svc.Local"],
            "ServerList": ["10.0.0.9", "FD::1"],
        },
        "Policies": [
            {"Type": "ACL", "Settings": {}},
            {"Type": "EncapOverhead", "Settings": {"Overhead": 50}},
        ],
    }
    assert linux_adapter(Card("n1", endpoint), policy_based_routing=True) == {
        "NamespaceID": "ns",
        "ID": "n1",
        "MacAddress": "00-e1",
        "DNSSuffix": "pod.local,svc.local",
        "DNSServerList": "10.0.0.9,fd::1",
        "EncapOverhead": 50,
        "IPConfigs": [{"IPAddress": "10.0.0.2", "PrefixLength": 24}],
        "Routes": [{"NextHop": "10.0.0.1", "DestinationPrefix": "0.0.0.0/0", "Metric": 5}],
        "PolicyBasedRouting": True,
    }
    with pytest.raises(ShimError, match="endpoint: Routes must be a list"):
        linux_adapter(Card("n1", {"Routes": 5}), policy_based_routing=False)
