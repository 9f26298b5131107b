"""The documents of containers in VMs, and what becomes of their mounts."""

import copy
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from hcs.vm_support import OWNER, golden, plain
from podshim.engines.hcs.documents import hosted, hosted_mounts
from podshim.engines.hcs.documents.container import ContainerFacts, Layer
from podshim.engines.hcs.documents.hosted_mounts import SMB_PREFIX, Disk, VmMount
from podshim.engines.hcs.documents.mounts import MappedDirectory, MappedPipe, SpecMount
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec.reading import Member

HPC = {"microsoft.com/hostprocess-container": "true"}
ROOT = "microsoft.com/hostprocess-rootfs-location"


def facts(annotations: dict[str, str] | None = None, **windows: object) -> ContainerFacts:
    return ContainerFacts(
        id="c1",
        owner=OWNER,
        spec={
            "hostname": "web",
            "annotations": annotations or {},
            "windows": {"hyperv": {}, **windows},
        },
        build=20348,
        processor_count=2,
        host_processor_count=8,
        layers=(Layer("g1", SMB_PREFIX + "s1"), Layer("g2", SMB_PREFIX + "s2")),
        root="c:\\mounts\\scsi\\m0",
        namespace="ns-1",
        directories=(MappedDirectory(SMB_PREFIX + "s3", "C:\\data", read_only=True),),
        pipes=(MappedPipe("p", SMB_PREFIX + "IPC$\\p"),),
        vm_dump_location="C:\\dumps\\{container_id}",
    )


def test_wcow_document() -> None:
    made = hosted.wcow(facts(network={"networkNamespace": "ns-1"}, resources={"cpu": {"count": 9}}))
    assert plain(made) == golden("hosted_wcow")


def test_wcow_document_scales_limits_to_the_vm() -> None:
    scaled = replace(facts(resources={"cpu": {"maximum": 1000}}), scale_cpu_limits=True)
    container = hosted.wcow(scaled)["Container"]
    assert isinstance(container, dict)
    assert container["Processor"] == {"Maximum": 4000}


def test_wcow_document_of_a_host_process_container() -> None:
    made = hosted.wcow(facts({**HPC, ROOT: "C:/hpc/./root"}))
    container = made["Container"]
    assert isinstance(container, dict)
    assert container["IsolationType"] == "HostProcess"
    assert container["Storage"]["PrivilegedContainerRootPath"] == "C:\\hpc\\root"
    container = hosted.wcow(facts(HPC))["Container"]
    assert isinstance(container, dict)
    assert "PrivilegedContainerRootPath" not in container["Storage"]


def test_wcow_document_for_a_policy_and_without_a_bridge() -> None:
    made = hosted.wcow(facts())
    spec = {"ociVersion": "1.1.0"}
    assert hosted.confidential_wcow(spec, made) == {"Spec": spec, "CWCOWHostedSystem": made}
    assert hosted.through_hcs(OWNER, "pod@vm", made) == {
        "Owner": OWNER,
        "SchemaVersion": {"Major": 2, "Minor": 1},
        "HostingSystemId": "pod@vm",
        "HostedSystem": made,
        "ShouldTerminateOnLastHandleClosed": True,
    }


@pytest.mark.parametrize(
    "path",
    [
        "",
        "hpc",
        "\\hpc",
        "C:hpc",
        "\\\\server\\share",
        "//server/share",
        "C:\\Windows",
        "c:\\windows\\system32",
        "C:\\x\\..\\Windows",
        "C:/EFI/Microsoft",
        "C:\\mounts\\x",
        "C:\\SandboxMounts",
        "C:\\Windows.\\x",
        "C:\\Windows \\x",
        "C:\\WINDOW~1",
        "C:\\x:stream",
        "1:\\x",
    ],
)
def test_unsafe_paths(path: str) -> None:
    with pytest.raises(ShimError, match="unsafe path detected"):
        hosted.safe_guest_path(path)


