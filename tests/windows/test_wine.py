"""The Windows environment itself: Python, streams, exit statuses, time limits, leftovers."""

import os
import pty
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from windows import winebox
from windows.winebox import Box, cases, server

WINE = Path(__file__).parent / "wine"

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def wine(box: Box) -> Run:
    """Run the command ``tests/windows/wine`` as a user does."""

    def run(*argv: str, **options: object) -> subprocess.CompletedProcess[bytes]:
        given = {"input": b"", "capture_output": True, **options}
        if "stdin" in given:
            del given["input"]
        env = {**os.environ, "PODSHIM_WINE_MARK": box.mark}
        # The options are subprocess.run's own, whose overloads cannot be named here.
        done: subprocess.CompletedProcess[bytes] = subprocess.run(  # type: ignore[call-overload]
            [WINE, *argv], env=env, check=False, timeout=600, **given
        )
        return done

    return run


def python(box: Box, program: str, *argv: str) -> str:
    done = box.run(["python", "-c", program, *argv])
    if done.returncode and cases.LOST.search(done.stderr.decode()):
        done = box.run(["python", "-c", program, *argv])
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().replace("\r\n", "\n")


def test_python_says_it_is_on_windows_server_2022(box: Box) -> None:
    program = "import platform, sys; print(sys.getwindowsversion()[:3], platform.system())"
    assert python(box, program) == "(10, 0, 20348) Windows\n"


def test_asyncio_runs_its_proactor_loop(box: Box) -> None:
    program = """
import asyncio
async def main():
    process = await asyncio.create_subprocess_exec(
        "cmd", "/c", "echo child", stdout=asyncio.subprocess.PIPE)
    print(type(asyncio.get_running_loop()).__name__, (await process.communicate())[0].split())
asyncio.run(main())
"""
    assert python(box, program) == "ProactorEventLoop [b'child']\n"


def test_protobuf_runs_on_its_c_core(box: Box) -> None:
    program = "from google.protobuf.internal import api_implementation as a; print(a.Type())"
    assert python(box, program) == "upb\n"


def test_podshim_is_the_checkout(box: Box) -> None:
    path = python(box, "import podshim; print(podshim.__file__)").strip()
    source = Path(__file__).parents[2] / "src" / "podshim" / "__init__.py"
    assert box.linux_path(path) == source


def test_compiled_files_stay_out_of_the_checkout(box: Box) -> None:
    path = python(box, "import podshim; print(podshim.__cached__)").strip()
    assert box.linux_path(path).is_relative_to(box.at.box)


