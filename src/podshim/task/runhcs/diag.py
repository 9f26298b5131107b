"""The services for diagnosis: what `shimdiag` asks, and what tasks tell beyond containerd.

Theory of operation. Like `service`, this translates and nothing else. Commands on the host end
with their exit code, whatever it is: only one that could not be run is an error.
"""

# ruff: noqa: ARG002 - what a handler is given is the generated base class's affair

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from podshim.api import (
    extended_task_pb2,
    extended_task_ttrpc,
    runhcs_diag_pb2 as pb,
    runhcs_diag_ttrpc,
)
from podshim.engine import Stdio
from podshim.errors import NotFoundError
from podshim.task.runhcs.host import HostCommand
from podshim.task.runhcs.request import check_streams
from podshim.task.stacks import describe_tasks, describe_threads

if TYPE_CHECKING:
    from podshim.task.runhcs.slot import Slot
    from podshim.ttrpc.service import CallContext, Service

_log = logging.getLogger(__name__)

#: How long a guest may take to tell its stacks, in s.
GUEST_STACKS_TIMEOUT = 5.0


def diagnosis(slot: Slot) -> list[Service]:
    """The services for diagnosis."""
    return [
        runhcs_diag_ttrpc.shim_diag_service(DiagService(slot)),
        extended_task_ttrpc.extended_task_service(ExtendedTaskService(slot)),
    ]


class DiagService(runhcs_diag_ttrpc.ShimDiagService):
    """Serves `shimdiag`.

    Args:
        slot: The tasks.
    """

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    async def diag_exec_in_host(
        self, request: pb.ExecProcessRequest, context: CallContext
    ) -> pb.ExecProcessResponse:
        """Run a command beside the shim's task and tell its exit code."""
        stdio = Stdio(request.terminal, request.stdin, request.stdout, request.stderr)
        check_streams(stdio)
        command = HostCommand(tuple(request.args), request.workdir, stdio)
        code = await self._slot.run_on_host(command)
        return pb.ExecProcessResponse(exit_code=_signed(code))

    async def diag_stacks(
        self, request: pb.StacksRequest, context: CallContext
    ) -> pb.StacksResponse:
        """Tell where the shim stands, and its guest if it has one that answers."""
        state = "\n".join(self._slot.snapshot())
        stacks = f"{state}\n{describe_tasks()}{describe_threads()}"
        return pb.StacksResponse(stacks=stacks, guest_stacks=await self._guest_stacks())

    async def diag_tasks(self, request: pb.TasksRequest, context: CallContext) -> pb.TasksResponse:
        """List the tasks, and if wanted their execs."""
        tasks = self._slot.tasks
        if not tasks:
            raise NotFoundError(f"task with id: '{self._slot.task_id}' not found")
        response = pb.TasksResponse()
        for task in tasks:
            told = response.tasks.add(id=task.id)
            for process in task.told_execs if request.execs else ():
                told.execs.add(id=process.name, state=process.state_text)
        return response

    async def diag_share(self, request: pb.ShareRequest, context: CallContext) -> pb.ShareResponse:
        """Share a path of the host into the VM."""
        await self._slot.share(request.host_path, request.uvm_path, read_only=request.read_only)
        return pb.ShareResponse()

    async def diag_pid(self, request: pb.PidRequest, context: CallContext) -> pb.PidResponse:
        """Tell the shim's pid."""
        return pb.PidResponse(pid=os.getpid())

    async def _guest_stacks(self) -> str:
        vm = next((task.vm for task in self._slot.tasks if task.vm is not None), None)
        if vm is None:
            return ""
        try:
            async with asyncio.timeout(GUEST_STACKS_TIMEOUT):
                return await vm.stacks()
        except Exception as error:  # noqa: BLE001 - the shim's own stacks are told nevertheless
            _log.warning("the guest of %s tells no stacks: %r", vm.id, error)
            return ""


class ExtendedTaskService(extended_task_ttrpc.ExtendedTaskService):
    """Serves what tasks tell beyond containerd's service.

    Args:
        slot: The tasks.
    """

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    async def compute_processor_info(
        self,
        request: extended_task_pb2.ComputeProcessorInfoRequest,
        context: CallContext,
    ) -> extended_task_pb2.ComputeProcessorInfoResponse:
        """Tell the processors of a task's VM."""
        count = self._slot.task(request.id).processor_count()
        return extended_task_pb2.ComputeProcessorInfoResponse(count=count)


def _signed(code: int) -> int:
    """An exit code of Windows, unsigned in 32 bits, as the signed number of the message."""
    code &= 0xFFFFFFFF
    return code - (1 << 32) if code >> 31 else code
