"""When to dial a broken pipe again: exponential back-off with jitter. Pure: no clock, no dice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

INITIAL: Final = 0.2
MULTIPLIER: Final = 1.5
JITTER: Final = 0.5
LONGEST: Final = 60.0


class BackOff:
    """The pauses between attempts of one reconnection.

    Args:
        limit: Seconds after which there is no further attempt; 0 for no such limit.
        now: The clock, in s.
        uniform: Gives a random number between its two arguments.
    """

    def __init__(
        self,
        limit: float,
        now: Callable[[], float],
        uniform: Callable[[float, float], float],
    ) -> None:
        self._limit = limit
        self._now = now
        self._uniform = uniform
        self._interval = INITIAL
        self._began = now()

    def pause(self) -> float | None:
        """The seconds to wait before the next attempt; None if it would come too late."""
        spread = self._interval * JITTER
        pause = self._uniform(self._interval - spread, self._interval + spread)
        self._interval = min(self._interval * MULTIPLIER, LONGEST)
        if self._limit and self._now() - self._began + pause > self._limit:
            return None
        return pause
