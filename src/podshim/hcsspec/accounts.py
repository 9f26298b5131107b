"""The local account that a HostProcess container may get, and how it is known again. Pure.

Theory of operation. A container that names a group for its user runs as an account that is made for
it. Its name is the beginning of the container's id, because `delete`, which takes away what a dead
shim has left, knows no more than that. But a person's account may have such a name as well. So an
account carries in its comment for which container it was made, and only that one's `delete` takes
it away.

Microsoft's shim marks its accounts by nothing. One of them is known by all that it has: a name of
full length, a password for ever, no comment, and a container whose id is a hash, as Kubernetes'
are: nobody is called by twenty hexadecimal digits of one.
"""

from __future__ import annotations

from typing import Final

from podshim.win32.accounts import ORDINARY

#: The longest name that an account of Windows can have.
LONGEST_NAME: Final = 20
_HASH_LENGTH: Final = 64
_HASH_DIGITS: Final = frozenset("0123456789abcdef")


def account_name(container_id: str) -> str:
    """The name of the account that a container gets: its id, or the beginning of it."""
    return container_id[:LONGEST_NAME]


def account_comment(namespace: str, container_id: str) -> str:
    """What the account of a container says of itself."""
    return f"podshim: container {container_id} of namespace {namespace}"


def is_account_of(namespace: str, container_id: str, comment: str, flags: int) -> bool:
    """Whether the account with a container's account name was made for this container.

    Args:
        namespace: The container's namespace of containerd.
        container_id: Its id.
        comment: What the account says of itself.
        flags: What it is.
    """
    if comment:
        return comment == account_comment(namespace, container_id)
    is_hash = len(container_id) == _HASH_LENGTH and _HASH_DIGITS.issuperset(container_id)
    return is_hash and flags & ORDINARY == ORDINARY
