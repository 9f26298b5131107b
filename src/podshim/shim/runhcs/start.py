"""The `start` command on Windows: find or make the shim that hosts a container.

Theory of operation. The annotations of the spec say who hosts a container. A pod's further
container joins the pod's shim, which must be there; anything else gets a server of its own. Either
way the bundle gets `shim.pid` and `address`, and the address is printed, nothing else. It is a bare
one, which every containerd understands, so that what containerd sent on standard input is left to
the server, unread.

A new server is believed when it has answered a call with its own process id: one that has ended
before, or that found its name taken, is a failure of `start`. After any failure the server is
killed, and the two files are removed.
"""

# ruff: noqa: SIM105 - contextlib is too heavy for the start path

import os

from podshim.bundle import ADDRESS, CONFIG, MAX_CONFIG_SIZE, PANIC_LOG, SHIM_PID, Bundle
from podshim.shim import membership
from podshim.shim.command import check_identifier
from podshim.shim.runhcs import joining, names, spawn, specfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from podshim.shim.runhcs.command import Command

#: How long a new server may take until it serves, in s: a cold, crowded disk is no error.
SERVE_TIMEOUT = 45.0

#: How long a hosting shim may take to answer, in s.
JOIN_TIMEOUT = 30.0


def start(command: "Command", say: "Callable[[bytes], None]") -> None:
    """Do what `start` does, in the bundle that is the current folder.

    Args:
        command: The command line.
        say: Prints the answer; if it can't, containerd is gone, and so is a new server.

    Raises:
        Exception: It failed; no process is left behind, and of files at most `panic.log`.
    """
    bundle = Bundle(os.getcwd())
    annotations = specfile.annotations(_spec(bundle))
    place, _ = membership.windows_place(annotations)
    shim_id, must_exist = membership.windows_host(annotations, command.id)
    check_identifier("sandbox id", shim_id)
    address = names.task_pipe(command.namespace, shim_id)
    if must_exist:
        pid = joining.shim_pid(address, shim_id, JOIN_TIMEOUT)
        _answer(bundle, pid, address, say)
        return
    server = spawn.spawn(command, address, bundle, is_sandbox=place == membership.SANDBOX)
    try:
        server.serving(address, shim_id, SERVE_TIMEOUT)
        _answer(bundle, server.pid, address, say)
    except BaseException:
        server.kill()
        _remove_if_empty(bundle.file(PANIC_LOG))
        raise
    server.release()


def _spec(bundle: Bundle) -> bytes:
    os.stat(bundle.file(CONFIG))  # says in Windows' own words what is wrong, which `open` does not
    return bundle.read(CONFIG, MAX_CONFIG_SIZE)


def _answer(bundle: Bundle, pid: int, address: str, say: "Callable[[bytes], None]") -> None:
    """Write down who serves and where, and say it."""
    written = []
    try:
        for name, text in ((SHIM_PID, str(pid)), (ADDRESS, address)):
            bundle.write(name, text.encode(), 0o644)
            written.append(name)
        say(address.encode())
    except BaseException:
        for name in written:
            try:
                os.unlink(bundle.file(name))
            except OSError:
                pass
        raise


def _remove_if_empty(path: str) -> None:
    try:
        if not os.stat(path).st_size:
            os.unlink(path)
    except OSError:  # containerd removed it, or the server still has it: it reports nothing
        pass
