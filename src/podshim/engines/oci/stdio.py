"""The standard streams of one process: from what the client asked for to what the runtime gets.

Theory of operation. `streams.open_streams` looks at the request once and builds a `Streams`:

    nothing             /dev/null
    path or fifo://P    a fifo: the container gets its other end (see `fifo`); with an SELinux label
                        on the process, which may not be allowed to use the client's fifo, a pipe
                        and a relay; any other existing file: a pipe and a relay
    file://P            one file for both outputs, by relay
    binary://, -v2://   a logging program on the other end of two pipes (see `logger`)
    terminal            a pty: see `console`

and the process walks through its life: `runtime` and `console_socket` go to the runtime command,
`started` when that has succeeded, `exited` at the process's end (clients wait for end of file
before they delete), `drain` and `close` at its deletion. `close` alone undoes everything at any
point. All methods run on the loop's thread and don't block it.
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from podshim.engines.oci.blocking import in_thread
from podshim.engines.oci.fifo import (
    InputFifo,
    InputFile,
    OutputFifo,
    close_fd,
    give,
    is_fifo,
    open_path,
    reopen,
)
from podshim.engines.oci.program import ProgramStreams
from podshim.engines.oci.relay import (
    FifoSink,
    FileSink,
    NullSink,
    PipeSink,
    Sink,
    Task,
    copy,
    copy_output,
)
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from podshim.engine import Stdio
    from podshim.engines.oci.reaper import Reaper

#: How long the file of a `file://` URI may take to be opened, seconds.
OPEN_LIMIT: Final = 30.0


@dataclass(frozen=True, slots=True)
class StreamContext:
    """What the streams of a process must know of it.

    Args:
        reaper: Who starts logging programs.
        namespace: containerd's namespace.
        process_id: The container's id, or the exec's.
        bundle: Against which relative paths are resolved.
        uid: Who owns the container's ends, as the host sees it.
        gid: Their group.
        labelled: Whether the process has an SELinux label.
    """

    reaper: Reaper
    namespace: str
    process_id: str
    bundle: str
    uid: int = 0
    gid: int = 0
    labelled: bool = False


class Streams:
    """The streams of one process; the base class has none that need care."""

    #: What the runtime command gets.
    runtime = ProgramStreams()
    #: The socket on which the runtime must hand over a terminal; empty without one.
    console_socket = ""

    async def started(self) -> None:
        """The runtime has made the process: take over what it hands over, begin to copy."""

    def exited(self) -> None:
        """The process has ended: pass the end on to the readers."""

    async def resize(self, width: int, height: int) -> None:
        """Give the terminal another size, if there is one."""

    async def close_stdin(self) -> None:
        """Drop the shim's hold on standard input."""

    async def drain(self, limit: float) -> None:
        """Wait until output that is still on its way has been delivered, at most `limit` s."""

    async def close(self) -> None:
        """Give everything back, delivered or not; may be called twice."""


def split(uri: str, bundle: str) -> tuple[str, str]:
    """Tell the scheme of a stream from its path; the scheme of a plain path is `fifo`.

    Raises:
        ShimError: It is not a URI.
    """
    if "://" not in uri:
        return "fifo", os.path.join(bundle, uri)
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ShimError(f"unable to parse stdout uri: {error}") from error
    if parts.scheme == "fifo":
        return "fifo", os.path.join(bundle, uri.partition("://")[2])
    return parts.scheme, unquote(parts.path)


def open_log_file(path: str) -> int:
    """Open the file of a `file://` URI for appending, its folders made as needed; it may block.

    Raises:
        OSError: It can't be opened, such as a fifo that nobody reads.
    """
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    fd = os.open(path, flags, 0o644)
    os.set_blocking(fd, True)
    return fd


