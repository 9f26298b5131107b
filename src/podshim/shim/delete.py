"""The `delete` command: clean up after a shim, and say how its container ended.

Theory of operation. containerd runs it whenever its connection to a shim has ended: after every
ordinary deletion, when there is nothing left to do, and when a shim died, when everything is. The
exit record in the bundle tells the two apart. If it says that the shim has deleted the container,
the answer is all that is written. Otherwise the engine removes what is left; the true exit status
comes from the record, else from the engine, else it is 137, now. A server that died left its last
words in `panic.log`: they go to standard error, and so into containerd's log.

Nothing here that is missing is an error: the bundle, the record, the container, the socket. What
can't be *removed* is one, because containerd drops its last reference to it on our success.

The command runs once for every container, so the engine is imported only if it is needed.
"""

import os
import time

from podshim import wire
from podshim.bundle import ADDRESS, PANIC_LOG, Bundle, BundleError, tail
from podshim.shim import socketpath
from podshim.shim.rendezvous import Rendezvous, RendezvousError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from podshim.engine import Engine
    from podshim.shim.command import Command

#: containerd kills the command after 5 s.
TIMEOUT = 4.0
LOCK_TIMEOUT = 0.5
MAX_PANIC_LOG = 1 << 20
KILLED = 137
_INIT_PID = "init.pid"
_MAX_PID = 32
_MAX_ADDRESS = 4096


class DeleteError(Exception):
    """What the shim left could not be removed."""


def delete(
    load: "Callable[[], type[Engine]]", command: "Command", warn: "Callable[[str], None]"
) -> bytes:
    """Do what `delete` does.

    Args:
        load: Imports the engine's class; called only if there is something to clean up.
        command: The command line; without `-bundle` the current folder is the bundle.
        warn: Takes what containerd shall write into its log.

    Returns:
        What to print: a serialized `containerd.task.v2.DeleteResponse`.

    Raises:
        DeleteError: The container could not be removed in time.
        ShimError: The engine's own reason why it could not.
    """
    bundle = Bundle(command.bundle or os.getcwd())
    record = bundle.read_exit()
    _report_panic(bundle, warn)
    if record is not None and record.deleted:
        return wire.delete_response(record.pid, record.status, record.at)
    _remove_dead_socket(bundle, warn)
    with _Alarm(TIMEOUT):
        ended = load().cleanup(command.namespace, command.id, bundle)
    if record is not None:
        return wire.delete_response(record.pid, record.status, record.at)
    if ended is not None:
        return wire.delete_response(_init_pid(bundle), ended.status, ended.at)
    return wire.delete_response(_init_pid(bundle), KILLED, time.time_ns())


class _TimeIsUp(BaseException):
    """Not an `Exception`, so that no clean-up code takes it for a failure of its own."""


class _Alarm:
    """Breaks off what runs inside it when its time is over.

    Args:
        seconds: How long it may run.

    Raises:
        DeleteError: On leaving, if it was broken off.
    """

    __slots__ = ("_before", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        import signal

        self._before = signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        import signal

        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)
        if kind is _TimeIsUp:
            raise DeleteError(
                f"the container could not be removed within {self._seconds:g} s"
            ) from error

    @staticmethod
    def _ring(_signal: int, _frame: "FrameType | None") -> None:
        raise _TimeIsUp


def _report_panic(bundle: Bundle, warn: "Callable[[str], None]") -> None:
    words = tail(bundle.file(PANIC_LOG), 0, MAX_PANIC_LOG).strip()
    if words:
        warn(f"found shim panic logs during delete: {words}\n")


def _remove_dead_socket(bundle: Bundle, warn: "Callable[[str], None]") -> None:
    """Remove the server's socket file, unless a server listens there."""
    try:
        place = socketpath.split(os.fsdecode(bundle.read(ADDRESS, _MAX_ADDRESS)).strip())
        if place is None:
            return
        folder, name = place
        with Rendezvous(folder, make=False) as rendezvous, rendezvous.locked(LOCK_TIMEOUT):
            rendezvous.remove_dead(name)
    except FileNotFoundError:
        pass
    except (OSError, BundleError, RendezvousError) as error:
        warn(f"the dead shim's socket: {error}\n")


def _init_pid(bundle: Bundle) -> int:
    """The pid that an OCI runtime left in the bundle; 0 if there is none."""
    try:
        return max(int(bundle.read(_INIT_PID, _MAX_PID)), 0)
    except (OSError, BundleError, ValueError):
        return 0
