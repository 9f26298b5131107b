"""Compute systems: containers and virtual machines as the Host Compute Service has them.

Theory of operation. `Hcs` makes and opens systems. A `System` owns a handle. Its end comes to it as
an event, or as the loss of the service, or as our own closing of the handle, whichever is first:
`wait` tells which, and a closed handle is never taken for an ended system. The callback is set
before anybody can wait, so that no end is missed: the service delivers what has happened before.

Everything runs on the loop's thread but the calls themselves (`Service`).
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: members of parsed JSON documents

from podshim.engines.hcs import operations, results
from podshim.engines.hcs.computecore import EVENTS_WITH_MIGRATION, SystemCall
from podshim.engines.hcs.computeprocess import HcsProcess, create_process
from podshim.engines.hcs.documents.jsontext import dumps
from podshim.engines.hcs.ending import Ending, EndKind
from podshim.engines.hcs.notifications import Event, EventType
from podshim.engines.hcs.operations import HandleClosedError, Owned
from podshim.engines.hcs.results import ClosedError, HcsError
from podshim.win32.binding import normalised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podshim.engines.hcs.computecore import Completion
    from podshim.engines.hcs.hostservice import Service

__all__ = ["Hcs", "HcsProcess", "System", "SystemFacts"]

log = logging.getLogger(__name__)

_CREATE = "hcs::CreateComputeSystem"
_OPEN = "hcs::OpenComputeSystem"
_LIST = "hcs::GetComputeSystems"
_SERVICE_PROPERTIES = "hcs::GetServiceProperties"
_MODIFY_SERVICE = "hcs::ModifyServiceSettings"


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """What never changes of a system, in lower case: `container` or `virtualmachine`, its OS."""

    type: str = ""
    os: str = ""
    owner: str = ""


class Hcs:
    """The Host Compute Service, for one shim.

    Args:
        service: How it is called.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def create_system(
        self, system_id: str, document: str, *, limit: float | None = None
    ) -> System:
        """Create a compute system; it waits to be started.

        Args:
            system_id: Its id.
            document: Its JSON document.
            limit: Seconds; the limit of creations if none is given.

        Raises:
            HcsError: It can't be created; nothing is left.
        """
        seconds = self._service.timeouts.create if limit is None else limit
        return await self._service.finish(self._create(system_id, document, seconds), _discard)

    async def open_system(self, system_id: str) -> System:
        """Open a compute system that exists.

        Raises:
            HcsError: It can't be opened.
        """
        return await self._service.finish(self._open(system_id), System.close)

    async def enumerate_systems(self, query: str = "{}") -> list[dict[str, Any]]:
        """List compute systems.

        Args:
            query: A JSON object with lists `Ids`, `Types`, `Names`, `Owners`; none asks for all.

        Raises:
            HcsError: The service does not tell.
        """
        begin = functools.partial(self._service.core.enumerate_systems, query)
        done = await self._service.run(_LIST, begin)
        results.check(done.result, done.document, _LIST, "")
        listed = _parse(done.document, _LIST, "")
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise HcsError(_LIST, "", 0, reason=results.UNEXPECTED_VALUE)
        return listed

    async def service_properties(self, query: str) -> dict[str, Any]:
        """Ask the service about itself; the answer's member `Properties` is a list.

        Raises:
            HcsError: It does not tell.
        """
        call = functools.partial(self._service.core.service_properties, query)
        answer = _parse(await self._ask(_SERVICE_PROPERTIES, call), _SERVICE_PROPERTIES, "")
        if not isinstance(answer, dict):
            raise HcsError(_SERVICE_PROPERTIES, "", 0, reason=results.UNEXPECTED_VALUE)
        return answer

    async def modify_service(self, settings: str) -> None:
        """Change the service's settings.

        Raises:
            HcsError: It refuses.
        """
        call = functools.partial(self._service.core.modify_service, settings)
        await self._ask(_MODIFY_SERVICE, call)

    async def _ask(self, operation: str, call: Callable[[], Completion]) -> str:
        """Make a call of the service that is no operation; its document."""
        try:
            async with asyncio.timeout(self._service.timeouts.call):
                done = await self._service.threads.run(operation, call)
        except TimeoutError:
            raise HcsError(operation, "", results.HCS_E_OPERATION_TIMEOUT) from None
        results.check(done.result, done.document, operation, "")
        return done.document

    async def _create(self, system_id: str, document: str, limit: float) -> System:
        core, made = self._service.core, 0

        def begin(operation: int) -> int:
            nonlocal made
            result, made = core.create_system(system_id, document, operation)
            return result

        self._service.log_document(f"{_CREATE} {system_id}", document)
        done = await self._service.run(f"{_CREATE} {system_id}", begin, limit=limit)
        system = System(self._service, system_id, made) if made else None
        try:
            results.check(done.result, done.document, _CREATE, system_id)
            if system is None:
                raise HcsError(_CREATE, system_id, 0, reason=results.UNEXPECTED_VALUE)
            await system.attach(_CREATE)
        except BaseException:
            if system is not None:
                await _discard(system)
            raise
        return system

    async def _open(self, system_id: str) -> System:
        result, handle = await self._service.threads.run(
            f"{_OPEN} {system_id}", functools.partial(self._service.core.open_system, system_id)
        )
        results.check(result, "", _OPEN, system_id)
        system = System(self._service, system_id, handle)
        try:
            await system.attach(_OPEN)
        except BaseException:
            await system.close()
            raise
        return system


