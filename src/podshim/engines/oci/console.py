"""A process's terminal: how the shim gets hold of it, and who copies what.

Theory of operation. The runtime makes a pty in the container and sends its master over a Unix
socket (`--console-socket`), one message with one descriptor. From then on one task copies from the
master to the client's output, another from the client's input to the master.

A pty whose other side nobody has open reports an error (EIO) instead of waiting, and is "hung up"
for ever in poll(2). Processes may close and reopen their terminal, so the shim keeps the other side
open itself (TIOCGPTPEER) until the process has ended. Then what is left is read: the kernel brings
everything that was written before to the reader before it says that there is no more.
"""

from __future__ import annotations

import array
import asyncio
import errno
import fcntl
import logging
import os
import shutil
import socket
import struct
import tempfile
import termios
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from podshim.engines.oci import logger
from podshim.engines.oci.fifo import close_fd
from podshim.engines.oci.relay import PIECE, NullSink, PipeSink, Task, write_all
from podshim.engines.oci.stdio import Streams, drained, open_input, open_sink, split
from podshim.engines.oci.waiting import readable, wake
from podshim.errors import DeadlineExceededError, ShimError

if TYPE_CHECKING:
    from podshim.engine import Stdio
    from podshim.engines.oci.fifo import InputFifo, InputFile
    from podshim.engines.oci.logger import Logger
    from podshim.engines.oci.relay import Sink
    from podshim.engines.oci.stdio import StreamContext

log = logging.getLogger(__name__)

#: How long a runtime that has ended successfully may leave us waiting for its message, seconds.
RECEIVE_LIMIT: Final = 10.0
#: The name of the pty comes with the descriptor; a longer one is not read (nor is any used).
_NAME_SIZE: Final = 4096
_TIOCGPTPEER: Final = 0x5441
_U16: Final = 0xFFFF
_REOPEN_PAUSE: Final = 0.05


