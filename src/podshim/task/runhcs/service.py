"""The services of this contract: messages to the slot and back, and nothing else.

Theory of operation. containerd speaks `containerd.task.v2.Task` to this shim. What can never be
right, some of which crashes Microsoft's shim, is refused as InvalidArgument; all other errors come
from below and become status codes at the server's edge. The two services for diagnosis are in
`diag`.
"""

# ruff: noqa: ARG002 - what a handler is given is the generated base class's affair

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from google.protobuf.any_pb2 import Any
from google.protobuf.empty_pb2 import Empty

from podshim.api import task_types_pb2, task_v2_pb2 as pb, task_v2_ttrpc
from podshim.bundle import Bundle
from podshim.engine import CreateRequest, Mount, Stdio, TypedValue
from podshim.errors import Code, InvalidArgumentError, ShimError, UnimplementedError
from podshim.task.events import timestamp
from podshim.task.identifiers import check_path
from podshim.task.lifecycle import State
from podshim.task.runhcs.diag import diagnosis
from podshim.task.runhcs.exec import NOT_EXITED_STATUS
from podshim.task.runhcs.request import check_streams
from podshim.ttrpc.status import StatusError

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from podshim.engine import Exit
    from podshim.task.runhcs.slot import Slot
    from podshim.ttrpc.service import CallContext, Service

_STATUS = {
    State.CREATED: task_types_pb2.CREATED,
    State.RUNNING: task_types_pb2.RUNNING,
    State.STOPPED: task_types_pb2.STOPPED,
}


def services(slot: Slot) -> list[Service]:
    """What a shim's server offers: tasks, diagnosis, and what tasks tell beyond containerd's."""
    return [task_v2_ttrpc.task_service(TaskService(slot)), *diagnosis(slot)]


