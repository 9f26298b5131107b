"""`ctr run`: a container from its start to its end, in front of its user."""

import pytest

from support import census
from support.box import Box
from support.events import Events
from support.terminal import Terminal
from support.waiting import eventually


@pytest.mark.core
def test_output_and_nothing_left(box: Box) -> None:
    before = set(census.shims())
    done = box.run("hello", "sh", "-c", "echo to stdout; echo to stderr >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "to stdout\n", "to stderr\n")
    eventually(lambda: set(census.shims()) <= before, "the shim is gone")
    assert not box.bundle("hello").exists()


@pytest.mark.core
@pytest.mark.parametrize("status", [0, 1, 42, 127, 255])
def test_exit_status(box: Box, status: int) -> None:
    assert box.run("code", "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize(("signal", "status"), [("KILL", 137), ("TERM", 143), ("SEGV", 139)])
def test_death_by_a_signal(box: Box, signal: str, status: int) -> None:
    with Events(box.containerd) as events:
        box.detach(
            "victim", "sleep", "1000", flags=["--null-io", "--with-ns", "pid:/proc/1/ns/pid"]
        )
        box.ctr("task", "kill", "--signal", f"SIG{signal}", "victim")
        (ended,) = [e for e in events.wait("victim", "/tasks/exit") if e.topic == "/tasks/exit"]
        assert ended.fields["exit_status"] == status
        box.wait_status("victim", "STOPPED")
        box.remove("victim")


def test_input_through_a_pipe(box: Box) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    done = box.converse(*box.run_words("copy", ["cat"], ["--rm"]), stdin=text, until=text)
    assert (done.returncode, done.stdout.decode()) == (0, text)


def test_large_output_is_complete(box: Box) -> None:
    text = "".join(f"{number}\n" for number in range(1, 200_001))
    program = ["sh", "-c", "seq 1 200000; read answer; exit 3"]
    done = box.converse(*box.run_words("large", program, ["--rm"]), stdin="", until=text)
    assert (done.returncode, done.stdout.decode()) == (3, text)


@pytest.mark.core
def test_terminal(box: Box) -> None:
    words = box.run_words("tty", ["sh"], ["--rm", "--tty"])
    with Terminal(box.command(*words), size=(33, 99)) as terminal:
        terminal.expect("# ")
        terminal.type("stty size; tty\n")
        terminal.expect("33 99")
        terminal.expect("/dev/pts/0")
        terminal.resize(40, 132)
        terminal.type("until [ \"$(stty size)\" = '40 132' ]; do :; done; echo resized $((1+1))\n")
        # ctr misses a change that comes right after it has passed the first size on.
        terminal.expect("resized 2", remind=terminal.say_size)
        terminal.type("exit 7\n")
        assert terminal.end() == 7


def test_terminal_output_is_complete(box: Box) -> None:
    # ctr leaves with the container, before a terminal's last output: that is e2e/test_terminal's.
    program = ["sh", "-c", "seq 1 20000; read answer"]
    with Terminal(box.command(*box.run_words("tty", program, ["--rm", "--tty"]))) as terminal:
        terminal.expect("20000\r")
        terminal.type("\n")
        assert terminal.end() == 0
        assert terminal.output.split() == [b"%d" % number for number in range(1, 20_001)]


def test_events_of_a_life_in_order(box: Box) -> None:
    with Events(box.containerd) as events:
        assert box.run("life", "sh", "-c", "exit 5").returncode == 5
        seen = events.wait("life", "/tasks/delete")
    topics = [event.topic for event in seen]
    order = ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]
    if box.runtime.ours:
        assert topics == order
    else:
        assert sorted(topics) == sorted(order)  # Go's shim may announce the exit last
    assert {event.namespace for event in seen} == {box.namespace}
    (ended,) = [event for event in seen if event.topic == "/tasks/exit"]
    assert ended.fields["exit_status"] == 5
    assert ended.fields["id"] == "life"


def test_many_at_once(box: Box) -> None:
    names = [f"c{number}" for number in range(8)]
    for name in names:
        box.detach(name)
    assert {status for _, status in box.tasks().values()} == {"RUNNING"}
    for name in names:
        box.ctr("task", "kill", name)
    for name in names:
        box.wait_status(name, "STOPPED")
    box.remove(*names)
