"""One asyncio connection to a VM's agent.

Theory of operation. A reader task takes messages until the stream ends or one makes no sense, a
writer task writes what calls have put into the core; nobody else touches the stream, so that a
cancelled call can't leave half a message. The bridge dies once, for one reason; then every call
fails with `BridgeClosedError`, and every container counts as ended.

Most calls can't be taken back: whoever cancels one waits for its answer all the same, unless the
call says that its answer may be ignored. An agent that does not answer within `timeout` is lost.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from podshim.engines.hcs.results import (
    HCS_E_SERVICE_DISCONNECT,
    HcsError,
    LostServiceError,
)
from podshim.engines.hcs.vm.guest.core import Answer, BridgeCore, ContainerEnded
from podshim.engines.hcs.vm.guest.wire import BridgeError
from podshim.win32.binding import normalised

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from podshim.engines.hcs.vm.guest.wire import Rpc
    from podshim.transport.streams import DuplexStream

    Json = dict[str, object]

_log = logging.getLogger(__name__)

#: How long an agent may take to answer, s.
TIMEOUT = 300.0
_READ = 64 * 1024
_WSAECONNABORTED = 10053


class BridgeClosedError(LostServiceError):
    """The bridge is closed: nothing more will be heard of the guest.

    Args:
        cause: What ended it; empty if we did, or the guest without a complaint.
    """

    def __init__(self, cause: str = "") -> None:
        reason = "use of closed network connection"
        HcsError.__init__(
            self,
            "bridge closed",
            "",
            HCS_E_SERVICE_DISCONNECT,
            reason=f"{reason}: {cause}" if cause else reason,
        )


class GuestError(HcsError):
    """A guest refused what it was asked for.

    Args:
        result: The normalised code.
        message: What it says of it; empty for the system's words.
        document: All of its answer.
    """

    def __init__(self, result: int, message: str, document: Json) -> None:
        super().__init__("guest RPC failure", "", result, reason=message)
        self.document = document


class Bridge:
    """A connection to an agent.

    Args:
        stream: The connection; owned from now on.
        container_ended: Called on the loop for each container that has ended; raises
            `BridgeError` for one that nobody knows.
        timeout: How long a call may take, in s.
    """

    def __init__(
        self,
        stream: DuplexStream,
        container_ended: Callable[[str], None],
        timeout: float = TIMEOUT,
    ) -> None:
        self._stream = stream
        self._container_ended = container_ended
        self._timeout = timeout
        self._core = BridgeCore()
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._closed: BridgeClosedError | None = None
        self._ended = asyncio.Event()
        self._to_write = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._read(), name="guest-bridge-read"),
            asyncio.create_task(self._write(), name="guest-bridge-write"),
        ]

    @property
    def closed(self) -> bool:
        """Whether it is dead."""
        return self._closed is not None

    async def wait(self) -> None:
        """Wait for its end, however that comes."""
        await self._ended.wait()

    def begin(
        self, rpc: Rpc, container_id: str, members: Mapping[str, object]
    ) -> asyncio.Future[Json]:
        """Begin a call whose answer may take for ever.

        Returns:
            Its answer, or its failure: `GuestError`, `BridgeClosedError`.

        Raises:
            BridgeClosedError: The bridge is dead.
        """
        return self._answers[self._open(rpc, container_id, members)]

    async def call(
        self,
        rpc: Rpc,
        container_id: str,
        members: Mapping[str, object] | None = None,
        *,
        ignorable: bool = False,
    ) -> Json:
        """Ask the agent for something.

        Args:
            rpc: What.
            container_id: Of which container, or of the VM itself.
            members: What else to send.
            ignorable: Whether a cancelled caller need not wait for the answer.

        Returns:
            The answer's document.

        Raises:
            GuestError: The agent refused; its text begins with `guest RPC failure`.
            BridgeClosedError: The bridge is dead, or died of this call's taking too long.
        """
        answer = self.begin(rpc, container_id, members or {})
        try:
            done, _ = await asyncio.wait((answer,), timeout=self._timeout)
        except asyncio.CancelledError:
            if not ignorable:
                await self._outlast(answer)
            answer.cancel()
            raise
        if not done:
            self._die("message timeout")
        return await answer

    async def close(self) -> None:
        """Close the connection; any number of calls."""
        self._die("")
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _outlast(self, answer: asyncio.Future[Json]) -> None:
        """Wait for an answer that must be heard, although the caller has been cancelled."""
        heard = asyncio.ensure_future(asyncio.wait((answer,), timeout=self._timeout))
        while not heard.done():
            try:
                await asyncio.shield(heard)
            except asyncio.CancelledError:
                continue
        if not answer.done():
            self._die("message timeout")

    def _open(self, rpc: Rpc, container_id: str, members: Mapping[str, object]) -> int:
        if self._closed is not None:
            raise self._closed
        call = self._core.open(rpc, container_id, members)
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_look_at)
        self._answers[call] = answer
        self._to_write.set()
        return call

    async def _write(self) -> None:
        try:
            while True:
                await self._to_write.wait()
                self._to_write.clear()
                await self._stream.write(self._core.data_to_send())
        except OSError as error:
            self._die(str(error))

    async def _read(self) -> None:
        cause = ""
        try:
            while data := await self._stream.read(_READ):
                self._core.receive_data(data)
                while (event := self._core.next_event()) is not None:
                    self._take(event)
            self._core.receive_end()
        except BridgeError as error:
            cause = error.detail
        except OSError as error:
            if getattr(error, "winerror", None) != _WSAECONNABORTED:
                cause = f"bridge read failed: {error}"
        self._die(cause)

    def _take(self, event: Answer | ContainerEnded) -> None:
        if isinstance(event, ContainerEnded):
            self._container_ended(event.container_id)
            return
        answer = self._answers.pop(event.call)
        if answer.done():
            return  # given up
        try:
            result = normalised(_hresult(event.document))
        except BridgeError as error:
            answer.set_exception(BridgeClosedError(error.detail))
            raise
        if not result:
            answer.set_result(event.document)
            return
        message = event.document.get("ErrorMessage")
        reason = message if isinstance(message, str) else ""
        answer.set_exception(GuestError(result, reason, event.document))

    def _die(self, cause: str) -> None:
        if self._closed is not None:
            return
        self._closed = BridgeClosedError(cause)
        if cause:
            _log.error("%s", self._closed)
        self._stream.close()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            if not answer.done():
                answer.set_exception(BridgeClosedError())
        self._ended.set()


def _hresult(document: Json) -> int:
    result = document.get("Result", 0)
    if not isinstance(result, int) or isinstance(result, bool):
        raise BridgeError("bridge response unmarshal failed: Result is no number")
    return result & 0xFFFFFFFF


def _look_at(answer: asyncio.Future[Json]) -> None:
    """Take note of an answer's failure, so that nobody need wait for it."""
    if not answer.cancelled():
        answer.exception()