class TaskService(task_v2_ttrpc.TaskService):
    """Translates.

    Args:
        slot: The tasks.
    """

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    async def state(self, request: pb.StateRequest, context: CallContext) -> pb.StateResponse:
        """Tell how the init or an exec stands."""
        task = self._slot.task(request.id)
        process = task.process(request.exec_id)
        exit_status, exited_at = _end(process.exit)
        return pb.StateResponse(
            id=task.id,
            bundle=task.bundle.path,
            pid=process.pid,
            status=_STATUS[process.state],
            stdin=process.stdio.stdin,
            stdout=process.stdio.stdout,
            stderr=process.stdio.stderr,
            terminal=process.stdio.terminal,
            exit_status=exit_status,
            exited_at=exited_at,
            exec_id=process.name,
        )

    async def create(
        self, request: pb.CreateTaskRequest, context: CallContext
    ) -> pb.CreateTaskResponse:
        """Make a container whose init waits to be started."""
        check_path("bundle", request.bundle)
        task = await self._slot.create(
            CreateRequest(
                id=request.id,
                bundle=Bundle(request.bundle),
                rootfs=tuple(
                    Mount(mount.type, mount.source, mount.target, tuple(mount.options))
                    for mount in request.rootfs
                ),
                stdio=_stdio(request),
                options=_typed_value(request.options) if request.HasField("options") else None,
            )
        )
        return pb.CreateTaskResponse(pid=task.init.pid)

    async def start(self, request: pb.StartRequest, context: CallContext) -> pb.StartResponse:
        """Let the init or an exec run."""
        return pb.StartResponse(pid=await self._slot.start(request.id, request.exec_id))

    async def delete(self, request: pb.DeleteRequest, context: CallContext) -> pb.DeleteResponse:
        """Delete the task, or an exec."""
        deleted = await self._slot.delete(request.id, request.exec_id)
        exit_status, exited_at = _end(deleted.exit)
        return pb.DeleteResponse(pid=deleted.pid, exit_status=exit_status, exited_at=exited_at)

    async def pids(self, request: pb.PidsRequest, context: CallContext) -> pb.PidsResponse:
        """List the container's processes."""
        response = pb.PidsResponse()
        for details in await self._slot.task(request.id).pids():
            response.processes.add(pid=details.process_id, info=_packed(details))
        return response

    async def pause(self, request: pb.PauseRequest, context: CallContext) -> Empty:
        """Refuse: Windows freezes no containers."""
        raise _unimplemented()

    async def resume(self, request: pb.ResumeRequest, context: CallContext) -> Empty:
        """Refuse, as `pause`."""
        raise _unimplemented()

    async def checkpoint(self, request: pb.CheckpointTaskRequest, context: CallContext) -> Empty:
        """Refuse, as `pause`."""
        raise _unimplemented()

    async def kill(self, request: pb.KillRequest, context: CallContext) -> Empty:
        """Send a signal to the init, an exec, or all processes."""
        await self._slot.kill(request.id, request.exec_id, request.signal, everyone=request.all)
        return Empty()

    async def exec(self, request: pb.ExecProcessRequest, context: CallContext) -> Empty:
        """Prepare a further process."""
        self._slot.task(request.id)
        stdio = _stdio(request)
        check_streams(stdio)
        spec = _process_spec(request)
        await self._slot.exec(request.id, request.exec_id, spec, stdio)
        return Empty()

    async def resize_pty(self, request: pb.ResizePtyRequest, context: CallContext) -> Empty:
        """Give the terminal of the init or an exec another size, each side cut to 16 bits."""
        width, height = request.width & 0xFFFF, request.height & 0xFFFF
        await self._slot.resize(request.id, request.exec_id, width, height)
        return Empty()

    async def close_io(self, request: pb.CloseIORequest, context: CallContext) -> Empty:
        """Drop the connection that feeds standard input, whether or not `stdin` is set."""
        await self._slot.close_stdin(request.id, request.exec_id)
        return Empty()

    async def update(self, request: pb.UpdateTaskRequest, context: CallContext) -> Empty:
        """Change limits."""
        if not request.HasField("resources"):
            raise InvalidArgumentError(
                f"resources cannot be empty, updating container {request.id} resources failed"
            )
        resources = _typed_value(request.resources)
        await self._slot.update(request.id, resources, dict(request.annotations))
        return Empty()

    async def wait(self, request: pb.WaitRequest, context: CallContext) -> pb.WaitResponse:
        """Wait until the task, or an exec, has ended."""
        process = await self._slot.task(request.id).wait(request.exec_id)
        exit_status, exited_at = _end(process.exit)
        return pb.WaitResponse(exit_status=exit_status, exited_at=exited_at)

    async def stats(self, request: pb.StatsRequest, context: CallContext) -> pb.StatsResponse:
        """Measure."""
        measured = await self._slot.task(request.id).statistics()
        return pb.StatsResponse(stats=_packed(measured))

    async def connect(self, request: pb.ConnectRequest, context: CallContext) -> pb.ConnectResponse:
        """Tell the shim's pid, for every id, also before there is a task."""
        return pb.ConnectResponse(shim_pid=os.getpid(), task_pid=os.getpid())

    async def shutdown(self, request: pb.ShutdownRequest, context: CallContext) -> Empty:
        """Let the shim go, if it is meant."""
        self._slot.shutdown(request.id, now=request.now)
        return Empty()


def _end(end: Exit | None) -> tuple[int, Timestamp]:
    """Status and time of an end; of none what this contract tells of a living process."""
    return (end.status, timestamp(end.at)) if end else (NOT_EXITED_STATUS, timestamp(None))


def _stdio(request: pb.CreateTaskRequest | pb.ExecProcessRequest) -> Stdio:
    return Stdio(request.terminal, request.stdin, request.stdout, request.stderr)


def _typed_value(message: Any) -> TypedValue:
    return TypedValue(message.type_url, message.value)


def _packed(message: Message) -> Any:
    """A message as this contract sends it: under its bare name."""
    return Any(type_url=message.DESCRIPTOR.full_name, value=message.SerializeToString())


def _process_spec(request: pb.ExecProcessRequest) -> bytes:
    """The JSON of an exec's OCI process; the type URL does not matter.

    Raises:
        InvalidArgumentError: There is none, or it is no object.
        ShimError: It is no JSON.
    """
    if not request.HasField("spec"):
        raise InvalidArgumentError("request.Spec must not be empty")
    try:
        spec = json.loads(request.spec.value)
    except (ValueError, RecursionError) as error:
        raise ShimError(f"request.Spec was not oci process: {error}") from error
    if not isinstance(spec, dict):
        raise InvalidArgumentError("request.Spec was not oci process: it is no JSON object")
    return request.spec.value


def _unimplemented() -> StatusError:
    return StatusError(Code.UNIMPLEMENTED, UnimplementedError.class_text)
