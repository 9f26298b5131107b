"""Running a command in a VM's guest, outside containers: for diagnosis, and for setting it up.

Theory of operation. The guest's agent runs the command as the system's own user. Its streams are
relayed like those of any process; whoever gives up waiting ends it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from podshim.engine import Stdio
from podshim.engines.hcs.documents.jsontext import dumps
from podshim.engines.hcs.documents.process import process_parameters
from podshim.engines.hcs.stdio import ProcessEnds, Relay, connect
from podshim.engines.hcs.vm.guest.compute import create_vm_process
from podshim.errors import InvalidArgumentError, ShimError
from podshim.task.runhcs.host import HostCommand

if TYPE_CHECKING:
    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.vm.guest.compute import GuestProcess
    from podshim.engines.hcs.vm.guest.connection import Guest

_log = logging.getLogger(__name__)

_LINUX_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def run(guest: Guest, vm_id: str, command: HostCommand, namespace: str) -> int:
    """Run a command to its end.

    Args:
        guest: Where.
        vm_id: The VM's id, for loggers.
        command: What.
        namespace: containerd's namespace, for loggers.

    Returns:
        Its exit code.

    Raises:
        InvalidArgumentError: There is no command.
        ShimError: It can't be run, or its streams can't be connected.
    """
    if not command.args:
        raise InvalidArgumentError("missing command")
    parameters = dumps(command_parameters(command, linux=not guest.windows))
    upstream = await connect(vm_id, command.stdio, namespace, 0.0)
    try:
        process = await create_vm_process(guest, parameters)
        relay = Relay(
            upstream,
            ProcessEnds(process.stdin, process.stdout, process.stderr, process.close_stdin),
        )
        relay.start()
        try:
            code = await process.wait()
            await relay.drain()
        except BaseException:
            await asyncio.shield(_end(process))
            raise
        finally:
            await relay.drain(0.0)
            await process.close()
    except OSError as error:
        raise ShimError(f"failed to run {command.args[0]!r} in the guest: {error}") from error
    finally:
        await upstream.close()
    return code


async def run_quietly(guest: Guest, vm_id: str, *args: str) -> int:
    """Run a command without streams; errors as of `run`."""
    return await run(guest, vm_id, HostCommand(args, stdio=Stdio()), "")


def command_parameters(command: HostCommand, *, linux: bool) -> Json:
    """The parameters of the command's process.

    Args:
        command: What.
        linux: Whether the guest is a Linux.
    """
    process: Json = {"args": list(command.args), "terminal": command.stdio.terminal}
    if linux:
        process |= {"cwd": command.workdir or "/", "env": [_LINUX_PATH]}
    else:
        process |= {
            "cwd": command.workdir or "C:\\",
            "user": {"username": "NT AUTHORITY\\SYSTEM"},
        }
    return process_parameters(process, command.stdio, words=linux)


async def _end(process: GuestProcess) -> None:
    try:
        await process.kill()
    except (ShimError, OSError) as error:
        _log.warning("a command in a guest can't be ended: %s", error)
