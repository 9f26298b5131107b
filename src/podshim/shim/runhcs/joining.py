"""Asking a shim on Windows for its process: one blocking ttrpc call over its pipe.

Theory of operation. A `start` for a pod's further container asks the pod's shim; a `start` that has
made a server asks that one, because an answer with the right process is the proof that it serves.
Nobody but administrators can make a pipe of such a name, so that whoever answers is a shim.

`start` runs this module.
"""

import time

from podshim import wire
from podshim.transport import blocking_pipe
from podshim.ttrpc import blocking
from podshim.win32.binding import text_of

#: How long a busy pipe is tried, in s, as every client of Windows' pipes does.
DIAL_TIMEOUT = 2.0


class JoinError(Exception):
    """No shim answers there; the text is the contract's."""


def shim_pid(address: str, shim_id: str, seconds: float) -> int:
    """Ask a shim which process it is.

    Args:
        address: The path of its pipe.
        shim_id: The id that it serves.
        seconds: How long it may take to answer.

    Raises:
        JoinError: It can't be reached, does not answer in time, or talks nonsense.
    """
    try:
        pipe = blocking_pipe.connect(address, time.monotonic() + DIAL_TIMEOUT)
    except (OSError, ValueError) as error:
        raise JoinError(f"failed to connect to hosting shim: {_text(error)}") from error
    with pipe:
        try:
            return _connect(pipe, shim_id, seconds)
        except TimeoutError as error:
            raise _no_pid(f"no answer within {seconds:g} s") from error
        except (OSError, ValueError) as error:
            raise _no_pid(_text(error)) from error


def _connect(pipe: blocking_pipe.BlockingPipe, shim_id: str, seconds: float) -> int:
    request = wire.ttrpc_request(
        wire.TASK_SERVICE, "Connect", wire.connect_request(shim_id), int(seconds * 1e9)
    )
    response = blocking.call(pipe, request, time.monotonic() + seconds)
    if response.code:
        raise _no_pid(response.message or f"status {response.code}")
    return wire.shim_pid(response.payload)


def _no_pid(detail: str) -> JoinError:
    return JoinError(f"failed to get shim pid from hosting shim: {detail}")


def _text(error: Exception) -> str:
    return text_of(error) if isinstance(error, OSError) else str(error)
