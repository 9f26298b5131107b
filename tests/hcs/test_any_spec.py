"""Specs with anything in them: every reader and builder takes one, or refuses it clearly."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from hcs.vm_support import BUNDLE, SHIM
from podshim.api.runhcs_options_pb2 import Options
from podshim.engine import Stdio
from podshim.engines.hcs.documents import (
    container,
    credentials,
    devices,
    hosted,
    hosted_mounts,
    limits,
    modify,
    mounts,
    process,
    properties,
    schema1,
)
from podshim.engines.hcs.documents.container import ContainerFacts
from podshim.engines.hcs.documents.jsontext import dumps
from podshim.engines.hcs.hcn import endpoints_in
from podshim.engines.hcs.hostprocess.limits import job_limits
from podshim.engines.hcs.hostprocess.parameters import parameters_of
from podshim.engines.hcs.layers import layers_of
from podshim.engines.hcs.vm import derivation
from podshim.engines.hcs.vm.derivation import LinuxBootFolder
from podshim.engines.hcs.vm.linuxparts import linux_layers_of
from podshim.errors import ShimError
from podshim.hcsspec import predicates, table
from podshim.hcsspec.annotations import Annotations
from podshim.hcsspec.reading import Member, annotations_of
from podshim.task.runhcs.hostprocess import adjusted_spec
from podshim.task.runhcs.request import judged_spec

ROOT = "\\\\?\\Volume{6827367b-c388-4e9b-961c-6d2c936c0000}"
#: Every annotation, with a text that most of them take.
ANNOTATIONS = {row.key: "1" for row in table.ROWS} | {
    "io.kubernetes.cri.container-type": "container",
    "io.microsoft.container.wcow.test-registry-annotation": '[{"Key":{"Hive":"Software"}}]',
    "microsoft.com/disable-hostprocess-container": "0",
    "io.microsoft.disable-unsafe-operations": "0",
}
SPEC: dict[str, Any] = {
    "hostname": "h",
    "root": {"path": ROOT, "readonly": False},
    "annotations": {},
    "mounts": [
        {"source": "C:\\a", "destination": "C:\\b", "options": ["ro"]},
        {"source": "\\\\.\\pipe\\a", "destination": "\\\\.\\pipe\\b"},
        {"source": "sandbox://a", "destination": "/b", "type": "bind"},
        {"source": "hugepages://2M/a", "destination": "/c", "type": "bind"},
    ],
    "process": {
        "args": ["a", "b"],
        "commandLine": "",
        "cwd": "C:\\",
        "env": ["A=1"],
        "terminal": True,
        "user": {"username": "u"},
        "consoleSize": {"height": 1, "width": 2},
    },
    "windows": {
        "layerFolders": ["base", "scratch"],
        "hyperv": {},
        "credentialSpec": "{}",
        "ignoreFlushesDuringBoot": True,
        "devices": [{"id": "x\\1", "idType": "class"}, {"id": "gpu\\1", "idType": "gpu"}],
        "resources": {
            "memory": {"limit": 1 << 30},
            "cpu": {"count": 1, "affinity": [{"mask": 1, "group": 0}]},
            "storage": {"bps": 1, "iops": 2},
        },
        "network": {
            "networkNamespace": "ns",
            "endpointList": ["e"],
            "DNSSearchList": ["d"],
            "allowUnqualifiedDNSQuery": True,
            "networkSharedContainerName": "c",
        },
    },
    "linux": {
        "cgroupsPath": "/a",
        "seccomp": {},
        "resources": {"cpu": {"period": 0, "quota": 0, "shares": 1}, "pids": {"limit": 1}},
    },
}


def nested(levels: int, make: Callable[[Any], Any] = lambda inner: [inner]) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = make(value)
    return value


texts = st.sampled_from(["", "a\0b", "\ud800", "9" * 5000, "uvm://", "C:", "true"]) | st.text()
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 1 << 31, 1 << 63, 1 << 64, 1 << 70, float("inf"), 1.5])
    | texts
)
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all members of a document."""
    keys: Any = ()
    if isinstance(value, dict):
        keys = value
    elif isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    """A document of which some members are something else, or not there."""
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from([*places(document)] or [()]))
        if path:
            document = replaced(document, path, draw(st.just(...) | junk))
    return document


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of a document with something else at a path; nothing, if that is `...`."""
    made = copy.deepcopy(document)
    holder = made
    for key in path[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return made


def taken_or_refused(read: Callable[[Any], object], document: Any) -> None:
    with contextlib.suppress(ShimError):
        read(document)


def facts(spec: Any, **members: Any) -> ContainerFacts:
    return ContainerFacts(
        "c", "shim.exe", spec, build=20348, processor_count=2, root=ROOT, namespace="ns", **members
    )


def annotations(spec: Any) -> Annotations:
    return Annotations(Member(spec)["annotations"].mapping())


READERS: dict[str, Callable[[Any], object]] = {
    "judged": lambda spec: judged_spec(spec, Options(), Stdio()),
    "judged for VMs": lambda spec: judged_spec(
        spec, Options(sandbox_isolation=Options.HYPERVISOR, sandbox_platform="windows"), Stdio()
    ),
    "place": lambda spec: predicates.container_type_and_sandbox(annotations_of(spec)),
    "isolated": predicates.is_isolated,
    "host process": predicates.is_host_process,
    "pause": predicates.with_lasting_pause,
    "adjusted": adjusted_spec,
    "container": lambda spec: dumps(container.build(facts(spec))),
    "first schema": lambda spec: dumps(schema1.build(facts(spec))),
    "in a Windows guest": lambda spec: dumps(
        hosted.confidential_wcow(spec, hosted.wcow(facts(spec, scale_cpu_limits=True)))
    ),
    "in a Linux guest": lambda spec: dumps(
        hosted.lcow(hosted.lcow_spec(spec, "/r", {}, [{"id": "x"}]), "c", "/s")
    ),
    "mounts": lambda spec: mounts.mapped_pipes(mounts.mounts_of(Member(spec))),
    "mounts in a Windows guest": lambda spec: hosted_mounts.wcow_mounts(Member(spec), "vm"),
    "mounts in a Linux guest": lambda spec: hosted_mounts.lcow_mounts(Member(spec)),
    "layers": lambda spec: layers_of((), Member(spec)["windows"]),
    "layers of a Linux guest": lambda spec: linux_layers_of((), Member(spec)["windows"]),
    "credentials": lambda spec: credentials.credential_spec(
        Member(spec)["windows"], annotations(spec)
    ),
    "affinity": lambda spec: limits.affinity_of(Member(spec)["windows"]["resources"]["cpu"], 20348),
    "update": lambda spec: modify.container_update(
        "c", Member(spec)["windows"]["resources"], build=20348, processor_count=2
    ),
    "job": lambda spec: job_limits(
        Member(spec)["windows"]["resources"], annotations(spec), processors=2, build=20348
    ),
    "process": lambda spec: dumps(
        process.process_parameters(Member(spec)["process"].members(), Stdio())
    ),
    "Linux process": lambda spec: dumps(
        process.linux_process_parameters(Member(spec)["process"].members(), Stdio())
    ),
    "host's process": lambda spec: parameters_of(Member(spec)["process"].members()),
    "Windows VM": lambda spec: derivation.wcow(spec, "vm", BUNDLE, SHIM),
    "Linux VM": lambda spec: derivation.lcow(spec, "vm", BUNDLE, SHIM, LinuxBootFolder("C:\\b")),
}


@pytest.mark.parametrize("reader", READERS)
def test_the_spec_that_is_changed_here_is_good(reader: str) -> None:
    windows = {name: value for name, value in SPEC.items() if name != "linux"}
    windows["mounts"] = SPEC["mounts"][:2]
    windows["windows"] = {**SPEC["windows"], "devices": SPEC["windows"]["devices"][:1]}
    READERS[reader](SPEC if "Linux" in reader else windows)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    spec=changed({**SPEC, "annotations": ANNOTATIONS}) | changed(SPEC),
    linux=st.booleans(),
    hyperv=st.booleans(),
)
@example(spec={"linux": {}, "windows": {}, "x": float("inf")}, linux=True, hyperv=True)
@example(
    spec={"linux": {}, "windows": {"devices": [{"id": "x\\" + "9" * 5000, "idType": "gpu"}]}},
    linux=True,
    hyperv=True,
)
def test_any_spec_is_read_or_refused(spec: Any, linux: bool, hyperv: bool) -> None:
    if not linux:
        spec.pop("linux", None)
    if not hyperv and isinstance(spec.get("windows"), dict):
        spec["windows"].pop("hyperv", None)
    for read in READERS.values():
        taken_or_refused(read, spec)


@pytest.mark.parametrize("levels", [100, 500, 900])
def test_any_depth_is_read_or_refused(levels: int) -> None:
    deep = nested(levels)
    taken_or_refused(READERS["in a Linux guest"], {"linux": {}, "windows": {}, "x": deep})
    for path in places(SPEC):
        for read in READERS.values():
            taken_or_refused(read, replaced(SPEC, path, deep))
    folders = nested(levels, lambda inner: {"objdir": [inner]})
    taken_or_refused(extended, {"namespace": {"ob": folders}})


def extended(document: Any) -> object:
    return dumps(devices.device_extensions([("x.json", document)], 20348))


@given(document=changed({"namespace": {"ob": {"shadow": "a"}, "device": {"device_instance": []}}}))
def test_any_device_extension_is_taken_or_refused(document: Any) -> None:
    taken_or_refused(extended, document)


ANSWER: dict[str, Any] = {
    "Properties": [
        {
            "LogicalProcessorCount": 2,
            "Instances": [{"Id": "c", "CredentialGuard": {"Cookie": "k"}, "HvSocketConfig": {}}],
        }
    ],
    "Resources": [{"Type": "Endpoint", "Data": {"ID": "e"}}],
    "ProcessList": [{"ProcessId": 1, "ImageName": "a", "CreateTimestamp": "2020-01-01T00:00:00Z"}],
    "Memory": {"VirtualNodeCount": 1, "VirtualMachineMemory": {"AssignedMemory": 1}},
    "Statistics": {
        "Timestamp": "2020-01-01T00:00:00Z",
        "Uptime100ns": 1,
        "Processor": {"TotalRuntime100ns": 1},
        "Memory": {},
        "Storage": {"ReadSizeBytes": 1},
    },
    "LCOWMetrics": {"cpu": {"usage": {"total": 1}}},
}
ANSWERED: tuple[Callable[[Any], object], ...] = (
    lambda answer: credentials.find_instance(answer, "c"),
    properties.processor_count,
    properties.process_details,
    properties.container_statistics,
    lambda answer: properties.container_statistics({**answer, "LCOWMetrics": None}),
    properties.vm_memory,
    properties.total_runtime_ns,
    endpoints_in,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(answer=changed(ANSWER))
@example(answer={"LCOWMetrics": {"cpu": "\ud800"}})
@example(answer={"LCOWMetrics": {"cpu": {"usage": {"total": float("inf")}}}})
def test_any_answer_of_the_service_is_read_or_refused(answer: Any) -> None:
    for read in ANSWERED:
        taken_or_refused(read, answer)
