"""Overlapped I/O of pipes on asyncio's Proactor event loop.

Theory of operation. The Proactor loop waits on one I/O completion port, and can run an overlapped
operation on any handle: `OverlappedPipe` starts them and gives a future for each. What asyncio
offers on top of that for pipes is not enough: its servers carry messages, have no access list and
don't protect their name. So this module uses the loop's proactor itself, which has no documented
interface; no other module does. Docs/decisions/0008-named-pipes.md says what is relied on.

The proactor keeps the memory of an operation until the kernel is done with it, whatever becomes of
the future. Cancelling a future cancels the operation.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from podshim.win32.binding import ERROR_NO_DATA, ERROR_NOT_SUPPORTED, code_of, failure

if TYPE_CHECKING:
    from typing import TypeVar

    from podshim.win32.handles import Handle

    _T = TypeVar("_T")


class OverlappedPipe:
    """A pipe's handle, opened for overlapped I/O, and the operations on it that are under way.

    Make it on a running Proactor loop, which alone can use it: Windows binds a handle to one
    completion port for good.

    Args:
        handle: The handle; it is owned from now on.

    Raises:
        OSError: The running loop is no Proactor loop; the handle is closed.
    """

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self._loop = asyncio.get_running_loop()
        # Any: the proactor is nowhere documented, and typed on Windows alone.
        self._proactor: Any = getattr(self._loop, "_proactor", None)
        self._running: set[asyncio.Future[Any]] = set()
        if self._proactor is None:
            handle.close()
            raise failure(ERROR_NOT_SUPPORTED, f"{self._loop!r} for pipes")

    def __repr__(self) -> str:
        return f"<OverlappedPipe {self.handle!r}>"

    def fileno(self) -> int:
        """The handle's number; the proactor asks for it.

        Raises:
            OSError: It is closed.
        """
        return self.handle.value

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self.handle.closed

    def close(self) -> None:
        """Cancel what is under way and close the handle; any number of times."""
        for operation in tuple(self._running):
            operation.cancel()
        self.handle.close()

    def accept(self) -> asyncio.Future[None]:
        """Wait for a client, as an instance of a server.

        A client that has come and gone counts: what it wrote is still there to be read.

        Raises:
            OSError: It is no server's instance, or is closed; also from the future.
        """
        try:
            connecting = self._proactor.accept_pipe(self)
        except OSError as error:
            if code_of(error) != ERROR_NO_DATA:
                raise
            connecting = self._loop.create_future()
            connecting.set_result(None)
        return self._started(connecting)

    def read(self, limit: int) -> asyncio.Future[bytes]:
        """Read at most so many bytes; the future's result is empty at the end.

        Raises:
            OSError: It can't be read, or is closed; also from the future.
        """
        return self._started(cast("asyncio.Future[bytes]", self._proactor.recv(self, limit)))

    def write(self, data: bytes) -> asyncio.Future[int]:
        """Write; the future's result is how many bytes were taken.

        Raises:
            OSError: It can't be written, or is closed; also from the future.
        """
        return self._started(cast("asyncio.Future[int]", self._proactor.send(self, data)))

    def _started(self, operation: asyncio.Future[_T]) -> asyncio.Future[_T]:
        self._running.add(operation)
        operation.add_done_callback(self._running.discard)
        return operation


def signalled(handle: Handle) -> asyncio.Future[bool]:
    """Wait until a kernel object is signalled, as a process is by its end.

    Args:
        handle: The object; it must stay open until the future is done.

    Returns:
        A future on the running Proactor loop.

    Raises:
        OSError: The running loop is no Proactor loop, or the object can't be waited for.
    """
    loop = asyncio.get_running_loop()
    # Any: as in `OverlappedPipe`.
    proactor: Any = getattr(loop, "_proactor", None)
    if proactor is None:
        raise failure(ERROR_NOT_SUPPORTED, f"{loop!r} for handles")
    return cast("asyncio.Future[bool]", proactor.wait_for_handle(handle.value))
