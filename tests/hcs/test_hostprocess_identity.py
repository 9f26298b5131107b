"""Whom HostProcess containers run as, with a machine of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from podshim.engines.hcs.hostprocess import identity
from podshim.engines.hcs.hostprocess.identity import acquire
from podshim.errors import ShimError
from podshim.hcsspec.accounts import account_comment
from podshim.win32.binding import failure

if TYPE_CHECKING:
    from collections.abc import Callable


class Token:
    def __init__(self, log: list[Any]) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Machine:
    """Accounts and tokens that are only written down; `fails` names what goes wrong."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.groups = {"Workers"}
        self.fails = ""
        self.passwords: list[str] = []
        self.comments: list[str] = []

    def does(self, what: str, *about: Any) -> None:
        self.log.append((what, *about))
        if what == self.fails:
            raise failure(1326, what)

    def own_token(self) -> Token:
        self.does("own")
        return Token(self.log)

    def log_on(self, user: str, domain: str | None, password: str | None, kind: int) -> Token:
        self.does("log on", user, domain, kind)
        assert (password is None) == (not self.passwords)
        return Token(self.log)

    def is_group(self, name: str) -> bool:
        return name in self.groups

    def add_user(self, name: str, password: str, comment: str) -> None:
        self.passwords.append(password)
        self.comments.append(comment)
        self.does("add", name)

    def add_to_group(self, group: str, user: str) -> None:
        self.does("join", group, user)

    def delete_user(self, name: str) -> None:
        self.does("delete", name)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    calls: dict[str, Callable[..., Any]] = {
        "tokens.own_token": made.own_token,
        "tokens.log_on": made.log_on,
        "accounts.is_group": made.is_group,
        "accounts.add_user": made.add_user,
        "accounts.add_to_group": made.add_to_group,
        "accounts.delete_user": made.delete_user,
    }
    for name, call in calls.items():
        module, _, function = name.partition(".")
        monkeypatch.setattr(getattr(identity, module), function, call)
    return made


def test_inheriting_needs_no_user(machine: Machine) -> None:
    found = acquire("n", "c1", "", inherit=True)
    found.close()
    assert machine.log == [("own",)]


@pytest.mark.parametrize(
    ("user", "logon"),
    [
        ("ann", ("log on", "ann", None, 2)),
        ("dom\\ann", ("log on", "ann", "dom", 2)),
        ("NT AUTHORITY\\Local Service", ("log on", "Local Service", "NT AUTHORITY", 5)),
    ],
)
def test_users_log_on(machine: Machine, user: str, logon: tuple[Any, ...]) -> None:
    acquire("n", "c1", user, inherit=False).close()
    assert machine.log == [logon]


@pytest.mark.parametrize(("container", "account"), [("short", "short"), ("x" * 64, "x" * 20)])
def test_a_group_makes_an_account(machine: Machine, container: str, account: str) -> None:
    found = acquire("n", container, "Workers", inherit=False)
    assert machine.log == [
        ("add", account),
        ("join", "Workers", account),
        ("log on", account, None, 2),
    ]
    found.close()
    found.close()
    assert machine.log[3:] == [("delete", account)]
    assert found.token.closed
    assert machine.comments == [account_comment("n", container)]


def test_every_account_has_its_own_password(machine: Machine) -> None:
    for container in ("a", "b"):
        acquire("n", container, "Workers", inherit=False).close()
    assert len(set(machine.passwords)) == 2
    assert all(len(password) == 36 for password in machine.passwords)


@pytest.mark.parametrize("fails", ["join", "log on"])
def test_a_failure_leaves_no_account(machine: Machine, fails: str) -> None:
    machine.fails = fails
    with pytest.raises(ShimError) as caught:
        acquire("n", "c1", "Workers", inherit=False)
    text = "failed to create user process token: failed to logon user: "
    assert str(caught.value).startswith(text)
    assert machine.log[-1] == ("delete", "c1")


def test_an_account_that_there_is_stays(machine: Machine) -> None:
    machine.fails = "add"
    with pytest.raises(ShimError, match="failed to logon user"):
        acquire("n", "c1", "Workers", inherit=False)
    assert machine.log == [("add", "c1")]


@pytest.mark.parametrize(
    ("user", "reason"),
    [("", "empty username or group name passed"), ("a\\b\\c", "invalid user string `a\\b\\c`")],
)
def test_no_user(machine: Machine, user: str, reason: str) -> None:
    with pytest.raises(ShimError) as caught:
        acquire("n", "c1", user, inherit=False)
    assert str(caught.value) == f"failed to create user process token: {reason}"
    assert not machine.log


def test_an_account_that_cant_be_deleted_is_told(machine: Machine) -> None:
    found = acquire("n", "c1", "Workers", inherit=False)
    machine.fails = "delete"
    with pytest.raises(OSError, match=r".+"):
        found.close()
    assert found.token.closed
