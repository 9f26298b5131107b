"""The text formats of the kernel's cgroup files (its documents on cgroup v1 and v2; pure).

Theory of operation: five small grammars cover all files that a metrics message is made of. A
statistic is never worth an error: what is no number, or not in range, counts as 0, and a line of
another shape is passed over, so that a new kernel's additions hurt nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_U32: Final = (1 << 32) - 1
MAX_U64: Final = (1 << 64) - 1

_PAGE_PREFIX: Final = "hugepages-"
_PAGE_SUFFIX: Final = "kB"


def number(text: str | None, *, unlimited: int = 0, limit: int = MAX_U64) -> int:
    """Read one unsigned number.

    Args:
        text: It, with white space around; None is a file or key that isn't there.
        unlimited: What the word `max` stands for.
        limit: The largest value that has room.

    Returns:
        The number, or 0 for what is none: negative, too large, not decimal.
    """
    text = "" if text is None else text.strip()
    if text == "max":
        return unlimited
    # No number of 64 bits has more digits, and int() of very long ones is slow or refused.
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        return 0
    value = int(text)
    return value if value <= limit else 0


def keyed(text: str | None) -> dict[str, int]:
    """Read lines of `key number`, the format of `memory.stat` and its like."""
    values: dict[str, int] = {}
    for line in (text or "").splitlines():
        fields = line.split()
        if len(fields) == 2:
            values[fields[0]] = number(fields[1])
    return values


def pairs(fields: list[str]) -> dict[str, str]:
    """Read fields of `key=value`, as in `io.stat` and the pressure files."""
    return {key: value for key, equals, value in (item.partition("=") for item in fields) if equals}


def device_number(text: str) -> tuple[int, int] | None:
    """Read a device's `major:minor`; None when it is none."""
    major, colon, minor = text.partition(":")
    if not (colon and major.isdecimal() and minor.isdecimal()):
        return None
    return number(major), number(minor)


def rdma(text: str | None) -> Iterator[tuple[str, int, int]]:
    """Read lines of `device hca_handle=N hca_object=N`: the device, its handles, its objects."""
    for line in (text or "").splitlines():
        device, *fields = line.split() or [""]
        values = pairs(fields)
        if "hca_handle" in values or "hca_object" in values:
            yield (
                device,
                number(values.get("hca_handle"), unlimited=MAX_U32, limit=MAX_U32),
                number(values.get("hca_object"), unlimited=MAX_U32, limit=MAX_U32),
            )


def page_size(folder: str) -> str | None:
    """The name that hugetlb files give a page size: `2MB` for the folder `hugepages-2048kB`.

    Returns:
        The name; None for a folder of another name.
    """
    size = folder.removeprefix(_PAGE_PREFIX).removesuffix(_PAGE_SUFFIX)
    if folder != f"{_PAGE_PREFIX}{size}{_PAGE_SUFFIX}" or not number(size):
        return None
    kibibytes = number(size)
    for shift, unit in ((20, "GB"), (10, "MB")):
        if kibibytes >= 1 << shift:
            return f"{kibibytes >> shift}{unit}"
    return f"{kibibytes}KB"
