"""Processes as the Host Compute Service has them.

Theory of operation. An `HcsProcess` owns a handle and the process's pipe ends. Its end comes as an
event with the exit code; our own closing of the handle is not its end.

A graceful signal may keep the handle busy until the process dies, so `kill` goes through handles of
its own. A process that the service calls gone, while no exit has been heard of, counts as ended a
second later: nothing more would come.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from podshim.engines.hcs import operations, results
from podshim.engines.hcs.computecore import (
    EVENTS_PLAIN,
    Completion,
    ProcessCall,
    ProcessInformation,
)
from podshim.engines.hcs.documents.jsontext import dumps
from podshim.engines.hcs.ending import Ending, EndKind
from podshim.engines.hcs.notifications import Event, EventType
from podshim.engines.hcs.operations import HandleClosedError, Owned
from podshim.engines.hcs.results import ClosedError, HcsError
from podshim.win32.binding import ERROR_ACCESS_DENIED, normalised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.engines.hcs.computecore import ComputeCore
    from podshim.engines.hcs.hostservice import Service
    from podshim.engines.hcs.operations import CallThreads
    from podshim.engines.hcs.system import System
    from podshim.transport.streams import DuplexStream

log = logging.getLogger(__name__)

_CREATE = "hcs::System::CreateProcess"
_KILL = "hcs::Process::Kill"
_WAIT = "hcs::Process::waitBackground"


@dataclass(slots=True)
class Pipes:
    """The process's own pipe ends, each None if it has none, or after its closing."""

    stdin: DuplexStream | None = None
    stdout: DuplexStream | None = None
    stderr: DuplexStream | None = None

    def close(self) -> None:
        """Close those that are open."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.stdin = self.stdout = self.stderr = None


async def create_process(
    service: Service, system: System, handle: Owned, parameters: str, command_line: str
) -> HcsProcess:
    """Create a process in a system whose handle is `handle`; see `System.create_process`."""
    operation = f"{_CREATE}: {command_line}"
    deadline = service.deadline()

    def create() -> tuple[int, Completion]:
        with handle.use() as value:
            return _create(service.core, value, parameters, deadline)

    service.log_document(f"{_CREATE} {system.id}", parameters)
    try:
        made, done = await service.threads.run(f"{_CREATE} {system.id}", create)
    except HandleClosedError:
        raise ClosedError(operation, system.id) from None
    results.check(done.result, done.document, operation, system.id)
    information = done.information
    if not made or information is None:
        raise HcsError(operation, system.id, 0, reason=results.UNEXPECTED_VALUE)
    process = HcsProcess(service, system, made, information.process_id)
    try:
        process.open_pipes(information)
        await process.attach(operation)
    except BaseException:
        await process.discard()
        raise
    return process


def _create(
    core: ComputeCore, system: int, parameters: str, deadline: float
) -> tuple[int, Completion]:
    """Create a process; its handle, 0 on failure. Blocks.

    Windows Server 2022 sometimes creates the process at once and fails the operation: the process
    is there then, and tells its information if asked.
    """
    made = 0

    def begin(operation: int) -> int:
        nonlocal made
        result, made = core.create_process(system, parameters, operation)
        return result

    done = operations.perform(core, begin, deadline, process=True)
    if not results.failed(done.result) or not made:
        return made, done
    again = operations.perform(
        core,
        lambda operation: core.process_call(ProcessCall.INFORMATION, made, operation, ""),
        deadline,
        process=True,
    )
    if not results.failed(again.result):
        return made, again
    core.close_process(made)
    return 0, done


class HcsProcess:
    """A process's handle and pipes; made by `System.create_process`.

    Args:
        service: How the service is called.
        system: Whose process it is.
        handle: Its handle, owned from now on.
        process_id: Its id on the host.
    """

    def __init__(self, service: Service, system: System, handle: int, process_id: int) -> None:
        self.pid = process_id
        self.pipes = Pipes()
        self._service = service
        self._system = system
        self._handle = Owned(handle, self._close_handle)
        self._context = service.notifications.register(self._on_event)
        self._end = Ending()
        self._code = results.UNKNOWN_EXIT_CODE
        self._killed = False
        self._release: asyncio.TimerHandle | None = None

    @property
    def subject(self) -> str:
        """What errors call it."""
        return f"{self._system.id}:{self.pid}"

    @property
    def exited(self) -> bool:
        """Whether the process has ended, as far as is known."""
        return self._end.kind is EndKind.EXITED

    def open_pipes(self, information: ProcessInformation) -> None:
        """Make streams of the pipe ends, which are owned from now on.

        Raises:
            OSError: One can't be used; all are closed.
        """
        ends = {"stdin": information.stdin, "stdout": information.stdout}
        ends["stderr"] = information.stderr
        problem: OSError | None = None
        for name, end in ends.items():
            if end is None:
                continue
            try:
                setattr(self.pipes, name, self._service.open_stream(end))
            except OSError as error:
                problem = error
        if problem is not None:
            self.pipes.close()
            raise problem

    async def attach(self, operation: str) -> None:
        """Hear of the process's end from now on; called once, first.

        Raises:
            HcsError: The service refuses.
        """
        core = self._service.core

        def set_callback() -> int:
            with self._handle.use() as process:
                return core.set_process_callback(process, EVENTS_PLAIN, self._context)

        result = await self._service.threads.run(f"{operation} {self.subject}", set_callback)
        results.check(result, "", operation, self.subject)

    async def wait(self) -> int:
        """Wait for the process's end; its exit code, unsigned, 4294967295 if nobody knows.

        Raises:
            ClosedError: The handle has been closed, which says nothing of the process.
            LostServiceError: The service has gone.
        """
        await self._end.wait(_WAIT, self.subject)
        return self._code

    async def signal(self, options: Mapping[str, str | int]) -> bool:
        """Send a signal; it may take as long as the process does to die.

        Args:
            options: The signal as the service wants it, such as `{"Signal": "CtrlShutdown"}`.

        Returns:
            Whether it was delivered: False if the process is gone.

        Raises:
            HcsError: The service refuses.
        """
        threads = self._service.signals
        done = await self._call("hcs::Process::Signal", ProcessCall.SIGNAL, dumps(options), threads)
        return self._delivered("hcs::Process::Signal", done)

    async def kill(self) -> bool:
        """End the process hard, through new handles; whether there was something to kill.

        Raises:
            HcsError: It has ended already (`is_already_stopped`), or can't be ended.
        """
        if self._handle.closed:
            raise ClosedError(_KILL, self.subject)
        if self.exited:
            raise HcsError(_KILL, self.subject, results.HCS_E_PROCESS_ALREADY_STOPPED)
        if self._killed:
            return True
        attempt = await self._service.endings.run(
            f"{_KILL} {self.subject}",
            functools.partial(
                _kill, self._service.core, self._system.id, self.pid, self._service.deadline()
            ),
        )
        if attempt.stage is _Stage.OPEN_SYSTEM:
            if self._system.exited:
                self._release_soon()  # it has ended with its container, though nothing told so
            else:
                # Without a way to the process, its whole container goes.
                await self._system.terminate()
                await self._system.close()
            delivered = True
        else:
            delivered = self._killed_by(attempt)
        self._killed = delivered
        return delivered

    async def resize(self, width: int, height: int) -> None:
        """Give its console another size, in characters.

        Raises:
            HcsError: The service refuses.
        """
        size = {"Height": height, "Width": width}
        await self._modify("ResizeConsole", {"Operation": "ConsoleSize", "ConsoleSize": size})

    async def close_stdin(self) -> None:
        """Let the process read the end of its input; nothing without a pipe to it.

        Raises:
            HcsError: The service refuses; the pipe stays open.
        """
        if self.pipes.stdin is None:
            return
        if not self.exited:
            handle = {"Handle": "StdIn"}
            try:
                await self._modify(
                    "CloseStdin", {"Operation": "CloseHandle", "CloseHandle": handle}
                )
            except HcsError as error:
                if not results.is_already_stopped(error.result):
                    raise
        if self.pipes.stdin is not None:
            self.pipes.stdin.close()
            self.pipes.stdin = None

    async def close(self) -> None:
        """Give up pipes and handle, and let go who waits; any number of calls. The process lives.

        A call that uses the handle goes on, and closes it at its end.
        """
        self._end.settle(EndKind.CLOSED)
        if self._release is not None:
            self._release.cancel()
        self.pipes.close()
        await self._service.close_handle(self._handle, f"hcs::Process::Close {self.subject}")

    async def discard(self) -> None:
        """End and close a process that nobody shall have."""
        try:
            if not self.exited:
                await self.kill()
        except (HcsError, OSError) as error:
            log.warning("%s", error)
        await self.close()

    def _close_handle(self, process: int) -> None:
        self._service.core.close_process(process)
        self._service.notifications.unregister(self._context)

    async def _modify(self, name: str, settings: Mapping[str, object]) -> None:
        operation = f"hcs::Process::{name}"
        done = await self._call(operation, ProcessCall.MODIFY, dumps(settings))
        results.check(done.result, done.document, operation, self.subject)

    async def _call(
        self,
        operation: str,
        call: ProcessCall,
        document: str,
        threads: CallThreads | None = None,
    ) -> Completion:
        core = self._service.core

        def begin(process: int, under: int) -> int:
            return core.process_call(call, process, under, document)

        try:
            return await self._service.run_on(
                self._handle, f"{operation} {self.subject}", begin, threads=threads
            )
        except HandleClosedError:
            raise ClosedError(operation, self.subject) from None

    def _killed_by(self, attempt: _Attempt) -> bool:
        """Whether an attempt that reached the system counts as delivered.

        Access is denied to a process that is being ended.
        """
        code = normalised(attempt.done.result)
        if attempt.stage is _Stage.TERMINATE and code == ERROR_ACCESS_DENIED:
            return True
        if results.is_already_stopped(code):
            if results.is_process_gone(code):
                self._release_soon()
            return True
        if attempt.stage is _Stage.TERMINATE:
            return self._delivered(_KILL, attempt.done)
        results.check(attempt.done.result, attempt.done.document, _KILL, self.subject)
        return True

    def _delivered(self, operation: str, done: Completion) -> bool:
        code = normalised(done.result)
        if not results.failed(done.result):
            return True
        if results.is_process_gone(code):
            self._release_soon()
            return False
        if results.is_already_stopped(code):
            return False
        raise HcsError(operation, self.subject, code, events=results.events_of(done.document))

    def _release_soon(self) -> None:
        if self._end.kind is None and self._release is None:
            loop = asyncio.get_running_loop()
            delay = self._service.timeouts.release
            self._release = loop.call_later(delay, self._end.settle, EndKind.EXITED)

    def _on_event(self, event: Event) -> None:
        if event.type == EventType.PROCESS_EXITED:
            if self._end.kind is None:
                self._code = results.exit_code_of(event.data)
            self._end.settle(EndKind.EXITED)
        elif event.type == EventType.SERVICE_DISCONNECT:
            self._end.settle(EndKind.LOST)
        else:
            log.info("%s: event 0x%08x", self.subject, event.type, extra={"data": event.data})
        if self._end.kind is not None and self._release is not None:
            self._release.cancel()


class _Stage(Enum):
    OPEN_SYSTEM = 1
    OPEN_PROCESS = 2
    TERMINATE = 3


@dataclass(frozen=True, slots=True)
class _Attempt:
    """How far a kill came, and how its last call ended."""

    stage: _Stage
    done: Completion


def _kill(core: ComputeCore, system_id: str, process_id: int, deadline: float) -> _Attempt:
    """Terminate a process through new handles. Blocks."""
    result, system = core.open_system(system_id)
    if results.failed(result):
        return _Attempt(_Stage.OPEN_SYSTEM, Completion(result))
    try:
        result, process = core.open_process(system, process_id)
        if results.failed(result):
            return _Attempt(_Stage.OPEN_PROCESS, Completion(result))
        try:
            done = operations.perform(
                core,
                lambda under: core.process_call(ProcessCall.TERMINATE, process, under, ""),
                deadline,
            )
            return _Attempt(_Stage.TERMINATE, done)
        finally:
            core.close_process(process)
    finally:
        core.close_system(system)
