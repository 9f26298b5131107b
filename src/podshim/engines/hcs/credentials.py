"""The credential guard of a container with a group managed service account.

Theory of operation. Only HCS may hold the account's credentials. It is told of a container's
credential spec before the container is created, and of its end after it; `documents.credentials`
has the requests. This is the order in which they are made.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from podshim.engines.hcs.documents import credentials as requests
from podshim.engines.hcs.documents.jsontext import dumps
from podshim.engines.hcs.documents.properties import CREDENTIAL_GUARD, query
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from podshim.engines.hcs.documents.jsontext import Json

_log = logging.getLogger(__name__)


class CredentialService(Protocol):
    """What is asked of HCS; see `podshim.engines.hcs.system.Hcs`."""

    async def service_properties(self, query: str) -> Mapping[str, object]:
        """Tell about the service."""

    async def modify_service(self, settings: str) -> None:
        """Change it."""


@dataclass(frozen=True, slots=True)
class CredentialGuard:
    """A container's credential guard.

    Args:
        container_id: Whose.
        service: Who has it.
        document: What goes into the container's document.
        socket_service: The socket service that the container's VM needs; None for none.
    """

    container_id: str
    service: CredentialService
    document: Json
    socket_service: Json | None

    async def release(self) -> None:
        """Remove it.

        Raises:
            ShimError: HCS refuses.
        """
        await self.service.modify_service(dumps(requests.remove_instance(self.container_id)))


async def add_guard(
    service: CredentialService, container_id: str, spec: str, transport: str = requests.LOCAL
) -> CredentialGuard:
    """Add the credential guard of a container.

    Args:
        service: Who has it.
        container_id: Whose.
        spec: The credential spec, JSON text.
        transport: How the container reaches it.

    Raises:
        ShimError: HCS refuses, or does not tell of it; there is none then.
    """
    settings = dumps(requests.add_instance(container_id, spec, transport))
    with _told("failed to generate container credential guard instance"):
        await service.modify_service(settings)
    try:
        with _told("failed to retrieve container credential guard instances"):
            answer = await service.service_properties(dumps(query(CREDENTIAL_GUARD)))
        document, socket_service = requests.find_instance(answer, container_id)
    except BaseException:
        try:
            await service.modify_service(dumps(requests.remove_instance(container_id)))
        except ShimError as error:
            _log.warning("the credential guard of %s stays: %s", container_id, error)
        raise
    return CredentialGuard(container_id, service, document, socket_service)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say in front of HCS' reason what has failed."""
    try:
        yield
    except ShimError as error:
        error.detail = f"{what}: {error.detail}"
        raise
