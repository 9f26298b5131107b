"""What a HostProcess container in a utility VM runs, and what such containers take from their pod.

Theory of operation. The guest of a VM does not look up programs for these containers as the host
does, so a command is left to the guest's command prompt, unless it names that itself. Of the two
ways in which OCI says a command, only the one that will be used is changed. Pure.
"""

from __future__ import annotations

import json
import ntpath
from typing import TYPE_CHECKING

from podshim.errors import FailedPreconditionError, ShimError
from podshim.hcsspec.predicates import (
    HOST_PROCESS_INHERIT_USER,
    HOST_PROCESS_ROOTFS,
    inherited,
    is_host_process,
    is_isolated,
)
from podshim.hcsspec.reading import Member, annotations_of

if TYPE_CHECKING:
    from podshim.task.runhcs.host import Spec, UtilityVM

_SYSTEM = "NT AUTHORITY\\SYSTEM"
_PROMPTS = {"cmd", "cmd.exe"}


def adjusted(process: Member, spec: Spec) -> dict[str, object] | None:
    """The OCI process to run for one that is asked for in an isolated HostProcess container.

    Args:
        process: What is asked for; nothing if absent.
        spec: The container's spec, whose annotations say whose user it is.

    Raises:
        InvalidArgumentError: A member is of another type than OCI's.
    """
    if not process.present:
        return None
    answer = process.members()
    line = process["commandLine"].text()
    args = process["args"].texts()
    if line:
        words = line.split()
        if not words or not _is_prompt(words[0]):
            answer["commandLine"] = f"cmd /c {line}"
    elif args and not _is_prompt(args[0].strip()):
        answer["args"] = ["cmd", "/c", *args]
    if annotations_of(spec).get(HOST_PROCESS_INHERIT_USER) == "true":
        answer["user"] = {**process["user"].members(), "username": _SYSTEM}
    return answer


def adjusted_exec(process: bytes, spec: Spec) -> bytes:
    """As `adjusted`, for the JSON object of an exec's process."""
    found = adjusted(Member(json.loads(process), document="exec spec"), spec)
    return json.dumps(found, separators=(",", ":")).encode()


def adjusted_spec(spec: Spec) -> Spec:
    """The spec with the process that its container shall run; others are left as they are."""
    if not (is_isolated(spec) and is_host_process(spec)):
        return spec
    process = adjusted(Member(spec)["process"], spec)
    return spec if process is None else {**spec, "process": process}


def reconciled(pod: Spec, vm: UtilityVM | None, workload: Spec) -> Spec:
    """A workload's spec as its pod lets it be.

    Args:
        pod: The spec of the pod's sandbox.
        vm: The pod's VM, if it has one.
        workload: The spec of the container that shall join.

    Raises:
        ShimError: The pod can't hold such a container.
    """
    on_host = is_host_process(workload) and not is_isolated(workload)
    in_vm = is_host_process(workload) and is_isolated(workload)
    pod_on_host = is_host_process(pod) and not is_isolated(pod)
    if pod_on_host and not on_host:
        raise ShimError(
            "cannot create a normal process isolated container if the pod sandbox is a job"
            " container running on host"
        )
    if in_vm and (vm is None or not vm.host_process_supported):
        raise ShimError("UVM does not support HostProcess containers")
    if is_isolated(workload) and vm is None:
        raise FailedPreconditionError(
            "cannot create a hypervisor isolated container in a pod without a utility VM"
        )
    annotations = annotations_of(workload)
    if pod_on_host or in_vm:
        handed_on = (HOST_PROCESS_INHERIT_USER, HOST_PROCESS_ROOTFS)
        annotations = inherited(annotations_of(pod), annotations, handed_on)
    elif not is_host_process(workload) and annotations.get(HOST_PROCESS_INHERIT_USER):
        annotations[HOST_PROCESS_INHERIT_USER] = "false"
    return {**workload, "annotations": annotations}


def _is_prompt(word: str) -> bool:
    return ntpath.basename(word.rstrip("\\/")).lower() in _PROMPTS
