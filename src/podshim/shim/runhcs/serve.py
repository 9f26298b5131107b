"""The command `serve`: makes this process a server's, and runs the server in it.

Theory of operation. In this order: read the runtime options; begin to log; give up standard input;
serve; give up standard output, which tells the `start` that waits for us. Whatever goes wrong is
told where that `start` looks: on standard error, which is `panic.log`, as long as the options are
being read, then on standard output. What nobody foresaw goes into `panic.log` with its origin in
any case, also later and from whatever thread or task it comes, and `delete` will find it there.

Once it serves, the process leaves the bundle, for a folder that is somebody's current one can't be
removed.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import traceback
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from podshim.api.runhcs_options_pb2 import Options
from podshim.errors import ShimError
from podshim.shim.logfmt import LogfmtFormatter
from podshim.shim.program import STDERR, STDOUT, complain
from podshim.shim.runhcs import names, options
from podshim.shim.runhcs.logpipe import LogPipe
from podshim.shim.runhcs.server import ServeParameters, Server
from podshim.shim.runhcs.standard import STDIN, give_up, read_stdin
from podshim.transport import pipes
from podshim.win32.binding import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping
    from typing import Any

    from podshim.shim.runhcs.command import Command
    from podshim.shim.runhcs.options import Settings
    from podshim.task.runhcs.host import WindowsEngine

#: How long the log's reader may take for the last lines, in s.
LOG_TIMEOUT = 0.5
#: How long what is under way at the very end may take to be cancelled, in s.
REST_TIMEOUT = 5.0

#: The exit code of a program that crashed.
CRASHED = 2

_log = logging.getLogger("podshim.shim")


class _CantServeError(Exception):
    """What stopped a server that could read its options; its cause is the reason."""


def run(engine: type[WindowsEngine], command: Command, environment: Mapping[str, str]) -> int:
    """Be a server until there is no more need for it.

    Exit then: threads and tasks that are stuck may be left.

    Args:
        engine: The engine's class.
        command: The command line.
        environment: The process's environment; of it, `TTRPC_ADDRESS` is the server's.

    Returns:
        The exit code.
    """
    faulthandler.enable(file=STDERR)
    try:
        settings = options.settings(options.read(read_stdin(options.MAX_INPUT + 1)))
        if settings.debug_type == Options.FILE:
            complain("panic: file log output mode is not supported\n")
            return CRASHED
        _run(_serve(engine, command, settings, environment))
    except _CantServeError as error:
        _tell(error.__cause__ or error, STDOUT)
        return 1
    except Exception as error:  # noqa: BLE001 - the process's edge: whatever it is, it is told
        _tell(error, STDERR)
        return 1
    return 0


def _run(server: Coroutine[Any, Any, None]) -> None:
    """Run the loop to the server's end, and then not on for what does not end by itself.

    `asyncio.run` would wait for every task that was cancelled, and for threads that may be stuck in
    a call of Windows'; the process is about to end, and these with it.
    """
    runner = asyncio.Runner()
    try:
        runner.run(server)
    finally:
        runner.run(_end_rest())


async def _end_rest() -> None:
    """Cancel what still runs, and give it a moment to clean up."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=REST_TIMEOUT)


def _tell(error: BaseException, fd: int) -> None:
    """Say what went wrong; if nobody foresaw it, with its origin in `panic.log` besides."""
    if not isinstance(error, ShimError | OSError | ValueError):
        complain("".join(traceback.format_exception(error)))
        if fd == STDERR:
            return
    complain(f"{_text(error)}\n", fd)


def _text(error: BaseException) -> str:
    return text_of(error) if isinstance(error, OSError) else str(error) or type(error).__name__


async def _serve(
    engine: type[WindowsEngine],
    command: Command,
    settings: Settings,
    environment: Mapping[str, str],
) -> None:
    asyncio.get_running_loop().set_exception_handler(_unhandled)
    async with _logging(command, settings):
        give_up(STDIN)
        for note in settings.notes:
            _log.warning(note)
        try:
            if not command.socket.startswith(names.PIPE):
                raise ShimError("socket is required to be pipe address")
            parameters = ServeParameters(
                command.namespace,
                command.id,
                command.is_sandbox,
                command.socket,
                environment.get("TTRPC_ADDRESS", ""),
                debug=settings.level <= logging.DEBUG,
                scrub_logs=settings.scrub,
            )
            # What is there now stays: let the collector not look at it again.
            gc.collect()
            gc.freeze()
            await Server(engine, parameters).run(_ready)
        except Exception as error:
            _log.error("can't serve: %s", _text(error))
            raise _CantServeError from error


def _ready() -> None:
    os.chdir(os.environ.get("SYSTEMROOT", "/"))
    give_up(STDOUT)


@asynccontextmanager
async def _logging(command: Command, settings: Settings) -> AsyncIterator[None]:
    """Log as the options say, for a `with` block.

    Raises:
        OSError: The log's pipe can't be made.
    """
    async with AsyncExitStack() as stack:
        handler: logging.Handler
        if settings.debug_type == Options.NPIPE:
            clients = pipes.listen(names.log_pipe(command.namespace, command.id))
            handler = pipe = LogPipe()
            serving = asyncio.create_task(pipe.serve(clients), name="readers of the log")
            stack.push_async_callback(_end, serving)
            stack.push_async_callback(pipe.drain, LOG_TIMEOUT)
        else:
            handler = logging.NullHandler()
        handler.setFormatter(LogfmtFormatter())
        root = logging.getLogger()
        root.addHandler(handler)
        root.setLevel(settings.level)
        logging.raiseExceptions = False
        yield


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


def _unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception that no task or callback took: into `panic.log`, and into the log."""
    error = context.get("exception")
    trace = "".join(traceback.format_exception(error)) if error is not None else ""
    complain(f"panic: {context['message']}\n{trace}")
    _log.error("unhandled: %s", context["message"], exc_info=error)
