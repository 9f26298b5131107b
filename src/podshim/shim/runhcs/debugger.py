"""Waiting for a debugger: a shim that is told so by its environment halts before every creation.

Theory of operation. With the variable set, an event is made that carries the process's id in its
name and that only administrators can set; the log says which. Whoever has attached a debugger sets
it, and the creation goes on. If the event can't be made, there is nothing to wait for.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from typing import TYPE_CHECKING

from podshim.win32 import events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.win32.handles import Handle

VARIABLE = "CONTAINERD_SHIM_RUNHCS_V1_WAIT_DEBUGGER"
#: Everything for administrators and the system, nothing for anybody else.
ACCESS = "D:P(A;;GA;;;BA)(A;;GA;;;SY)"
#: How long one wait lasts before it is looked whether anybody still wants it, in s.
_PIECE = 0.5

_log = logging.getLogger(__name__)


async def await_debugger(environment: Mapping[str, str] | None = None) -> None:
    """Wait, for however long, until the debugger's event is set; without the variable, don't.

    Args:
        environment: Where the variable is looked for; the process's own if None.
    """
    if not (os.environ if environment is None else environment).get(VARIABLE):
        return
    name = f"Global\\debugger-{os.getpid()}"
    try:
        event = events.named_event(name, ACCESS)
    except OSError as error:
        _log.debug("no debugger is waited for: %s", error)
        return
    _log.info("Halting until signalled", extra={"event": name})
    given_up = threading.Event()
    try:
        await asyncio.to_thread(_wait, event, given_up)
    finally:
        given_up.set()


def _wait(event: Handle, given_up: threading.Event) -> None:
    with event:
        while not given_up.is_set():
            if events.wait(event, _PIECE):
                return
