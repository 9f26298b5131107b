"""Running a command on this machine, outside containers: for diagnosis.

Theory of operation. The command is a plain child process. Its streams are pipes of ours, which a
relay connects with the client's; without a stream it has the null device. Waiting for its end takes
a thread, because a child may run for as long as it likes. If the caller gives up, the child is
ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING

from podshim.engines.hcs.operations import CallThreads
from podshim.engines.hcs.stdio import ProcessEnds, Relay, connect
from podshim.errors import InvalidArgumentError, ShimError
from podshim.transport.pipes import pipe_pair

if TYPE_CHECKING:
    from podshim.engines.hcs.stdio import Upstream
    from podshim.task.runhcs.host import HostCommand
    from podshim.transport.pipes import PipeStream
    from podshim.win32.handles import Handle


async def run(command: HostCommand, namespace: str) -> int:
    """Run a command to its end.

    A terminal is not made: the command sees pipes, and both its outputs go into one.

    Args:
        command: The command.
        namespace: containerd's namespace, for loggers.

    Returns:
        Its exit code, signed, as Windows' tools show it.

    Raises:
        InvalidArgumentError: There is no command.
        ShimError: It can't be run, or its streams can't be connected.
    """
    if not command.args:
        raise InvalidArgumentError("missing command")
    # Only loggers' pipes are named so: two commands at once must not meet there.
    upstream = await connect(f"host-{uuid.uuid4()}", command.stdio, namespace, 0.0)
    try:
        return await _run(command, upstream)
    except OSError as error:
        raise ShimError(f"failed to run {command.args[0]!r}: {error}") from error
    finally:
        await upstream.close()


async def _run(command: HostCommand, upstream: Upstream) -> int:
    threads = CallThreads(most=1, watchdog=None)
    with ExitStack() as ours, ExitStack() as childs:
        child, ends = _spawn(command, upstream, ours, childs)
        childs.close()  # the child has them now, and our ends would never end
        relay = Relay(upstream, ends)
        relay.start()
        try:
            code = await threads.run(f"process {child.pid}", child.wait)
            await relay.drain()
        finally:
            with contextlib.suppress(OSError):
                child.kill()
            threads.close()
            await asyncio.shield(relay.drain(0.0))
    return code - (1 << 32) if code >= 1 << 31 else code


def _spawn(
    command: HostCommand, upstream: Upstream, ours: ExitStack, childs: ExitStack
) -> tuple[subprocess.Popen[bytes], ProcessEnds]:
    program = shutil.which(command.args[0])
    if program is None:
        raise ShimError(f'exec: "{command.args[0]}": executable file not found in %PATH%')

    def pair(*, wanted: bool, reads: bool) -> tuple[PipeStream | None, int]:
        if not wanted:
            return None, subprocess.DEVNULL
        stream, handle = pipe_pair(child_reads=reads)
        ours.callback(stream.close)
        return stream, _descriptor(handle, reads=reads, owner=childs)

    stdin, child_stdin = pair(wanted=upstream.stdin is not None, reads=True)
    stdout, child_stdout = pair(wanted=upstream.stdout is not None, reads=False)
    stderr, child_stderr = pair(wanted=upstream.stderr is not None, reads=False)
    if command.stdio.terminal:
        child_stderr = subprocess.STDOUT
    child = subprocess.Popen(
        [program, *command.args[1:]],
        stdin=child_stdin,
        stdout=child_stdout,
        stderr=child_stderr,
        cwd=command.workdir or None,
    )

    async def close_stdin() -> None:
        if stdin is not None:
            stdin.close()

    return child, ProcessEnds(stdin, stdout, stderr, close_stdin)


def _descriptor(handle: Handle, *, reads: bool, owner: ExitStack) -> int:
    """A descriptor of the C library that owns the handle; `subprocess` takes no handles."""
    if sys.platform == "win32":
        import msvcrt
        import os

        try:
            number = msvcrt.open_osfhandle(handle.value, os.O_RDONLY if reads else 0)
        except BaseException:
            handle.close()
            raise
        handle.release()
        owner.callback(os.close, number)
        return number
    handle.close()
    raise ShimError("this is not Windows")
