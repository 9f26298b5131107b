"""Which update goes where, and what is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from podshim.api import events_pb2, task_v2_pb2 as pb
from podshim.engine import TypedValue
from podshim.errors import Code, ShimError
from podshim.task.runhcs import update
from podshim.task.runhcs.update import (
    CONTAINER_MOUNT,
    CPU_GROUP,
    LINUX_RESOURCES,
    POLICY_FRAGMENT,
    WINDOWS_RESOURCES,
    Resources,
    for_guest,
)
from runhcs.slot_support import argon, begun, host_process, in_pod, lcow, status_of, xenon
from task.task_support import quiesce

if TYPE_CHECKING:
    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim

UNKNOWN, INVALID = Code.UNKNOWN, Code.INVALID_ARGUMENT
UNSUPPORTED = (
    UNKNOWN,
    "update resources must be of type *WindowsResources or *LinuxResources",
)
NOT_ISOLATED = (UNKNOWN, "task is not isolated")
MOUNT = {"HostPath": "C:\\a", "ContainerPath": "C:\\b", "ReadOnly": True, "Type": ""}
FRAGMENT = {"fragment": "f", "mediaType": "m"}
LIMIT = {"memory": {"limit": 104857600}}


async def change(
    shim: Shim, url: str, value: object, task_id: str = "c1", **annotations: str
) -> None:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    resources = AnyMessage(type_url=url, value=raw)
    request = pb.UpdateTaskRequest(id=task_id, resources=resources)
    request.annotations.update(
        {CPU_GROUP if key == "group" else key: text for key, text in annotations.items()}
    )
    await shim.task.update(request)


async def test_missing_resources_are_told_before_anything_else(shim: Shim) -> None:
    answer = await status_of(shim.task.update(pb.UpdateTaskRequest(id="c9")))
    assert answer == (
        INVALID,
        "resources cannot be empty, updating container c9 resources failed: invalid argument",
    )


async def test_a_container_is_updated(shim: Shim) -> None:
    await shim.run(argon())
    await change(shim, WINDOWS_RESOURCES, LIMIT)
    assert [json.loads(value) for value in shim.container().updates] == [LIMIT]


async def test_a_created_container_is_updated(shim: Shim) -> None:
    await shim.create(argon())
    await change(shim, WINDOWS_RESOURCES, LIMIT)
    assert shim.container().updates


async def test_a_container_that_has_ended_is_not(shim: Shim) -> None:
    await shim.run(argon("exit", "0"))
    await shim.wait()
    answer = await status_of(change(shim, WINDOWS_RESOURCES, LIMIT))
    assert answer == (
        Code.FAILED_PRECONDITION,
        "the container of task 'c1' has ended: failed precondition",
    )


@pytest.mark.parametrize(
    ("url", "value"),
    [
        (LINUX_RESOURCES, LIMIT),
        (POLICY_FRAGMENT, FRAGMENT),
        ("types.containerd.io/opencontainers/runtime-spec/1/Process", {}),
        ("types.containerd.io/opencontainers/runtime-spec/1/Spec", {}),
        ("containerd.events.TaskExit", events_pb2.TaskExit(pid=1).SerializeToString()),
        ("types.googleapis.com/containerd.runhcs.v1.Options", b""),
    ],
)
async def test_a_windows_container_takes_no_other_types(
    shim: Shim, url: str, value: object
) -> None:
    await shim.run(argon())
    assert await status_of(change(shim, url, value)) == UNSUPPORTED


@pytest.mark.parametrize(
    ("url", "value", "why"),
    [
        ("example.com/nothing", {}, "type with url example.com/nothing: not found"),
        ("", {}, "type with url : not found"),
        (WINDOWS_RESOURCES, b"{", "Expecting property name"),
        (POLICY_FRAGMENT, b"", "Expecting value"),
        ("containerd.events.TaskExit", b"\xff", "Error parsing message"),
    ],
)
async def test_what_can_t_be_read(shim: Shim, url: str, value: object, why: str) -> None:
    await shim.run(argon())
    code, text = await status_of(change(shim, url, value))
    assert code is UNKNOWN
    head = "failed to unmarshal resources for container c1 update request: "
    assert text.startswith(head + why)


@pytest.mark.parametrize("url", [WINDOWS_RESOURCES, LINUX_RESOURCES, CONTAINER_MOUNT])
async def test_json_that_is_no_object(shim: Shim, url: str) -> None:
    await shim.run(argon())
    code, text = await status_of(change(shim, url, None))
    assert code is INVALID
    assert text.endswith("no JSON object: invalid argument")


@pytest.mark.parametrize(
    ("url", "value", "named"),
    [
        (CONTAINER_MOUNT, {**MOUNT, "HostPath": 5}, "HostPath must be a string"),
        (CONTAINER_MOUNT, {**MOUNT, "ReadOnly": "x"}, "ReadOnly must be true or false"),
        (POLICY_FRAGMENT, {"fragment": []}, "fragment must be a string"),
    ],
)
async def test_members_have_their_types(shim: Shim, url: str, value: object, named: str) -> None:
    await shim.run(argon())
    answer = await status_of(change(shim, url, value))
    assert answer == (INVALID, f"resources: {named}: invalid argument")


async def test_a_mount_is_added_to_a_windows_container(shim: Shim) -> None:
    await shim.run(argon())
    await change(shim, CONTAINER_MOUNT, MOUNT)
    assert shim.container().mounts == [("C:\\a", "C:\\b", True)]


@pytest.mark.parametrize(
    ("change_of", "text"),
    [
        (
            {"HostPath": ""},
            "invalid OCI spec - a mount must have both host and container path set",
        ),
        (
            {"ContainerPath": None},
            "invalid OCI spec - a mount must have both host and container path set",
        ),
        *(
            (
                {"HostPath": f"{prefix}x"},
                (
                    "invalid mount type . Currently only host volumes/directories can be mounted to"
                    " running containers"
                ),
            )
            for prefix in ("sandbox://", "sandbox-tmp://", "hugepages://", "\\\\.\\pipe", "uvm://")
        ),
        (
            {"Type": "bind"},
            (
                "invalid mount type bind. Currently only host volumes/directories can be mounted to"
                " running containers"
            ),
        ),
    ],
)
async def test_a_mount_that_can_t_be_added(
    shim: Shim, change_of: dict[str, object], text: str
) -> None:
    await shim.run(argon())
    answer = await status_of(change(shim, CONTAINER_MOUNT, {**MOUNT, **change_of}))
    assert answer == (UNKNOWN, text)
    assert not shim.container().mounts


async def linux_workload(make_shim: MakeShim) -> Shim:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.run(in_pod(lcow(), "sandbox"), "p")
    await shim.run(in_pod(lcow()), "c1")
    return shim


async def test_a_linux_container_takes_only_linux_resources(make_shim: MakeShim) -> None:
    shim = await linux_workload(make_shim)
    await change(shim, LINUX_RESOURCES, LIMIT)
    assert [json.loads(value) for value in shim.container().updates] == [LIMIT]
    for url, value in (
        (WINDOWS_RESOURCES, LIMIT),
        (POLICY_FRAGMENT, FRAGMENT),
        (CONTAINER_MOUNT, MOUNT),
    ):
        assert await status_of(change(shim, url, value)) == (
            UNKNOWN,
            (
                "must have resources be non-nil and type *LinuxResources when updating a lcow"
                " container"
            ),
        )


@pytest.mark.parametrize("kind", ["task", "linux sandbox", "pretended sandbox"])
async def test_what_owns_a_vm_updates_that(make_shim: MakeShim, kind: str) -> None:
    task = "c1" if kind == "task" else "p"
    shim = await make_shim(task_id=task, is_sandbox=kind != "task")
    spec = lcow() if kind == "linux sandbox" else xenon()
    await shim.run(spec if kind == "task" else in_pod(spec, "sandbox"), task)
    url = LINUX_RESOURCES if kind == "linux sandbox" else WINDOWS_RESOURCES
    await change(shim, url, LIMIT, task, other="x", group="g1")
    vm = shim.vm(task)
    assert vm.updates == [(LIMIT, {"other": "x"})]
    assert vm.cpu_groups == ["g1"]
    await change(shim, POLICY_FRAGMENT, FRAGMENT, task)
    assert vm.fragments == [("f", "m")]
    assert vm.cpu_groups == ["g1"]
    code, text = await status_of(change(shim, CONTAINER_MOUNT, MOUNT, task))
    assert code is UNKNOWN
    assert text.startswith("invalid resource: ")
    answer = await status_of(change(shim, url, {}, task, group=""))
    assert answer == (UNKNOWN, "must specify an ID to use when configuring a VM's cpugroup")
    assert (await status_of(change(shim, "x/y", {}, task, group="g2")))[0] is UNKNOWN
    assert vm.cpu_groups == ["g1"]
    assert all(not container.updates for container in vm.containers)


async def test_a_pretended_sandbox_that_has_exited_takes_no_update(make_shim: MakeShim) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.run(in_pod(xenon(), "sandbox"), "p")
    vm = shim.vm("p")
    await shim.kill("p")
    assert await status_of(change(shim, WINDOWS_RESOURCES, LIMIT, "p")) == (
        Code.FAILED_PRECONDITION,
        "the VM of task 'p' has ended: failed precondition",
    )
    assert not vm.updates


async def test_a_workload_in_a_vm_updates_its_container(make_shim: MakeShim) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.run(in_pod(xenon(), "sandbox"), "p")
    await shim.run(in_pod(xenon()), "c1")
    await change(shim, WINDOWS_RESOURCES, LIMIT)
    assert shim.container().updates
    assert not shim.vm("p").updates


async def test_a_pretended_sandbox_on_the_host_has_nothing_to_update(host_pod: Shim) -> None:
    for url in (WINDOWS_RESOURCES, "x/y"):
        assert await status_of(change(host_pod, url, LIMIT, "p")) == NOT_ISOLATED


async def test_a_host_process_container_is_updated_as_any(host_pod: Shim) -> None:
    await host_pod.run(host_process(in_pod(argon())), "c1")
    await change(host_pod, WINDOWS_RESOURCES, LIMIT)
    assert host_pod.container().updates


async def test_changes_of_one_container_come_one_after_the_other(shim: Shim) -> None:
    await shim.run(argon())
    slow = shim.engine.hold("update c1")
    async with begun(change(shim, WINDOWS_RESOURCES, LIMIT)):
        await slow.reached.wait()
        async with begun(shim.exec("c1", "e1")) as other:
            await quiesce()
            assert not other.done()
            slow.open()
    assert shim.engine.calls[-2:] == ["update c1", "exec c1/e1"]


async def test_an_engine_s_refusal_is_told(shim: Shim) -> None:
    await shim.run(argon())
    shim.engine.fail("update c1", ShimError("invalid cpu resources request for container c1: x"))
    answer = await status_of(change(shim, WINDOWS_RESOURCES, {"cpu": {}}))
    assert answer == (UNKNOWN, "invalid cpu resources request for container c1: x")


@pytest.mark.parametrize(
    ("is_linux", "resources", "guest_is_linux", "expected"),
    [
        (False, {"memory": {"limit": 5}, "x": 1}, False, {"memory": {"limit": 5}, "x": 1}),
        (
            False,
            {"memory": {"limit": 5}, "cpu": {"maximum": 7, "shares": 9}},
            True,
            {"memory": {"limit": 5}, "cpu": {"quota": 7, "shares": 9}},
        ),
        (
            True,
            {"memory": {"limit": 5}, "cpu": {"quota": 7, "shares": 9}},
            False,
            {"memory": {"limit": 5}, "cpu": {"maximum": 7, "shares": 9}},
        ),
        (True, {"memory": {}, "cpu": {"shares": None}}, False, {}),
        (True, {"memory": None}, False, {}),
        (True, {}, False, {}),
    ],
)
def test_a_vm_takes_the_limits_of_either_platform(
    is_linux: bool, resources: object, guest_is_linux: bool, expected: object
) -> None:
    given = Resources(is_linux, json.dumps(resources).encode())
    assert json.loads(for_guest(given, linux=guest_is_linux)) == expected


@pytest.mark.parametrize("member", ["memory", "cpu"])
def test_a_vm_s_limits_have_their_types(member: str) -> None:
    given = Resources(linux=True, json=json.dumps({member: 5}).encode())
    with pytest.raises(ShimError, match=f"resources: {member} must be an object"):
        for_guest(given, linux=False)


def test_every_type_that_is_accepted_decodes() -> None:
    def decode(url: str, value: object) -> object:
        return update.decode("c1", TypedValue(url, json.dumps(value).encode()))

    raw = json.dumps(LIMIT).encode()
    assert decode(WINDOWS_RESOURCES, LIMIT) == Resources(linux=False, json=raw)
    assert decode(LINUX_RESOURCES, LIMIT) == Resources(linux=True, json=raw)
    assert decode(POLICY_FRAGMENT, FRAGMENT) == update.PolicyFragment("f", "m")
    mount = update.ContainerMount("C:\\a", "C:\\b", read_only=True, type="")
    assert decode(CONTAINER_MOUNT, MOUNT) == mount
