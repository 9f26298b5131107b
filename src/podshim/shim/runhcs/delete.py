"""The `delete` command on Windows: clean up after a shim.

Theory of operation. containerd runs it whenever its connection to a shim has ended: after every
ordinary deletion, when there is nothing left to do, and when a shim died, when everything is. It
tells what the shim wrote before it died, ends the container's system and removes the account that
was made for a HostProcess container; one that only has its name is somebody's, and stays. That
something is not there is no error; what fails is told on standard error, which containerd logs, and
does not stop the rest. Only a container that does not end in time fails the command.

The contract has one answer to how the container ended: status 255, now. The shim keeps no record in
the bundle that would say more.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from podshim import wire
from podshim.bundle import PANIC_LOG, Bundle
from podshim.hcsspec.accounts import account_name, is_account_of
from podshim.shim.logfmt import quote
from podshim.win32 import accounts
from podshim.win32.binding import code_of, message_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from podshim.shim.runhcs.command import Command
    from podshim.task.runhcs.host import WindowsEngine

MAX_PANIC_LOG = 1 << 20
UNKNOWN_STATUS = 255


class DeleteError(Exception):
    """The command line lacks something."""


def delete(
    load: Callable[[], type[WindowsEngine]], command: Command, say: Callable[[str], None]
) -> bytes:
    """Do what `delete` does.

    Args:
        load: Imports the engine's class.
        command: The command line.
        say: Takes what containerd shall write into its log.

    Returns:
        What to print: a serialized `containerd.task.v2.DeleteResponse`.

    Raises:
        DeleteError: No bundle is named.
        ShimError: The container did not end in time.
    """
    if not command.bundle:
        raise DeleteError("bundle is required")
    _report_panic(Bundle(command.bundle), say)
    load().force_delete(command.id, lambda line: say(line.rstrip("\n") + "\n"))
    _delete_account(command.namespace, command.id, say)
    return wire.delete_response(0, UNKNOWN_STATUS, time.time_ns())


def _report_panic(bundle: Bundle, say: Callable[[str], None]) -> None:
    """Tell what a shim wrote before it died."""
    try:
        with open(bundle.file(PANIC_LOG), "rb") as file:
            words = file.read(MAX_PANIC_LOG)
    except FileNotFoundError:
        return
    except OSError as error:
        say(_record("failed to open shim panic log", error=text_of(error)))
        return
    if words:
        say(_record("found shim panic logs during delete", log=words.decode(errors="replace")))
    if len(words) == MAX_PANIC_LOG:
        say(_record("panic log file is larger than 1MB, only the first 1MB is logged"))


def _delete_account(namespace: str, container_id: str, say: Callable[[str], None]) -> None:
    name = account_name(container_id)
    try:
        account = accounts.find_user(name)
        if account is None:
            return
        if is_account_of(namespace, container_id, account.comment, account.flags):
            accounts.delete_user(name)
        else:
            say(_record("an account has the container's name, but was not made for it", user=name))
    except OSError as error:
        say(f'failed to delete user "{name}": {message_of(code_of(error))}\n')


def _record(message: str, **fields: str) -> str:
    """A log record of level warning, as a line of text."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    parts = [f'time="{stamp}"', "level=warning", f"msg={quote(message)}"]
    return " ".join([*parts, *(f"{key}={quote(value)}" for key, value in fields.items())]) + "\n"
