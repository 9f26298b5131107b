"""Documents without secrets, for logs.

Theory of operation. Users put secrets into environment variables, annotations, credential specs;
documents and specs have all of these. Before a document goes into a log, the values of such members
become `<scrubbed>`; their names stay, because they help. A document inside a text of a document
(guests are asked that way) is scrubbed as well. What is no JSON is not shown at all.

Administrators can switch it off, to see everything: then documents go into logs as they are.
"""

from __future__ import annotations

import json

REPLACEMENT = "<scrubbed>"

#: Members whose values are secret, in lower case: whatever is in them, names apart.
_SECRET = frozenset(
    {
        "annotations",
        "cookie",
        "credentials",
        "credentialspec",
        "env",
        "environment",
        "securitypolicy",
    }
)

#: Deeper than any document of Windows or OCI; deeper ones are not shown.
_MOST_LEVELS = 100


def scrubbed(document: str, *, enabled: bool = True) -> str:
    """A JSON document as it may be logged.

    Args:
        document: Its text; an empty one stays so.
        enabled: Whether to scrub; otherwise it comes back as it is.
    """
    if not enabled or not document:
        return document
    try:
        value = json.loads(document)
        return json.dumps(_scrub(value, _MOST_LEVELS), separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):
        return REPLACEMENT


def _scrub(value: object, levels: int) -> object:
    if not levels:
        return REPLACEMENT
    if isinstance(value, dict):
        return {
            name: _hidden(member) if name.lower() in _SECRET else _scrub(member, levels - 1)
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [_scrub(item, levels - 1) for item in value]
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        return scrubbed(value)
    return value


def _hidden(value: object) -> object:
    if isinstance(value, dict):
        return dict.fromkeys(value, REPLACEMENT)
    if isinstance(value, list):
        return [REPLACEMENT] * len(value)
    return value if value is None else REPLACEMENT
