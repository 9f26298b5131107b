"""What a spec asks for: its platform, its isolation, and its place in a pod.

Theory of operation. Everything follows from which sections a spec has and from four annotations;
a section counts when it is there and not null, whatever is in it:

    LCOW          `linux`, with or without `windows`: a Linux container, which needs a utility VM
    WCOW          `windows` without `linux`: a Windows container
    isolated      LCOW, or `windows.hyperv`: lives in a utility VM
    HostProcess   WCOW whose annotation says exactly `true`: processes of the host in a job

The place in a pod is told by two annotations of CRI, which go together or not at all.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from podshim.errors import ShimError
from podshim.hcsspec.reading import Member, annotations_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTAINER_TYPE = "io.kubernetes.cri.container-type"
SANDBOX_ID = "io.kubernetes.cri.sandbox-id"
HOST_PROCESS = "microsoft.com/hostprocess-container"
HOST_PROCESS_INHERIT_USER = "microsoft.com/hostprocess-inherit-user"
HOST_PROCESS_ROOTFS = "microsoft.com/hostprocess-rootfs-location"

#: What the pause image of Windows runs, and what keeps running without a console.
_COMMAND_PROMPT = "c:\\windows\\system32\\cmd.exe"
_PAUSE = "cmd /c ping -t 127.0.0.1 > nul"


class ContainerType(Enum):
    """What a container is to a pod."""

    NONE = ""
    CONTAINER = "container"
    SANDBOX = "sandbox"


def container_type_and_sandbox(annotations: Mapping[str, str] | None) -> tuple[ContainerType, str]:
    """What a container is to a pod, and the pod's id.

    Returns:
        `NONE` and an empty id if the annotations don't speak of a pod.

    Raises:
        ShimError: One annotation without the other, or a type that does not exist.
    """
    found = annotations or {}
    kind = found.get(CONTAINER_TYPE)
    sandbox = found.get(SANDBOX_ID, "")
    if kind is None:
        if sandbox:
            raise ShimError(f"cannot specify '{SANDBOX_ID}' without '{CONTAINER_TYPE}'")
        return ContainerType.NONE, ""
    if kind not in {"container", "sandbox"}:
        raise ShimError(f"invalid '{CONTAINER_TYPE}': '{kind}'")
    if not sandbox:
        raise ShimError(f"cannot specify '{CONTAINER_TYPE}' without '{SANDBOX_ID}'")
    return ContainerType(kind), sandbox


def is_lcow(spec: Mapping[str, object]) -> bool:
    """Whether it is a Linux container."""
    return spec.get("linux") is not None


def is_wcow(spec: Mapping[str, object]) -> bool:
    """Whether it is a Windows container."""
    return not is_lcow(spec) and spec.get("windows") is not None


def is_isolated(spec: Mapping[str, object]) -> bool:
    """Whether it lives in a utility VM.

    Raises:
        InvalidArgumentError: `windows` is no object.
    """
    return is_lcow(spec) or Member(spec)["windows"]["hyperv"].present


def is_host_process(spec: Mapping[str, object]) -> bool:
    """Whether it is a HostProcess container (on the host or, if isolated, in a VM).

    Raises:
        InvalidArgumentError: The annotations are no object of strings.
    """
    return is_wcow(spec) and annotations_of(spec).get(HOST_PROCESS) == "true"


def inherited(
    pod: Mapping[str, str] | None, container: Mapping[str, str] | None, keys: Iterable[str]
) -> dict[str, str]:
    """A container's annotations with those of its pod that it shall have too.

    Args:
        pod: The pod's annotations; None hands nothing on.
        container: Its own; None takes nothing.
        keys: Which to take, also over its own.
    """
    if container is None:
        return {}
    taken = {key: pod[key] for key in keys if key in pod} if pod is not None else {}
    return {**container, **taken}


def with_lasting_pause(spec: Mapping[str, object]) -> dict[str, object]:
    """The spec of a pod's real pause container, whose process must not end at once.

    A command prompt alone, as the pause image has it, ends when its standard input does; a ping
    that never ends takes its place. Any other command stays.

    Raises:
        InvalidArgumentError: `process`, or its command, is of another type than OCI's.
    """
    process = Member(spec)["process"]
    if not process.present:
        return dict(spec)
    args = process["args"].texts()
    alone = len(args) == 1 and args[0].lower() == _COMMAND_PROMPT
    if not alone and process["commandLine"].text().lower() != _COMMAND_PROMPT:
        return dict(spec)
    return {**spec, "process": {**process.members(), "commandLine": _PAUSE}}
