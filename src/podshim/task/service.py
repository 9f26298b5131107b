"""The task service: messages to tasks and back, and nothing else.

Theory of operation. `containerd.task.v2.Task` and `containerd.task.v3.Task` are one service under
two names: the same methods, and messages with the same fields, numbers and types (a test compares
their descriptors). So there is one implementation, written against v3's messages, and `services`
offers it under both names; v2's bytes are v3's bytes.

What can never be right is refused here as InvalidArgument, some of which crashes Go's shim; all
other errors come from below and become status codes at the server's edge.
"""

# ruff: noqa: ARG002 - what a handler is given is the generated base class's affair

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING

from google.protobuf.any_pb2 import Any
from google.protobuf.empty_pb2 import Empty

from podshim.api import (
    runc_options_pb2,
    task_types_pb2,
    task_v3_pb2 as pb,
    task_v3_ttrpc,
)
from podshim.bundle import Bundle
from podshim.engine import CreateRequest, Mount, Stdio, TypedValue
from podshim.errors import InvalidArgumentError
from podshim.task.events import timestamp
from podshim.task.identifiers import check_exec_identifier, check_path
from podshim.task.lifecycle import State
from podshim.ttrpc.service import Service
from podshim.wire import JOINING

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from podshim.engine import Exit
    from podshim.task.registry import Registry
    from podshim.ttrpc.service import CallContext

V2 = "containerd.task.v2.Task"

_STATUS = {
    State.CREATED: task_types_pb2.CREATED,
    State.CREATED_FROM_CHECKPOINT: task_types_pb2.CREATED,
    State.START_FAILED: task_types_pb2.CREATED,
    State.RUNNING: task_types_pb2.RUNNING,
    State.PAUSING: task_types_pb2.PAUSING,
    State.PAUSED: task_types_pb2.PAUSED,
    State.STOPPED: task_types_pb2.STOPPED,
    State.DELETED: task_types_pb2.STOPPED,
}


def services(registry: Registry) -> list[Service]:
    """What a shim's server offers for its tasks: the task service in both its versions."""
    newer = task_v3_ttrpc.task_service(TaskService(registry))
    older = {
        name: (dataclasses.replace(method, service=V2), handler)
        for name, (method, handler) in newer.methods.items()
    }
    return [newer, Service(V2, older)]


