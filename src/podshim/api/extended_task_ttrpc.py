"""Service `ExtendedTask`: methods, client stub, server base class.

Made from podshim/api/extended_task.proto by tools/generate_api.py: change that, not this.
"""

# ruff: noqa: ARG002, ASYNC109

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.api import extended_task_pb2
from podshim.errors import Code
from podshim.ttrpc.service import Kind, MethodDescriptor, Service
from podshim.ttrpc.status import StatusError

if TYPE_CHECKING:
    from podshim.ttrpc.client import Client, Metadata
    from podshim.ttrpc.service import CallContext

SERVICE = "ExtendedTask"

COMPUTE_PROCESSOR_INFO = MethodDescriptor(
    SERVICE,
    "ComputeProcessorInfo",
    Kind.UNARY,
    extended_task_pb2.ComputeProcessorInfoRequest,
    extended_task_pb2.ComputeProcessorInfoResponse,
)


class ExtendedTaskStub:
    """A client's view of `ExtendedTask`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    async def compute_processor_info(
        self,
        request: extended_task_pb2.ComputeProcessorInfoRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> extended_task_pb2.ComputeProcessorInfoResponse:
        return await self._client.call(
            COMPUTE_PROCESSOR_INFO,
            request,
            timeout=timeout,
            metadata=metadata,
        )


class ExtendedTaskService:
    """What serves `ExtendedTask`: override what you implement."""

    async def compute_processor_info(
        self,
        request: extended_task_pb2.ComputeProcessorInfoRequest,
        context: CallContext,
    ) -> extended_task_pb2.ComputeProcessorInfoResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method ComputeProcessorInfo")


def extended_task_service(implementation: ExtendedTaskService) -> Service:
    """The service that a server offers when this implementation stands behind it."""
    return Service(
        SERVICE,
        {
            "ComputeProcessorInfo": (COMPUTE_PROCESSOR_INFO, implementation.compute_processor_info),
        },
    )
