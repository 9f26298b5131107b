"""A VM's network: a namespace of the host made known to the guest, with the endpoints in it.

Theory of operation. A namespace of the host has endpoints; each becomes a network card of the VM.
A Windows guest is told of the namespace itself and, before a card comes, of its endpoint; a Linux
guest is told with the card how to set it up. One endpoint whose name ends in `eth0` comes first, so
that the guest calls it that. What fails is taken back, and what a teardown can't take away is kept,
so that another one tries again.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import present
from podshim.engines.hcs.documents.modify import VM_NETWORK_ADAPTER, guest_request, request
from podshim.engines.hcs.hcn import endpoints_in
from podshim.errors import InvalidArgumentError, NotFoundError, ShimError
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.hcn import HostNetworks
    from podshim.engines.hcs.layers import Threads
    from podshim.engines.hcs.vm.modify import Modifier

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Card:
    """A network card of a VM."""

    id: str
    endpoint: Json


@dataclass(slots=True)
class _Namespace:
    document: Json
    #: By the ids of their endpoints.
    cards: dict[str, Card] = field(default_factory=dict)


class HostLookup:
    """Looks namespaces and endpoints of the host up.

    Args:
        networks: The host's networks.
        threads: Where they are called.
    """

    def __init__(self, networks: HostNetworks, threads: Threads) -> None:
        self._networks = networks
        self._threads = threads

    async def namespace(self, namespace_id: str) -> Json:
        """A namespace.

        Raises:
            ShimError: There is none, or Windows does not tell.
        """
        call = functools.partial(self._networks.namespace, namespace_id)
        try:
            return await self._threads.run(f"look up namespace {namespace_id}", call)
        except NotFoundError as error:
            raise ShimError(f'Namespace ID "{namespace_id}" not found') from error

    async def endpoint(self, endpoint_id: str) -> Json:
        """An endpoint.

        Raises:
            ShimError: There is none, or Windows does not tell.
        """
        call = functools.partial(self._networks.endpoint, endpoint_id)
        try:
            return await self._threads.run(f"look up endpoint {endpoint_id}", call)
        except NotFoundError as error:
            raise ShimError(f'Endpoint ID "{endpoint_id}" not found') from error


class VmNetwork:
    """The network of one VM.

    Args:
        modifier: Who changes the VM.
        lookup: Looks the host's networks up.
        windows: Whether the guest is a Windows.
        namespaces: Whether the guest takes namespaces.
        policy_based_routing: Whether a Linux guest routes by policy.
        new_id: Makes ids of cards.
    """

    def __init__(
        self,
        modifier: Modifier,
        lookup: HostLookup,
        *,
        windows: bool,
        namespaces: bool,
        policy_based_routing: bool = False,
        new_id: Callable[[], uuid.UUID] = uuid.uuid4,
    ) -> None:
        self._modifier = modifier
        self.lookup = lookup
        self._windows = windows
        self._guest_knows = namespaces
        self._policy_based_routing = policy_based_routing
        self._new_id = new_id
        self._namespaces: dict[str, _Namespace] = {}
        self._lock = asyncio.Lock()

    async def set_up(self, namespace_id: str) -> None:
        """Give the guest a namespace and all its endpoints.

        Raises:
            ShimError: It has it already, it is not there, or HCS or the guest refuses.
        """
        document = await self.lookup.namespace(namespace_id)
        endpoints = [await self.lookup.endpoint(one) for one in endpoints_in(document)]
        async with self._lock:
            await self._add_namespace(namespace_id, document)
            try:
                for endpoint in first_eth0(endpoints):
                    await self._add_card(namespace_id, str(self._new_id()), endpoint)
            except BaseException:
                try:
                    await self._remove_namespace(namespace_id)
                except ShimError as error:
                    _log.error("namespace %s can't be taken back: %s", namespace_id, error)
                raise

    async def add_namespace(self, namespace_id: str) -> None:
        """Give the guest a namespace without its endpoints; errors as of `set_up`."""
        document = await self.lookup.namespace(namespace_id)
        async with self._lock:
            await self._add_namespace(namespace_id, document)

    async def tear_down(self, namespace_id: str) -> None:
        """Take a namespace and its cards away; one that it has not is only warned of.

        Raises:
            ShimError: Something could not be taken away.
        """
        async with self._lock:
            if namespace_id not in self._namespaces:
                _log.warning("the VM has no namespace %s to remove", namespace_id)
                return
            await self._remove_namespace(namespace_id)

    async def add_card(self, namespace_id: str, card_id: str, endpoint: Json) -> None:
        """Add a card of an endpoint, unless it has one.

        Raises:
            ShimError: The VM has no such namespace, or HCS or the guest refuses.
        """
        async with self._lock:
            await self._add_card(namespace_id, card_id or str(self._new_id()), endpoint)

    async def remove_card(self, namespace_id: str, endpoint_id: str) -> None:
        """Remove the card of an endpoint.

        Raises:
            ShimError: There is none, or HCS or the guest refuses.
        """
        async with self._lock:
            namespace = self._of(namespace_id)
            card = namespace.cards.get(endpoint_id)
            if card is None:
                raise ShimError("NIC not found in network namespace")
            await self._remove_card(namespace, endpoint_id, card)

    async def update_card(self, card_id: str, settings: Json) -> None:
        """Change a card's settings on the host.

        Raises:
            ShimError: HCS refuses.
        """
        await self._modifier.host(request(VM_NETWORK_ADAPTER.format(card_id), "Update", settings))

    async def tell_guest(self, kind: str, adapter: Json) -> None:
        """Tell a Linux guest of a card that came another way (`Add`, `Remove`).

        Raises:
            ShimError: The guest refuses, or takes no cards.
        """
        if not self._guest_knows:
            raise ShimError("the guest does not support adding and removing network adapters")
        await self._modifier.inside(guest_request("Network", kind, adapter))

    def _of(self, namespace_id: str) -> _Namespace:
        namespace = self._namespaces.get(namespace_id)
        if namespace is None:
            raise ShimError("network namespace not found")
        return namespace

    async def _add_namespace(self, namespace_id: str, document: Json) -> None:
        if namespace_id in self._namespaces:
            raise ShimError("network namespace already added")
        if self._windows and self._guest_knows:
            await self._modifier.inside(guest_request("NetworkNamespace", "Add", document))
        self._namespaces[namespace_id] = _Namespace(document)

    async def _remove_namespace(self, namespace_id: str) -> None:
        namespace = self._namespaces[namespace_id]
        problems = []
        for endpoint_id, card in tuple(namespace.cards.items()):
            try:
                await self._remove_card(namespace, endpoint_id, card)
            except ShimError as error:
                problems.append(str(error))
        if problems:
            raise ShimError("remove nic from uVM: " + "\n".join(problems))
        if self._windows and self._guest_knows:
            asked = guest_request("NetworkNamespace", "Remove", namespace.document)
            await self._modifier.inside(asked)
        del self._namespaces[namespace_id]

    async def _add_card(self, namespace_id: str, card_id: str, endpoint: Json) -> None:
        namespace = self._of(namespace_id)
        endpoint_id = _text(endpoint, "ID")
        if endpoint_id in namespace.cards:
            return
        card = Card(card_id, endpoint)
        if self._windows:
            await self._modifier.inside(pre_add_request(card))
        if self._windows:
            guest: Json | None = _windows_card(card_id, "Add")
        elif self._guest_knows:
            adapter = linux_adapter(card, policy_based_routing=self._policy_based_routing)
            guest = guest_request("Network", "Add", adapter)
        else:
            guest = None
        await self._modifier.both(_card_request(card, "Add", guest))
        namespace.cards[endpoint_id] = card

    async def _remove_card(self, namespace: _Namespace, endpoint_id: str, card: Card) -> None:
        if self._windows:
            guest: Json | None = _windows_card(card.id, "Remove")
        elif self._guest_knows:
            adapter = {"NamespaceID": _text(card.endpoint, "HostComputeNamespace"), "ID": card.id}
            guest = guest_request("Network", "Remove", present(adapter))
        else:
            guest = None
        await self._modifier.both(_card_request(card, "Remove", guest))
        del namespace.cards[endpoint_id]


def first_eth0(endpoints: Sequence[Json]) -> list[Json]:
    """Endpoints in the order in which they are added: those whose names end in `eth0` first."""
    return sorted(endpoints, key=lambda endpoint: not _text(endpoint, "Name").endswith("eth0"))


def pre_add_request(card: Card) -> Json:
    """What a Windows guest is told before a card comes."""
    settings = {"AdapterId": card.id, "RequestType": "PreAdd", "Settings": card.endpoint}
    return guest_request("Network", "Add", settings)


def _windows_card(card_id: str, kind: str) -> Json:
    settings = {"AdapterId": card_id, "RequestType": kind}
    return guest_request("Network", kind, settings)


def _card_request(card: Card, kind: str, guest: Json | None) -> Json:
    settings = {
        "EndpointId": _text(card.endpoint, "ID"),
        "MacAddress": _text(card.endpoint, "MacAddress"),
    }
    return request(VM_NETWORK_ADAPTER.format(card.id), kind, present(settings), guest)


def linux_adapter(card: Card, *, policy_based_routing: bool) -> Json:
    """How a Linux guest sets a card up.

    Raises:
        ShimError: The endpoint is not what it should be.
    """
    try:
        return _linux_adapter(card, policy_based_routing=policy_based_routing)
    except InvalidArgumentError as error:
        raise ShimError(error.detail) from None


def _linux_adapter(card: Card, *, policy_based_routing: bool) -> Json:
    endpoint = Member(card.endpoint, document="endpoint")
    dns = endpoint["Dns"]
    domain = dns["Domain"].text()
    searches = [*([domain] if domain else []), *dns["Search"].texts()]
    overhead = 0
    for policy in endpoint["Policies"].objects():
        if policy["Type"].text() == "EncapOverhead":
            overhead = policy["Settings"]["Overhead"].unsigned(16) or 0
    return present(
        {
            "NamespaceID": endpoint["HostComputeNamespace"].text(),
            "ID": card.id,
            "MacAddress": endpoint["MacAddress"].text(),
            # The guest takes what this member's name calls a suffix as its list of searches.
            "DNSSuffix": ",".join(searches).lower(),
            "DNSServerList": ",".join(dns["ServerList"].texts()).lower(),
            "EncapOverhead": overhead,
            "IPConfigs": [_address(one) for one in endpoint["IpConfigurations"].objects()],
            "Routes": [_route(one) for one in endpoint["Routes"].objects()],
            "PolicyBasedRouting": policy_based_routing,
        }
    )


def _address(address: Member) -> Json:
    return present(
        {
            "IPAddress": address["IpAddress"].text(),
            "PrefixLength": address["PrefixLength"].unsigned(8),
        }
    )


def _route(route: Member) -> Json:
    return present(
        {
            "NextHop": route["NextHop"].text(),
            "DestinationPrefix": route["DestinationPrefix"].text(),
            "Metric": route["Metric"].unsigned(16),
        }
    )


def _text(document: Json, name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""
