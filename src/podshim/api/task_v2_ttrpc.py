"""Service `containerd.task.v2.Task`: methods, client stub, server base class.

Made from podshim/api/task_v2.proto by tools/generate_api.py: change that, not this.
"""

# ruff: noqa: ARG002, ASYNC109

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import empty_pb2

from podshim.api import task_v2_pb2
from podshim.errors import Code
from podshim.ttrpc.service import Kind, MethodDescriptor, Service
from podshim.ttrpc.status import StatusError

if TYPE_CHECKING:
    from podshim.ttrpc.client import Client, Metadata
    from podshim.ttrpc.service import CallContext

SERVICE = "containerd.task.v2.Task"

STATE = MethodDescriptor(
    SERVICE,
    "State",
    Kind.UNARY,
    task_v2_pb2.StateRequest,
    task_v2_pb2.StateResponse,
)
CREATE = MethodDescriptor(
    SERVICE,
    "Create",
    Kind.UNARY,
    task_v2_pb2.CreateTaskRequest,
    task_v2_pb2.CreateTaskResponse,
)
START = MethodDescriptor(
    SERVICE,
    "Start",
    Kind.UNARY,
    task_v2_pb2.StartRequest,
    task_v2_pb2.StartResponse,
)
DELETE = MethodDescriptor(
    SERVICE,
    "Delete",
    Kind.UNARY,
    task_v2_pb2.DeleteRequest,
    task_v2_pb2.DeleteResponse,
)
PIDS = MethodDescriptor(
    SERVICE,
    "Pids",
    Kind.UNARY,
    task_v2_pb2.PidsRequest,
    task_v2_pb2.PidsResponse,
)
PAUSE = MethodDescriptor(
    SERVICE,
    "Pause",
    Kind.UNARY,
    task_v2_pb2.PauseRequest,
    empty_pb2.Empty,
)
RESUME = MethodDescriptor(
    SERVICE,
    "Resume",
    Kind.UNARY,
    task_v2_pb2.ResumeRequest,
    empty_pb2.Empty,
)
CHECKPOINT = MethodDescriptor(
    SERVICE,
    "Checkpoint",
    Kind.UNARY,
    task_v2_pb2.CheckpointTaskRequest,
    empty_pb2.Empty,
)
KILL = MethodDescriptor(
    SERVICE,
    "Kill",
    Kind.UNARY,
    task_v2_pb2.KillRequest,
    empty_pb2.Empty,
)
EXEC = MethodDescriptor(
    SERVICE,
    "Exec",
    Kind.UNARY,
    task_v2_pb2.ExecProcessRequest,
    empty_pb2.Empty,
)
RESIZE_PTY = MethodDescriptor(
    SERVICE,
    "ResizePty",
    Kind.UNARY,
    task_v2_pb2.ResizePtyRequest,
    empty_pb2.Empty,
)
CLOSE_IO = MethodDescriptor(
    SERVICE,
    "CloseIO",
    Kind.UNARY,
    task_v2_pb2.CloseIORequest,
    empty_pb2.Empty,
)
UPDATE = MethodDescriptor(
    SERVICE,
    "Update",
    Kind.UNARY,
    task_v2_pb2.UpdateTaskRequest,
    empty_pb2.Empty,
)
WAIT = MethodDescriptor(
    SERVICE,
    "Wait",
    Kind.UNARY,
    task_v2_pb2.WaitRequest,
    task_v2_pb2.WaitResponse,
)
STATS = MethodDescriptor(
    SERVICE,
    "Stats",
    Kind.UNARY,
    task_v2_pb2.StatsRequest,
    task_v2_pb2.StatsResponse,
)
CONNECT = MethodDescriptor(
    SERVICE,
    "Connect",
    Kind.UNARY,
    task_v2_pb2.ConnectRequest,
    task_v2_pb2.ConnectResponse,
)
SHUTDOWN = MethodDescriptor(
    SERVICE,
    "Shutdown",
    Kind.UNARY,
    task_v2_pb2.ShutdownRequest,
    empty_pb2.Empty,
)


