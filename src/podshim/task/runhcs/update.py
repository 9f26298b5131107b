"""What an update request may carry, and who is asked to do it.

Theory of operation. The request's resources are an `Any` of which the type URL says what the JSON
in it is. `decode` reads it; it knows four types, and tells types that it has never heard of from
such that make no sense here. What is to be done with them depends on what is updated: a VM, whose
guest's platform need not be the resources', or a container. The members of the resources of a
container are the engine's to judge.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec.addedmounts import check_added_mount
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.engine import TypedValue
    from podshim.task.runhcs.host import UtilityVM, WindowsContainer

_OCI = "types.containerd.io/opencontainers/runtime-spec/1/"
WINDOWS_RESOURCES = f"{_OCI}WindowsResources"
LINUX_RESOURCES = f"{_OCI}LinuxResources"
POLICY_FRAGMENT = "github.com/Microsoft/hcsshim/pkg/ctrdtaskapi/PolicyFragment"
CONTAINER_MOUNT = "github.com/Microsoft/hcsshim/pkg/ctrdtaskapi/ContainerMount"
#: JSON types that containerd's clients know, but that no update can be.
_OTHERS = {f"{_OCI}Spec", f"{_OCI}Process"}

CPU_GROUP = "io.microsoft.virtualmachine.cpugroup.id"

_UNSUPPORTED = "update resources must be of type *WindowsResources or *LinuxResources"


@dataclass(frozen=True, slots=True)
class Resources:
    """OCI resources: of which platform, and the JSON object."""

    linux: bool
    json: bytes


@dataclass(frozen=True, slots=True)
class PolicyFragment:
    """A fragment of a security policy."""

    fragment: str
    media_type: str


@dataclass(frozen=True, slots=True)
class ContainerMount:
    """A further mount for a running container."""

    host_path: str
    container_path: str
    read_only: bool
    type: str


Wanted: TypeAlias = Resources | PolicyFragment | ContainerMount


def decode(task: str, resources: TypedValue) -> Wanted:
    """Read what an update request asks for.

    Args:
        task: The id of the task to be updated, for errors.
        resources: What the request carries.

    Raises:
        ShimError: Of no type that is known or makes sense, or not what its type says.
        InvalidArgumentError: A member of a known type is of another type than it must be.
    """
    url = resources.type_url
    if url not in {WINDOWS_RESOURCES, LINUX_RESOURCES, POLICY_FRAGMENT, CONTAINER_MOUNT}:
        _check_known(task, resources)
        raise ShimError(_UNSUPPORTED)
    members = _json_object(task, resources.value)
    if url == POLICY_FRAGMENT:
        return PolicyFragment(members["fragment"].text(), members["mediaType"].text())
    if url == CONTAINER_MOUNT:
        return ContainerMount(
            host_path=members["HostPath"].text(),
            container_path=members["ContainerPath"].text(),
            read_only=members["ReadOnly"].flag(),
            type=members["Type"].text(),
        )
    return Resources(url == LINUX_RESOURCES, resources.value)


async def change_vm(vm: UtilityVM, wanted: Wanted, annotations: Mapping[str, str]) -> None:
    """Change a VM.

    Raises:
        ShimError: It makes no sense for a VM, or the engine's reason.
    """
    if isinstance(wanted, ContainerMount):
        raise ShimError(f"invalid resource: {wanted}")
    if isinstance(wanted, PolicyFragment):
        await vm.add_policy_fragment(wanted.fragment, wanted.media_type)
    else:
        others = {key: value for key, value in annotations.items() if key != CPU_GROUP}
        await vm.update(for_guest(wanted, linux=vm.guest_os == "linux"), others)
    if CPU_GROUP in annotations:
        group = annotations[CPU_GROUP]
        if not group:
            raise ShimError("must specify an ID to use when configuring a VM's cpugroup")
        await vm.set_cpu_group(group)


async def change_container(container: WindowsContainer, wanted: Wanted, *, is_linux: bool) -> None:
    """Change a running container.

    Raises:
        ShimError: It makes no sense for such a container, or the engine's reason.
    """
    if is_linux:
        if not isinstance(wanted, Resources) or not wanted.linux:
            raise ShimError(
                "must have resources be non-nil and type *LinuxResources when updating a lcow"
                " container"
            )
        await container.update(wanted.json)
    elif isinstance(wanted, ContainerMount):
        check_added_mount(wanted.host_path, wanted.container_path, wanted.type)
        await container.add_mount(
            wanted.host_path, wanted.container_path, read_only=wanted.read_only
        )
    elif isinstance(wanted, Resources) and not wanted.linux:
        await container.update(wanted.json)
    else:
        raise ShimError(_UNSUPPORTED)


def for_guest(resources: Resources, *, linux: bool) -> bytes:
    """A VM's limits as its guest's platform calls them: a VM takes those of either.

    Args:
        resources: As the client sent them.
        linux: Whether the guest is Linux.

    Raises:
        InvalidArgumentError: A member is of another type than OCI's.
    """
    if resources.linux == linux:
        return resources.json
    members = Member(json.loads(resources.json), document="resources")
    limit = members["memory"]["limit"]
    processor = members["cpu"]
    share = processor["quota" if resources.linux else "maximum"]
    weight = processor["shares"]
    found = {
        "memory": {"limit": limit.signed(64) if resources.linux else limit.unsigned(64)},
        "cpu": {
            "quota" if linux else "maximum": (
                share.signed(64) if resources.linux else share.unsigned(16)
            ),
            "shares": weight.unsigned(64 if resources.linux else 16),
        },
    }
    said: dict[str, dict[str, int]] = {}
    for name, numbers in found.items():
        present = {key: number for key, number in numbers.items() if number is not None}
        if members[name].present and present:
            said[name] = present
    return json.dumps(said, separators=(",", ":")).encode()


def _json_object(task: str, value: bytes) -> Member:
    try:
        members = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ShimError(_undecodable(task, str(error))) from error
    if not isinstance(members, dict):
        raise InvalidArgumentError(_undecodable(task, "no JSON object"))
    return Member(members, document="resources")


def _check_known(task: str, resources: TypedValue) -> None:
    """Let pass what is known to be something else.

    Raises:
        ShimError: Nobody knows such a type, or it is not what its type says.
    """
    if resources.type_url in _OTHERS:
        return
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(resources.type_name)
    except KeyError:
        text = f"type with url {resources.type_url}: not found"
        raise ShimError(_undecodable(task, text)) from None
    try:
        GetMessageClass(descriptor).FromString(resources.value)
    except DecodeError as error:
        raise ShimError(_undecodable(task, str(error))) from error


def _undecodable(task: str, why: str) -> str:
    return f"failed to unmarshal resources for container {task} update request: {why}"
