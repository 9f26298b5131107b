"""Which regions of a persistent-memory device are free: an allocator of seven sizes; pure.

Theory of operation. A device is one region of 4 GiB. A region may be divided into four of a quarter
of its size, down to 1 MiB. Whoever wants room gets the smallest region that is large enough: a free
one of that size, the one at the lowest offset, or the first part of the next larger one, divided.
Four free parts of one region become that region again.
"""

from __future__ import annotations

LARGEST = 4 << 30
SMALLEST = 1 << 20
_PARTS = 4


class Regions:
    """The regions of one device."""

    __slots__ = ("_free", "_used")

    def __init__(self) -> None:
        #: Offsets of free regions, by the regions' size.
        self._free: dict[int, set[int]] = {LARGEST: {0}}
        #: Sizes of used regions, by their offsets.
        self._used: dict[int, int] = {}

    def take(self, size: int) -> int | None:
        """Take a region.

        Args:
            size: How many bytes it must have, more than 0.

        Returns:
            Its offset; None if there is none large enough.
        """
        wanted = SMALLEST
        while wanted < size:
            wanted *= _PARTS
        found = self._split_to(wanted)
        if found is not None:
            self._free[wanted].remove(found)
            self._used[found] = wanted
        return found

    def give_back(self, offset: int) -> None:
        """Give a region back.

        Args:
            offset: As `take` gave it.

        Raises:
            KeyError: It is not taken.
        """
        size = self._used.pop(offset)
        while size < LARGEST:
            whole = offset - offset % (size * _PARTS)
            parts = {whole + number * size for number in range(_PARTS)} - {offset}
            free = self._free.setdefault(size, set())
            if not parts <= free:
                break
            free -= parts
            offset, size = whole, size * _PARTS
        self._free.setdefault(size, set()).add(offset)

    @property
    def empty(self) -> bool:
        """Whether nothing is taken."""
        return not self._used

    def _split_to(self, wanted: int) -> int | None:
        """The offset of a free region of a size, divided from a larger one if need be."""
        size = wanted
        while size <= LARGEST and not self._free.get(size):
            size *= _PARTS
        if size > LARGEST:
            return None
        offset = min(self._free[size])
        while size > wanted:
            self._free[size].remove(offset)
            size //= _PARTS
            parts = {offset + number * size for number in range(_PARTS)}
            self._free.setdefault(size, set()).update(parts)
        return offset
