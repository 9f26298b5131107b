"""A shim is killed with SIGKILL: containerd has to find out, and `delete` has to clean up."""

import os
import signal
from collections.abc import Iterator

import pytest

from support import census
from support.box import Box
from support.containerd import Containerd, Runtime
from support.events import Events
from support.pods import pod
from support.waiting import eventually

pytestmark = pytest.mark.core


@pytest.fixture(autouse=True)
def tidy(runtime: Runtime) -> Iterator[None]:
    """Remove the socket that Go's shim leaves; ours removes its own."""
    before = set(census.sockets())
    yield
    if not runtime.ours:
        for socket in set(census.sockets()) - before:
            socket.unlink()


def test_the_container_is_gone_and_reported(box: Box) -> None:
    init = box.detach("orphan")
    shim = census.processes()[init].parent
    bundle = box.bundle("orphan")
    sockets = census.sockets()
    assert census.mounts_below(bundle)
    with Events(box.containerd) as events:
        os.kill(shim, signal.SIGKILL)
        seen = events.wait("orphan", "/tasks/delete")
    assert [event.topic for event in seen] == ["/tasks/exit", "/tasks/delete"]
    assert [event.fields["exit_status"] for event in seen] == [137, 137]
    eventually(lambda: not census.is_alive(init), "the container is gone")
    eventually(lambda: not bundle.exists(), "the bundle is gone")
    assert not census.mounts_below(bundle)
    assert not box.tasks()
    if box.runtime.ours:
        assert len(census.sockets()) == len(sockets) - 1, "its socket is removed"
    box.ctr("container", "delete", "orphan")


def test_the_whole_pod_is_gone_and_reported(containerd: Containerd, runtime: Runtime) -> None:
    before = set(census.shims())
    with pod(containerd, runtime, "doomed") as it:
        containers = [it.container(name, ["sleep", "1000"]) for name in ("one", "two")]
        inits = [it.init(each) for each in (it.sandbox, *containers)]
        (shim,) = {init.parent for init in inits}
        os.kill(shim, signal.SIGKILL)
        for container in containers:
            assert it.ended(container) in {137, 255}  # 255: CRI's own, when its Wait broke off
        eventually(lambda: not any(census.is_alive(init.pid) for init in inits), "all are gone")
        bundles = [it.bundle(each) for each in (it.sandbox, *containers)]
        eventually(lambda: not any(bundle.exists() for bundle in bundles), "no bundle is left")
    assert set(census.shims()) <= before
