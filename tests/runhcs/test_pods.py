"""Pods: the four shapes of a sandbox, what may join, and HostProcess containers among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from podshim.errors import Code, NotFoundError, ShimError
from podshim.hcsspec import builds
from podshim.task.runhcs.container import ContainerTask
from podshim.task.runhcs.sandbox import SandboxTask
from runhcs.slot_support import (
    INHERIT_USER,
    ROOTFS_LOCATION,
    SANDBOX_ID,
    TYPE,
    argon,
    begun,
    host_process,
    in_pod,
    lcow,
    status_of,
    until,
    xenon,
)

if TYPE_CHECKING:
    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim, Spec

PRECONDITION, UNKNOWN = Code.FAILED_PRECONDITION, Code.UNKNOWN
NETWORK = {"networkNamespace": "ns-1"}


def sandbox(spec: Spec, **annotations: str) -> Spec:
    return in_pod(spec, "sandbox", **annotations)


def networked(spec: Spec) -> Spec:
    return {**spec, "windows": {**spec["windows"], "network": NETWORK}}


@pytest.mark.parametrize(
    ("spec", "kind", "calls"),
    [
        (argon(), ContainerTask, ["create p"]),
        (lcow(), ContainerTask, ["vm p@vm", "boot p@vm", "create p"]),
        (xenon(), SandboxTask, ["vm p@vm", "boot p@vm"]),
        (networked(xenon()), SandboxTask, ["vm p@vm", "boot p@vm", "network p@vm"]),
        (host_process(argon()), SandboxTask, []),
        (host_process(xenon()), SandboxTask, ["vm p@vm", "boot p@vm"]),
    ],
    ids=["argon", "lcow", "xenon", "xenon with network", "host process", "isolated host process"],
)
async def test_the_shapes_of_a_sandbox(
    make_shim: MakeShim, spec: Spec, kind: type, calls: list[str]
) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.create(sandbox(spec), "p")
    assert type(shim.slot.pod().sandbox) is kind
    assert shim.engine.calls == ["debugger", *calls]
    assert shim.told() == ["create p"]


@pytest.mark.parametrize(
    ("process", "line"),
    [
        ({"args": ["C:\\Windows\\System32\\CMD.EXE"]}, "cmd /c ping -t 127.0.0.1 > nul"),
        (
            {"commandLine": "c:\\windows\\system32\\cmd.exe"},
            "cmd /c ping -t 127.0.0.1 > nul",
        ),
        ({"args": ["c:\\windows\\system32\\cmd.exe", "/c"]}, None),
        ({"args": ["pause.exe"]}, None),
    ],
)
async def test_a_pause_container_outlives_its_prompt(
    make_shim: MakeShim, process: dict[str, object], line: str | None
) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.create(sandbox(argon(process=process)), "p")
    expected = process if line is None else {**process, "commandLine": line}
    assert shim.engine.requests[0].spec["process"] == expected


async def test_old_windows_has_no_pods(make_shim: MakeShim) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    shim.engine.build = builds.RS4
    answer = await status_of(shim.create(sandbox(argon()), "p"))
    assert answer == (
        PRECONDITION,
        (
            "pod support is not available on Windows versions previous to RS5 (17763):"
            " failed precondition"
        ),
    )


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (argon(), f"expected annotation: '{TYPE}': 'sandbox' got ''"),
        (in_pod(argon()), f"expected annotation: '{TYPE}': 'sandbox' got 'container'"),
        (
            in_pod(argon(), "sandbox", pod="q"),
            f"expected annotation '{SANDBOX_ID}': 'p' got 'q'",
        ),
    ],
)
async def test_a_pod_begins_with_its_sandbox(make_shim: MakeShim, spec: Spec, text: str) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    answer = await status_of(shim.create(spec, "p"))
    assert answer == (PRECONDITION, f"{text}: failed precondition")
    assert not shim.engine.requests


@pytest.mark.parametrize("error", [ShimError, NotFoundError])
async def test_a_network_that_fails_takes_the_vm_along(
    make_shim: MakeShim, error: type[ShimError]
) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    shim.engine.fail("network p@vm", error("no such namespace"))
    code, text = await status_of(shim.create(sandbox(networked(xenon())), "p"))
    assert code is error.code
    assert text.startswith('failed to setup networking for pod "p": no such namespace')
    assert not shim.engine.vms
    assert shim.told() == []


# Workloads.


async def test_workloads_are_made_at_the_same_time(pod: Shim) -> None:
    slow = pod.engine.hold("create w1")
    creation = pod.task.create(pod.request(in_pod(argon()), "w1"))
    async with begun(creation) as first:
        await slow.reached.wait()
        await pod.create(in_pod(argon()), "w2")
        assert not first.done()
        slow.open()
    assert pod.told() == ["create w2", "create w1"]


async def test_two_creations_of_one_id_make_one(pod: Shim) -> None:
    slow = pod.engine.hold("create w1")
    creation = pod.task.create(pod.request(in_pod(argon()), "w1"))
    async with begun(creation):
        await slow.reached.wait()
        answer = await status_of(pod.create(in_pod(argon()), "w1"))
        slow.open()
    exists = "task with id: 'w1' already exists id pod: 'p': already exists"
    assert answer == (Code.ALREADY_EXISTS, exists)
    assert await status_of(pod.create(in_pod(argon()), "w1")) == answer
    assert len(pod.engine.requests) == 2


async def test_a_workload_in_the_making_is_not_found(pod: Shim) -> None:
    slow = pod.engine.hold("create w1")
    async with begun(pod.task.create(pod.request(in_pod(argon()), "w1"))):
        await slow.reached.wait()
        assert (await status_of(pod.state("w1")))[0] is Code.NOT_FOUND
        slow.open()
    assert await pod.status("w1") == "CREATED 255 pid 0"


async def test_a_failed_creation_frees_its_id(pod: Shim) -> None:
    pod.engine.fail("create w1", ShimError("no layers"))
    assert await status_of(pod.create(in_pod(argon()), "w1")) == (UNKNOWN, "no layers")
    await pod.create(in_pod(argon()), "w1")


async def test_creations_wait_for_the_first(make_shim: MakeShim) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    slow = shim.engine.hold("create p")
    async with begun(shim.task.create(shim.request(sandbox(argon()), "p"))):
        await slow.reached.wait()
        async with begun(status_of(shim.create(sandbox(argon()), "p"))) as second:
            await until(lambda: shim.slot._filling._waiters)
            slow.open()
            answer = await second
    assert answer == (Code.ALREADY_EXISTS, "task with id: 'p' already exists: already exists")


@pytest.mark.parametrize("before", ["created", "exited"])
async def test_a_workload_needs_a_running_sandbox(make_shim: MakeShim, before: str) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.create(sandbox(argon()), "p")
    if before == "exited":
        await shim.start("p")
        shim.process("p").finish(0)
        await shim.wait("p")
    answer = await status_of(shim.create(in_pod(argon()), "w1"))
    assert answer == (
        PRECONDITION,
        (
            "task with id: 'w1' cannot be created in pod: 'p' which is not running:"
            " failed precondition"
        ),
    )


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (argon(), f"expected annotation: '{TYPE}': 'container' got ''"),
        (sandbox(argon()), f"expected annotation: '{TYPE}': 'container' got 'sandbox'"),
        (in_pod(argon(), pod="q"), f"expected annotation '{SANDBOX_ID}': 'p' got 'q'"),
    ],
)
async def test_a_workload_says_where_it_belongs(pod: Shim, spec: Spec, text: str) -> None:
    answer = await status_of(pod.create(spec, "w1"))
    assert answer == (PRECONDITION, f"{text}: failed precondition")


async def test_workloads_share_the_vm_of_their_pod(make_shim: MakeShim) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.run(sandbox(xenon()), "p")
    await shim.create(in_pod(xenon()), "w1")
    request = shim.engine.requests[-1]
    assert request.vm is shim.vm("p")
    assert not request.owns_vm
    await shim.delete("w1")
    assert shim.vm("p").forgotten == ["w1"]
    assert "p@vm" in shim.engine.vms


async def test_a_pod_on_the_host_has_no_isolated_workload(pod: Shim) -> None:
    answer = await status_of(pod.create(in_pod(xenon()), "w1"))
    assert answer == (
        PRECONDITION,
        (
            "cannot create a hypervisor isolated container in a pod without a utility VM:"
            " failed precondition"
        ),
    )


async def test_a_sandbox_is_no_workload(pod: Shim) -> None:
    answer = await status_of(pod.create(in_pod(argon()), "p"))
    assert answer == (Code.ALREADY_EXISTS, "task with id: 'p' already exists: already exists")


# HostProcess containers.


async def annotations_taken(shim: Shim, spec: Spec) -> Any:
    await shim.create(spec, "w1")
    return shim.engine.requests[-1].spec["annotations"]


async def test_a_host_process_pod_hands_its_user_and_place_on(make_shim: MakeShim) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    handed = {INHERIT_USER: "true", ROOTFS_LOCATION: "C:\\pods"}
    await shim.run(host_process(sandbox(argon(), **handed)), "p")
    own = {INHERIT_USER: "false", "a": "b"}
    found = await annotations_taken(shim, host_process(in_pod(argon(), **own)))
    assert {key: found[key] for key in (*handed, "a")} == {**handed, "a": "b"}


async def test_a_host_process_pod_holds_nothing_else(host_pod: Shim) -> None:
    text = (
        "cannot create a normal process isolated container if the pod sandbox is a job container"
        " running on host"
    )
    assert await status_of(host_pod.create(in_pod(argon()), "w1")) == (UNKNOWN, text)
    assert not host_pod.engine.requests


@pytest.mark.parametrize(
    "spec", [xenon(), lcow(), host_process(xenon())], ids=["xenon", "lcow", "host process"]
)
async def test_a_host_process_pod_says_so_of_isolated_ones_too(host_pod: Shim, spec: Spec) -> None:
    code, text = await status_of(host_pod.create(in_pod(spec), "w1"))
    assert code is UNKNOWN
    assert text.startswith("cannot create a normal process isolated container if the pod sandbox")
    assert not host_pod.engine.requests


async def test_only_the_exact_word_makes_a_host_process_container(host_pod: Shim) -> None:
    spec = in_pod(argon(), **{"microsoft.com/hostprocess-container": "True"})
    assert (await status_of(host_pod.create(spec, "w1")))[0] is UNKNOWN


async def test_others_inherit_no_user(pod: Shim) -> None:
    found = await annotations_taken(pod, in_pod(argon(), **{INHERIT_USER: "true"}))
    assert found[INHERIT_USER] == "false"


async def test_others_without_a_word_of_it_are_left_alone(pod: Shim) -> None:
    assert INHERIT_USER not in await annotations_taken(pod, in_pod(argon()))


async def test_a_host_process_container_in_another_pod_keeps_its_own_word(pod: Shim) -> None:
    found = await annotations_taken(pod, host_process(in_pod(argon(), **{INHERIT_USER: "true"})))
    assert found[INHERIT_USER] == "true"


@pytest.mark.parametrize("supported", [True, False])
async def test_an_isolated_host_process_container_needs_a_guest_that_can(
    make_shim: MakeShim, supported: bool
) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    shim.engine.host_process_supported = supported
    await shim.run(sandbox(xenon(), **{ROOTFS_LOCATION: "C:\\pods"}), "p")
    creation = shim.create(host_process(in_pod(xenon("ping", "x"))), "w1")
    if not supported:
        text = "UVM does not support HostProcess containers"
        assert await status_of(creation) == (UNKNOWN, text)
        return
    await creation
    spec = shim.engine.requests[-1].spec
    assert spec["annotations"][ROOTFS_LOCATION] == "C:\\pods"
    assert spec["process"]["args"] == ["cmd", "/c", "ping", "x"]


async def test_an_isolated_host_process_container_needs_a_vm(pod: Shim) -> None:
    answer = await status_of(pod.create(host_process(in_pod(xenon())), "w1"))
    assert answer == (UNKNOWN, "UVM does not support HostProcess containers")
