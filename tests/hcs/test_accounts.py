"""Accounts of HostProcess containers: their names, and whose they are."""

from __future__ import annotations

import pytest

from podshim.hcsspec.accounts import account_comment, account_name, is_account_of
from podshim.win32.accounts import ORDINARY

HASH = "0123456789abcdef" * 4
#: UF_SCRIPT: the system sets it by itself.
SCRIPT = 1


@pytest.mark.parametrize(("container", "account"), [("c1", "c1"), ("x" * 64, "x" * 20), ("", "")])
def test_an_account_is_named_after_its_container(container: str, account: str) -> None:
    assert account_name(container) == account


@pytest.mark.parametrize("container", ["bob", HASH])
def test_an_account_knows_its_container(container: str) -> None:
    comment = account_comment("n", container)
    assert is_account_of("n", container, comment, 0)
    assert is_account_of("n", container, comment, ORDINARY | SCRIPT)
    assert not is_account_of("other", container, comment, ORDINARY)
    assert not is_account_of("n", container + "0", comment, ORDINARY)


def test_of_two_containers_with_one_account_name_only_one_has_it() -> None:
    one, other = "x" * 20 + "1", "x" * 20 + "2"
    assert account_name(one) == account_name(other)
    assert not is_account_of("n", other, account_comment("n", one), ORDINARY)


@pytest.mark.parametrize(
    ("container", "comment", "flags", "is_its"),
    [
        (HASH, "", ORDINARY | SCRIPT, True),
        (HASH, "", 0x200 | SCRIPT, False),
        (HASH, "", 0x10000, False),
        (HASH, "someone's", ORDINARY, False),
        (HASH[:63], "", ORDINARY, False),
        (HASH + "0", "", ORDINARY, False),
        (HASH.upper(), "", ORDINARY, False),
        (HASH[:63] + "g", "", ORDINARY, False),
        ("a-container-with-a-long-name", "", ORDINARY, False),
        ("bob", "", ORDINARY, False),
    ],
)
def test_unmarked_accounts_are_microsofts_if_nobody_could_be_called_so(
    container: str, comment: str, flags: int, is_its: bool
) -> None:
    assert is_account_of("n", container, comment, flags) is is_its
