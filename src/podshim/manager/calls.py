"""Calls of the task service, of either version, with a deadline each.

Theory of operation. Versions 2 and 3 differ in the service's name alone, so the messages of
version 3 serve for both, and a call goes to the version that the shim's answer named. A shim that
does not know version 3 after all is spoken to in version 2 from then on, as containerd does it
when it creates a task or finds a shim again (a shim that an older binary has left running).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from podshim.api import task_v2_ttrpc, task_v3_ttrpc
from podshim.errors import Code
from podshim.ttrpc.status import StatusError

if TYPE_CHECKING:
    from podshim.ttrpc.client import Client
    from podshim.ttrpc.service import MethodDescriptor, Req, Res

#: How long a call may take, unless told otherwise (s).
TIMEOUT = 60.0
NAMESPACE_KEY = "containerd-namespace-ttrpc"

# The methods whose failure tells containerd that a shim is older than it said.
_PROBES = (task_v3_ttrpc.CREATE, task_v3_ttrpc.CONNECT)


class TaskCalls:
    """A connection to a shim's task service.

    Args:
        client: The connection; whoever made it closes it.
        version: The version of the service: 2 or 3.
        namespace: containerd's namespace, sent along with every call.
    """

    def __init__(self, client: Client, version: int, namespace: str) -> None:
        self.client = client
        self.version = version
        self._metadata = {NAMESPACE_KEY: namespace}

    async def call(
        self,
        method: MethodDescriptor[Req, Res],
        request: Req,
        *,
        timeout: float | None = TIMEOUT,  # noqa: ASYNC109 - it is sent to the shim as well
    ) -> Res:
        """Call a method of version 3, in the version that the shim speaks.

        Args:
            method: From `podshim.api.task_v3_ttrpc`.
            request: Its request.
            timeout: How long it may take, here and at the shim (s); None for no limit.

        Raises:
            StatusError: The shim's refusal, or DEADLINE_EXCEEDED.
            ConnectionLost: The connection has ended.
        """
        try:
            return await self._call(method, request, timeout)
        except StatusError as error:
            if self.version < 3 or error.code is not Code.UNIMPLEMENTED or method not in _PROBES:
                raise
        self.version = 2
        return await self._call(method, request, timeout)

    async def _call(
        self,
        method: MethodDescriptor[Req, Res],
        request: Req,
        timeout: float | None,  # noqa: ASYNC109 - as for `call`
    ) -> Res:
        if self.version < 3:
            method = replace(method, service=task_v2_ttrpc.SERVICE)
        return await self.client.call(method, request, timeout=timeout, metadata=self._metadata)
