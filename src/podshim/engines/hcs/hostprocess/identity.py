"""Acquiring the token of a HostProcess container's processes, and giving it back. Blocks."""

from __future__ import annotations

import logging
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING

from podshim.engines.hcs.hostprocess.shortcomings import cause
from podshim.engines.hcs.hostprocess.users import parse_user
from podshim.errors import ShimError
from podshim.hcsspec.accounts import account_comment, account_name
from podshim.win32 import accounts, tokens

if TYPE_CHECKING:
    from podshim.win32.handles import Handle

log = logging.getLogger(__name__)


class Identity:
    """Whom a container's processes run as.

    Args:
        token: The token; owned.
        account: The account that was made for it; empty if none was.
    """

    def __init__(self, token: Handle, account: str = "") -> None:
        self.token = token
        self._account = account

    def close(self) -> None:
        """Close the token and delete the account; any number of times.

        Raises:
            OSError: The account could not be deleted.
        """
        self.token.close()
        account, self._account = self._account, ""
        if account:
            accounts.delete_user(account)


def acquire(namespace: str, container_id: str, user: str, *, inherit: bool) -> Identity:
    """Log a container's user on; a group's name makes an account in it first.

    Args:
        namespace: containerd's namespace.
        container_id: The container's id.
        user: What the spec says.
        inherit: Whether to run as we do, whatever it says.

    Raises:
        ShimError: There is no such user, or it can't log on.
    """
    try:
        return (
            Identity(tokens.own_token()) if inherit else _logged_on(namespace, container_id, user)
        )
    except OSError as error:
        text = f"failed to create user process token: failed to logon user: {cause(error)}"
        raise ShimError(text) from error
    except ShimError as error:
        raise ShimError(f"failed to create user process token: {error}") from error


def _logged_on(namespace: str, container_id: str, user: str) -> Identity:
    named = parse_user(user)
    if accounts.is_group(user):
        return _member(namespace, container_id, user)
    kind = tokens.LOGON_SERVICE if named.service else tokens.LOGON_INTERACTIVE
    return Identity(tokens.log_on(named.name, named.domain or None, None, kind))


def _member(namespace: str, container_id: str, group: str) -> Identity:
    name = account_name(container_id)
    password = str(uuid.uuid4())
    with ExitStack() as undo:
        accounts.add_user(name, password, account_comment(namespace, container_id))
        undo.callback(_try_delete, name)
        accounts.add_to_group(group, name)
        token = tokens.log_on(name, None, password, tokens.LOGON_INTERACTIVE)
        undo.pop_all()
        return Identity(token, name)


def _try_delete(account: str) -> None:
    try:
        accounts.delete_user(account)
    except OSError as error:
        log.warning("account %s could not be deleted: %s", account, cause(error))
