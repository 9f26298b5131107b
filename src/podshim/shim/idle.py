"""When a server that nobody needs may leave: pure.

Theory of operation. containerd ends a shim by `Shutdown`. If it dies between `start` and `Create`,
nobody ever will: such servers are known to pile up. So a server that has no task, and that nobody
has been connected to, for a whole `PATIENCE` leaves by itself. A task, even a stopped one, keeps
it for ever: its exit status is still to be fetched.
"""

from __future__ import annotations

#: In s.
PATIENCE = 300.0


class IdlePolicy:
    """Decides from observations; it is told the time, it does not look.

    Args:
        now: The time at the server's start (s, any monotonic clock).
        patience: How long a server may be of no use.
    """

    def __init__(self, now: float, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._idle_since = now
        self._accepted = 0

    def observe(self, now: float, *, tasks: int, connections: int, accepted: int) -> bool:
        """Take in how things are, and say whether the server may leave.

        Args:
            now: The time.
            tasks: How many tasks it has.
            connections: How many connections it has.
            accepted: How many connections it has ever had: one that came and went between two
                observations is a sign of life too.
        """
        if tasks or connections or accepted != self._accepted:
            self._accepted = accepted
            self._idle_since = now
        return now - self._idle_since >= self._patience
