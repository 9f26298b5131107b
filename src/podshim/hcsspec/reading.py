"""Reading members of an OCI spec: a path through parsed JSON, and a check where it ends.

Theory of operation. A spec comes from a client as JSON, so that any member may be missing, null or
of another type than the OCI runtime spec says. `Member(spec)["windows"]["resources"]["memory"]`
walks down without ever failing over what is missing: it ends at a member that is absent. Only the
reader at the end looks at the value: `.unsigned(64)`, `.text()`, `.objects()`. Null counts as
missing, everywhere. What has another type is refused by its path in the document, so that a user
finds it:

    config.json: windows.resources.memory.limit must be a number from 0 to 18446744073709551615

Numbers are whole and as wide as their type in the OCI spec: no 1.5, no 1e3, no true.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from podshim.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Member:
    """A member of a JSON document, there or not.

    Args:
        value: What the document has there; None if nothing or null.
        path: Where it is, for errors; empty for the document itself.
        document: The document's name, for errors.
    """

    __slots__ = ("document", "path", "value")

    def __init__(self, value: object, path: str = "", document: str = "config.json") -> None:
        self.value = value
        self.path = path
        self.document = document

    def __repr__(self) -> str:
        return f"Member({self.value!r}, {self.path!r})"

    def __getitem__(self, name: str) -> Member:
        """A member of this object; absent if this one is.

        Raises:
            InvalidArgumentError: This is there, but no object.
        """
        value = self.value
        path = f"{self.path}.{name}" if self.path else name
        if value is None:
            return Member(None, path, self.document)
        if not isinstance(value, Mapping):
            raise self.wrong("an object")
        return Member(value.get(name), path, self.document)

    @property
    def present(self) -> bool:
        """Whether there is anything but null."""
        return self.value is not None

    def wrong(self, wanted: str) -> InvalidArgumentError:
        """The error for a value that is not what it must be.

        Args:
            wanted: What it must be, such as `a string`.
        """
        where = self.path or "the document"
        return InvalidArgumentError(f"{self.document}: {where} must be {wanted}")

    def text(self, default: str = "") -> str:
        """A string; one with a NUL, where Windows would end it, is none.

        Raises:
            InvalidArgumentError: It is of another type.
        """
        if self.value is None:
            return default
        if not isinstance(self.value, str):
            raise self.wrong("a string")
        if "\0" in self.value:
            raise self.wrong("a string without NUL characters")
        return self.value

    def flag(self, *, default: bool = False) -> bool:
        """A boolean.

        Raises:
            InvalidArgumentError: It is of another type.
        """
        if self.value is None:
            return default
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def unsigned(self, bits: int) -> int | None:
        """An unsigned number of so many bits; None if absent.

        Raises:
            InvalidArgumentError: It is no whole number, or does not fit.
        """
        return self._whole(0, (1 << bits) - 1)

    def signed(self, bits: int) -> int | None:
        """A signed number of so many bits; None if absent.

        Raises:
            InvalidArgumentError: It is no whole number, or does not fit.
        """
        return self._whole(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    def items(self) -> list[Member]:
        """The elements of a list; none if absent.

        Raises:
            InvalidArgumentError: It is no list.
        """
        if self.value is None:
            return []
        if not isinstance(self.value, (list, tuple)):
            raise self.wrong("a list")
        return [
            Member(item, f"{self.path}[{index}]", self.document)
            for index, item in enumerate(self.value)
        ]

    def objects(self) -> list[Member]:
        """The elements of a list of objects; null elements count as empty objects.

        Raises:
            InvalidArgumentError: It is no list, or an element is no object.
        """
        found = []
        for item in self.items():
            if item.present and not isinstance(item.value, Mapping):
                raise item.wrong("an object")
            found.append(item)
        return found

    def texts(self) -> Sequence[str]:
        """A list of strings; none if absent, null elements count as empty.

        Raises:
            InvalidArgumentError: It is no list, or an element is no string.
        """
        return [item.text() for item in self.items()]

    def members(self) -> dict[str, object]:
        """All members of an object as they are; empty if absent.

        Raises:
            InvalidArgumentError: It is no object.
        """
        if self.value is None:
            return {}
        if not isinstance(self.value, Mapping):
            raise self.wrong("an object")
        return dict(self.value)

    def mapping(self) -> dict[str, str]:
        """An object of strings, such as annotations; empty if absent.

        Raises:
            InvalidArgumentError: It is no object, or a value is no string.
        """
        return {name: self[name].text() for name in self.members()}

    def _whole(self, least: int, most: int) -> int | None:
        value = self.value
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(f"a number from {least} to {most}")
        return value


def annotations_of(spec: Mapping[str, object]) -> dict[str, str]:
    """The annotations of a spec, empty if it has none.

    Raises:
        InvalidArgumentError: They are no object of strings.
    """
    return Member(spec)["annotations"].mapping()
