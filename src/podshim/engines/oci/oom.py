"""Kills by the out-of-memory killer in one container's cgroup.

How its owner uses it, so that a kill of the init is announced before the init's exit:

1. `OomWatch.open(cgroup)` when the container has been created, before its init is started;
2. `Container.wait_oom` is `watch.wait`: the task layer loops over it and announces each return;
3. `Container.init_exited` awaits `watch.finish()` *first*: the kernel counts a kill before it sends
   the signal, so one last reading of the counter, after the init was reaped, can't miss it. It
   hands an unannounced kill to the waiter, and returns when that waiter has come back for more;
4. `watch.close()` on every path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podshim.engines.oci.cgroups import Cgroup


class OomWatch:
    """Watches one cgroup; use it on the event loop's thread only."""

    @classmethod
    def open(cls, cgroup: Cgroup | None) -> OomWatch:
        """Begin to watch; call it on the running loop. It never fails: what can't be watched is logged.

        Args:
            cgroup: What to watch; None, when it could not be loaded, makes a watch of nothing.
        """
        raise NotImplementedError

    async def wait(self) -> None:
        """Wait for the next kill that was not announced yet; after `close` it waits for ever."""

    async def finish(self) -> bool:
        """Read the counter one last time, when the init has ended; then stop watching.

        Returns:
            Whether a kill was found that nobody had been told of.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give back all descriptors; it may be called again."""
