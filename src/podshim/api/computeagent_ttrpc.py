"""Service `ComputeAgent`: methods, client stub, server base class.

Made from podshim/api/computeagent.proto by tools/generate_api.py: change that, not this.
"""

# ruff: noqa: ARG002, ASYNC109

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.api import computeagent_pb2
from podshim.errors import Code
from podshim.ttrpc.service import Kind, MethodDescriptor, Service
from podshim.ttrpc.status import StatusError

if TYPE_CHECKING:
    from podshim.ttrpc.client import Client, Metadata
    from podshim.ttrpc.service import CallContext

SERVICE = "ComputeAgent"

ADD_NIC = MethodDescriptor(
    SERVICE,
    "AddNIC",
    Kind.UNARY,
    computeagent_pb2.AddNICInternalRequest,
    computeagent_pb2.AddNICInternalResponse,
)
MODIFY_NIC = MethodDescriptor(
    SERVICE,
    "ModifyNIC",
    Kind.UNARY,
    computeagent_pb2.ModifyNICInternalRequest,
    computeagent_pb2.ModifyNICInternalResponse,
)
DELETE_NIC = MethodDescriptor(
    SERVICE,
    "DeleteNIC",
    Kind.UNARY,
    computeagent_pb2.DeleteNICInternalRequest,
    computeagent_pb2.DeleteNICInternalResponse,
)
ASSIGN_PCI = MethodDescriptor(
    SERVICE,
    "AssignPCI",
    Kind.UNARY,
    computeagent_pb2.AssignPCIInternalRequest,
    computeagent_pb2.AssignPCIInternalResponse,
)
REMOVE_PCI = MethodDescriptor(
    SERVICE,
    "RemovePCI",
    Kind.UNARY,
    computeagent_pb2.RemovePCIInternalRequest,
    computeagent_pb2.RemovePCIInternalResponse,
)


class ComputeAgentStub:
    """A client's view of `ComputeAgent`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    async def add_nic(
        self,
        request: computeagent_pb2.AddNICInternalRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> computeagent_pb2.AddNICInternalResponse:
        return await self._client.call(
            ADD_NIC,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def modify_nic(
        self,
        request: computeagent_pb2.ModifyNICInternalRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> computeagent_pb2.ModifyNICInternalResponse:
        return await self._client.call(
            MODIFY_NIC,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def delete_nic(
        self,
        request: computeagent_pb2.DeleteNICInternalRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> computeagent_pb2.DeleteNICInternalResponse:
        return await self._client.call(
            DELETE_NIC,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def assign_pci(
        self,
        request: computeagent_pb2.AssignPCIInternalRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> computeagent_pb2.AssignPCIInternalResponse:
        return await self._client.call(
            ASSIGN_PCI,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def remove_pci(
        self,
        request: computeagent_pb2.RemovePCIInternalRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> computeagent_pb2.RemovePCIInternalResponse:
        return await self._client.call(
            REMOVE_PCI,
            request,
            timeout=timeout,
            metadata=metadata,
        )


class ComputeAgentService:
    """What serves `ComputeAgent`: override what you implement."""

    async def add_nic(
        self,
        request: computeagent_pb2.AddNICInternalRequest,
        context: CallContext,
    ) -> computeagent_pb2.AddNICInternalResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method AddNIC")

    async def modify_nic(
        self,
        request: computeagent_pb2.ModifyNICInternalRequest,
        context: CallContext,
    ) -> computeagent_pb2.ModifyNICInternalResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method ModifyNIC")

    async def delete_nic(
        self,
        request: computeagent_pb2.DeleteNICInternalRequest,
        context: CallContext,
    ) -> computeagent_pb2.DeleteNICInternalResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method DeleteNIC")

    async def assign_pci(
        self,
        request: computeagent_pb2.AssignPCIInternalRequest,
        context: CallContext,
    ) -> computeagent_pb2.AssignPCIInternalResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method AssignPCI")

    async def remove_pci(
        self,
        request: computeagent_pb2.RemovePCIInternalRequest,
        context: CallContext,
    ) -> computeagent_pb2.RemovePCIInternalResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method RemovePCI")


def compute_agent_service(implementation: ComputeAgentService) -> Service:
    """The service that a server offers when this implementation stands behind it."""
    return Service(
        SERVICE,
        {
            "AddNIC": (ADD_NIC, implementation.add_nic),
            "ModifyNIC": (MODIFY_NIC, implementation.modify_nic),
            "DeleteNIC": (DELETE_NIC, implementation.delete_nic),
            "AssignPCI": (ASSIGN_PCI, implementation.assign_pci),
            "RemovePCI": (REMOVE_PCI, implementation.remove_pci),
        },
    )
