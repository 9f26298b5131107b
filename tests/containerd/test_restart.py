"""containerd is killed and started again while containers run: they must not notice."""

import os
import signal

import pytest

from support import census
from support.box import Box
from support.containerd import Containerd, Runtime
from support.pods import K8S, pod
from support.waiting import eventually

#: Ends at SIGTERM, having printed 60 KiB of numbered lines.
_LAST_WORDS = (
    "trap 'seq 1000000 1007679; exit 5' TERM; echo up; while :; do sleep 1000 & wait $!; done"
)
_LINES = [str(number) for number in range(1000000, 1007680)]


@pytest.mark.core
def test_containers_survive(own_box: Box) -> None:
    init = own_box.detach("survivor")
    shims = set(own_box.containerd.shims())
    own_box.containerd.kill()
    assert census.is_alive(init)
    own_box.containerd.start()
    assert own_box.tasks()["survivor"] == (init, "RUNNING")
    assert set(own_box.containerd.shims()) == shims
    assert own_box.exec("survivor", "sh", "-c", "echo alive; exit 7").returncode == 7
    own_box.ctr("task", "kill", "survivor")
    own_box.wait_status("survivor", "STOPPED")
    own_box.remove("survivor")
    eventually(lambda: not own_box.containerd.shims(), "the shim is gone")


@pytest.mark.core
def test_an_exit_during_the_downtime_is_reported(own_box: Box) -> None:
    command = "trap 'exit 23' TERM; while :; do sleep 1000 & wait $!; done"
    init = own_box.detach("mortal", "sh", "-c", command)
    own_box.containerd.kill()
    os.kill(init, signal.SIGTERM)
    eventually(lambda: not census.is_alive(init), "the container has ended")
    own_box.containerd.start()
    own_box.wait_status("mortal", "STOPPED")
    deleted = own_box.ctr("task", "delete", "mortal")
    assert "exit code 23" in deleted.stderr
    own_box.ctr("container", "delete", "mortal")


@pytest.mark.ours
@pytest.mark.core
def test_events_of_the_downtime_come_later_in_order(own_box: Box) -> None:
    containerd = own_box.containerd
    init = own_box.detach("mortal", "sleep", "1000", flags=_HOST_PIDS)
    containerd.kill()
    before = len(containerd.log.read_bytes())
    os.kill(init, signal.SIGKILL)
    eventually(lambda: not census.is_alive(init), "the container has ended")
    containerd.start()

    def forwarded() -> list[str]:
        lines = containerd.log.read_bytes()[before:].decode().splitlines()
        return [
            line.partition("topic=")[2].split()[0]
            for line in lines
            if "event forwarded" in line and f"ns={own_box.namespace} " in line
        ]

    eventually(lambda: "/tasks/exit" in forwarded(), "the exit is published")
    own_box.remove("mortal")
    eventually(lambda: forwarded() == ["/tasks/exit", "/tasks/delete"], "each once, in order")


_HOST_PIDS = ("--null-io", "--with-ns", "pid:/proc/1/ns/pid")


def test_logs_go_on(own_containerd: Containerd, runtime: Runtime) -> None:
    with pod(own_containerd, runtime, "talker") as it:
        command = "n=0; while :; do echo $n; n=$((n+1)); usleep 20000; done"
        talker = it.container("talker", ["sh", "-c", command])
        eventually(lambda: len(it.log("talker")) > 10, "it talks")
        own_containerd.kill()
        there = len(it.log("talker"))
        own_containerd.start()
        it.wait_ready()
        eventually(lambda: len(it.log("talker")) > there + 10, "it goes on")
        assert it.cri.exec(talker, ["echo", "hi"]).stdout == b"hi\n"
        it.cri.stop(talker, 0)
        assert it.ended(talker) == 137


@pytest.mark.core
def test_last_words_during_the_downtime(own_containerd: Containerd, runtime: Runtime) -> None:
    with pod(own_containerd, runtime, "words") as it:
        words = it.container("words", ["sh", "-c", _LAST_WORDS])
        init = it.init(words).pid
        eventually(lambda: it.log("words") == ["up"], "it is up")
        own_containerd.kill()
        os.kill(init, signal.SIGTERM)
        eventually(lambda: not census.is_alive(init), "it has ended, unread")
        own_containerd.start()
        it.wait_ready()
        assert it.ended(words) == 5
        # CRI closes its end when it finds that a task has ended; how much it reads before is its
        # own affair. `test_unread_output` has a reader that reads on.
        log = it.log("words")
        assert log == ["up", *_LINES][: len(log)]


def test_a_pod_is_stopped_after_the_restart(own_containerd: Containerd, runtime: Runtime) -> None:
    with pod(own_containerd, runtime, "later") as it:
        it.container("one", ["sleep", "1000"])
        own_containerd.kill()
        own_containerd.start()
        it.wait_ready()
    eventually(lambda: not own_containerd.shims(), "the shim is gone")
    assert not list(own_containerd.bundle(K8S, "any").parent.iterdir())