class TaskService(task_v3_ttrpc.TaskService):
    """Translates.

    Args:
        registry: The tasks.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def state(self, request: pb.StateRequest, context: CallContext) -> pb.StateResponse:
        """Tell how the init or an exec stands."""
        task = self._registry.get(request.id)
        process = task.process(request.exec_id)
        exit_status, exited_at = _end(process.exit)
        return pb.StateResponse(
            id=process.name,
            bundle=task.bundle.path,
            pid=process.pid,
            status=_STATUS[task.state_of(process)],
            stdin=process.stdio.stdin,
            stdout=process.stdio.stdout,
            stderr=process.stdio.stderr,
            terminal=process.stdio.terminal,
            exit_status=exit_status,
            exited_at=exited_at,
        )

    async def create(
        self, request: pb.CreateTaskRequest, context: CallContext
    ) -> pb.CreateTaskResponse:
        """Make a container whose init waits to be started."""
        check_path("bundle", request.bundle)
        for path in filter(None, (request.checkpoint, request.parent_checkpoint)):
            check_path("checkpoint", path)
        task = await self._registry.create(
            CreateRequest(
                id=request.id,
                bundle=Bundle(request.bundle),
                rootfs=tuple(
                    Mount(mount.type, mount.source, mount.target, tuple(mount.options))
                    for mount in request.rootfs
                ),
                stdio=_stdio(request),
                options=_typed_value(request.options),
                checkpoint=request.checkpoint,
                parent_checkpoint=request.parent_checkpoint,
            )
        )
        return pb.CreateTaskResponse(pid=task.init.pid)

    async def start(self, request: pb.StartRequest, context: CallContext) -> pb.StartResponse:
        """Let the init or an exec run."""
        task = self._registry.get(request.id)
        return pb.StartResponse(pid=await task.start(request.exec_id))

    async def delete(self, request: pb.DeleteRequest, context: CallContext) -> pb.DeleteResponse:
        """Remove the container, or an exec."""
        task = self._registry.get(request.id)
        if request.exec_id:
            deleted = await task.exec_of(request.exec_id).delete()
        else:
            deleted = await task.delete()
        exit_status, exited_at = _end(deleted.exit)
        return pb.DeleteResponse(pid=deleted.pid, exit_status=exit_status, exited_at=exited_at)

    async def pids(self, request: pb.PidsRequest, context: CallContext) -> pb.PidsResponse:
        """List the container's processes; those of execs tell which."""
        task = self._registry.get(request.id)
        response = pb.PidsResponse()
        for pid, exec_id in await task.pids():
            info = response.processes.add(pid=pid)
            if exec_id:
                details = runc_options_pb2.ProcessDetails(exec_id=exec_id)
                info.info.type_url = details.DESCRIPTOR.full_name
                info.info.value = details.SerializeToString()
        return response

    async def pause(self, request: pb.PauseRequest, context: CallContext) -> Empty:
        """Freeze the container's processes."""
        await self._registry.get(request.id).pause()
        return Empty()

    async def resume(self, request: pb.ResumeRequest, context: CallContext) -> Empty:
        """Thaw the container's processes."""
        await self._registry.get(request.id).resume()
        return Empty()

    async def checkpoint(self, request: pb.CheckpointTaskRequest, context: CallContext) -> Empty:
        """Write the container's state into a folder."""
        task = self._registry.get(request.id)
        check_path("checkpoint path", request.path)
        await task.checkpoint(request.path, _typed_value(request.options))
        return Empty()

    async def kill(self, request: pb.KillRequest, context: CallContext) -> Empty:
        """Send a signal to the init, an exec, or all processes."""
        task = self._registry.get(request.id)
        await task.kill(request.exec_id, request.signal, everyone=request.all)
        return Empty()

    async def exec(self, request: pb.ExecProcessRequest, context: CallContext) -> Empty:
        """Prepare a further process."""
        task = self._registry.get(request.id)
        check_exec_identifier(request.exec_id)
        spec = _json_object("exec spec", request.spec)
        await task.exec(request.exec_id, spec, _stdio(request))
        return Empty()

    async def resize_pty(self, request: pb.ResizePtyRequest, context: CallContext) -> Empty:
        """Give the terminal of the init or an exec another size, each side cut to 16 bits."""
        process = self._registry.get(request.id).process(request.exec_id)
        await process.resize(request.width & 0xFFFF, request.height & 0xFFFF)
        return Empty()

    async def close_io(self, request: pb.CloseIORequest, context: CallContext) -> Empty:
        """Drop the shim's hold on standard input, whether or not `stdin` is set."""
        await self._registry.get(request.id).process(request.exec_id).close_stdin()
        return Empty()

    async def update(self, request: pb.UpdateTaskRequest, context: CallContext) -> Empty:
        """Change limits."""
        task = self._registry.get(request.id)
        await task.update(_json_object("resources", request.resources))
        return Empty()

    async def wait(self, request: pb.WaitRequest, context: CallContext) -> pb.WaitResponse:
        """Wait until the init or an exec has ended."""
        process = self._registry.get(request.id).process(request.exec_id)
        exit_status, exited_at = _end(await process.wait())
        return pb.WaitResponse(exit_status=exit_status, exited_at=exited_at)

    async def stats(self, request: pb.StatsRequest, context: CallContext) -> pb.StatsResponse:
        """Measure."""
        stats = await self._registry.get(request.id).stats()
        return pb.StatsResponse(stats=Any(type_url=stats.type_url, value=stats.value))

    async def connect(self, request: pb.ConnectRequest, context: CallContext) -> pb.ConnectResponse:
        """Tell the shim's pid, and the init's if there is such a task.

        It never fails, but for a `start` that wants to join a shim which is going away.
        """
        task = self._registry.find(request.id)
        if task is None and JOINING in context.metadata:
            self._registry.expect(request.id)
        return pb.ConnectResponse(shim_pid=os.getpid(), task_pid=task.init.pid if task else 0)

    async def shutdown(self, request: pb.ShutdownRequest, context: CallContext) -> Empty:
        """Let the shim go if it has nothing left, whoever says so; `now` does not matter."""
        self._registry.shutdown(request.id)
        return Empty()


def _end(end: Exit | None) -> tuple[int, Timestamp]:
    """Status and time of an end; of none, what containerd reads as "it has not exited"."""
    return (end.status, timestamp(end.at)) if end else (0, timestamp(None))


def _stdio(request: pb.CreateTaskRequest | pb.ExecProcessRequest) -> Stdio:
    return Stdio(request.terminal, request.stdin, request.stdout, request.stderr)


def _typed_value(message: Any) -> TypedValue | None:
    if not message.type_url and not message.value:
        return None
    return TypedValue(message.type_url, message.value)


def _json_object(what: str, message: Any) -> bytes:
    """The value of a message that carries JSON.

    Raises:
        InvalidArgumentError: It is missing, no JSON, or no object.
    """
    if not message.value:
        raise InvalidArgumentError(f"{what} must not be empty")
    try:
        value = json.loads(message.value)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"{what} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"{what} is not a JSON object")
    return message.value
