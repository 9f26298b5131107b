"""The action `serve`: makes this process a server's, and runs the server in it.

Theory of operation. What belongs to the process is set here, once: descriptors, signals, logging,
the collector, last words. What belongs to the server is in `server`. Everything that goes wrong
before the server serves is raised, reaches `panic.log` as standard error, and from there the
`start` that waits for us.

- SIGTERM and SIGINT end the server in order.
- SIGUSR1 writes the stacks of all threads and coroutines into `panic.log`, and the server's own
  account of its tasks into the log.
- An empty `panic.log` is removed at the end: `delete` has nothing to report then.
- A server that has ended takes its process with it, whatever threads an engine has left.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING

from podshim.bundle import LOG_FIFO, PANIC_LOG, Bundle
from podshim.shim import logs, process
from podshim.shim.command import UsageError
from podshim.shim.server import Inherited, ServeParameters, ShimServer
from podshim.shim.spawn import SOCKET_FD
from podshim.transport import unix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from podshim.engine import Engine
    from podshim.shim.command import Command

#: How long the process may take to end when the server has ended, in s.
END_TIMEOUT = 10.0
_STDERR = 2

_log = logging.getLogger("podshim.shim")


def run(
    engine: type[Engine], command: Command, environment: Mapping[str, str], program: str
) -> int:
    """Be a server until there is no more need for it.

    Args:
        engine: The engine's class.
        command: The command line.
        environment: The process's environment; of it, `TTRPC_ADDRESS` is the server's.
        program: The program's name.

    Returns:
        The exit status.

    Raises:
        Exception: It could not serve.
    """
    bundle = Bundle(command.bundle or os.getcwd())
    inherited = _inherited(command)
    process.settle([inherited.listener.fileno(), inherited.ready_fd], program)
    parameters = ServeParameters(
        command.namespace, command.id, environment.get("TTRPC_ADDRESS", ""), debug=command.debug
    )
    asyncio.run(_serve(engine, parameters, inherited, bundle))
    _remove_if_empty(bundle)
    return 0


async def _serve(
    engine: type[Engine], parameters: ServeParameters, inherited: Inherited, bundle: Bundle
) -> None:
    server = ShimServer(engine, parameters, inherited)

    def fifos() -> Iterator[str]:
        yield bundle.file(LOG_FIFO)
        yield from (other.file(LOG_FIFO) for other in server.bundles())

    with logs.to_fifo(fifos, debug=parameters.debug):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        loop.add_signal_handler(signal.SIGUSR1, _dump, server)
        process.dump_on_sigusr1()
        # What is there now stays: let the collector not look at it again.
        gc.collect()
        gc.freeze()
        try:
            await server.run()
        finally:
            process.end_within(END_TIMEOUT)


def _inherited(command: Command) -> Inherited:
    """The descriptors that `start` left us, or a socket of our own with `-socket`."""
    if command.socket:
        return Inherited(unix.listen(os.path.abspath(command.socket)), command.ready_fd)
    try:
        listener = socket.socket(fileno=SOCKET_FD)
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError("it does not listen")
    except OSError as error:
        raise UsageError(
            f"without -socket, descriptor {SOCKET_FD} must be a listening socket: {error}"
        ) from error
    return Inherited(listener, command.ready_fd)


def _dump(server: ShimServer) -> None:
    """Write what the server is doing into `panic.log` and into the log, line by line."""
    text = f"=== BEGIN coroutine dump ===\n{server.describe()}=== END coroutine dump ===\n"
    os.write(_STDERR, text.encode("utf-8", "backslashreplace"))
    for line in text.splitlines():
        _log.info(line)


def _remove_if_empty(bundle: Bundle) -> None:
    """Remove `panic.log` if it is this process's own standard error, and empty."""
    try:
        ours = os.fstat(_STDERR)
        theirs = os.stat(bundle.file(PANIC_LOG), follow_symlinks=False)
        if ours.st_size == 0 and (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino):
            os.unlink(bundle.file(PANIC_LOG))
    except OSError:  # the bundle is gone, as it should be
        return
