"""A pod through the CRI of a real containerd, as kubelet drives it."""

import grpc
import pytest

from support import census
from support.box import FOREVER
from support.containerd import Containerd, Runtime
from support.cri import cri_pb2 as api
from support.pods import K8S, pod
from support.waiting import eventually

pytestmark = pytest.mark.core


def test_life_of_a_pod(containerd: Containerd, runtime: Runtime) -> None:
    before = set(census.shims())
    with pod(containerd, runtime, "life") as it:
        first = it.container("first", ["sh", "-c", f"echo first is up; {FOREVER[2]}"])
        second = it.container("second", FOREVER)
        inits = [it.init(each) for each in (it.sandbox, first, second)]

        shims = {init.parent for init in inits}
        assert len(shims) == 1, "one shim for the pod"
        assert set(census.shims()) - before == shims

        done = it.cri.exec(first, ["sh", "-c", "echo out; echo err >&2; exit 42"])
        assert (done.stdout, done.stderr, done.exit_code) == (b"out\n", b"err\n", 42)

        stats = it.cri.stats(second)
        assert stats.attributes.id == second
        assert stats.memory.working_set_bytes.value > 0
        assert stats.cpu.usage_core_nano_seconds.value > 0

        eventually(lambda: it.log("first") == ["first is up"], "the log has the output")

        it.cri.stop(first, 10)
        assert it.ended(first) == 0, "SIGTERM has run its trap"
        it.cri.remove(first)
        assert it.cri.exec(second, ["true"]).exit_code == 0, "the other goes on"

        it.cri.stop(second, 10)
        assert it.ended(second) == 0
    eventually(lambda: set(census.shims()) <= before, "the pod's shim is gone")
    assert not list(containerd.bundle(K8S, "any").parent.iterdir())
    assert not census.mounts_below(containerd.bundle(K8S, "any").parent)


def test_the_pod_is_stopped_with_all_that_runs(containerd: Containerd, runtime: Runtime) -> None:
    with pod(containerd, runtime, "stopped") as it:
        running = it.container("running", FOREVER)
        init = it.init(running).pid
        it.cri.stop_pod(it.sandbox)
        assert not census.is_alive(init)
        it.ended(running)


def test_a_container_that_ends_by_itself(containerd: Containerd, runtime: Runtime) -> None:
    with pod(containerd, runtime, "short") as it:
        short = it.container("short", ["sh", "-c", "seq 1 5000; exit 3"])
        assert it.ended(short) == 3
        eventually(lambda: len(it.log("short")) == 5000, "the log is complete")
        assert it.log("short") == [str(number) for number in range(1, 5001)]


def test_a_missing_program_is_told_with_the_runtimes_words(
    containerd: Containerd, runtime: Runtime
) -> None:
    with pod(containerd, runtime, "missing") as it:
        container = it.container("missing", ["no-such-program"], start=False)
        with pytest.raises(grpc.RpcError, match="no-such-program"):
            it.cri.start(container)
        status = it.cri.status(container)
        assert status.state == api.CONTAINER_EXITED
        assert "no-such-program" in status.message


def test_limits_are_changed_while_it_runs(containerd: Containerd, runtime: Runtime) -> None:
    with pod(containerd, runtime, "limits") as it:
        container = it.container("limits", FOREVER, memory=64 << 20)
        it.cri.update(container, api.LinuxContainerResources(memory_limit_in_bytes=128 << 20))
        (limit,) = census.cgroup_values(it.init(container).pid, "memory.limit_in_bytes")
        assert limit == 128 << 20


def test_out_of_memory_is_told(containerd: Containerd, runtime: Runtime) -> None:
    with pod(containerd, runtime, "oom") as it:
        command = ["sh", "-c", "tail /dev/zero"]
        hungry = it.container("hungry", command, memory=16 << 20)
        status = it.ended(hungry)
        assert status == 137
        eventually(lambda: it.cri.status(hungry).reason == "OOMKilled", "the reason is told")