class System:
    """A compute system's handle; made by `Hcs`.

    Args:
        service: How the service is called.
        system_id: The system's id.
        handle: Its handle, owned from now on.
    """

    def __init__(self, service: Service, system_id: str, handle: int) -> None:
        self.id = system_id
        self.facts = SystemFacts()
        #: When `start` returned, in seconds since the epoch.
        self.started_at: float | None = None
        self._service = service
        self._handle = Owned(handle, self._close_handle)
        self._context = service.notifications.register(self._on_event)
        self._end = Ending()

    @property
    def closed(self) -> bool:
        """Whether the handle has been closed."""
        return self._handle.closed

    @property
    def exited(self) -> bool:
        """Whether the system has ended, as far as is known."""
        return self._end.kind is EndKind.EXITED

    @property
    def exit_error(self) -> HcsError | None:
        """What a system that ended by itself, and not by a call, died of."""
        return self._end.error

    async def attach(self, operation: str) -> None:
        """Hear of the system's end from now on, and learn what it is; called once, first.

        Raises:
            HcsError: The service refuses or does not tell.
        """
        core = self._service.core

        def set_callback() -> int:
            with self._handle.use() as system:
                return core.set_system_callback(system, EVENTS_WITH_MIGRATION, self._context)

        result = await self._service.threads.run(f"{operation} {self.id}", set_callback)
        results.check(result, "", operation, self.id)
        told = await self.properties()
        kind, os, owner = (
            value.lower() if isinstance(value := told.get(name), str) else ""
            for name in ("SystemType", "RuntimeOsType", "Owner")
        )
        if not os and kind == "container":
            os = "windows"
        self.facts = SystemFacts(kind, os, owner)

    async def start(self, *, limit: float | None = None) -> None:
        """Start the system.

        Args:
            limit: Seconds; the limit of starts if none is given.

        Raises:
            HcsError: It can't be started.
        """
        seconds = self._service.timeouts.start if limit is None else limit
        await self._call("hcs::System::Start", SystemCall.START, "", seconds)
        self.started_at = time.time()

    async def pause(self) -> None:
        """Freeze the system.

        Raises:
            HcsError: It can't be frozen.
        """
        await self._call("hcs::System::Pause", SystemCall.PAUSE, "", self._service.timeouts.pause)

    async def resume(self) -> None:
        """Thaw the system.

        Raises:
            HcsError: It can't be thawed.
        """
        limit = self._service.timeouts.resume
        await self._call("hcs::System::Resume", SystemCall.RESUME, "", limit)

    async def save(self, options: str) -> None:
        """Save the system, whose handle is no use after that.

        Raises:
            HcsError: It can't be saved.
        """
        await self._call("hcs::System::Save", SystemCall.SAVE, options, self._service.timeouts.save)

    async def shutdown(self) -> None:
        """Ask the system to end; `wait` tells when it has. Nothing once `wait` has an answer.

        Raises:
            HcsError: The service refuses.
        """
        await self._submit("hcs::System::Shutdown", SystemCall.SHUT_DOWN)

    async def terminate(self) -> None:
        """End the system hard; `wait` tells when it has. Nothing once `wait` has an answer.

        Raises:
            HcsError: The service refuses.
        """
        await self._submit("hcs::System::Terminate", SystemCall.TERMINATE)

    async def wait(self) -> None:
        """Wait until the system has ended; see `exit_error`.

        Raises:
            ClosedError: The handle has been closed, which says nothing of the system.
            LostServiceError: The service has gone.
        """
        await self._end.wait("hcs::System::waitBackground", self.id)

    async def properties(
        self, types: Sequence[str] = (), *, operation: str = "hcs::System::Properties"
    ) -> dict[str, Any]:
        """Ask for properties.

        Args:
            types: Which, such as `ProcessList`; those that all systems tell are always there.
            operation: The name for errors.

        Raises:
            HcsError: The service does not tell.
        """
        query = dumps({"PropertyTypes": [*types]} if types else {})
        done = await self._call(operation, SystemCall.PROPERTIES, query)
        answer = _parse(done.document, operation, self.id)
        if not isinstance(answer, dict):
            raise HcsError(operation, self.id, 0, reason=results.UNEXPECTED_VALUE)
        return answer

    async def modify(self, settings: Mapping[str, Any] | str) -> None:
        """Change the running system.

        Args:
            settings: A modify request: a mapping, or its JSON text.

        Raises:
            HcsError: The service refuses.
        """
        if isinstance(settings, Mapping):
            settings = dumps(settings)
        await self._call("hcs::System::Modify", SystemCall.MODIFY, settings)

    async def create_process(self, parameters: str, *, command_line: str = "") -> HcsProcess:
        """Create a process in the system.

        Args:
            parameters: The JSON document of the process.
            command_line: Its command line, for errors.

        Raises:
            HcsError: It can't be created; nothing is left.
            OSError: Its pipes can't be used; it has been ended.
        """
        return await self._service.finish(
            create_process(self._service, self, self._handle, parameters, command_line),
            HcsProcess.discard,
        )

    async def close(self) -> None:
        """Give up the handle, and let go who waits; any number of calls.

        A call that uses the handle goes on, and closes it at its end.
        """
        self._end.settle(EndKind.CLOSED)
        await self._service.close_handle(self._handle, f"hcs::System::Close {self.id}")

    def _close_handle(self, system: int) -> None:
        self._service.core.close_system(system)
        self._service.notifications.unregister(self._context)

    async def _call(
        self, operation: str, call: SystemCall, document: str, limit: float | None = None
    ) -> Completion:
        core = self._service.core

        def begin(system: int, under: int) -> int:
            return core.system_call(call, system, under, document)

        try:
            done = await self._service.run_on(
                self._handle, f"{operation} {self.id}", begin, limit=limit
            )
        except HandleClosedError:
            raise ClosedError(operation, self.id) from None
        results.check(done.result, done.document, operation, self.id)
        return done

    async def _submit(self, operation: str, call: SystemCall) -> None:
        if self._end.kind is not None:  # ended, closed, or nobody there any more to ask
            return
        core = self._service.core

        def submit() -> Completion:
            with self._handle.use() as system:
                return operations.submit(
                    core, lambda under: core.system_call(call, system, under, "")
                )

        try:
            done = await self._service.endings.run(f"{operation} {self.id}", submit)
        except HandleClosedError:
            return
        if not results.is_end_under_way(normalised(done.result)):
            results.check(done.result, done.document, operation, self.id)

    def _on_event(self, event: Event) -> None:
        if event.type == EventType.SYSTEM_EXITED:
            self._on_exited(event.data)
        elif event.type == EventType.SERVICE_DISCONNECT:
            self._end.settle(EndKind.LOST)
        else:
            log.info("%s: event 0x%08x", self.id, event.type, extra={"data": event.data})

    def _on_exited(self, data: str) -> None:
        kind = results.exit_type_of(data)
        if kind is None:
            log.warning("%s: the service tells of its end what can't be read", self.id)
        error = None
        if kind == "UnexpectedExit":
            error = HcsError("hcs::System::waitBackground", self.id, results.UNEXPECTED_EXIT)
        self._end.settle(EndKind.EXITED, error)


async def _discard(system: System) -> None:
    """End and close a system that nobody shall have."""
    try:
        await system.terminate()
    except (HcsError, OSError) as error:
        log.warning("%s", error)
    await system.close()


def _parse(document: str, operation: str, subject: str) -> object:
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        raise HcsError(operation, subject, 0, reason=results.UNEXPECTED_VALUE) from None
