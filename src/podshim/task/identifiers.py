"""Which names a client may give: containerd's rule for identifiers, and for a bundle's path.

containerd's daemon checks identifiers before it asks a shim; Go's shim checks nothing. This one
does, since ids become file names, cgroup names and arguments of a program that runs as root.
"""

import json
import os
import re

from podshim.errors import InvalidArgumentError

MAX_LENGTH = 76

_PATTERN = re.compile(r"^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$")


def check_identifier(identifier: str) -> None:
    """Refuse what is no identifier by containerd's rule: letters and digits, joined by . _ or -.

    Args:
        identifier: A task's or an exec's id.

    Raises:
        InvalidArgumentError: In containerd's own words.
    """
    if not identifier:
        raise InvalidArgumentError("identifier must not be empty")
    if len(identifier) > MAX_LENGTH:
        raise InvalidArgumentError(
            f"identifier {json.dumps(identifier)} greater than maximum length"
            f" ({MAX_LENGTH} characters)"
        )
    if _PATTERN.fullmatch(identifier) is None:
        raise InvalidArgumentError(
            f"identifier {json.dumps(identifier)} must match {_PATTERN.pattern}"
        )


def check_exec_identifier(identifier: str) -> None:
    """Refuse what is no id for an exec.

    Raises:
        InvalidArgumentError: It is empty, or no identifier.
    """
    if not identifier:
        raise InvalidArgumentError("exec id cannot be empty")
    check_identifier(identifier)


def check_path(what: str, path: str) -> None:
    """Refuse what can't be a path that means the same to the client and to the shim.

    Args:
        what: What the path is of, for the error's text.
        path: As the client sent it.

    Raises:
        InvalidArgumentError: It is empty, relative, or has a NUL in it.
    """
    if not path:
        raise InvalidArgumentError(f"{what} must not be empty")
    if "\0" in path or not os.path.isabs(path):
        raise InvalidArgumentError(f"{what} {json.dumps(path)} must be an absolute path")
