"""How calls of the Host Compute Service are made: in threads, with a limit, never abandoned.

Theory of operation. A call blocks the thread that makes it, until its operation has ended or its
time is over, and it uses handles that must not be closed meanwhile. So each runs to its end in a
thread of the engine's own, whatever becomes of the caller: if that is cancelled, it is let go, and
the call goes on. `Owned` counts the calls that use a handle, and the last of them closes it.

The threads are daemons: a call that the service never answers must not hold up the end of the shim.
Their number is bounded; more calls wait for a thread, and that counts against their time.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from podshim.engines.hcs.computecore import Completion
from podshim.engines.hcs.results import failed, is_timeout
from podshim.engines.hcs.timeouts import wait_milliseconds
from podshim.win32.binding import code_of, normalised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from podshim.engines.hcs.computecore import ComputeCore

log = logging.getLogger(__name__)

T = TypeVar("T")

#: More calls than a pod's processes make at a time; each may wait for minutes.
_MOST_THREADS = 64


class HandleClosedError(Exception):
    """A call wants a handle that has been closed; its caller says of which object."""


class Owned:
    """The owner of a handle of the service: closed once, and never under a call that uses it.

    Args:
        value: The handle.
        close: Closes it; called in whatever thread is the last to use it.
    """

    def __init__(self, value: int, close: Callable[[int], None]) -> None:
        self._value = value
        self._close = close
        self._lock = threading.Lock()
        self._users = 0
        self._closing = False

    @property
    def closed(self) -> bool:
        """Whether it has been closed, or will be by the last call that uses it."""
        return self._closing

    @contextmanager
    def use(self) -> Iterator[int]:
        """Have the handle for a call.

        Raises:
            HandleClosedError: It is closed.
        """
        with self._lock:
            if self._closing:
                raise HandleClosedError
            self._users += 1
        try:
            yield self._value
        finally:
            self._leave()

    def close(self) -> None:
        """Close it, or let the last call do so that uses it: none is waited for. Blocks shortly."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            used = bool(self._users)
        if not used:
            self._close(self._value)

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._closing and not self._users
        if last:
            self._close(self._value)


class CallThreads:
    """Daemon threads for calls that block, made as they are needed.

    Args:
        name: What the threads' names begin with, for who looks at stacks.
        most: How many at the most.
        watchdog: After how many seconds a call that runs is logged; None for never.
    """

    def __init__(
        self, name: str = "call", *, most: int = _MOST_THREADS, watchdog: float | None = 240.0
    ) -> None:
        self._name = name
        self._most = most
        self._watchdog = watchdog
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], None]] = deque()
        self._count = 0
        self._idle = 0
        self._closed = False

    async def run(self, what: str, function: Callable[[], T]) -> T:
        """Call `function` in a thread; if the caller is cancelled, the call goes on.

        Args:
            what: What it does, for the log.
            function: The call.

        Raises:
            RuntimeError: There is no thread, and none can be made.
        """
        import asyncio  # `delete` needs operations, and no event loop

        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        watchdog: asyncio.TimerHandle | None = None

        def settle(value: T | None, error: BaseException | None) -> None:
            if watchdog is not None:
                watchdog.cancel()
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)  # type: ignore[arg-type] # None only where T has it

        def call() -> None:
            value, problem = None, None
            try:
                value = function()
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                problem = error
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, value, problem)

        self._enqueue(call)
        if self._watchdog is not None:
            watchdog = loop.call_later(self._watchdog, _complain, what, self._watchdog)
        return await future

    def close(self) -> None:
        """Let each thread end after what it does; waits for none."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _enqueue(self, call: Callable[[], None]) -> None:
        with self._changed:
            self._waiting.append(call)
            if self._idle < len(self._waiting) and self._count < self._most:
                self._begin_thread()
            self._changed.notify()

    def _begin_thread(self) -> None:
        thread = threading.Thread(
            target=self._serve, name=f"hcs-{self._name}-{self._count + 1}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            if not self._count:
                self._waiting.pop()
                raise
            return  # those that are there serve it
        self._count += 1

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                self._changed.wait_for(lambda: self._waiting or self._closed)
                self._idle -= 1
                if not self._waiting:
                    self._count -= 1
                    return
                call = self._waiting.popleft()
            call()
            del call  # what it holds must not live until the next


def _complain(what: str, seconds: float) -> None:
    log.warning("%s has not come back within %g s", what, seconds)


def perform(
    core: ComputeCore,
    begin: Callable[[int], int],
    deadline: float | None,
    *,
    process: bool = False,
) -> Completion:
    """Run an operation to its end, or to its deadline, when it is cancelled. Blocks.

    Args:
        core: The library.
        begin: Makes the call with the operation that it gets, and returns its HRESULT.
        deadline: By `time.monotonic`; None for ever.
        process: Whether the operation creates a process.

    Returns:
        The call's HRESULT if it failed, else the operation's, with the document of that.
    """

    def wait(operation: int, _result: int) -> Completion:
        rest = None if deadline is None else deadline - time.monotonic()
        done = core.wait_for_operation(operation, wait_milliseconds(rest), process=process)
        if is_timeout(normalised(done.result)):
            core.cancel_operation(operation)
        return done

    return _with_operation(core, begin, wait)


def submit(core: ComputeCore, begin: Callable[[int], int]) -> Completion:
    """Begin an operation and give it up: its end shows otherwise. Returns how the call ended."""
    return _with_operation(core, begin, lambda _operation, result: Completion(result))


def _with_operation(
    core: ComputeCore,
    begin: Callable[[int], int],
    then: Callable[[int, int], Completion],
) -> Completion:
    """Begin an operation; if that went well, do what `then` says with it and the call's result."""
    try:
        operation = core.create_operation()
    except OSError as error:
        return Completion(_hresult(error))
    try:
        result = begin(operation)
        if failed(result):
            return Completion(result, core.operation_result(operation).document)
        return then(operation, result)
    finally:
        core.close_operation(operation)


def _hresult(error: OSError) -> int:
    """The HRESULT of an operation that could not even be made."""
    code = code_of(error)
    return code if failed(code) else 0x80070000 | (code & 0xFFFF)
