"""Ending what a dead shim left of a container; in a process of its own, without an event loop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from podshim.engines.hcs import operations, results
from podshim.engines.hcs.computecore import EVENTS_WITH_MIGRATION, ComputeCoreDll, SystemCall
from podshim.engines.hcs.notifications import EventType
from podshim.engines.hcs.results import HcsError, LostServiceError
from podshim.errors import ShimError
from podshim.win32.binding import normalised

if TYPE_CHECKING:
    from collections.abc import Callable

    from podshim.engines.hcs.computecore import ComputeCore

#: How long the container may take to end, s.
LIMIT = 30.0

_CONTEXT = 1


class _End:
    """Hears of the system's end; `deliver` may be called on any thread."""

    def __init__(self) -> None:
        self.lost = False
        self.seen = threading.Event()

    def deliver(self, context: int, kind: int, data: str) -> None:  # noqa: ARG002 - as delivered
        if kind in {EventType.SYSTEM_EXITED, EventType.SERVICE_DISCONNECT}:
            self.lost = kind == EventType.SERVICE_DISCONNECT
            self.seen.set()


def force_delete(
    container_id: str,
    say: Callable[[str], None],
    *,
    make_core: Callable[[Callable[[int, int, str], None]], ComputeCore] = ComputeCoreDll,
    limit: float = LIMIT,
) -> None:
    """Terminate a container and wait for its end. Blocks; a container that is gone is fine.

    Args:
        container_id: Which.
        say: Takes a line for each thing that went wrong without stopping the rest.
        make_core: Makes the library's binding from what takes its events.
        limit: How long the container may take, s.

    Raises:
        ShimError: It did not end in time.
    """
    end = _End()
    core = make_core(end.deliver)
    result, system = core.open_system(container_id)
    if results.failed(result):
        return
    try:
        if results.failed(core.set_system_callback(system, EVENTS_WITH_MIGRATION, _CONTEXT)):
            end.seen.set()  # its end can't be heard of
        try:
            _terminate(core, system, container_id)
        except (HcsError, OSError) as error:
            say(f"failed to terminate '{container_id}': {error}")
            return
        if not end.seen.wait(limit):
            raise ShimError(f"timed out waiting for '{container_id}' to terminate")
        if end.lost:
            lost = LostServiceError("hcs::System::waitBackground", container_id)
            say(f"failed to wait for '{container_id}' to terminate: {lost}")
    finally:
        core.close_system(system)


def _terminate(core: ComputeCore, system: int, container_id: str) -> None:
    done = operations.submit(
        core, lambda under: core.system_call(SystemCall.TERMINATE, system, under, "")
    )
    if not results.is_end_under_way(normalised(done.result)):
        results.check(done.result, done.document, "hcs::System::Terminate", container_id)
