"""`ctr task ...`: what is done to a container that runs."""

import json
from collections.abc import Iterator

import pytest

from support import census
from support.box import FOREVER, Box
from support.events import Events
from support.terminal import Terminal
from support.waiting import eventually


@pytest.fixture
def task(box: Box) -> Iterator[str]:
    """A running container."""
    box.detach("task")
    yield "task"
    box.remove("task")


@pytest.mark.core
@pytest.mark.parametrize("status", [0, 1, 42, 127])
def test_exec_gives_its_status_and_output(box: Box, task: str, status: int) -> None:
    done = box.exec(task, "sh", "-c", f"echo out; echo err >&2; exit {status}")
    assert (done.returncode, done.stdout, done.stderr) == (status, "out\n", "err\n")


def test_exec_reads_its_input(box: Box, task: str) -> None:
    text = "x" * 300_000
    words = ["task", "exec", "--exec-id", "copy", task, "cat"]
    assert box.converse(*words, stdin=text, until=text).stdout.decode() == text


def test_exec_in_a_terminal(box: Box, task: str) -> None:
    words = ["task", "exec", "--exec-id", "shell", "--tty", task, "sh"]
    with Terminal(box.command(*words), size=(20, 70)) as terminal:
        terminal.expect("# ")
        terminal.type("stty size\n")
        terminal.expect("20 70")
        terminal.type("exit 9\n")
        assert terminal.end() == 9


@pytest.mark.core
def test_exec_of_a_missing_program_says_so_and_harms_nothing(box: Box, task: str) -> None:
    done = box.exec(task, "no-such-program")
    assert done.returncode != 0
    assert "no-such-program" in done.stderr
    assert box.exec(task, "true").returncode == 0


def test_execs_see_the_container_not_the_host(box: Box, task: str) -> None:
    assert box.exec(task, "cat", "/proc/1/comm").stdout == "sh\n"
    assert box.exec(task, "id", "-u", flags=["--user", "1000"]).stdout == "1000\n"


def test_exec_ids_can_be_used_again(box: Box, task: str) -> None:
    for _ in range(3):
        assert box.exec(task, "echo", "again").stdout == "again\n"


def test_a_signal_reaches_the_init(box: Box, task: str) -> None:
    with Events(box.containerd) as events:
        box.ctr("task", "kill", "--signal", "SIGTERM", task)
        ended = events.wait(task, "/tasks/exit")[-1]
    assert ended.fields.get("exit_status", 0) == 0  # its trap has run
    box.wait_status(task, "STOPPED")


@pytest.mark.core
def test_killing_a_task_that_has_ended_is_not_found(box: Box, task: str) -> None:
    box.ctr("task", "kill", "--signal", "SIGKILL", task)
    box.wait_status(task, "STOPPED")
    done = box.ctr("task", "kill", task, check=False)
    assert done.returncode != 0
    assert "not found" in done.stderr


def test_a_running_task_can_not_be_deleted(box: Box, task: str) -> None:
    done = box.ctr("task", "delete", task, check=False)
    assert done.returncode != 0
    assert box.status(task) == "RUNNING"


@pytest.mark.core
def test_pause_and_resume(box: Box, task: str) -> None:
    with Events(box.containerd) as events:
        box.ctr("task", "pause", task)
        assert box.status(task) == "PAUSED"
        assert box.exec(task, "true").returncode != 0
        assert box.ctr("task", "pause", task, check=False).returncode != 0
        box.ctr("task", "resume", task)
        assert box.status(task) == "RUNNING"
        assert box.exec(task, "true").returncode == 0
        events.wait(task, "/tasks/resumed")
        topics = [event.topic for event in events.of(task)]
    assert topics.index("/tasks/paused") < topics.index("/tasks/resumed")


@pytest.mark.core
def test_ps_lists_the_processes(box: Box, task: str) -> None:
    lines = box.ctr("task", "ps", task).stdout.splitlines()[1:]
    pids = {int(line.split()[0]) for line in lines}
    init = box.pid(task)
    assert pids == {init, *census.children(init)}
    assert len(pids) == 2  # the shell and its sleep


@pytest.mark.core
def test_metrics(box: Box, task: str) -> None:
    output = box.ctr("task", "metrics", "--format", "json", task).stdout
    metrics = json.loads(output)
    assert 0 < metrics["memory"]["usage"]["usage"] < 1 << 30
    assert metrics["cpu"]["usage"]["total"] > 0
    assert metrics["pids"]["current"] == 2


def test_orphans_are_reaped(box: Box) -> None:
    # With the host's pid namespace orphans fall to the shim, the next subreaper.
    box.detach("host", *FOREVER, flags=["--null-io", "--with-ns", "pid:/proc/1/ns/pid"])
    shim = census.processes()[box.pid("host")].parent
    before = set(census.children(shim))
    command = "for i in $(seq 50); do (true & ) ; done"
    assert box.exec("host", "sh", "-c", command).returncode == 0
    eventually(lambda: set(census.children(shim)) <= before, "the orphans have ended")
    eventually(lambda: not census.zombies(shim), "they are reaped")
    box.remove("host")


def test_killing_all_ends_every_process(box: Box) -> None:
    box.detach("host", *FOREVER, flags=["--null-io", "--with-ns", "pid:/proc/1/ns/pid"])
    init = box.pid("host")
    family = {init, *census.children(init)}
    assert len(family) == 2
    box.ctr("task", "kill", "--all", "--signal", "SIGKILL", "host")
    box.wait_status("host", "STOPPED")
    eventually(lambda: not any(map(census.is_alive, family)), "all are gone")
    box.remove("host")
