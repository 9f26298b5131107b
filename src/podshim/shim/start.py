"""The `start` command: find or make the shim that hosts a container, and print its address.

Theory of operation. Deciding is apart from doing: `command`, `dialects` and `membership` say what
was asked, by whom and for which group. This module then does it:

    look    under the folder's lock: does anybody listen on the group's socket?
    join    yes: ask that shim for its pid. If it dies meanwhile, look again
    serve   no: bind the socket (still under the lock), make a server, wait until it serves
    record  write `shim.pid` and `address` into the bundle

Everything that can fail on our side is done before the server serves: whoever joins it meanwhile
is answered only once it stays. A server that is not going to stay is killed and reaped, its socket
and our files are removed. Standard output and error carry the answer alone; if it can't be printed,
containerd is gone and the server with it.
"""

# ruff: noqa: SIM105 - contextlib is too heavy for the start path

import os
import sys
import time

from podshim.bundle import ADDRESS, PANIC_LOG, SHIM_PID, Bundle
from podshim.shim import hosting, membership, placement, socketpath, spawn
from podshim.shim.command import SERVE
from podshim.shim.program import own_program
from podshim.shim.rendezvous import Rendezvous, RendezvousError, knock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Mapping

    from podshim.shim.command import Command
    from podshim.shim.dialects import Asked

#: How long a new server may take until it serves, in s: a cold, crowded disk is no error.
SERVE_TIMEOUT = 45.0

#: How long a server that is found may take to answer: longer, it may be starting.
JOIN_TIMEOUT = 60.0

#: How often a server that is found may break the connection before that is taken for its nature.
MAX_GONE = 100

#: How long to wait for the lock when all that is left is to remove our own socket, in s.
WITHDRAW_TIMEOUT = 1.0
_PAUSE = 0.01


class StartError(Exception):
    """`start` has failed for a reason of its own."""


def start(
    command: "Command",
    asked: "Asked",
    environment: "Mapping[str, str]",
    say: "Callable[[bytes], None]",
) -> None:
    """Do what `start` does, in the bundle that is the current folder.

    Args:
        command: The command line.
        asked: What it means, whoever asks.
        environment: The process's environment; the server gets it too.
        say: Prints the answer; if it can't, containerd is gone, and so is a new server.

    Raises:
        Exception: It failed; no process and no file is left behind.
    """
    bundle = Bundle(os.getcwd())
    group = membership.linux_group(bundle.annotations(), command.id)
    cgroup = placement.shim_cgroup(asked.options)
    name = socketpath.socket_name(asked.grpc_address, command.namespace, group)
    folder = socketpath.check_dir(asked.socket_dir or socketpath.DEFAULT_DIR)
    with Rendezvous(folder) as rendezvous:
        address = socketpath.SCHEME + rendezvous.socket_path(name)
        host = _claim(rendezvous, name, command.id)
        if isinstance(host, int):
            _record(bundle, host, address)
            say(asked.answer(address))
        else:
            order = _Order(command, asked, environment, bundle, cgroup)
            _serve(order, rendezvous, name, host, say)


class _Order:
    """What a new server is made from."""

    __slots__ = ("asked", "bundle", "cgroup", "command", "environment")

    def __init__(
        self,
        command: "Command",
        asked: "Asked",
        environment: "Mapping[str, str]",
        bundle: Bundle,
        cgroup: str,
    ) -> None:
        self.command = command
        self.asked = asked
        self.environment = environment
        self.bundle = bundle
        self.cgroup = cgroup

    def arguments(self) -> "list[str]":
        """The server's command line: its parameters, for `ps` to show."""
        words = ["-namespace", self.command.namespace, "-id", self.command.id]
        words += ["-address", self.asked.grpc_address, "-bundle", self.bundle.path]
        words += ["-ready-fd", str(spawn.READY_FD)]
        return [*words, *(["-debug"] if self.asked.debug else []), SERVE]

    def server_environment(self) -> "dict[str, str]":
        """The server's environment: ours, and where events go."""
        environment = dict(self.environment)
        if self.asked.ttrpc_address:
            environment["TTRPC_ADDRESS"] = self.asked.ttrpc_address
        return environment


def _claim(rendezvous: Rendezvous, name: str, container_id: str) -> "int | _socket.socket":
    """Find the pid of the server that has the socket, or take the socket, listening."""
    path = rendezvous.socket_path(name)
    deadline = time.monotonic() + JOIN_TIMEOUT
    problem: Exception | None = None
    for _ in range(MAX_GONE):
        try:
            visitor = _bind_or_visit(rendezvous, name, deadline)
            if not isinstance(visitor, hosting.Visitor):
                return visitor
            with visitor:
                return visitor.host_pid(container_id, deadline)
        except BlockingIOError as error:  # no room in its backlog: it is busy, or it hangs
            problem = error
        except hosting.GoneError as error:
            problem = error
        if time.monotonic() >= deadline:
            break
        time.sleep(_PAUSE)
    raise StartError(f"the hosting shim at {path} can't be reached: {problem}")


def _bind_or_visit(
    rendezvous: Rendezvous, name: str, deadline: float
) -> "hosting.Visitor | _socket.socket":
    """Connect to the server that has the socket, or take the place of none or a dead one."""
    with rendezvous.locked(deadline - time.monotonic()):
        connection = knock(rendezvous.socket_path(name))
        if connection is not None:
            return hosting.Visitor(connection)
        rendezvous.remove(name)
        return rendezvous.bind(name)


def _serve(
    order: _Order,
    rendezvous: Rendezvous,
    name: str,
    listener: "_socket.socket",
    say: "Callable[[bytes], None]",
) -> None:
    """Make a server for a socket that we have bound, wait until it serves, and say so."""
    address = socketpath.SCHEME + rendezvous.socket_path(name)
    deadline = time.monotonic() + SERVE_TIMEOUT
    identity = rendezvous.identity(name)
    ours = [SHIM_PID, ADDRESS]
    if not os.path.lexists(order.bundle.file(PANIC_LOG)):  # else it is an earlier server's
        ours.append(PANIC_LOG)
    server = None
    try:
        try:
            if order.environment.get("SCHED_CORE"):
                placement.schedule_together()
            server = spawn.spawn(
                own_program(sys.orig_argv, len(sys.argv) - 1),
                order.arguments(),
                order.server_environment(),
                order.bundle,
                listener.fileno(),
            )
        finally:  # a server that dies must close the socket with it, for those who wait there
            listener.close()
        placement.adjust_oom_score(server.pid, os.getppid())
        if order.cgroup:
            placement.join_cgroup(order.cgroup, server.pid)
        _record(order.bundle, server.pid, address)
        server.serving(deadline)
        say(order.asked.answer(address))
        server.release()
    except BaseException:
        if server is not None:
            server.kill()
        for file in ours:
            try:
                os.unlink(order.bundle.file(file))
            except OSError:
                pass
        _withdraw(rendezvous, name, identity)
        raise


def _record(bundle: Bundle, pid: int, address: str) -> None:
    bundle.write(SHIM_PID, str(pid).encode(), 0o644)
    bundle.write(ADDRESS, os.fsencode(address), 0o644)


def _withdraw(rendezvous: Rendezvous, name: str, identity: tuple[int, int]) -> None:
    """Remove the socket of a failed start; the failure itself is what the caller reports."""
    try:
        with rendezvous.locked(WITHDRAW_TIMEOUT):
            rendezvous.remove(name, identity)
    except (OSError, RendezvousError):
        pass