@pytest.mark.parametrize("path", ["C:\\hpc", "d:\\", "C:\\WindowsBackup", "C:\\a\\Windows"])
def test_safe_paths(path: str) -> None:
    assert hosted.safe_guest_path(path) == path


@given(st.text(alphabet="C:\\/.windows ~", max_size=20))
def test_a_safe_path_is_rooted_and_not_the_guests(path: str) -> None:
    try:
        clean = hosted.safe_guest_path("C:" + path)
    except ShimError:
        return
    assert clean.lower() != "c:\\windows"
    assert not clean.lower().startswith("c:\\windows\\")
    assert ".." not in clean.split("\\")


# --- Linux

LINUX_SPEC: dict[str, object] = {
    "ociVersion": "1.1.0",
    "hostname": "web",
    "process": {"args": ["sh"], "cwd": "/"},
    "root": {"path": "ignored", "readonly": True},
    "hooks": {"prestart": [{"path": "/x"}]},
    "annotations": {"some": "thing"},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/data", "type": "bind", "source": "C:\\data", "options": ["ro"]},
        {"destination": "blockdev:///dev/x", "type": "virtual-disk", "source": "C:\\x.vhdx"},
    ],
    "linux": {
        "cgroupsPath": "/kube/pod",
        "seccomp": {"defaultAction": "SCMP_ACT_ERRNO"},
        "resources": {
            "cpu": {"period": 0, "quota": 0, "shares": 10},
            "memory": {"limit": 100},
            "devices": [{"allow": False}],
            "pids": {"limit": 5},
            "blockIO": {"weight": 5},
            "hugepageLimits": [],
            "network": {"classID": 1},
        },
    },
    "windows": {
        "layerFolders": ["C:\\a", "C:\\b"],
        "hyperv": {},
        "network": {"networkNamespace": "ns-1", "endpointList": ["e"]},
        "devices": [{"id": "PCI\\X", "idType": "vpci-instance-id"}],
    },
}


def test_lcow_document() -> None:
    before = copy.deepcopy(LINUX_SPEC)
    spec = hosted.lcow_spec(
        LINUX_SPEC,
        "/run/gcs/c/c1/rootfs",
        {1: ("/run/gcs/c/c1/mounts/m1", "bind"), 2: ("/run/mounts/scsi/m0", "bind")},
        [{"id": "vmbus-guid", "idType": "vpci-instance-id"}],
    )
    made = hosted.lcow(spec, "c1", "/run/gcs/c/c1/scratch/c1")
    assert plain(made) == golden("hosted_lcow")
    assert before == LINUX_SPEC


def test_lcow_spec_of_a_privileged_container() -> None:
    spec = {
        **LINUX_SPEC,
        "annotations": {"io.microsoft.virtualmachine.lcow.privileged": "true"},
        "windows": None,
    }
    made = hosted.lcow_spec(spec, "/r", {})
    assert isinstance(made["linux"], dict)
    assert "seccomp" not in made["linux"]
    assert "windows" not in made


def test_lcow_spec_keeps_limits_that_are_set() -> None:
    spec = {"linux": {"resources": {"cpu": {"period": 5, "quota": 7}}}}
    assert hosted.lcow_spec(spec, "/r", {}) == {**spec, "root": {"path": "/r"}}


@pytest.mark.parametrize(
    "spec",
    [
        {"linux": 5},
        {"linux": {"resources": []}},
        {"linux": {"resources": {"cpu": {"quota": "much"}}}},
        {"linux": {}, "mounts": {}},
        {"linux": {}, "root": "x"},
        {"linux": {}, "windows": {"network": 5}},
    ],
)
def test_lcow_spec_of_wrong_types(spec: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"config\.json: .* must be "):
        hosted.lcow_spec(spec, "/r", {})


# --- mounts


def windows_mounts(*mounts: dict[str, object]) -> list[VmMount]:
    return hosted_mounts.wcow_mounts(Member({"mounts": list(mounts)}), "pod@vm")


