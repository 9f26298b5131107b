"""What this Windows can't give a HostProcess container: told once each, and done without.

Features of job objects came with later builds, and some hosts have few of them. A limit that can't
be set and a figure that can't be had are no reason not to run a container; its owner reads of it
in the log.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from podshim.win32.binding import (
    ERROR_MOD_NOT_FOUND,
    ERROR_NOT_SUPPORTED,
    ERROR_PROC_NOT_FOUND,
    code_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

_INVALID_FUNCTION: Final = 1
_CALL_NOT_IMPLEMENTED: Final = 120
_MISSING: Final = frozenset(
    {
        _INVALID_FUNCTION,
        ERROR_NOT_SUPPORTED,
        _CALL_NOT_IMPLEMENTED,
        ERROR_MOD_NOT_FOUND,
        ERROR_PROC_NOT_FOUND,
    }
)


def cause(error: OSError) -> str:
    """What the system said, without number and name."""
    return error.strerror or str(error) or type(error).__name__


class Shortcomings:
    """What one container has to do without.

    Args:
        container_id: Whose it is, for the log.
    """

    def __init__(self, container_id: str) -> None:
        self._container_id = container_id
        self.told: set[str] = set()

    @contextmanager
    def allowed(self, what: str) -> Iterator[None]:
        """Go on after a failure of the block that says that this Windows has no such thing.

        Args:
            what: What is done without then, for the log.
        """
        try:
            yield
        except OSError as error:
            if code_of(error) not in _MISSING:
                raise
            if what not in self.told:
                self.told.add(what)
                log.warning(
                    "container %s: this host has no %s: %s", self._container_id, what, cause(error)
                )
