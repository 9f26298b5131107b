r"""Whom a HostProcess container's processes run as. Pure.

A spec names a user, `DOMAIN\user`, or a local group: then an account is made for the container, a
member of the group, and deleted with it (`podshim.hcsspec.accounts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from podshim.errors import ShimError

_SERVICES: Final = "NT AUTHORITY"


@dataclass(frozen=True, slots=True)
class User:
    """A user who can log on.

    Args:
        name: The name.
        domain: Its domain; empty for none.
        service: Whether it is an account that services have.
    """

    name: str
    domain: str = ""
    service: bool = False


def parse_user(text: str) -> User:
    """The user that a spec names.

    Raises:
        ShimError: It names none.
    """
    if not text:
        raise ShimError("empty username or group name passed")
    parts = text.split("\\")
    if len(parts) > 2 or "\0" in text:
        raise ShimError(f"invalid user string `{text}`")
    if len(parts) == 1:
        return User(text)
    domain, name = parts
    return User(name, domain, service=domain == _SERVICES)