def mount(source: str, destination: str = "C:\\d", kind: str = "") -> dict[str, object]:
    return {"source": source, "destination": destination, "type": kind}


@pytest.mark.parametrize(
    ("source", "destination", "kind", "expected"),
    [
        ("C:\\data", "C:\\d", "", {}),
        ("\\\\.\\PHYSICALDRIVE1", "C:\\d", "physical-disk", {"disk": Disk.PHYSICAL}),
        ("C:\\x.vhdx", "C:\\d", "virtual-disk", {"disk": Disk.VIRTUAL}),
        ("evd://a/b", "C:\\d", "extensible-virtual-disk", {"disk": Disk.EXTENSIBLE}),
        ("sandbox:///a/b", "C:\\d", "", {"guest_path": "C:\\SandboxMounts\\a\\b"}),
        (
            "\\\\.\\pipe\\host",
            "\\\\.\\pipe\\in",
            "",
            {
                "pipe": MappedPipe("in", SMB_PREFIX + "IPC$\\host"),
                "host_pipe": "\\\\.\\pipe\\host",
            },
        ),
        (
            "uvm://\\\\.\\pipe\\own",
            "\\\\.\\pipe\\in",
            "",
            {"pipe": MappedPipe("in", "\\\\.\\pipe\\pod\\own")},
        ),
    ],
)
def test_mounts_of_a_windows_guest(
    source: str, destination: str, kind: str, expected: dict[str, object]
) -> None:
    (made,) = windows_mounts(mount(source, destination, kind))
    spec_mount = SpecMount(source, destination, kind)
    assert made == VmMount(0, spec_mount, **expected)  # type: ignore[arg-type]  # of a table
    assert made.shared == (not expected)


def test_a_pipe_at_a_folder_is_left_out() -> None:
    assert windows_mounts(mount("\\\\.\\pipe\\host")) == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (mount("C:\\a", kind="bind"), "invalid OCI spec - Type 'bind' not supported"),
        (mount("uvm:///a"), "unsupported UVM mount source uvm:///a"),
        (mount("sandbox:///../Windows"), "unsafe path detected"),
        (mount(""), "a mount must have both source and a destination"),
    ],
)
def test_mounts_that_no_windows_guest_has(entry: dict[str, object], message: str) -> None:
    with pytest.raises(ShimError, match=message):
        windows_mounts(entry)


def linux_mounts(*mounts: dict[str, object]) -> list[VmMount]:
    return hosted_mounts.lcow_mounts(Member({"mounts": list(mounts)}))


def test_mounts_of_a_linux_guest() -> None:
    made = linux_mounts(
        mount("proc", "/proc", "proc"),
        mount("C:\\data", "/data", "bind"),
        mount("sandbox:///a", "/a", "bind"),
        mount("sandbox-tmp:///a", "/a", "bind"),
        mount("uvm:///a", "/a", "bind"),
        mount("hugepages://2M/a", "/huge", "bind"),
        mount("C:\\x.vhdx", "/x", "virtual-disk"),
        mount("C:\\x.vhdx", "blockdev:///x", "virtual-disk"),
        mount("", "", "tmpfs"),
    )
    assert [(m.index, m.shared, m.guest_path, m.linux_type) for m in made] == [
        (1, True, "", "bind"),
        (2, False, "sandbox:///a", "bind"),
        (3, False, "sandbox-tmp:///a", "bind"),
        (4, False, "uvm:///a", "bind"),
        (5, False, "hugepages://2M/a", "bind"),
        (6, False, "", "none"),
        (7, False, "", "bind"),
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (mount("hugepages://1G/a", "/h", "bind"), "only 2M .megabytes. pagesize is supported"),
        (mount("hugepages://2M", "/h", "bind"), "hugepages://2M mount path is invalid"),
        (mount("", "/h", "bind"), "a mount must have both source and a destination"),
    ],
)
def test_mounts_that_no_linux_guest_has(entry: dict[str, object], message: str) -> None:
    with pytest.raises(ShimError, match=message):
        linux_mounts(entry)
