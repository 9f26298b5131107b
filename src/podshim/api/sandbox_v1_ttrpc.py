"""Service `containerd.runtime.sandbox.v1.Sandbox`: methods, client stub, server base class.

Made from podshim/api/sandbox_v1.proto by tools/generate_api.py: change that, not this.
"""

# ruff: noqa: ARG002, ASYNC109

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.api import sandbox_v1_pb2
from podshim.errors import Code
from podshim.ttrpc.service import Kind, MethodDescriptor, Service
from podshim.ttrpc.status import StatusError

if TYPE_CHECKING:
    from podshim.ttrpc.client import Client, Metadata
    from podshim.ttrpc.service import CallContext

SERVICE = "containerd.runtime.sandbox.v1.Sandbox"

CREATE_SANDBOX = MethodDescriptor(
    SERVICE,
    "CreateSandbox",
    Kind.UNARY,
    sandbox_v1_pb2.CreateSandboxRequest,
    sandbox_v1_pb2.CreateSandboxResponse,
)
START_SANDBOX = MethodDescriptor(
    SERVICE,
    "StartSandbox",
    Kind.UNARY,
    sandbox_v1_pb2.StartSandboxRequest,
    sandbox_v1_pb2.StartSandboxResponse,
)
PLATFORM = MethodDescriptor(
    SERVICE,
    "Platform",
    Kind.UNARY,
    sandbox_v1_pb2.PlatformRequest,
    sandbox_v1_pb2.PlatformResponse,
)
STOP_SANDBOX = MethodDescriptor(
    SERVICE,
    "StopSandbox",
    Kind.UNARY,
    sandbox_v1_pb2.StopSandboxRequest,
    sandbox_v1_pb2.StopSandboxResponse,
)
WAIT_SANDBOX = MethodDescriptor(
    SERVICE,
    "WaitSandbox",
    Kind.UNARY,
    sandbox_v1_pb2.WaitSandboxRequest,
    sandbox_v1_pb2.WaitSandboxResponse,
)
SANDBOX_STATUS = MethodDescriptor(
    SERVICE,
    "SandboxStatus",
    Kind.UNARY,
    sandbox_v1_pb2.SandboxStatusRequest,
    sandbox_v1_pb2.SandboxStatusResponse,
)
PING_SANDBOX = MethodDescriptor(
    SERVICE,
    "PingSandbox",
    Kind.UNARY,
    sandbox_v1_pb2.PingRequest,
    sandbox_v1_pb2.PingResponse,
)
SHUTDOWN_SANDBOX = MethodDescriptor(
    SERVICE,
    "ShutdownSandbox",
    Kind.UNARY,
    sandbox_v1_pb2.ShutdownSandboxRequest,
    sandbox_v1_pb2.ShutdownSandboxResponse,
)
SANDBOX_METRICS = MethodDescriptor(
    SERVICE,
    "SandboxMetrics",
    Kind.UNARY,
    sandbox_v1_pb2.SandboxMetricsRequest,
    sandbox_v1_pb2.SandboxMetricsResponse,
)