def open_existing_file(handle: int) -> int:
    """Open the file behind a handle for appending, and close the handle; it may block.

    Raises:
        OSError: It can't be opened.
    """
    try:
        fd = reopen(handle, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
    finally:
        os.close(handle)
    os.set_blocking(fd, True)
    return fd


async def _file_sink(opener: Callable[[], int]) -> Sink:
    # Fifos are on a tmpfs, but this may be anywhere.
    return FileSink(
        await in_thread(opener, limit=OPEN_LIMIT, what="opening the log file", discard=os.close)
    )


async def open_sink(uri: str, bundle: str) -> Sink:
    """Open what a relay writes to, for a path, a fifo, a `file://` or nothing.

    Raises:
        OSError: It can't be opened.
        ShimError: It does not exist, or its scheme is unknown.
        DeadlineExceededError: The file's disk did not answer.
    """
    if not uri:
        return NullSink()
    scheme, path = split(uri, bundle)
    if scheme == "file":
        return await _file_sink(lambda: open_log_file(path))
    if scheme != "fifo":
        raise ShimError(f"unknown STDIO scheme {scheme}")
    handle = open_path(path)
    try:
        if is_fifo(handle):
            return FifoSink(OutputFifo(handle))
        own = os.dup(handle)
    finally:
        os.close(handle)
    return await _file_sink(lambda: open_existing_file(own))


class Input:
    """Standard input: the fifo's end itself, or a pipe and a relay to it.

    Args:
        source: The client's fifo or file; owned.
    """

    def __init__(self, source: InputFifo | InputFile) -> None:
        self._source = source
        self._pipe = -1
        self._task: Task | None = None
        self.child_end = -1

    def prepare(self, context: StreamContext) -> None:
        """Make the container's end.

        Raises:
            OSError: It can't be made.
        """
        if isinstance(self._source, InputFifo) and not context.labelled:
            self.child_end = self._source.container_end(context.uid, context.gid)
            return
        self.child_end, self._pipe = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._pipe, False)
        give(self.child_end, context.uid, context.gid)

    def started(self) -> None:
        """Leave the container's end to the container, begin to copy."""
        self.child_end = close_fd(self.child_end)
        if self._pipe >= 0:
            # When the container closes its end, the copy stops and the client has to wait.
            sink = PipeSink(self._pipe)
            self._pipe = -1
            self._task = Task(copy(self._source.reader, sink), sink.close)

    def release(self) -> None:
        """Drop the shim's hold."""
        self._source.release_writer()

    def exited(self) -> None:
        """Nobody reads any more: let the client know."""
        self.release()
        if self._task is None:
            self._source.close()

    async def close(self) -> None:
        """Give everything back."""
        if self._task is not None:
            await self._task.stop()
        self.child_end = close_fd(self.child_end)
        self._pipe = close_fd(self._pipe)
        self._source.close()


class Output(ABC):
    """One output."""

    child_end = -1

    @abstractmethod
    def prepare(self, context: StreamContext) -> None:
        """Make the container's end.

        Raises:
            OSError: It can't be made.
        """

    def started(self) -> None:
        """Leave the container's end to the container, begin to copy."""
        self.child_end = close_fd(self.child_end)

    @abstractmethod
    def exited(self) -> None:
        """The process has ended."""

    @abstractmethod
    async def done(self) -> None:
        """Wait until everything has gone through the shim."""

    @abstractmethod
    async def close(self) -> None:
        """Give everything back."""


class DirectOutput(Output):
    """A fifo whose end the container gets itself; owned."""

    def __init__(self, fifo: OutputFifo) -> None:
        self._fifo = fifo

    def prepare(self, context: StreamContext) -> None:
        """Open the container's end."""
        self.child_end = self._fifo.container_end(context.uid, context.gid)

    def exited(self) -> None:
        """Let the reader see the end when it has read everything."""
        self._fifo.finish()

    async def done(self) -> None:
        """Nothing goes through the shim."""

    async def close(self) -> None:
        """Drop all ends."""
        self.child_end = close_fd(self.child_end)
        self._fifo.close()


