"""The network namespace of a container that has none from its pod.

Theory of operation. CRI makes a namespace for each pod and names it in the specs: it is used as it
is, and is not ours. A container that stands alone names endpoints at the most; for those a
namespace is created, and deleted when the container is gone.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

from podshim.engines.hcs.hcn import MissingError
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.engines.hcs.hcn import HostNetworks
    from podshim.engines.hcs.layers import Threads

_log = logging.getLogger(__name__)


class OwnNamespace:
    """A namespace that exists for one container.

    Args:
        namespace: Its id.
        networks: The host's networks.
        threads: Where they are called.
    """

    def __init__(self, namespace: str, networks: HostNetworks, threads: Threads) -> None:
        self.id = namespace
        self._networks = networks
        self._threads = threads
        self._endpoints: list[str] = []

    async def add(self, endpoint: str) -> None:
        """Put an endpoint into it.

        Raises:
            ShimError: That fails.
        """
        call = functools.partial(self._networks.add_endpoint, self.id, endpoint)
        await self._threads.run(f"add endpoint {endpoint} to namespace {self.id}", call)
        self._endpoints.append(endpoint)

    async def release(self) -> None:
        """Take the endpoints out and delete it; what is gone already is no failure.

        Raises:
            ShimError: Something of it is left.
        """
        endpoints, self._endpoints = self._endpoints, []
        for endpoint in endpoints:
            if not await self._remove(endpoint):
                self._endpoints.append(endpoint)
        call = functools.partial(self._networks.delete_namespace, self.id)
        try:
            await self._threads.run(f"delete namespace {self.id}", call)
        except MissingError as error:
            _log.warning("namespace %s is gone already: %s", self.id, error)
        self._endpoints = []

    async def _remove(self, endpoint: str) -> bool:
        call = functools.partial(self._networks.remove_endpoint, self.id, endpoint)
        try:
            await self._threads.run(f"remove endpoint {endpoint} from {self.id}", call)
        except MissingError as error:
            _log.warning("endpoint %s is gone already: %s", endpoint, error)
        except ShimError as error:
            _log.warning("endpoint %s stays in namespace %s: %s", endpoint, self.id, error)
            return False
        return True


async def create_namespace(networks: HostNetworks, threads: Threads) -> OwnNamespace:
    """Create a namespace without endpoints.

    Args:
        networks: The host's networks.
        threads: Where they are called.

    Raises:
        ShimError: That fails; there is none then.
    """
    namespace = await threads.run("create a network namespace", networks.create_namespace)
    return OwnNamespace(namespace, networks, threads)


async def add_endpoints(namespace: OwnNamespace, endpoints: Sequence[str]) -> None:
    """Put endpoints into a namespace, in order.

    Raises:
        ShimError: One of them fails; those before it are in it.
    """
    for endpoint in endpoints:
        await namespace.add(endpoint)
