"""How annotations are read: kinds of values, defaults, and what happens to a value that is none.

Theory of operation. Annotations are texts. `podshim.hcsspec.table` declares each one that the shim
knows as an `Annotation`: its key, the kind of its value, its default, and what it is for. Reading
is the same for all, and typed by the row:

    annotations = Annotations(spec["annotations"])
    limit: int = annotations.get(table.CONTAINER_PROCESSOR_LIMIT)

A text that is no value of its kind counts as absent, with a warning in the log: an annotation that
Kubernetes handed on must not keep a pod from starting. Only where a default would be dangerous is a
wrong text an error (`GUID`). Keys that are in no row are nobody's business here.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from podshim.errors import ShimError
from podshim.hcsspec.expansion import boolean, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_log = logging.getLogger(__name__)

Value = TypeVar("Value")

_SIGNED = re.compile(r"[+-]?[0-9]+")
_UNSIGNED = re.compile(r"[0-9]+")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Kind(Generic[Value]):
    """What values an annotation may have.

    Args:
        name: What a value is, for people.
        parse: Makes a value of a text; raises ValueError if it is none.
        strict: Whether a text that is none is an error.
    """

    name: str
    parse: Callable[[str], Value]
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Annotation(Generic[Value]):
    """A row of the table.

    Args:
        key: The annotation's name, or the beginning of its name if `prefix`.
        kind: What values it may have.
        default: Its value when it is absent (or wrong).
        purpose: What it does, in a few words, with the limits of its values.
        prefix: Whether something is appended to the key.
    """

    key: str
    kind: Kind[Any]  # Any: of the type of the default, or never None where the default is
    default: Value
    purpose: str
    prefix: bool = False


def guid(text: str) -> UUID:
    """A GUID in its usual form, without braces.

    Raises:
        ValueError: It is none.
    """
    if not _GUID.fullmatch(text):
        raise ValueError(f"invalid GUID {quoted(text)}")
    return UUID(text)


def _boolean(text: str) -> bool:
    value = boolean(text)
    if value is None:
        raise ValueError("no boolean")
    return value


def _whole(pattern: re.Pattern[str], least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        # The length keeps int() from refusing, or taking long over, numbers of many digits.
        if not pattern.fullmatch(text) or len(text) > _MOST_DIGITS:
            raise ValueError("no number")
        value = int(text)
        if not least <= value <= most:
            raise ValueError("number out of range")
        return value

    return parse


def _list(parse: Callable[[str], Value]) -> Callable[[str], tuple[Value, ...]]:
    def parse_list(text: str) -> tuple[Value, ...]:
        return tuple(parse(item) for item in text.split(","))

    return parse_list


#: More than any number has without leading zeros; some people write those.
_MOST_DIGITS = 64

_uint32 = _whole(_UNSIGNED, 0, (1 << 32) - 1)
_uint64 = _whole(_UNSIGNED, 0, (1 << 64) - 1)

BOOL: Kind[bool] = Kind("boolean", _boolean)
INT32: Kind[int] = Kind("signed number, 32 bits", _whole(_SIGNED, -(1 << 31), (1 << 31) - 1))
UINT32: Kind[int] = Kind("number, 32 bits", _uint32)
UINT64: Kind[int] = Kind("number, 64 bits", _uint64)
TEXT: Kind[str] = Kind("text", str)
TEXTS: Kind[tuple[str, ...]] = Kind("texts, separated by commas", _list(str))
UINT32S: Kind[tuple[int, ...]] = Kind("numbers, 32 bits, separated by commas", _list(_uint32))
UINT64S: Kind[tuple[int, ...]] = Kind("numbers, 64 bits, separated by commas", _list(_uint64))
GUID: Kind[UUID] = Kind("GUID", guid, strict=True)


class Annotations:
    """The annotations of one container or pod, ready to be read.

    Args:
        values: They themselves, expanded and merged; None for none.
        log: Where warnings of wrong texts go.
    """

    def __init__(self, values: Mapping[str, str] | None, log: logging.Logger = _log) -> None:
        self.values: Mapping[str, str] = values or {}
        self._log = log

    def __contains__(self, annotation: Annotation[Any]) -> bool:
        return annotation.key in self.values

    def get(self, annotation: Annotation[Value]) -> Value:
        """The value of an annotation.

        Raises:
            ShimError: The text is no value and the annotation must not be ignored.
        """
        text = self.values.get(annotation.key)
        kind = annotation.kind
        if text is None or (not text and isinstance(annotation.default, tuple)):
            return annotation.default
        try:
            value: Value = kind.parse(text)
        except ValueError as error:
            if kind.strict:
                raise ShimError(
                    f'failed to parse annotation "{annotation.key}" with value {quoted(text)}'
                    f" as {kind.name}: {error}"
                ) from None
            self.warn(annotation.key, text, kind.name)
            return annotation.default
        return value

    def with_prefix(self, annotation: Annotation[Any]) -> dict[str, str]:
        """The texts of all annotations whose names begin so, by the rest of their names."""
        prefix = annotation.key
        return {
            key[len(prefix) :]: text for key, text in self.values.items() if key.startswith(prefix)
        }

    def warn(self, key: str, text: str, wanted: str) -> None:
        """Log that a text is no value.

        Args:
            key: The annotation's name.
            text: What it says.
            wanted: What it should be.
        """
        self._log.warning(
            "annotation value could not be parsed: %s = %.100r, expected: %s", key, text, wanted
        )
