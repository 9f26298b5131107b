"""What `shimdiag` prints, and what it says of wrong command lines."""

import pytest

from podshim.api import runhcs_diag_pb2 as pb
from podshim.cli import shimdiag, shimnames
from podshim.win32.binding import ERROR_FILE_NOT_FOUND, failure, message_of


def test_rows_are_aligned_by_tabs() -> None:
    rows = [("Shim", "Pid"), ("k8s.io-abc", "12"), ("x", "3456")]
    assert shimdiag.table(rows) == "Shim \t\t Pid\nk8s.io-abc \t 12\nx \t\t 3456\n"


def test_stacks_of_a_shim_alone() -> None:
    assert shimdiag.describe_stacks(pb.StacksResponse(stacks="here")) == "Stacks:\n here\n"


def test_stacks_of_a_guest_follow() -> None:
    answer = pb.StacksResponse(stacks="here", guest_stacks="there")
    assert shimdiag.describe_stacks(answer) == "Stacks:\n here\nGuest Stacks:\n there\n"


def test_tasks_with_execs() -> None:
    execs = [pb.Exec(id="e1", state="running"), pb.Exec(id="e2", state="exited")]
    answer = pb.TasksResponse(tasks=[pb.Task(id="a", execs=execs), pb.Task(id="b")])
    assert shimdiag.describe_tasks(answer) == ("a\n|\n|----> \trunning: e1\n\texited: e2\n\nb\n")


@pytest.mark.parametrize(
    "words",
    [[], ["nonsense"], ["stacks"], ["stacks", "a", "b"], ["share", "a", "b"], ["exec"]],
)
def test_a_wrong_command_line_is_status_1(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        shimdiag.main(words)
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert "invalid command usage" in said.err
    assert not said.out


def test_exec_without_a_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert shimdiag.main(["exec", "a"]) == 1
    assert "invalid command usage" in capsys.readouterr().err


def test_a_wrong_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert shimdiag.main(["stacks", "a*"]) == 1
    assert capsys.readouterr().err == "shimdiag: invalid shim name a*\n"


def test_a_pipe_that_is_not_there_is_told_in_windows_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = failure(ERROR_FILE_NOT_FOUND, shimnames.address("ns-a"))

    async def fail(name: str) -> None:
        raise error

    monkeypatch.setattr(shimdiag, "find", lambda given: given)
    monkeypatch.setattr(shimdiag, "_connect", fail)
    assert shimdiag.main(["stacks", "ns-a"]) == 1
    place = "\\\\.\\pipe\\ProtectedPrefix\\Administrators\\containerd-shim-ns-a-pipe"
    why = message_of(ERROR_FILE_NOT_FOUND)
    assert capsys.readouterr().err == f"shimdiag: open {place}: {why}\n"
