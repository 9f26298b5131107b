"""`delete` of Windows' contract, with accounts and an engine that are pretended."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import podshim
from podshim.api.task_v2_pb2 import DeleteResponse
from podshim.bundle import Bundle, ExitRecord
from podshim.errors import ShimError
from podshim.hcsspec.accounts import account_comment
from podshim.shim.runhcs.command import DELETE, Command
from podshim.shim.runhcs.delete import DeleteError, delete
from podshim.task.runhcs.host import WindowsEngine
from podshim.win32 import accounts
from podshim.win32.binding import failure

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "a-container-with-a-long-name"
MARK = account_comment("n", ID)


class Engine(WindowsEngine):
    deleted: list[str] = []  # noqa: RUF012 - a test looks into it

    @classmethod
    def force_delete(cls, container_id: str, say: Callable[[str], None]) -> None:
        cls.deleted.append(container_id)


class Complaining(Engine):
    @classmethod
    def force_delete(cls, container_id: str, say: Callable[[str], None]) -> None:
        say("failed to terminate")
        raise ShimError("timed out")


class Accounts:
    """Stands for Windows' functions that find and delete accounts; there is one of every name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.deleted: list[tuple[str | None, str]] = []
        self.found = 0
        self.answer = 0
        self.comment: str | None = MARK
        self.flags = accounts.ORDINARY
        self.kept: list[Any] = []
        monkeypatch.setattr(accounts, "_user_info", self.info)
        monkeypatch.setattr(accounts, "_user_delete", self.delete)
        monkeypatch.setattr(accounts, "_free", lambda _: self.kept.pop())

    def info(self, server: str | None, name: str, level: int, into: Any) -> int:
        assert (server, name, level) == (None, ID[:20], 1)
        if not self.found:
            self.kept.append(accounts._UserInfo(comment=self.comment, flags=self.flags))
            into._obj.value = ctypes.addressof(self.kept[-1])
        return self.found

    def delete(self, server: str | None, name: str) -> int:
        self.deleted.append((server, name))
        return self.answer


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Accounts:
    return Accounts(monkeypatch)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    command = Command(DELETE)
    command.namespace, command.id, command.bundle = "n", ID, str(tmp_path)
    return command


def run(command: Command, engine: type[WindowsEngine] = Engine) -> tuple[DeleteResponse, list[str]]:
    said: list[str] = []
    return DeleteResponse.FromString(delete(lambda: engine, command, said.append)), said


def test_everything_is_asked_for_and_the_answer_is_255(command: Command, known: Accounts) -> None:
    before = time.time()
    answer, said = run(command)
    assert said == []
    assert Engine.deleted[-1] == ID
    assert known.deleted == [(None, ID[:20])]
    assert not known.kept
    assert (answer.pid, answer.exit_status) == (0, 255)
    assert before - 0.001 <= answer.exited_at.ToNanoseconds() / 1e9 <= time.time() + 0.001


@pytest.mark.parametrize("code", [0, accounts.NERR_USER_NOT_FOUND])
def test_accounts_that_are_gone_are_silent(command: Command, known: Accounts, code: int) -> None:
    known.found = known.answer = code
    assert run(command)[1] == []


def test_an_account_that_cant_be_looked_at_stays(command: Command, known: Accounts) -> None:
    known.found = 5
    text = failure(5).strerror
    assert run(command)[1] == [f'failed to delete user "{ID[:20]}": {text}\n']
    assert known.deleted == []


@pytest.mark.parametrize("comment", [None, "", "Ann of the third floor", account_comment("x", ID)])
def test_an_account_of_somebody_else_stays(
    command: Command, known: Accounts, comment: str | None
) -> None:
    known.comment = comment
    (said,) = run(command)[1]
    assert "level=warning" in said
    assert f'but was not made for it" user={ID[:20]}\n' in said
    assert known.deleted == []


def test_an_account_that_stays_is_told(command: Command, known: Accounts) -> None:
    known.answer = 5
    text = failure(5).strerror
    assert run(command)[1] == [f'failed to delete user "{ID[:20]}": {text}\n']


def test_a_container_that_stays_fails_it(command: Command, known: Accounts) -> None:
    said: list[str] = []
    with pytest.raises(ShimError, match="timed out"):
        delete(lambda: Complaining, command, said.append)
    assert said == ["failed to terminate\n"]


def test_a_bundle_is_needed_before_anything_is_done(command: Command, known: Accounts) -> None:
    command.bundle = ""
    with pytest.raises(DeleteError, match="bundle is required"):
        run(command)
    assert known.deleted == []


def test_records_of_others_mean_nothing(command: Command, known: Accounts) -> None:
    Bundle(command.bundle).write_exit(ExitRecord(5, 7, 9, deleted=True))
    assert run(command)[0].exit_status == 255


def test_what_a_dead_shim_said_is_one_line(command: Command, known: Accounts) -> None:
    Bundle(command.bundle).write("panic.log", b'panic: "x"\n  at \xff\n')
    said = run(command)[1]
    assert len(said) == 1
    stamp, _, rest = said[0].partition(" ")
    assert time.strptime(stamp, 'time="%Y-%m-%dT%H:%M:%SZ"')
    wanted = (
        'level=warning msg="found shim panic logs during delete"'
        ' log="panic: \\"x\\"\\n  at \ufffd\\n"\n'
    )
    assert rest == wanted


def test_no_event_loop_is_loaded() -> None:
    # containerd gives `delete` five seconds, Python's start on a crowded disk included.
    source = Path(podshim.__file__).parent.parent
    program = (
        f"import sys; sys.path.insert(0, {str(source)!r})\n"
        "import podshim.shim.runhcs.delete, podshim.engines.hcs.engine\n"
        "import podshim.engines.hcs.cleanup\n"
        "print(*{'asyncio', 'socket', 'ssl', 'subprocess', 'google'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, check=True, text=True
    )
    assert run.stdout.split() == []
