"""Which shims serve on this machine, by the names of their pipes, and which one a user means.

Theory of operation. On Windows every shim serves at `...containerd-shim-<namespace>-<id>-pipe`, so
the list of pipes is the list of shims. What stands in the middle is the shim's *name*; users may
give the beginning of it as long as that means one shim. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PIPE_ROOT = "\\\\.\\pipe\\"
PREFIX = "ProtectedPrefix\\Administrators\\containerd-shim-"
SUFFIX = "-pipe"
_NEVER_IN_NAMES = frozenset("*?\\/")


class ShimNameError(Exception):
    """No shim, or more than one, is meant by what the user gave."""


def address(name: str) -> str:
    """The pipe of the shim of this name."""
    return PIPE_ROOT + PREFIX + name + SUFFIX


def shims(pipes: Iterable[str]) -> list[str]:
    r"""The names of the shims among pipes, sorted.

    Args:
        pipes: The pipes' names, as a listing of `\\.\pipe` gives them.
    """
    found = set()
    for pipe in pipes:
        name = pipe.removeprefix(PIPE_ROOT)
        middle = name[len(PREFIX) : -len(SUFFIX)]
        if name.startswith(PREFIX) and name.endswith(SUFFIX) and middle:
            found.add(middle)
    return sorted(found)


def check(given: str) -> None:
    """Refuse what can be no shim's name.

    Raises:
        ShimNameError: It is empty or has a character that none has.
    """
    if not given or not _NEVER_IN_NAMES.isdisjoint(given):
        raise ShimNameError(f"invalid shim name {given}")


def choose(present: Iterable[str], given: str) -> str:
    """The one shim whose name is, or begins with, what the user gave.

    Args:
        present: The names of the shims that there are.
        given: A name or its beginning.

    Raises:
        ShimNameError: It is no name, nothing begins so, or several do and none is it.
    """
    check(given)
    candidates = sorted(name for name in present if name.startswith(given))
    if not candidates:
        raise ShimNameError(f"no such shim {given}")
    if len(candidates) > 1 and candidates[0] != given:
        raise ShimNameError(f"multiple shims beginning with {given}")
    return candidates[0]
