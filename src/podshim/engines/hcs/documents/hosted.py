r"""The documents of containers in utility VMs, which their guest makes containers of.

Theory of operation. A Windows guest takes the same `Container` object as the host's HCS does, in an
envelope of its own; every path in it is the guest's. A guest that enforces a policy gets the spec
too, to judge it. A Linux guest takes the OCI spec itself, of which it is told only what it can do:
what its host has done or it does not support is taken out, and sources of mounts and devices are
where they are in the guest.

A HostProcess container in a VM has its file system at a path of the guest that the spec may choose,
but not over the guest's own folders.
"""

from __future__ import annotations

import ntpath
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.container import SCHEMA_2_1, container_section
from podshim.errors import ShimError
from podshim.hcsspec import table
from podshim.hcsspec.annotations import Annotations
from podshim.hcsspec.predicates import is_host_process, is_isolated
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podshim.engines.hcs.documents.container import ContainerFacts
    from podshim.engines.hcs.documents.jsontext import Json

#: Where a Linux guest keeps what belongs to a container.
LCOW_CONTAINERS = "/run/gcs/c"
#: Folders of a Windows guest that no container's file system may cover.
_GUESTS_OWN = ("C:\\Windows", "C:\\mounts", "C:\\EFI", "C:\\SandboxMounts")
_ROOTED = re.compile(r"[A-Za-z]:\\")
_DEFAULT_PERIOD = 100_000
_NO_QUOTA = -1
#: What a Linux guest does not limit.
_UNSUPPORTED_RESOURCES = ("devices", "pids", "blockIO", "hugepageLimits", "network")


def wcow(facts: ContainerFacts) -> Json:
    """The document of a container in a Windows guest.

    Args:
        facts: What it is made of; `root` is its scratch's path in the guest, and so are the paths
            of layers and folders.

    Raises:
        ShimError: The spec asks for what can't be.
        InvalidArgumentError: A member of the spec is of another type than OCI's.
    """
    if is_host_process(facts.spec) and is_isolated(facts.spec):
        facts = replace(
            facts,
            isolation_type="HostProcess",
            host_process_root=host_process_root(facts.annotations),
        )
    return {
        "SchemaVersion": dict(SCHEMA_2_1),
        "Container": container_section(facts, facts.root),
    }


def confidential_wcow(spec: Mapping[str, object], hosted: Json) -> Json:
    """The document of a container in a Windows guest that enforces a policy.

    Args:
        spec: The OCI spec, which the policy is about.
        hosted: What `wcow` made.
    """
    return {"Spec": dict(spec), "CWCOWHostedSystem": hosted}


def through_hcs(owner: str, vm_id: str, hosted: Json) -> Json:
    """The document with which HCS itself makes a container in a VM without a bridge to its guest.

    Args:
        owner: Who creates it: the name of the shim's file.
        vm_id: The VM.
        hosted: What `wcow` or `lcow` made.
    """
    return {
        "Owner": owner,
        "SchemaVersion": dict(SCHEMA_2_1),
        "HostingSystemId": vm_id,
        "HostedSystem": hosted,
        "ShouldTerminateOnLastHandleClosed": True,
    }


def host_process_root(annotations: Annotations) -> str:
    """Where the file system of a HostProcess container in a VM appears; empty: the usual place.

    Raises:
        ShimError: It would not be a place of its own.
    """
    asked = annotations.values.get(table.HOST_PROCESS_ROOTFS.key)
    return "" if asked is None else safe_guest_path(asked)


def safe_guest_path(path: str) -> str:
    r"""A path of a Windows guest, normalised, if it is rooted and none of the guest's own.

    Windows ignores dots and spaces at the end of a name and knows some names by a short form with
    `~`: paths with such names are refused, because they may be another's in disguise.

    Raises:
        ShimError: It is none.
    """
    clean = ntpath.normpath(path) if path else ""
    names = clean[3:].split("\\")
    disguised = any(name != name.rstrip(". ") or set(name) & set("~:\0") for name in names)
    lower = clean.lower()
    covers = any(
        lower == own.lower() or lower.startswith(own.lower() + "\\") for own in _GUESTS_OWN
    )
    if not _ROOTED.match(clean) or disguised or covers:
        raise ShimError("unsafe path detected")
    return clean


def lcow(spec: Json, container_id: str, scratch: str) -> Json:
    """The document of a container in a Linux guest.

    Args:
        spec: What `lcow_spec` made.
        container_id: The container's id.
        scratch: The folder of its scratch in the guest.
    """
    return {
        "SchemaVersion": dict(SCHEMA_2_1),
        "OciBundlePath": lcow_bundle(container_id),
        "OciSpecification": spec,
        "ScratchDirPath": scratch,
    }


def lcow_bundle(container_id: str) -> str:
    """The folder in a Linux guest that belongs to a container."""
    return f"{LCOW_CONTAINERS}/{container_id}"


def lcow_spec(
    spec: Mapping[str, object],
    root: str,
    mounts: Mapping[int, tuple[str, str]],
    devices: Sequence[Mapping[str, object]] | None = None,
) -> Json:
    """A spec as a Linux guest gets it.

    Args:
        spec: The container's spec; it stays as it is, and what is made shares members with it.
        root: The root file system's path in the guest.
        mounts: For the mounts that the host has prepared, by their place in the list: their
            sources in the guest, and their types there.
        devices: The devices as the guest knows them; None if there are none.

    Raises:
        InvalidArgumentError: A member of the spec is of another type than OCI's.
    """
    made: Json = {name: value for name, value in spec.items() if name not in {"windows", "hooks"}}
    made["root"] = {**_object(Member(spec)["root"]), "path": root}
    entries = [_object(entry) for entry in Member(spec)["mounts"].objects()]
    for index, (source, kind) in mounts.items():
        entries[index] |= {"source": source, "type": kind}
    if entries:
        made["mounts"] = entries
    windows = _windows(Member(spec)["windows"], devices)
    if windows:
        made["windows"] = windows
    made["linux"] = _linux(spec)
    return made


def _windows(windows: Member, devices: Sequence[Mapping[str, object]] | None) -> Json:
    """What a Linux guest is told of the Windows section."""
    made: Json = {}
    namespace = windows["network"]["networkNamespace"].text()
    if devices:
        made["devices"] = [dict(device) for device in devices]
    if namespace:
        made["network"] = {"networkNamespace": namespace}
    return made


def _linux(spec: Mapping[str, object]) -> Json:
    """The Linux section without what the guest does itself or can't do."""
    linux = Member(spec)["linux"]
    made = _object(linux)
    made.pop("cgroupsPath", None)
    if Annotations(Member(spec)["annotations"].mapping()).get(table.LCOW_PRIVILEGED):
        made.pop("seccomp", None)
    if not linux["resources"].present:
        return made
    resources = _object(linux["resources"])
    for name in _UNSUPPORTED_RESOURCES:
        resources.pop(name, None)
    cpu = linux["resources"]["cpu"]
    if cpu.present:
        limits = _object(cpu)
        if cpu["period"].unsigned(64) == 0:
            limits["period"] = _DEFAULT_PERIOD
        if cpu["quota"].signed(64) == 0:
            limits["quota"] = _NO_QUOTA
        resources["cpu"] = limits
    made["resources"] = resources
    return made


def _object(member: Member) -> Json:
    """The members of an object, none if it is absent."""
    if member.value is None:
        return {}
    if not isinstance(member.value, dict):
        raise member.wrong("an object")
    return dict(member.value)