class RelayedOutput(Output):
    """A pipe and a relay to a sink, owned; its end is that of the last holder of the pipe."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._source = -1
        self._task: Task | None = None

    def prepare(self, context: StreamContext) -> None:
        """Make the pipe."""
        self._source, self.child_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._source, False)
        give(self.child_end, context.uid, context.gid)

    def started(self) -> None:
        """Begin to copy."""
        super().started()
        self._task = Task(copy_output(self._source, self._sink), self._ended)

    def _ended(self) -> None:
        self._source = close_fd(self._source)
        self._sink.finish()

    def exited(self) -> None:
        """Others may still hold the pipe: its own end counts."""

    async def done(self) -> None:
        """Wait for the end of the copy."""
        if self._task is not None:
            await self._task.done()

    async def close(self) -> None:
        """Stop the copy, delivered or not."""
        if self._task is not None:
            await self._task.stop()
        self.child_end = close_fd(self.child_end)
        self._source = close_fd(self._source)
        self._sink.close()


async def drained(outputs: Iterable[Awaitable[None]], limit: float) -> None:
    """Wait for several outputs together, at most `limit` seconds."""
    tasks = [asyncio.ensure_future(output) for output in outputs]
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=limit)
        for task in late:
            task.cancel()


class PlainStreams(Streams):
    """Fifos, files and /dev/null: streams that have nothing to do with each other.

    Args:
        null: /dev/null, for the streams that are missing; owned.
        input_: Standard input, prepared; owned.
        stdout: Standard output; likewise `stderr`.
        stderr: See `stdout`.
    """

    def __init__(
        self, null: int, input_: Input | None, stdout: Output | None, stderr: Output | None
    ) -> None:
        self._null = null
        self._input = input_
        self._outputs = [output for output in (stdout, stderr) if output is not None]
        self.runtime = ProgramStreams(
            *(null if part is None else part.child_end for part in (input_, stdout, stderr))
        )

    async def started(self) -> None:
        """Leave the container's ends to the container; begin to copy what is relayed."""
        self._null = close_fd(self._null)
        if self._input is not None:
            self._input.started()
        for output in self._outputs:
            output.started()

    def exited(self) -> None:
        """Let the readers see the end; nobody needs the input any more."""
        if self._input is not None:
            self._input.exited()
        for output in self._outputs:
            output.exited()

    async def close_stdin(self) -> None:
        """Drop the hold on the input fifo."""
        if self._input is not None:
            self._input.release()

    async def drain(self, limit: float) -> None:
        """Wait for the relays."""
        await drained([output.done() for output in self._outputs], limit)

    async def close(self) -> None:
        """Stop the relays, close everything."""
        self._null = close_fd(self._null)
        if self._input is not None:
            await self._input.close()
        for output in self._outputs:
            await output.close()


def open_input(uri: str, bundle: str) -> InputFifo | InputFile | None:
    """Open the fifo or file of standard input, if there is to be one.

    Raises:
        OSError: It can't be opened.
        ShimError: There is nothing at its path.
    """
    if not uri:
        return None
    _, path = split(uri, bundle)
    handle = open_path(path)
    try:
        return InputFifo(handle) if is_fifo(handle) else InputFile(handle)
    finally:
        os.close(handle)


async def _open_output(uri: str, context: StreamContext) -> Output:
    scheme, path = split(uri, context.bundle)
    if scheme == "fifo" and not context.labelled:
        handle = open_path(path)
        try:
            if is_fifo(handle):
                return DirectOutput(OutputFifo(handle))
        finally:
            os.close(handle)
    return RelayedOutput(await open_sink(uri, context.bundle))


async def open_plain(stdio: Stdio, context: StreamContext) -> Streams:
    """Open streams without a terminal and without a logging program.

    Raises:
        OSError: A stream can't be opened.
        ShimError: A stream does not exist, or its scheme is unknown.
    """
    stdout, stderr = stdio.stdout, stdio.stderr
    if stdout and split(stdout, context.bundle)[0] == "file":
        stderr = stdout
    async with AsyncExitStack() as undo:
        source = open_input(stdio.stdin, context.bundle)
        input_ = None if source is None else Input(source)
        if input_ is not None:
            undo.push_async_callback(input_.close)
            input_.prepare(context)
        outputs: list[Output | None] = []
        for uri in (stdout, stderr):
            output = await _open_output(uri, context) if uri else None
            outputs.append(output)
            if output is not None:
                undo.push_async_callback(output.close)
                output.prepare(context)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        undo.pop_all()
    return PlainStreams(null, input_, outputs[0], outputs[1])
