"""Where two observations differ, and whether that is known.

A place is the path to what differs, its parts joined by ` > `. Two objects are compared member by
member, two arrays of one length item by item; anything else is equal or not as a whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ABSENT = "(absent)"


@dataclass(frozen=True, slots=True)
class Difference:
    """A known difference: one row of the documentation.

    Args:
        name: what its places are filed under in `known.json`.
        what: what it is about.
        theirs: what the original does.
        ours: what ours does.
        why: why that is better.
        places: for each case that shows it, what ours has at each place that differs.
    """

    name: str
    what: str
    theirs: str
    ours: str
    why: str
    places: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one case came out.

    Args:
        reasons: the known differences that it shows.
        faults: what is wrong: each a text; none if the case is equal or as listed.
    """

    reasons: Sequence[str]
    faults: Sequence[str]

    @property
    def word(self) -> str:
        """The verdict in a word or a line."""
        if self.faults:
            return "DIFFERENT"
        return f"listed: {'; '.join(self.reasons)}" if self.reasons else "equal"


def differences(theirs: Any, ours: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each place where two plain values differ, with both values there."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            below = _below(place, key)
            yield from differences(theirs.get(key, ABSENT), ours.get(key, ABSENT), below)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for number, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(one, other, _below(place, str(number)))
    elif theirs != ours or type(theirs) is not type(ours):
        yield place, theirs, ours


def _below(place: str, part: str) -> str:
    return f"{place} > {part}" if place else part


def _differing(theirs: Any, ours: Any) -> str:
    """Two values; of two arrays, what is between the items that both begin and end with."""
    if isinstance(theirs, list) and isinstance(ours, list):
        while theirs and ours and theirs[0] == ours[0]:
            theirs, ours = theirs[1:], ours[1:]
        while theirs and ours and theirs[-1] == ours[-1]:
            theirs, ours = theirs[:-1], ours[:-1]
    return f"  theirs: {theirs!r}\n  ours:   {ours!r}"


def judge(case: str, theirs: Any, ours: Any, known: Sequence[Difference]) -> Verdict:
    """Judge our observation of a case by the original's and by what is known to differ."""
    listed = {
        place: (row, value) for row in known for place, value in row.places.get(case, {}).items()
    }
    faults, reasons = [], []
    for place, their, our in differences(theirs, ours):
        row, expected = listed.pop(place, (None, None))
        if row is None:
            faults.append(f"{place}:\n{_differing(their, our)}")
        elif expected != our:
            faults.append(
                f"{place}: listed, but not so:\n  listed: {expected!r}\n  ours:   {our!r}"
            )
        elif row.what not in reasons:
            reasons.append(row.what)
    faults += [f"{place}: listed as different, but equal" for place in listed]
    return Verdict(reasons, faults)
