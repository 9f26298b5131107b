"""Documents as texts: JSON as HCS gets and gives it.

Theory of operation. HCS takes a member that is missing as one that is empty, and refuses some that
are there and empty; `present` leaves empty ones out, while an object stays even with nothing in it,
because HCS takes `{}` as "with defaults" and no object as "none". A text has no needless space, is
as HCS' UTF-16 can hold it, and keeps the members' order: a trace of it can be compared.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from podshim.errors import InvalidArgumentError, ShimError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A JSON object that is being built or was parsed: what is in it is checked by who reads it.
Json: TypeAlias = "dict[str, object]"


def dumps(document: object) -> str:
    """A document as compact text.

    Raises:
        InvalidArgumentError: A spec that is handed on in it holds what can't be written: a number
            beyond all bounds, such as 1e400, or too many levels.
    """
    try:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"a document can't be written as JSON: {error}") from None
    # Half of a surrogate pair can come in as \ud800 and has no UTF-16 form: it is replaced.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def present(members: Mapping[str, object]) -> Json:
    """An object of those members that are not empty.

    None, false, 0, an empty text and an empty list are empty; an object never is.
    """
    return {name: value for name, value in members.items() if value or isinstance(value, dict)}


def parse(text: str, what: str) -> Json:
    """An object that HCS gave.

    Args:
        text: Its text.
        what: What it is, for errors.

    Raises:
        ShimError: It is no JSON object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ShimError(f"{what} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ShimError(f"{what} is no JSON object")
    return value
