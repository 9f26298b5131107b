"""A command in a shim's hosting system, with this program's own standard streams.

Theory of operation. The shim is the client of three pipes, as for a container's streams, so this
program serves them: one each for input, output and, without a terminal, errors. Names that nobody
can guess, one client each. Output is written here as it comes, and all of it is written before the
command's status is returned. Input is read by a thread that nobody waits for: a read from a console
can't be interrupted. With a terminal the console is raw, and a read of nothing, which is how a
console tells Ctrl-Z, becomes the character that the user typed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import uuid
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from podshim.api import runhcs_diag_pb2 as pb
from podshim.transport import pipes
from podshim.transport.address import PIPE
from podshim.win32.rawconsole import raw_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.api.runhcs_diag_ttrpc import ShimDiagStub
    from podshim.transport.streams import ReadStream, WriteStream

STDIN, STDOUT, STDERR = 0, 1, 2
CTRL_Z = b"\x1a"
#: For how long output may still come when the command has ended (s).
DRAIN_TIMEOUT = 5.0
_CHUNK = 1 << 16


async def run_in_host(stub: ShimDiagStub, args: Sequence[str], *, terminal: bool) -> int:
    """Run a command and lend it the standard streams.

    Args:
        stub: The shim.
        args: The program and its words.
        terminal: Whether it gets a terminal.

    Returns:
        Its exit code.

    Raises:
        StatusError: The shim's reason not to run it.
        OSError: The pipes can't be made.
    """
    binary_streams()
    with ExitStack() as stack:
        if terminal:
            stack.enter_context(raw_input())
        served = [_Served(f"{PIPE}{uuid.uuid4()}") for _ in range(2 if terminal else 3)]
        for one in served:
            stack.callback(one.close)
        copies = [asyncio.create_task(served[0].feed(terminal=terminal))]
        copies += [asyncio.create_task(one.drain(fd)) for fd, one in enumerate(served[1:], STDOUT)]
        request = pb.ExecProcessRequest(
            args=args,
            terminal=terminal,
            stdin=served[0].path,
            stdout=served[1].path,
            stderr="" if terminal else served[2].path,
        )
        try:
            answer = await stub.diag_exec_in_host(request)
            await asyncio.wait(copies[1:], timeout=DRAIN_TIMEOUT)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.wait(copies)
        return answer.exit_code


class _Served:
    """A pipe with one client to come.

    Args:
        path: Its name.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._listener = pipes.listen(path)

    def close(self) -> None:
        """Serve no more."""
        self._listener.close()

    async def drain(self, fd: int) -> None:
        """Write what the client sends to a descriptor of ours, until it ends."""
        stream: ReadStream = await self._listener.accept()
        try:
            while data := await stream.read(_CHUNK):
                await asyncio.to_thread(_write_all, fd, data)
        finally:
            stream.close()

    async def feed(self, *, terminal: bool) -> None:
        """Send the client what comes on standard input, until that ends or the client goes."""
        stream: WriteStream = await self._listener.accept()
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        def end() -> None:
            with suppress(RuntimeError):  # the loop has ended: nobody waits
                loop.call_soon_threadsafe(over.set)

        def copy() -> None:
            try:
                while True:
                    data = os.read(STDIN, _CHUNK)
                    if not data and not terminal:
                        return
                    sending = stream.write(data or CTRL_Z)
                    asyncio.run_coroutine_threadsafe(sending, loop).result()
            except (OSError, RuntimeError):
                return
            finally:
                end()

        try:
            threading.Thread(target=copy, name="standard input", daemon=True).start()
            await over.wait()
        finally:
            stream.close()


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def binary_streams() -> None:
    """Let the standard streams carry bytes as they are: Windows' C library would change lines."""
    if sys.platform == "win32":
        import msvcrt

        for fd in (STDIN, STDOUT, STDERR):
            with suppress(OSError):  # it is closed
                msvcrt.setmode(fd, os.O_BINARY)
