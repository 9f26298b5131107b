"""Service `containerd.services.events.ttrpc.v1.Events`: methods, client stub, server base class.

Made from podshim/api/events_service.proto by tools/generate_api.py: change that, not this.
"""

# ruff: noqa: ARG002, ASYNC109

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import empty_pb2

from podshim.api import events_service_pb2
from podshim.errors import Code
from podshim.ttrpc.service import Kind, MethodDescriptor, Service
from podshim.ttrpc.status import StatusError

if TYPE_CHECKING:
    from podshim.ttrpc.client import Client, Metadata
    from podshim.ttrpc.service import CallContext

SERVICE = "containerd.services.events.ttrpc.v1.Events"

FORWARD = MethodDescriptor(
    SERVICE,
    "Forward",
    Kind.UNARY,
    events_service_pb2.ForwardRequest,
    empty_pb2.Empty,
)


class EventsStub:
    """A client's view of `containerd.services.events.ttrpc.v1.Events`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    async def forward(
        self,
        request: events_service_pb2.ForwardRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> empty_pb2.Empty:
        return await self._client.call(
            FORWARD,
            request,
            timeout=timeout,
            metadata=metadata,
        )


class EventsService:
    """What serves `containerd.services.events.ttrpc.v1.Events`: override what you implement."""

    async def forward(
        self,
        request: events_service_pb2.ForwardRequest,
        context: CallContext,
    ) -> empty_pb2.Empty:
        raise StatusError(Code.UNIMPLEMENTED, "method Forward")


def events_service(implementation: EventsService) -> Service:
    """The service that a server offers when this implementation stands behind it."""
    return Service(
        SERVICE,
        {
            "Forward": (FORWARD, implementation.forward),
        },
    )
