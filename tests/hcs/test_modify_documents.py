"""Requests that change what runs, and updates, credential guards."""

from typing import Any

import pytest

from podshim.engines.hcs.documents import credentials, modify
from podshim.engines.hcs.documents.limits import Affinity
from podshim.engines.hcs.documents.modify import ContainerUpdate, container_update
from podshim.engines.hcs.documents.mounts import MappedDirectory
from podshim.errors import InvalidArgumentError, ShimError, UnimplementedError
from podshim.hcsspec.addedmounts import check_added_mount
from podshim.hcsspec.annotations import Annotations
from podshim.hcsspec.reading import Member


def update(resources: Any, build: int = 20348, **options: Any) -> ContainerUpdate:
    return container_update("c1", Member(resources), build=build, processor_count=4, **options)


def memory(limit: Any) -> dict[str, Any]:
    return {"memory": {"limit": limit}}


@pytest.mark.parametrize(
    ("limit", "megabytes"),
    [(0, 0), (1 << 20, 2), ((3 << 20) - 1, 2), (3 << 20, 4), (100 << 20, 100)],
)
def test_memory_becomes_an_even_number_of_megabytes(limit: int, megabytes: int) -> None:
    assert update(memory(limit), build=17763).requests == (
        {
            "ResourcePath": "Container/Memory/SizeInMB",
            "RequestType": "Update",
            "Settings": megabytes,
        },
    )


@pytest.mark.parametrize("resources", [{}, {"memory": {}}, {"memory": None, "cpu": None}])
def test_what_is_not_said_is_not_changed(resources: Any) -> None:
    assert update(resources) == ContainerUpdate(())


@pytest.mark.parametrize(
    ("cpu", "settings"),
    [
        ({"count": 2}, {"Count": 2}),
        ({"count": 64}, {"Count": 4}),
        ({"maximum": 5000}, {"Maximum": 5000}),
        ({"shares": 7}, {"Weight": 7}),
    ],
)
def test_one_processor_limit_is_changed(cpu: Any, settings: Any) -> None:
    request = {
        "ResourcePath": "Container/Processor",
        "RequestType": "Update",
        "Settings": settings,
    }
    assert update({"cpu": cpu}) == ContainerUpdate((request,))
    with_affinity = update({"cpu": {**cpu, "affinity": [{"mask": 3}]}})
    assert with_affinity == ContainerUpdate((request,), (Affinity(3, 0),))


def test_affinity_alone_is_no_request() -> None:
    assert update({"cpu": {"affinity": [{"mask": 1}]}}) == ContainerUpdate((), (Affinity(1, 0),))


@pytest.mark.parametrize(
    "cpu", [{}, {"count": 1, "maximum": 1}, {"count": 1, "shares": 0}, {"affinity": []}]
)
def test_other_combinations_are_refused(cpu: Any) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"^invalid cpu resources request for container c1: "
    ):
        update({"cpu": cpu})


def test_processors_can_be_changed_from_20h2_on() -> None:
    with pytest.raises(UnimplementedError):
        update({"cpu": {"count": 1}}, build=19041)
    assert update({"cpu": {"count": 1}}, build=19042).requests


def test_affinity_in_a_vm_is_refused() -> None:
    with pytest.raises(UnimplementedError) as caught:
        update({"cpu": {"affinity": [{"mask": 1}]}}, in_vm=True)
    assert str(caught.value) == (
        "cpu affinity update for hypervisor-isolated containers is not supported: not implemented"
    )


@pytest.mark.parametrize(
    "resources",
    [
        {"memory": 5},
        memory("1"),
        memory(-1),
        {"cpu": {"count": "1"}},
        {"cpu": {"shares": 65536}},
        {"cpu": {"affinity": {}}},
        {"cpu": {"affinity": [{"mask": 0}]}},
    ],
)
def test_wrong_updates_are_refused(resources: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        update(resources)


def test_mounts_that_can_be_added() -> None:
    check_added_mount("C:\\a", "C:\\b")
    added = modify.add_directory(MappedDirectory("C:\\a", "C:\\b", read_only=True))
    assert added == {
        "ResourcePath": "Container/MappedDirectories",
        "RequestType": "Add",
        "Settings": {"HostPath": "C:\\a", "ContainerPath": "C:\\b", "ReadOnly": True},
    }


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("", "x"), "invalid OCI spec - a mount must have both host and container path set"),
        (("x", ""), "invalid OCI spec - a mount must have both host and container path set"),
        (
            ("a", "b", "virtual-disk"),
            (
                "invalid mount type virtual-disk. Currently only host volumes/directories can be"
                " mounted to running containers"
            ),
        ),
        *(
            (
                (prefix + "x", "b"),
                (
                    "invalid mount type . Currently only host volumes/directories can be mounted to"
                    " running containers"
                ),
            )
            for prefix in ("sandbox://", "sandbox-tmp://", "hugepages://", "\\\\.\\pipe", "uvm://")
        ),
    ],
)
def test_mounts_that_can_not_be_added(arguments: tuple[str, ...], text: str) -> None:
    with pytest.raises(ShimError) as caught:
        check_added_mount(*arguments)
    assert str(caught.value) == text


