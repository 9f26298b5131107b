"""What can't be run is refused with the reason, and leaves nothing behind.

The `namespace` fixture looks for what is left: bundles, mounts, shims.
"""

import pytest

from support import census
from support.box import Box
from support.events import Events
from support.image import BUSYBOX
from support.waiting import eventually


@pytest.fixture(autouse=True)
def nothing_new(box: Box) -> object:
    sockets, shims = census.sockets(), set(census.shims())
    yield
    eventually(lambda: set(census.shims()) == shims, "no other shim")
    assert census.sockets() == sockets


@pytest.mark.core
def test_a_missing_program(box: Box) -> None:
    with Events(box.containerd) as events:
        done = box.run("missing", "no-such-program", flags=["--rm"])
        assert done.returncode != 0
        assert "no-such-program" in done.stderr
        assert not [event for event in events.of("missing") if event.topic == "/tasks/start"]
    box.ctr("task", "delete", "--force", "missing", check=False)
    box.ctr("container", "delete", "missing", check=False)


@pytest.mark.ours
def test_an_unknown_runtime_binary(box: Box) -> None:
    options = box.containerd.folder / "unknown.toml"
    options.write_text('BinaryName = "no-such-runtime"\n')
    words = ["--runtime", box.runtime.type, "--runtime-config-path", str(options)]
    with Events(box.containerd) as events:
        done = box.ctr("run", "--rm", *words, BUSYBOX, "unknown", "true", check=False)
        assert done.returncode != 0
        assert "no-such-runtime" in done.stderr
        assert not [event for event in events.of("unknown") if "exit" in event.topic]
    box.ctr("container", "delete", "unknown", check=False)


@pytest.mark.ours
def test_an_unknown_option(box: Box) -> None:
    options = box.containerd.folder / "odd.toml"
    options.write_text('BinaryNmae = "runc"\n')
    words = ["--runtime", box.runtime.type, "--runtime-config-path", str(options)]
    done = box.ctr("run", "--rm", *words, BUSYBOX, "odd", "true", check=False)
    assert done.returncode != 0
    assert "BinaryNmae" in done.stderr
    box.ctr("container", "delete", "odd", check=False)


@pytest.mark.ours
def test_a_missing_options_file(box: Box) -> None:
    words = ["--runtime", box.runtime.type, "--runtime-config-path", "/no/such/file.toml"]
    done = box.ctr("run", "--rm", *words, BUSYBOX, "nofile", "true", check=False)
    assert done.returncode != 0
    assert "/no/such/file.toml" in done.stderr
    box.ctr("container", "delete", "nofile", check=False)


def test_a_missing_rootfs(box: Box) -> None:
    words = [*box.containerd.run_flags(box.runtime), "--rootfs", "/no/such/rootfs"]
    done = box.ctr("run", "--rm", *words, "bare", "true", check=False)
    assert done.returncode != 0
    assert done.stderr
    box.ctr("container", "delete", "bare", check=False)


def test_a_spec_that_is_not_json(box: Box) -> None:
    config = box.containerd.folder / "broken.json"
    config.write_text('{"ociVersion": "1.0.2", ')
    words = [*box.containerd.run_flags(box.runtime), "--config", str(config)]
    done = box.ctr("run", "--rm", *words, "broken", check=False)
    assert done.returncode != 0
    box.ctr("container", "delete", "broken", check=False)


@pytest.mark.parametrize("name", ["x" * 200, "a/b", "../up", "-dash", ".", "a b", "a\nb"])
def test_a_bad_id(box: Box, name: str) -> None:
    done = box.run(name, "true", flags=["--rm"])
    assert done.returncode != 0
    assert done.stderr


def test_a_taken_id(box: Box) -> None:
    init = box.detach("taken")
    done = box.run("taken", "true", flags=["--rm"])
    assert done.returncode != 0
    assert "already exists" in done.stderr
    assert box.tasks()["taken"] == (init, "RUNNING")
    box.remove("taken")


def test_a_second_task_of_a_container(box: Box) -> None:
    init = box.detach("one")
    done = box.ctr("task", "start", "one", check=False)
    assert done.returncode != 0
    assert "already exists" in done.stderr
    assert box.tasks()["one"] == (init, "RUNNING")
    box.remove("one")


def test_a_limit_that_can_not_be(box: Box) -> None:
    done = box.run("greedy", "true", flags=["--rm", "--memory-limit", "4096"])
    assert done.returncode != 0
    box.ctr("task", "delete", "--force", "greedy", check=False)
    box.ctr("container", "delete", "greedy", check=False)
