"""What kind of upstream a client asks for: judged from the path for standard output alone.

Pure. Clients and shims of this contract are commonly written in Go, so what counts as a URL here is
what Go's `net/url` takes for one: a text that it can't parse, or that has no scheme, is the name of
a pipe.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, unquote_plus

from podshim.errors import ShimError


class Kind(enum.Enum):
    """Where the streams of a process go."""

    PIPES = enum.auto()
    BINARY = enum.auto()


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of a URL that count here.

    Args:
        scheme: In lower case; empty if it has none.
        path: Unescaped; empty if what follows the scheme does not start with a slash.
        query: As it is written.
    """

    scheme: str
    path: str
    query: str


_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_USER: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%-]*")
_HOST: Final = re.compile(
    r"(?:\[[^\]]*\]|[A-Za-z0-9._~!$&'()*+,;=\"<>\[\]\x80-\U0010ffff-]*)(?::[0-9]*)?"
)


def parse_url(text: str) -> Url:
    """Take a URL apart as Go does.

    Raises:
        ValueError: It is none.
    """
    if _CONTROL.search(text):
        raise ValueError("invalid control character in URL")
    rest = text.partition("#")[0]
    if rest.startswith(":"):
        raise ValueError("missing protocol scheme")
    found = _SCHEME.fullmatch(rest)
    scheme = ""
    if found is not None:
        scheme, rest = found[1].lower(), found[2]
    rest, _, query = rest.partition("?")
    if not rest.startswith("/"):
        if scheme:
            return Url(scheme, "", query)  # an opaque URL has no path
        if ":" in rest.partition("/")[0]:
            raise ValueError("first path segment in URL cannot contain colon")
    elif rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        _check_authority(authority)
        rest = slash + path
    if _BAD_ESCAPE.search(rest):
        raise ValueError("invalid URL escape")
    return Url(scheme, unquote(rest), query)


def _check_authority(authority: str) -> None:
    user, _, host = authority.rpartition("@")
    if not _USER.fullmatch(user) or _BAD_ESCAPE.search(user):
        raise ValueError("net/url: invalid userinfo")
    if not _HOST.fullmatch(host):
        raise ValueError("invalid host in URL")


def query_pairs(query: str) -> list[tuple[str, str]]:
    """The keys of a query in their order, each with the first of its values.

    What is not well written is left out: pairs with a semicolon or a broken escape.
    """
    pairs: dict[str, str] = {}
    for part in query.split("&"):
        if not part or ";" in part or _BAD_ESCAPE.search(part):
            continue
        key, _, value = part.partition("=")
        pairs.setdefault(unquote_plus(key), unquote_plus(value))
    return list(pairs.items())


def kind_of(stdout: str) -> tuple[Kind, Url | None]:
    """Say what upstream a path for standard output means; of a logger also its URL.

    Raises:
        ShimError: It has a scheme that means nothing here.
    """
    try:
        url = parse_url(stdout)
    except ValueError:
        return Kind.PIPES, None
    if not url.scheme:
        return Kind.PIPES, None
    if url.scheme != "binary":
        raise ShimError(f"scheme must be 'binary', got: '{url.scheme}'")
    return Kind.BINARY, url
