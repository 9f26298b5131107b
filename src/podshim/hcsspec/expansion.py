"""Annotations that stand for others, and annotations that exclude each other.

Theory of operation. One annotation, `io.microsoft.disable-unsafe-operations`, is short for several:
whatever it says, each of them says too. It does not override: one that says something else already
is a conflict. All conflicts are told at once, a line each, so that a user mends a spec in one go.
Nothing else of the annotations is looked at or changed: those that nobody knows are handed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.errors import ShimError
from podshim.hcsspec.predicates import HOST_PROCESS

if TYPE_CHECKING:
    from collections.abc import Mapping

DISABLE_UNSAFE_OPERATIONS = "io.microsoft.disable-unsafe-operations"
DISABLE_GMSA = "io.microsoft.container.wcow.gmsa.disable"
DISABLE_WRITABLE_FILE_SHARES = "io.microsoft.virtualmachine.fileshares.disablewritable"
NO_DIRECT_MAP = "io.microsoft.virtualmachine.wcow.virtualSMB.nodirectmap"
DISABLE_HOST_PROCESS = "microsoft.com/disable-hostprocess-container"

EXPANSIONS: Mapping[str, tuple[str, ...]] = {
    DISABLE_UNSAFE_OPERATIONS: (
        DISABLE_GMSA,
        DISABLE_WRITABLE_FILE_SHARES,
        NO_DIRECT_MAP,
        DISABLE_HOST_PROCESS,
    ),
}

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def boolean(text: str) -> bool | None:
    """What a text says as a boolean; None if it is none."""
    if text in _TRUE:
        return True
    return False if text in _FALSE else None


def quoted(text: str) -> str:
    """A text for an error: between quotes, with its own quotes and backslashes told apart."""
    import json

    return json.dumps(text, ensure_ascii=False)


def expand(annotations: Mapping[str, str] | None) -> dict[str, str]:
    """The annotations as they count.

    Args:
        annotations: As the spec has them, with what options add already merged in.

    Raises:
        ShimError: They contradict each other; the text has a line for each contradiction, after
            `unable to process OCI Spec annotations: `.
    """
    expanded = dict(annotations or {})
    conflicts = []
    for key, others in EXPANSIONS.items():
        if key not in expanded:
            continue
        value = expanded[key]
        for other in others:
            existing = expanded.setdefault(other, value)
            if existing != value:
                conflicts.append(
                    f'annotation expansion conflict: "{key}" = {quoted(value)}'
                    f' and "{other}" = {quoted(existing)}'
                )
    disabled, wanted = expanded.get(DISABLE_HOST_PROCESS, ""), expanded.get(HOST_PROCESS, "")
    if boolean(disabled) and boolean(wanted):
        conflicts.append(
            "specified annotations conflict: host process container annotations"
            f' "{DISABLE_HOST_PROCESS}" = {quoted(disabled)}'
            f' and "{HOST_PROCESS}" = {quoted(wanted)}'
        )
    if conflicts:
        joined = "\n".join(conflicts)
        raise ShimError(f"unable to process OCI Spec annotations: {joined}")
    return expanded