def test_pytest_and_its_plugins_run(box: Box, tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        "import hypothesis, hypothesis.strategies as st\n"
        "@hypothesis.given(st.integers())\n"
        "def test_plain(n): assert n == n\n"
        "async def test_loop(): assert True\n"
    )
    folder = box.windows_path(tmp_path)
    options = ["-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "--rootdir", folder]
    done = box.run(["python", "-m", "pytest", *options, folder], cwd=tmp_path)
    assert (done.returncode, b"2 passed" in done.stdout) == (0, True), done.stdout.decode()


def test_console_scripts_of_the_project_are_on_the_path(box: Box) -> None:
    done = box.run(["containerd-shim-runoci-v1", "-v"])
    # Its engine is Linux's, but it can say what it is: the launcher found Python and our module.
    assert (done.returncode, done.stdout.split()[0]) == (0, b"containerd-shim-runoci-v1.exe:")


def test_exit_status_and_streams_pass_through(wine: Run) -> None:
    program = "import sys; print(ascii(sys.stdin.read()), file=sys.stderr); print('out'); exit(7)"
    done = wine("python", "-c", program, input=b"a\nb")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\r\n", b"'a\\nb'\r\n")


def test_binary_data_passes_unchanged_through_pipes(wine: Run) -> None:
    program = "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer, 1 << 16)"
    data = bytes(range(256)) * 4096
    assert wine("python", "-c", program, input=data).stdout == data


def test_streams_may_be_files(wine: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"from a file")
    program = "import sys; sys.stdout.write(sys.stdin.read())"
    with (tmp_path / "in").open() as source, (tmp_path / "out").open("w") as target:
        wine("python", "-c", program, stdin=source, stdout=target, capture_output=False)
    assert (tmp_path / "out").read_bytes() == b"from a file"


def test_streams_may_be_the_null_device(wine: Run) -> None:
    null = subprocess.DEVNULL
    program = "import sys; print('x'); sys.exit(len(sys.stdin.read()) + 5)"
    done = wine("python", "-c", program, stdin=null, stdout=null, stderr=null, capture_output=False)
    assert done.returncode == 5


def test_streams_may_be_a_terminal(wine: Run) -> None:
    ours, theirs = pty.openpty()
    try:
        done = wine(
            "cmd", "/c", "echo hello", stdin=theirs, stdout=theirs, stderr=theirs,
            capture_output=False,
        )  # fmt: skip
        assert (done.returncode, b"hello" in os.read(ours, 4096)) == (0, True)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_command_over_its_time_limit_is_ended_with_its_children(wine: Run, box: Box) -> None:
    program = "import subprocess; subprocess.run(['ping', '-n', '600', '127.0.0.1'])"
    done = wine("--timeout", "3", "python", "-c", program)
    assert (done.returncode, done.stderr) == (124, b"wine: ended after 3 s\n")
    assert box.processes() == []


def test_a_session_ends_what_was_detached_in_it(machine: Box) -> None:
    program = (
        "import subprocess as s; s.Popen(['ping', '-n', '600', '127.0.0.1'], creationflags=8,"
        "stdin=s.DEVNULL, stdout=s.DEVNULL, stderr=s.DEVNULL); print('started')"
    )
    with machine.session() as session:
        assert python(session, program) == "started\n"
        assert session.processes() != []
    assert session.processes() == []


def test_a_detached_program_does_not_hold_the_streams_of_its_starter(wine: Run) -> None:
    program = (
        "import subprocess as s, sys; s.Popen(['ping', '-n', '600', '127.0.0.1'], creationflags=8,"
        "stdin=s.DEVNULL, stdout=s.DEVNULL, stderr=s.DEVNULL); print('a'); sys.stderr.write('b')"
    )
    done = wine("python", "-c", program)
    assert (done.stdout, done.stderr) == (b"a\r\n", b"b")


@pytest.fixture
def incidents(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(winebox.box, "incidents", told)
    return told


def test_a_server_that_hangs_is_replaced(
    box: Box, tmp_path: Path, incidents: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ANSWER_LIMIT", 5.0)
    python(box, "")
    hung = server.running(box.at)
    os.kill(hung, signal.SIGSTOP)
    done = box.run_through(["cmd", "/c", "echo", "well"], env={}, cwd=tmp_path, timeout=10)
    assert (done.returncode, done.stdout) == (0, b"well\r\n")
    assert server.running(box.at) not in {0, hung}
    assert [told.startswith("Wine's server hung") for told in incidents] == [True]


def test_a_program_that_hangs_once_is_run_again(
    box: Box, tmp_path: Path, incidents: list[str]
) -> None:
    python(box, "")
    before = server.running(box.at)
    program = (
        "import os, time; print('working', flush=True)\n"
        "try: os.mkdir('been')\n"
        "except FileExistsError: pass\n"
        "else: time.sleep(600)"
    )
    done = box.run_through(["python", "-c", program], env={}, cwd=tmp_path, timeout=5)
    assert (done.returncode, done.stdout) == (0, b"working\r\n")
    assert server.running(box.at) == before
    (told,) = incidents
    assert told.startswith("run again: Command ")
    assert told.endswith("working\r\n")


def test_a_program_that_hangs_twice_is_late(box: Box, tmp_path: Path, incidents: list[str]) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        box.run_through(["ping", "-n", "600", "127.0.0.1"], env={}, cwd=tmp_path, timeout=3)
    assert len(incidents) == 1
    assert box.processes() == []


CASES = """
import pathlib

def once(name):
    try:
        pathlib.Path(name).mkdir()
    except FileExistsError:
        return False
    return True

def test_good(): pass
def test_lost():
    if once("lost"): raise OSError("[WinError 1359] Internal error")
def test_lost_for_good(): raise TimeoutError
def test_wrong(): assert not once("wrong")
"""


def test_cases_that_wine_may_have_lost_are_run_again(
    box: Box, tmp_path: Path, incidents: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "incidents", incidents)
    file = tmp_path / "case_some.py"
    file.write_text(CASES)
    outcomes = cases.run(box, [file], tmp_path)
    assert {name: one.verdict for name, one in outcomes.items()} == {
        "test_good": "passed",
        "test_lost": "passed",
        "test_lost_for_good": "failed",
        "test_wrong": "failed",
    }
    assert [told.partition(",")[0] for told in incidents] == ["test_lost passed the second time"]


def test_paths_translate_both_ways(box: Box) -> None:
    for path in (Path("/tmp/a b"), box.at.drive_c / "x" / "y.txt"):
        assert box.linux_path(box.windows_path(path)) == path
    with pytest.raises(ValueError, match="no such drive"):
        box.linux_path("Q:\\x")