class SandboxStub:
    """A client's view of `containerd.runtime.sandbox.v1.Sandbox`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    async def create_sandbox(
        self,
        request: sandbox_v1_pb2.CreateSandboxRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> sandbox_v1_pb2.CreateSandboxResponse:
        return await self._client.call(
            CREATE_SANDBOX,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def start_sandbox(
        self,
        request: sandbox_v1_pb2.StartSandboxRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> sandbox_v1_pb2.StartSandboxResponse:
        return await self._client.call(
            START_SANDBOX,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def platform(
        self,
        request: sandbox_v1_pb2.PlatformRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> sandbox_v1_pb2.PlatformResponse:
        return await self._client.call(
            PLATFORM,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def stop_sandbox(
        self,
        request: sandbox_v1_pb2.StopSandboxRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> sandbox_v1_pb2.StopSandboxResponse:
        return await self._client.call(
            STOP_SANDBOX,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def wait_sandbox(
        self,
        request: sandbox_v1_pb2.WaitSandboxRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> sandbox_v1_pb2.WaitSandboxResponse:
        return await self._client.call(
            WAIT_SANDBOX,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def sandbox_status(
        self,
        request: sandbox_v1_pb2.SandboxStatusRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> sandbox_v1_pb2.SandboxStatusResponse:
        return await self._client.call(
            SANDBOX_STATUS,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def ping_sandbox(
        self,
        request: sandbox_v1_pb2.PingRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> sandbox_v1_pb2.PingResponse:
        return await self._client.call(
            PING_SANDBOX,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def shutdown_sandbox(
        self,
        request: sandbox_v1_pb2.ShutdownSandboxRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> sandbox_v1_pb2.ShutdownSandboxResponse:
        return await self._client.call(
            SHUTDOWN_SANDBOX,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def sandbox_metrics(
        self,
        request: sandbox_v1_pb2.SandboxMetricsRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> sandbox_v1_pb2.SandboxMetricsResponse:
        return await self._client.call(
            SANDBOX_METRICS,
            request,
            timeout=timeout,
            metadata=metadata,
        )


class SandboxService:
    """What serves `containerd.runtime.sandbox.v1.Sandbox`: override what you implement."""

    async def create_sandbox(
        self,
        request: sandbox_v1_pb2.CreateSandboxRequest,
        context: CallContext,
    ) -> sandbox_v1_pb2.CreateSandboxResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method CreateSandbox")

    async def start_sandbox(
        self,
        request: sandbox_v1_pb2.StartSandboxRequest,
        context: CallContext,
    ) -> sandbox_v1_pb2.StartSandboxResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method StartSandbox")

    async def platform(
        self,
        request: sandbox_v1_pb2.PlatformRequest,
        context: CallContext,
    ) -> sandbox_v1_pb2.PlatformResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method Platform")

    async def stop_sandbox(
        self,
        request: sandbox_v1_pb2.StopSandboxRequest,
        context: CallContext,
    ) -> sandbox_v1_pb2.StopSandboxResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method StopSandbox")

    async def wait_sandbox(
        self,
        request: sandbox_v1_pb2.WaitSandboxRequest,
        context: CallContext,
    ) -> sandbox_v1_pb2.WaitSandboxResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method WaitSandbox")

    async def sandbox_status(
        self,
        request: sandbox_v1_pb2.SandboxStatusRequest,
        context: CallContext,
    ) -> sandbox_v1_pb2.SandboxStatusResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method SandboxStatus")

    async def ping_sandbox(
        self,
        request: sandbox_v1_pb2.PingRequest,
        context: CallContext,
    ) -> sandbox_v1_pb2.PingResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method PingSandbox")

    async def shutdown_sandbox(
        self,
        request: sandbox_v1_pb2.ShutdownSandboxRequest,
        context: CallContext,
    ) -> sandbox_v1_pb2.ShutdownSandboxResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method ShutdownSandbox")

    async def sandbox_metrics(
        self,
        request: sandbox_v1_pb2.SandboxMetricsRequest,
        context: CallContext,
    ) -> sandbox_v1_pb2.SandboxMetricsResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method SandboxMetrics")


def sandbox_service(implementation: SandboxService) -> Service:
    """The service that a server offers when this implementation stands behind it."""
    return Service(
        SERVICE,
        {
            "CreateSandbox": (CREATE_SANDBOX, implementation.create_sandbox),
            "StartSandbox": (START_SANDBOX, implementation.start_sandbox),
            "Platform": (PLATFORM, implementation.platform),
            "StopSandbox": (STOP_SANDBOX, implementation.stop_sandbox),
            "WaitSandbox": (WAIT_SANDBOX, implementation.wait_sandbox),
            "SandboxStatus": (SANDBOX_STATUS, implementation.sandbox_status),
            "PingSandbox": (PING_SANDBOX, implementation.ping_sandbox),
            "ShutdownSandbox": (SHUTDOWN_SANDBOX, implementation.shutdown_sandbox),
            "SandboxMetrics": (SANDBOX_METRICS, implementation.sandbox_metrics),
        },
    )