def test_requests_of_vms() -> None:
    assert modify.vm_memory(512) == {
        "ResourcePath": "VirtualMachine/ComputeTopology/Memory/SizeInMB",
        "Settings": 512,
    }
    assert modify.vm_processor_limits(500, 0, 20348) == {
        "ResourcePath": "VirtualMachine/ComputeTopology/Processor/Limits",
        "Settings": {"Limit": 500},
    }
    with pytest.raises(UnimplementedError):
        modify.vm_processor_limits(1, 1, 19041)
    assert modify.vm_cpu_group("g") == {
        "ResourcePath": "VirtualMachine/ComputeTopology/Processor/CpuGroup",
        "Settings": {"Id": "g"},
    }
    with pytest.raises(ShimError) as caught:
        modify.vm_cpu_group("")
    assert str(caught.value) == "must specify an ID to use when configuring a VM's cpugroup"


def test_a_guests_part_of_a_request() -> None:
    guest = modify.guest_request("Network", "Add", {"a": 1})
    assert modify.request("x", "Add", guest=guest) == {
        "ResourcePath": "x",
        "RequestType": "Add",
        "GuestRequest": {"RequestType": "Add", "ResourceType": "Network", "Settings": {"a": 1}},
    }
    assert modify.request("", guest=guest) == {"GuestRequest": guest}


SPEC = '{"CmsPlugins":["ActiveDirectory"]}'
DISABLE = "io.microsoft.container.wcow.gmsa.disable"


def test_a_credential_spec_is_a_text() -> None:
    def read(value: Any, **annotations: str) -> str:
        windows = Member({"credentialSpec": value})
        return credentials.credential_spec(windows, Annotations(annotations))

    assert read(SPEC) == SPEC
    assert read({"CmsPlugins": []}) == ""
    assert read(None) == ""
    assert read(None, **{DISABLE: "true"}) == ""
    assert read(SPEC, **{DISABLE: "false"}) == SPEC
    with pytest.raises(ShimError) as caught:
        read(SPEC, **{DISABLE: "true"})
    assert str(caught.value) == (
        "container config validation failed: gMSA credentials are disabled: operation denied"
    )


def test_credential_guards_are_added_found_and_removed() -> None:
    assert credentials.add_instance("c1", SPEC) == {
        "PropertyType": "ContainerCredentialGuard",
        "Settings": {
            "Operation": "AddInstance",
            "OperationDetails": {"Id": "c1", "CredentialSpec": SPEC, "Transport": "LRPC"},
        },
    }
    assert credentials.remove_instance("c1") == {
        "PropertyType": "ContainerCredentialGuard",
        "Settings": {"Operation": "RemoveInstance", "OperationDetails": {"Id": "c1"}},
    }
    guard = {"Cookie": "k", "RpcEndpoint": "e", "Transport": "LRPC", "CredentialSpec": SPEC}
    socket = {"ServiceId": "g", "ServiceConfig": {"AllowWildcardBinds": True}}
    instances = [
        {"Id": "c2", "CredentialGuard": {"Cookie": "other"}},
        {"Id": "c1", "CredentialGuard": guard, "HvSocketConfig": socket},
    ]
    answer = {"Properties": [{"Instances": instances}]}
    assert credentials.find_instance(answer, "c1") == (guard, socket)
    assert credentials.find_instance(answer, "c2") == ({"Cookie": "other"}, None)


@pytest.mark.parametrize(
    "answer", [{}, {"Properties": []}, {"Properties": [{"Instances": None}]}, {"Properties": [{}]}]
)
def test_a_credential_guard_that_is_not_there(answer: Any) -> None:
    with pytest.raises(ShimError) as caught:
        credentials.find_instance(answer, "c1")
    assert str(caught.value) == ("failed to find credential guard instance with container ID c1")


def test_a_broken_answer_blames_no_client() -> None:
    for answer in ({"Properties": 5}, {"Properties": [{"Instances": [{"Id": 5}]}]}):
        with pytest.raises(ShimError, match="answer of HCS: ") as caught:
            credentials.find_instance(answer, "c1")
        assert not isinstance(caught.value, InvalidArgumentError)
