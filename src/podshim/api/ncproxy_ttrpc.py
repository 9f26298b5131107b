"""Service `NetworkConfigProxy`: methods, client stub, server base class.

Made from podshim/api/ncproxy.proto by tools/generate_api.py: change that, not this.
"""

# ruff: noqa: ARG002, ASYNC109

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.api import ncproxy_pb2
from podshim.errors import Code
from podshim.ttrpc.service import Kind, MethodDescriptor, Service
from podshim.ttrpc.status import StatusError

if TYPE_CHECKING:
    from podshim.ttrpc.client import Client, Metadata
    from podshim.ttrpc.service import CallContext

SERVICE = "NetworkConfigProxy"

REGISTER_COMPUTE_AGENT = MethodDescriptor(
    SERVICE,
    "RegisterComputeAgent",
    Kind.UNARY,
    ncproxy_pb2.RegisterComputeAgentRequest,
    ncproxy_pb2.RegisterComputeAgentResponse,
)
UNREGISTER_COMPUTE_AGENT = MethodDescriptor(
    SERVICE,
    "UnregisterComputeAgent",
    Kind.UNARY,
    ncproxy_pb2.UnregisterComputeAgentRequest,
    ncproxy_pb2.UnregisterComputeAgentResponse,
)
CONFIGURE_NETWORKING = MethodDescriptor(
    SERVICE,
    "ConfigureNetworking",
    Kind.UNARY,
    ncproxy_pb2.ConfigureNetworkingInternalRequest,
    ncproxy_pb2.ConfigureNetworkingInternalResponse,
)


class NetworkConfigProxyStub:
    """A client's view of `NetworkConfigProxy`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    async def register_compute_agent(
        self,
        request: ncproxy_pb2.RegisterComputeAgentRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> ncproxy_pb2.RegisterComputeAgentResponse:
        return await self._client.call(
            REGISTER_COMPUTE_AGENT,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def unregister_compute_agent(
        self,
        request: ncproxy_pb2.UnregisterComputeAgentRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> ncproxy_pb2.UnregisterComputeAgentResponse:
        return await self._client.call(
            UNREGISTER_COMPUTE_AGENT,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def configure_networking(
        self,
        request: ncproxy_pb2.ConfigureNetworkingInternalRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> ncproxy_pb2.ConfigureNetworkingInternalResponse:
        return await self._client.call(
            CONFIGURE_NETWORKING,
            request,
            timeout=timeout,
            metadata=metadata,
        )


class NetworkConfigProxyService:
    """What serves `NetworkConfigProxy`: override what you implement."""

    async def register_compute_agent(
        self,
        request: ncproxy_pb2.RegisterComputeAgentRequest,
        context: CallContext,
    ) -> ncproxy_pb2.RegisterComputeAgentResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method RegisterComputeAgent")

    async def unregister_compute_agent(
        self,
        request: ncproxy_pb2.UnregisterComputeAgentRequest,
        context: CallContext,
    ) -> ncproxy_pb2.UnregisterComputeAgentResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method UnregisterComputeAgent")

    async def configure_networking(
        self,
        request: ncproxy_pb2.ConfigureNetworkingInternalRequest,
        context: CallContext,
    ) -> ncproxy_pb2.ConfigureNetworkingInternalResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method ConfigureNetworking")


def network_config_proxy_service(implementation: NetworkConfigProxyService) -> Service:
    """The service that a server offers when this implementation stands behind it."""
    return Service(
        SERVICE,
        {
            "RegisterComputeAgent": (REGISTER_COMPUTE_AGENT, implementation.register_compute_agent),
            "UnregisterComputeAgent": (
                UNREGISTER_COMPUTE_AGENT,
                implementation.unregister_compute_agent,
            ),
            "ConfigureNetworking": (CONFIGURE_NETWORKING, implementation.configure_networking),
        },
    )