class ConsoleSocket:
    """The socket on which a runtime hands over a terminal, in a folder that only root can enter.

    Raises:
        OSError: It can't be made.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="pty", dir=os.environ.get("XDG_RUNTIME_DIR"))
        self.path = os.path.join(self._folder, "pty.sock")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(self.path)
            self._socket.listen(1)
            self._socket.settimeout(0)
        except BaseException:
            self.close()
            raise

    async def receive(self) -> int:
        """Take the master of the terminal, non-blocking.

        Raises:
            DeadlineExceededError: Nothing came.
            ShimError: What came was not one terminal.
        """
        loop = asyncio.get_running_loop()
        clock = asyncio.timeout(RECEIVE_LIMIT)
        try:
            async with clock:
                connection, _ = await loop.sock_accept(self._socket)
                with connection:
                    return await _receive_terminal(connection)
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"the runtime sent no terminal within {RECEIVE_LIMIT:g} s"
            ) from error

    def close(self) -> None:
        """Remove the socket and its folder."""
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)


async def _receive_terminal(connection: socket.socket) -> int:
    while True:
        try:
            _, control, _, _ = connection.recvmsg(
                _NAME_SIZE, socket.CMSG_SPACE(4 * struct.calcsize("i")), socket.MSG_CMSG_CLOEXEC
            )
            break
        except BlockingIOError:
            await readable(connection.fileno())
    fds = array.array("i")
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if len(fds) == 1 and os.isatty(fds[0]):
        os.set_blocking(fds[0], False)
        return fds[0]
    for fd in fds:
        os.close(fd)
    raise ShimError(f"recvfd: expected one terminal, got {len(fds)} descriptors")


def _open_other_side(master: int) -> int:
    """Open the process's side of a pty; -1 where the kernel can't (before 4.13)."""
    try:
        return fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return -1


class ConsoleStreams(Streams):
    """A terminal's streams.

    Args:
        listener: Where the terminal comes from; owned.
        input_: The client's input, if any; owned.
        sink: Where the output goes; owned.
        logger: The program behind `sink`, if there is one; owned.
    """

    def __init__(
        self,
        listener: ConsoleSocket,
        input_: InputFifo | InputFile | None,
        sink: Sink,
        logger: Logger | None = None,
    ) -> None:
        self._listener: ConsoleSocket | None = listener
        self.console_socket = listener.path
        self._input = input_
        self._sink = sink
        self._logger = logger
        self._master = -1
        self._other_side = -1
        self._task: Task | None = None
        self._ended = False
        self._wake: asyncio.Future[None] | None = None

    async def started(self) -> None:
        """Take the terminal over and begin to copy.

        Raises:
            DeadlineExceededError: The runtime sent no terminal.
            ShimError: It sent something else.
        """
        if self._listener is None:
            return
        try:
            self._master = await self._listener.receive()
        except OSError as error:
            raise ShimError(f"failed to retrieve console master: {error.strerror}") from error
        except ShimError as error:
            raise type(error)(f"failed to retrieve console master: {error.detail}") from error
        finally:
            self._listener.close()
            self._listener = None
        self._other_side = _open_other_side(self._master)
        self._task = Task(self._copy_both(), self._sink.finish)

    async def _copy_both(self) -> None:
        typing = None
        if self._input is not None:
            typing = Task(self._copy_in(self._input.reader), lambda: None)
        try:
            await self._copy_out()
        finally:
            if typing is not None:
                await typing.stop()
            self._other_side = close_fd(self._other_side)
            self._master = close_fd(self._master)

    async def _copy_out(self) -> None:
        sink = self._sink
        while True:
            try:
                data = os.read(self._master, PIECE)
            except BlockingIOError:
                if self._ended:
                    return
                await self._more_output()
                continue
            except OSError as error:
                if error.errno != errno.EIO or self._ended:
                    return
                # Nobody has the other side open, not even the shim (an old kernel): ask again.
                await asyncio.sleep(_REOPEN_PAUSE)
                continue
            if not data:
                return
            try:
                await sink.write(data)
            except OSError as error:
                log.warning("terminal output is being discarded: %s", error.strerror)
                sink = NullSink()
            await asyncio.sleep(0)  # a fast writer must not keep the loop to itself

    async def _more_output(self) -> None:
        """Wait until there is output, or until the process has ended."""
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        loop.add_reader(self._master, wake, self._wake)
        try:
            await self._wake
        finally:
            loop.remove_reader(self._master)

    async def _copy_in(self, source: int) -> None:
        while True:
            try:
                data = os.read(source, PIECE)
            except BlockingIOError:
                await readable(source)
                continue
            if not data:
                break
            await write_all(self._master, data)
            await asyncio.sleep(0)
        # The last client has gone, and wished so by closing the input: hang up, as a modem would.
        self.exited()

    def exited(self) -> None:
        """Read what is left, then let the client see the end."""
        self._ended = True
        self._other_side = close_fd(self._other_side)
        if self._wake is not None:
            wake(self._wake)
        if self._input is not None:
            self._input.release_writer()

    async def resize(self, width: int, height: int) -> None:
        """Set the window's size; the kernel tells the processes."""
        if self._master >= 0:
            size = struct.pack("HHHH", min(height, _U16), min(width, _U16), 0, 0)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    async def close_stdin(self) -> None:
        """Drop the hold on the input: when the last client goes, the terminal is hung up."""
        if self._input is not None:
            self._input.release_writer()

    async def drain(self, limit: float) -> None:
        """Wait for the rest of the output, and until a logging program has dealt with it."""
        self.exited()
        await drained([self._delivered()], limit)

    async def _delivered(self) -> None:
        if self._task is not None:
            await self._task.done()
        if self._logger is not None:
            self._logger.finish()
            await self._logger.done()

    async def close(self) -> None:
        """Hang up, deliver nothing more, close everything."""
        if self._task is not None:
            await self._task.stop()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._other_side = close_fd(self._other_side)
        self._master = close_fd(self._master)
        if self._input is not None:
            self._input.close()
        self._sink.close()
        if self._logger is not None:
            await self._logger.close()


async def open_console(stdio: Stdio, context: StreamContext, listener: ConsoleSocket) -> Streams:
    """Prepare to receive a terminal; standard error is part of it.

    Args:
        stdio: What the client wants.
        context: Whose streams they are.
        listener: Where the terminal will come from; owned from now on.

    Raises:
        OSError: A stream can't be opened.
        ShimError: A stream does not exist, its scheme is unknown, or a logger does not work.
    """
    async with AsyncExitStack() as undo:
        undo.callback(listener.close)
        source = open_input(stdio.stdin, context.bundle)
        if source is not None:
            undo.callback(source.close)
        program = None
        if stdio.stdout and split(stdio.stdout, context.bundle)[0] in logger.SCHEMES:
            program = await logger.start(stdio.stdout, context)
            undo.push_async_callback(program.close)
            sink: Sink = PipeSink(program.take_stdout())
        else:
            sink = await open_sink(stdio.stdout, context.bundle)
        undo.pop_all()
    return ConsoleStreams(listener, source, sink, program)
