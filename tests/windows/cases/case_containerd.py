"""containerd for Windows runs our shim: what no client of this project could show."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from podshim.manager import pod_annotations

assert sys.platform == "win32"

from windows.cases.daemon import (  # noqa: E402 - after the line that tells where this runs
    LIMIT,
    Daemon,
    binaries,
    wait_for,
)

WAITING = ("ping", "-n", "600", "127.0.0.1")
LIFE = ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]


@pytest.fixture
def stopped(tmp_path: Path) -> Daemon:
    return Daemon(binaries(), tmp_path)


@pytest.fixture
def daemon(stopped: Daemon) -> Iterator[Daemon]:
    with stopped.running():
        yield stopped


@pytest.fixture
def name() -> str:
    return f"c-{uuid.uuid4().hex[:12]}"


def run_on(daemon: Daemon, name: str, *, spec: str | None = None) -> None:
    """Have a container that runs on by itself."""
    daemon.ctr("run", "-d", "--null-io", "--config", spec or daemon.spec(*WAITING), name)


def end(daemon: Daemon, name: str) -> None:
    """Kill a container, and have nothing left of it."""
    daemon.ctr("tasks", "kill", "-s", "SIGKILL", name)
    wait_for(lambda: daemon.tasks()[name][1] == "STOPPED", "end of the task")
    daemon.ctr("tasks", "rm", name)
    daemon.ctr("containers", "rm", name)
    wait_for(lambda: not daemon.has_bundle(name), "end of the bundle")


def test_a_container_runs_to_its_end(daemon: Daemon, name: str) -> None:
    words = ("cmd", "/c", "set /p X=& echo hello& echo oops 1>&2& exit 7")
    with daemon.events() as events:
        run_on(daemon, first := f"{name}-first")  # by its events it is seen that we hear
        wait_for(lambda: "/tasks/start" in events(first), "first events")
        spec = daemon.spec(*words)
        done = subprocess.run(
            daemon.command("run", "--rm", "--config", spec, name),
            input=b"in\r\n",
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
        assert (done.returncode, done.stdout.strip()) == (7, b"hello"), done.stderr
        assert b"oops" in done.stderr
        wait_for(lambda: len(events(f'"{name}"')) == len(LIFE), "events")
        assert events(f'"{name}"') == LIFE
        end(daemon, first)
    assert daemon.tasks() == {}
    wait_for(lambda: not daemon.has_bundle(name), "end of the bundle")
    assert daemon.errors() == []


def test_a_container_is_visited_and_killed(daemon: Daemon, name: str) -> None:
    run_on(daemon, name)
    pid, status = daemon.tasks()[name]
    assert (pid > 0, status) == (True, "RUNNING")
    words = ("cmd", "/c", "set /p X=& echo exec& exit 5")
    execute = ("tasks", "exec", "--exec-id", "e", name, *words)
    assert daemon.ctr(*execute, stdin=b"in\r\n", status=5).strip() == "exec"
    assert daemon.ctr(*execute, stdin=b"in\r\n", status=5).strip() == "exec"
    assert str(pid) in daemon.ctr("tasks", "ps", name)
    assert "memory.commit_bytes" in daemon.ctr("tasks", "metrics", name)
    daemon.ctr("tasks", "rm", name, status=1)  # it runs
    end(daemon, name)
    assert daemon.errors() == []


def test_a_pod_has_one_shim(daemon: Daemon, name: str) -> None:
    pod = f"p-{uuid.uuid4().hex[:12]}"
    run_on(daemon, pod, spec=daemon.spec(*WAITING, **pod_annotations(pod, sandbox=True)))
    run_on(daemon, name, spec=daemon.spec(*WAITING, **pod_annotations(pod)))
    assert daemon.shim_pid(pod) == daemon.shim_pid(name)
    end(daemon, name)
    assert daemon.tasks()[pod][1] == "RUNNING"
    end(daemon, pod)
    assert daemon.errors() == []


def test_a_restarted_daemon_finds_its_shims(stopped: Daemon, name: str) -> None:
    with stopped.running():
        run_on(stopped, name)
        before = stopped.tasks()[name]
    with stopped.running():
        assert stopped.tasks()[name] == before
        execute = ("tasks", "exec", "--exec-id", "e", name, "cmd", "/c", "echo again")
        assert stopped.ctr(*execute).strip() == "again"
        end(stopped, name)
    assert stopped.errors() == []


def test_a_shim_that_was_killed_is_cleaned_up(daemon: Daemon, name: str) -> None:
    run_on(daemon, name)
    os.kill(daemon.shim_pid(name), signal.SIGTERM)
    wait_for(lambda: name not in daemon.tasks(), "end of the task")
    wait_for(lambda: not daemon.has_bundle(name), "end of the bundle")
    daemon.ctr("containers", "rm", name)
    assert daemon.errors() == []


def test_a_host_process_container_runs(daemon: Daemon, name: str) -> None:
    annotations = {
        "microsoft.com/hostprocess-container": "true",
        "microsoft.com/hostprocess-inherit-user": "true",
    }
    spec = daemon.spec("cmd", "/c", "set /p X=& echo host& exit 4", **annotations)
    words = ("run", "--rm", "--config", spec, name)
    assert daemon.ctr(*words, stdin=b"in\r\n", status=4).strip() == "host"
    wait_for(lambda: not daemon.has_bundle(name), "end of the bundle")
    assert daemon.errors() == []


def test_a_program_that_is_not_there(daemon: Daemon, name: str) -> None:
    command = daemon.command("run", "--config", daemon.spec("nothing.exe"), name)
    done = subprocess.run(command, capture_output=True, timeout=LIMIT, check=False)
    assert done.returncode == 1
    assert b"nothing.exe" in done.stderr
    assert daemon.tasks() == {}
    run_on(daemon, other := f"{name}-other")
    words = ("tasks", "exec", "--exec-id", "e", other, "nothing.exe")
    daemon.ctr(*words, status=1)
    assert daemon.ctr(*words[:-1], "cmd", "/c", "echo exec").strip() == "exec"
    end(daemon, other)
    assert daemon.errors() == []


def test_what_a_shim_logs_reaches_containerd(daemon: Daemon, name: str) -> None:
    # `--debug` becomes a runtime option, which is what the shim goes by.
    run = ("--debug", "run", "-d", "--null-io", "--config", daemon.spec(*WAITING), name)
    daemon.ctr(*run)
    end(daemon, name)
    # By its pipe; or, if it took so long to start that containerd gave the pipe up, by `delete`.
    wait_for(lambda: f"hcs::CreateComputeSystem {name}" in daemon.log, "log")
