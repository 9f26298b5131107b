"""Which observations prove a kill by the out-of-memory killer (pure).

Theory of operation. The kernel counts the kills in a cgroup (`oom_kill`, in `memory.events` on v2
and in `memory.oom_control` on v1 since Linux 4.13), and counts before it sends the signal. Where
the counter covers the whole subtree, as on v2, its increase is the one and only proof.

On v1 there are *signals* besides, and neither tells all:

- a signal comes before the kill, so the counter may not have risen yet: it is a *doubt* until the
  counter has risen, or the owner has looked often enough and `settle`s it;
- it comes also when a cgroup above ran out of memory and the victim was in a neighbour's: then the
  counter never rises, and the doubt is dropped;
- the counter leaves out the cgroups below, such as those of a container in the container: with any
  below, a doubt that is settled counts as a kill;
- the removal of the cgroup is one more signal, and after it there is no counter to read.
"""

from __future__ import annotations


class OomLedger:
    """What was observed of one cgroup, and what it proves.

    Args:
        kills: The counter at the beginning; None when the kernel doesn't count.
    """

    def __init__(self, kills: int | None) -> None:
        self._kills = kills
        self._doubts = 0

    @property
    def doubtful(self) -> bool:
        """Whether a signal has come that nothing has explained yet."""
        return self._doubts > 0

    def look(self, kills: int | None, signals: int = 0) -> bool:
        """Take a reading of the counter, and the signals that came before it.

        Returns:
            Whether it proves a kill that no earlier call has told of.
        """
        self._doubts += signals
        if kills is None:
            proof = self.doubtful  # a kernel without a counter must be taken at its word
        else:
            proof = kills > (self._kills or 0)
            self._kills = kills
        if proof:
            self._doubts = 0
        return proof

    def settle(self, *, cgroups_below: bool) -> bool:
        """Give up waiting for the proof of a signal.

        Returns:
            Whether it has to count as a kill without.
        """
        proof = self.doubtful and cgroups_below
        self._doubts = 0
        return proof

    def removed(self, signals: int = 0) -> bool:
        """Take it that the cgroup is gone, which is a signal by itself.

        Returns:
            Whether the signals tell of a kill beyond that.
        """
        proof = self.doubtful or signals > 1
        self._doubts = 0
        return proof
