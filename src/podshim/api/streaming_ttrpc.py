"""Service `containerd.services.streaming.v1.Streaming`: methods, client stub, server base class.

Made from podshim/api/streaming.proto by tools/generate_api.py: change that, not this.
"""

# ruff: noqa: ARG002

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import any_pb2

from podshim.errors import Code
from podshim.ttrpc.service import Kind, MethodDescriptor, Service
from podshim.ttrpc.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from podshim.ttrpc.client import Client, ClientStream, Metadata
    from podshim.ttrpc.service import CallContext

SERVICE = "containerd.services.streaming.v1.Streaming"

STREAM = MethodDescriptor(
    SERVICE,
    "Stream",
    Kind.BIDI,
    any_pb2.Any,
    any_pb2.Any,
)


class StreamingStub:
    """A client's view of `containerd.services.streaming.v1.Streaming`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    def stream(
        self,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> ClientStream[any_pb2.Any, any_pb2.Any]:
        return self._client.stream(
            STREAM,
            timeout=timeout,
            metadata=metadata,
        )


class StreamingService:
    """What serves `containerd.services.streaming.v1.Streaming`: override what you implement."""

    def stream(
        self,
        requests: AsyncIterator[any_pb2.Any],
        context: CallContext,
    ) -> AsyncIterator[any_pb2.Any]:
        raise StatusError(Code.UNIMPLEMENTED, "method Stream")


def streaming_service(implementation: StreamingService) -> Service:
    """The service that a server offers when this implementation stands behind it."""
    return Service(
        SERVICE,
        {
            "Stream": (STREAM, implementation.stream),
        },
    )
