"""Service `containerd.runhcs.v1.diag.ShimDiag`: methods, client stub, server base class.

Made from podshim/api/runhcs_diag.proto by tools/generate_api.py: change that, not this.
"""

# ruff: noqa: ARG002, ASYNC109

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.api import runhcs_diag_pb2
from podshim.errors import Code
from podshim.ttrpc.service import Kind, MethodDescriptor, Service
from podshim.ttrpc.status import StatusError

if TYPE_CHECKING:
    from podshim.ttrpc.client import Client, Metadata
    from podshim.ttrpc.service import CallContext

SERVICE = "containerd.runhcs.v1.diag.ShimDiag"

DIAG_EXEC_IN_HOST = MethodDescriptor(
    SERVICE,
    "DiagExecInHost",
    Kind.UNARY,
    runhcs_diag_pb2.ExecProcessRequest,
    runhcs_diag_pb2.ExecProcessResponse,
)
DIAG_STACKS = MethodDescriptor(
    SERVICE,
    "DiagStacks",
    Kind.UNARY,
    runhcs_diag_pb2.StacksRequest,
    runhcs_diag_pb2.StacksResponse,
)
DIAG_TASKS = MethodDescriptor(
    SERVICE,
    "DiagTasks",
    Kind.UNARY,
    runhcs_diag_pb2.TasksRequest,
    runhcs_diag_pb2.TasksResponse,
)
DIAG_SHARE = MethodDescriptor(
    SERVICE,
    "DiagShare",
    Kind.UNARY,
    runhcs_diag_pb2.ShareRequest,
    runhcs_diag_pb2.ShareResponse,
)
DIAG_PID = MethodDescriptor(
    SERVICE,
    "DiagPid",
    Kind.UNARY,
    runhcs_diag_pb2.PidRequest,
    runhcs_diag_pb2.PidResponse,
)


class ShimDiagStub:
    """A client's view of `containerd.runhcs.v1.diag.ShimDiag`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    async def diag_exec_in_host(
        self,
        request: runhcs_diag_pb2.ExecProcessRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> runhcs_diag_pb2.ExecProcessResponse:
        return await self._client.call(
            DIAG_EXEC_IN_HOST,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def diag_stacks(
        self,
        request: runhcs_diag_pb2.StacksRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> runhcs_diag_pb2.StacksResponse:
        return await self._client.call(
            DIAG_STACKS,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def diag_tasks(
        self,
        request: runhcs_diag_pb2.TasksRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> runhcs_diag_pb2.TasksResponse:
        return await self._client.call(
            DIAG_TASKS,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def diag_share(
        self,
        request: runhcs_diag_pb2.ShareRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> runhcs_diag_pb2.ShareResponse:
        return await self._client.call(
            DIAG_SHARE,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def diag_pid(
        self,
        request: runhcs_diag_pb2.PidRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> runhcs_diag_pb2.PidResponse:
        return await self._client.call(
            DIAG_PID,
            request,
            timeout=timeout,
            metadata=metadata,
        )


class ShimDiagService:
    """What serves `containerd.runhcs.v1.diag.ShimDiag`: override what you implement."""

    async def diag_exec_in_host(
        self,
        request: runhcs_diag_pb2.ExecProcessRequest,
        context: CallContext,
    ) -> runhcs_diag_pb2.ExecProcessResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method DiagExecInHost")

    async def diag_stacks(
        self,
        request: runhcs_diag_pb2.StacksRequest,
        context: CallContext,
    ) -> runhcs_diag_pb2.StacksResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method DiagStacks")

    async def diag_tasks(
        self,
        request: runhcs_diag_pb2.TasksRequest,
        context: CallContext,
    ) -> runhcs_diag_pb2.TasksResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method DiagTasks")

    async def diag_share(
        self,
        request: runhcs_diag_pb2.ShareRequest,
        context: CallContext,
    ) -> runhcs_diag_pb2.ShareResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method DiagShare")

    async def diag_pid(
        self,
        request: runhcs_diag_pb2.PidRequest,
        context: CallContext,
    ) -> runhcs_diag_pb2.PidResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method DiagPid")


def shim_diag_service(implementation: ShimDiagService) -> Service:
    """The service that a server offers when this implementation stands behind it."""
    return Service(
        SERVICE,
        {
            "DiagExecInHost": (DIAG_EXEC_IN_HOST, implementation.diag_exec_in_host),
            "DiagStacks": (DIAG_STACKS, implementation.diag_stacks),
            "DiagTasks": (DIAG_TASKS, implementation.diag_tasks),
            "DiagShare": (DIAG_SHARE, implementation.diag_share),
            "DiagPid": (DIAG_PID, implementation.diag_pid),
        },
    )