class TaskStub:
    """A client's view of `containerd.task.v2.Task`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    async def state(
        self,
        request: task_v2_pb2.StateRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> task_v2_pb2.StateResponse:
        return await self._client.call(
            STATE,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def create(
        self,
        request: task_v2_pb2.CreateTaskRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> task_v2_pb2.CreateTaskResponse:
        return await self._client.call(
            CREATE,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def start(
        self,
        request: task_v2_pb2.StartRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> task_v2_pb2.StartResponse:
        return await self._client.call(
            START,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def delete(
        self,
        request: task_v2_pb2.DeleteRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> task_v2_pb2.DeleteResponse:
        return await self._client.call(
            DELETE,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def pids(
        self,
        request: task_v2_pb2.PidsRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> task_v2_pb2.PidsResponse:
        return await self._client.call(
            PIDS,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def pause(
        self,
        request: task_v2_pb2.PauseRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> empty_pb2.Empty:
        return await self._client.call(
            PAUSE,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def resume(
        self,
        request: task_v2_pb2.ResumeRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> empty_pb2.Empty:
        return await self._client.call(
            RESUME,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def checkpoint(
        self,
        request: task_v2_pb2.CheckpointTaskRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> empty_pb2.Empty:
        return await self._client.call(
            CHECKPOINT,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def kill(
        self,
        request: task_v2_pb2.KillRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> empty_pb2.Empty:
        return await self._client.call(
            KILL,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def exec(
        self,
        request: task_v2_pb2.ExecProcessRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> empty_pb2.Empty:
        return await self._client.call(
            EXEC,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def resize_pty(
        self,
        request: task_v2_pb2.ResizePtyRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> empty_pb2.Empty:
        return await self._client.call(
            RESIZE_PTY,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def close_io(
        self,
        request: task_v2_pb2.CloseIORequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> empty_pb2.Empty:
        return await self._client.call(
            CLOSE_IO,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def update(
        self,
        request: task_v2_pb2.UpdateTaskRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> empty_pb2.Empty:
        return await self._client.call(
            UPDATE,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def wait(
        self,
        request: task_v2_pb2.WaitRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> task_v2_pb2.WaitResponse:
        return await self._client.call(
            WAIT,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def stats(
        self,
        request: task_v2_pb2.StatsRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> task_v2_pb2.StatsResponse:
        return await self._client.call(
            STATS,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def connect(
        self,
        request: task_v2_pb2.ConnectRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> task_v2_pb2.ConnectResponse:
        return await self._client.call(
            CONNECT,
            request,
            timeout=timeout,
            metadata=metadata,
        )

    async def shutdown(
        self,
        request: task_v2_pb2.ShutdownRequest,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> empty_pb2.Empty:
        return await self._client.call(
            SHUTDOWN,
            request,
            timeout=timeout,
            metadata=metadata,
        )


class TaskService:
    """What serves `containerd.task.v2.Task`: override what you implement."""

    async def state(
        self,
        request: task_v2_pb2.StateRequest,
        context: CallContext,
    ) -> task_v2_pb2.StateResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method State")

    async def create(
        self,
        request: task_v2_pb2.CreateTaskRequest,
        context: CallContext,
    ) -> task_v2_pb2.CreateTaskResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method Create")

    async def start(
        self,
        request: task_v2_pb2.StartRequest,
        context: CallContext,
    ) -> task_v2_pb2.StartResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method Start")

    async def delete(
        self,
        request: task_v2_pb2.DeleteRequest,
        context: CallContext,
    ) -> task_v2_pb2.DeleteResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method Delete")

    async def pids(
        self,
        request: task_v2_pb2.PidsRequest,
        context: CallContext,
    ) -> task_v2_pb2.PidsResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method Pids")

    async def pause(
        self,
        request: task_v2_pb2.PauseRequest,
        context: CallContext,
    ) -> empty_pb2.Empty:
        raise StatusError(Code.UNIMPLEMENTED, "method Pause")

    async def resume(
        self,
        request: task_v2_pb2.ResumeRequest,
        context: CallContext,
    ) -> empty_pb2.Empty:
        raise StatusError(Code.UNIMPLEMENTED, "method Resume")

    async def checkpoint(
        self,
        request: task_v2_pb2.CheckpointTaskRequest,
        context: CallContext,
    ) -> empty_pb2.Empty:
        raise StatusError(Code.UNIMPLEMENTED, "method Checkpoint")

    async def kill(
        self,
        request: task_v2_pb2.KillRequest,
        context: CallContext,
    ) -> empty_pb2.Empty:
        raise StatusError(Code.UNIMPLEMENTED, "method Kill")

    async def exec(
        self,
        request: task_v2_pb2.ExecProcessRequest,
        context: CallContext,
    ) -> empty_pb2.Empty:
        raise StatusError(Code.UNIMPLEMENTED, "method Exec")

    async def resize_pty(
        self,
        request: task_v2_pb2.ResizePtyRequest,
        context: CallContext,
    ) -> empty_pb2.Empty:
        raise StatusError(Code.UNIMPLEMENTED, "method ResizePty")

    async def close_io(
        self,
        request: task_v2_pb2.CloseIORequest,
        context: CallContext,
    ) -> empty_pb2.Empty:
        raise StatusError(Code.UNIMPLEMENTED, "method CloseIO")

    async def update(
        self,
        request: task_v2_pb2.UpdateTaskRequest,
        context: CallContext,
    ) -> empty_pb2.Empty:
        raise StatusError(Code.UNIMPLEMENTED, "method Update")

    async def wait(
        self,
        request: task_v2_pb2.WaitRequest,
        context: CallContext,
    ) -> task_v2_pb2.WaitResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method Wait")

    async def stats(
        self,
        request: task_v2_pb2.StatsRequest,
        context: CallContext,
    ) -> task_v2_pb2.StatsResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method Stats")

    async def connect(
        self,
        request: task_v2_pb2.ConnectRequest,
        context: CallContext,
    ) -> task_v2_pb2.ConnectResponse:
        raise StatusError(Code.UNIMPLEMENTED, "method Connect")

    async def shutdown(
        self,
        request: task_v2_pb2.ShutdownRequest,
        context: CallContext,
    ) -> empty_pb2.Empty:
        raise StatusError(Code.UNIMPLEMENTED, "method Shutdown")


def task_service(implementation: TaskService) -> Service:
    """The service that a server offers when this implementation stands behind it."""
    return Service(
        SERVICE,
        {
            "State": (STATE, implementation.state),
            "Create": (CREATE, implementation.create),
            "Start": (START, implementation.start),
            "Delete": (DELETE, implementation.delete),
            "Pids": (PIDS, implementation.pids),
            "Pause": (PAUSE, implementation.pause),
            "Resume": (RESUME, implementation.resume),
            "Checkpoint": (CHECKPOINT, implementation.checkpoint),
            "Kill": (KILL, implementation.kill),
            "Exec": (EXEC, implementation.exec),
            "ResizePty": (RESIZE_PTY, implementation.resize_pty),
            "CloseIO": (CLOSE_IO, implementation.close_io),
            "Update": (UPDATE, implementation.update),
            "Wait": (WAIT, implementation.wait),
            "Stats": (STATS, implementation.stats),
            "Connect": (CONNECT, implementation.connect),
            "Shutdown": (SHUTDOWN, implementation.shutdown),
        },
    )
