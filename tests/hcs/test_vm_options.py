"""Options of utility VMs: defaults, annotations, what implies what, and what is refused."""

import logging
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from hcs.vm_cases import FOLDER, WITH_VHD
from hcs.vm_support import BUNDLE, HOST, POLICY, SHIM, TOPOLOGY, VM, linux_spec, windows_spec
from podshim.engines.hcs.vm import derivation
from podshim.engines.hcs.vm.options import (
    AssignedDevice,
    HostFacts,
    LcowOptions,
    RootFs,
    WcowOptions,
    check,
)
from podshim.errors import InvalidArgumentError, ShimError

RESOURCES = {
    "memory": {"limit": 5 << 30},
    "cpu": {"count": 3, "maximum": 7000, "shares": 100},
    "storage": {"bps": 1000, "iops": 20},
}


def wcow(annotations: dict[str, str] | None = None, resources: object = None) -> WcowOptions:
    return derivation.wcow(windows_spec(annotations, resources), "pod@vm", BUNDLE, SHIM)


def lcow(annotations: dict[str, str] | None = None, windows: object = None) -> LcowOptions:
    return derivation.lcow(linux_spec(annotations, windows), "pod@vm", BUNDLE, SHIM, FOLDER)


def test_memory_is_even_and_has_64_bits() -> None:
    for asked, given_ in (("1", 2), ("2", 2), (str((1 << 64) - 1), (1 << 64) - 2)):
        assert wcow({TOPOLOGY + "memory.sizeinmb": asked}).memory_mb == given_


def test_defaults() -> None:
    options = wcow()
    assert options == WcowOptions(
        id="pod@vm", owner=SHIM.owner, bundle=BUNDLE, network_proxy_id="pod"
    )
    assert (options.memory, options.processor_count, options.scsi_controllers) == (1024, 2, 1)
    assert (options.overcommit, options.deferred_commit) == (True, False)
    assert (options.forward_logs, options.default_log_sources) == (True, True)
    linux = lcow()
    assert (linux.vpmem_devices, linux.vpmem_bytes) == (64, 4 << 30)
    assert (linux.kernel_direct, linux.root_fs, linux.controllers) == (True, RootFs.INITRD, 1)


def test_one_processor_where_there_is_one() -> None:
    options = derivation.wcow(windows_spec(), "vm", BUNDLE, replace(SHIM, processors=1))
    assert options.processor_count == 1


def test_the_spec_says_what_annotations_do_not() -> None:
    options = wcow(resources=RESOURCES)
    assert (options.memory, options.processor_count) == (5120, 3)
    assert (options.processor_limit, options.processor_weight) == (7000, 100)
    assert (options.storage_bandwidth, options.storage_iops) == (1000, 20)


def test_annotations_overrule_the_spec_unless_they_say_0() -> None:
    annotations = {
        TOPOLOGY + "memory.sizeinmb": "2048",
        TOPOLOGY + "processor.count": "0",
        TOPOLOGY + "processor.limit": "9",
        TOPOLOGY + "processor.weight": "many",
        VM + "storageqos.bandwidthmaximum": "5",
        VM + "storageqos.iopsmaximum": "6",
    }
    options = wcow(annotations, RESOURCES)
    assert (options.memory, options.processor_count) == (2048, 3)
    assert (options.processor_limit, options.processor_weight) == (9, 100)
    assert (options.storage_bandwidth, options.storage_iops) == (5, 6)


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ShimError, match=r"processor.count.* must not be negative"):
        wcow({TOPOLOGY + "processor.count": "-1"})


@pytest.mark.parametrize(
    "resources", [{"memory": {"limit": "much"}}, {"cpu": {"count": -1}}, {"storage": 5}, []]
)
def test_resources_of_a_wrong_type(resources: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"config\.json: windows\.resources"):
        wcow(resources=resources)


def test_full_physical_backing_implies() -> None:
    backed = {VM + "fullyphysicallybacked": "true", TOPOLOGY + "memory.allowovercommit": "true"}
    assert not wcow(backed).overcommit
    linux = lcow(backed)
    assert (linux.overcommit, linux.vpmem_devices, linux.controllers) == (False, 0, 4)


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (
            {
                TOPOLOGY + "memory.enabledeferredcommit": "true",
                TOPOLOGY + "memory.allowovercommit": "false",
            },
            "EnableDeferredCommit is not supported on physically backed VMs",
        ),
        (
            {
                VM + "resource-partition-id": "8a5c3b2d-1111-4222-8333-944455556666",
                VM + "cpugroup.id": "x",
            },
            "resource partition ID and CPU group ID cannot be set at the same time",
        ),
    ],
)
def test_what_no_vm_can_be(annotations: dict[str, str], message: str) -> None:
    for options in (wcow(annotations), lcow(annotations)):
        with pytest.raises(ShimError) as caught:
            check(options, HOST)
        assert str(caught.value) == f"UVM options incorrect: {message}"


@pytest.mark.parametrize(
    ("annotations", "build", "message"),
    [
        (
            {VM + "devices.virtualpmem.maximumcount": "129"},
            20348,
            "VPMem device count cannot be greater than 128",
        ),
        (
            {VM + "devices.virtualpmem.maximumsizebytes": "4097"},
            20348,
            "VPMemSizeBytes must be a multiple of 4096",
        ),
        (
            {VM + "lcow.kerneldirectboot": "true"},
            18285,
            "KernelDirectBoot is not supported on builds older than 18286",
        ),
        (
            {TOPOLOGY + "memory.enablecolddiscardhint": "true"},
            18966,
            "EnableColdDiscardHint is not supported on builds older than 18967",
        ),
    ],
)
def test_what_no_linux_vm_can_be(annotations: dict[str, str], build: int, message: str) -> None:
    with pytest.raises(ShimError) as caught:
        check(lcow(annotations), HostFacts(build, 8))
    assert str(caught.value) == f"UVM options incorrect: {message}"


def test_a_size_that_nothing_has_is_not_looked_at() -> None:
    annotations = {
        VM + "devices.virtualpmem.maximumcount": "0",
        VM + "devices.virtualpmem.maximumsizebytes": "4097",
    }
    check(lcow(annotations), HOST)


def test_controllers() -> None:
    with pytest.raises(ShimError, match="exactly 1 SCSI controller is required for WCOW"):
        check(replace(wcow(), scsi_controllers=2), HOST)
    with pytest.raises(ShimError, match="SCSI controller count can't be more than 4"):
        check(replace(lcow(), scsi_controllers=5), HOST)
    with pytest.raises(ShimError, match="GuestStateFilePath must be provided"):
        check(replace(wcow(), security_policy=POLICY), HOST)


def test_a_resource_partition_that_is_no_guid() -> None:
    with pytest.raises(ShimError, match=r'failed to parse annotation ".*resource-partition-id"'):
        lcow({VM + "resource-partition-id": "north"})


def test_old_builds_boot_by_uefi_and_map_once() -> None:
    shim = replace(SHIM, build=17763)
    options = derivation.lcow(linux_spec(), "vm", BUNDLE, shim, WITH_VHD)
    assert (options.kernel_direct, options.vpmem_multi_mapping) == (False, False)
    check(options, HostFacts(17763, 8))


def test_the_kernel_is_uncompressed_where_there_is_one_and_it_helps() -> None:
    folder = replace(FOLDER, has_uncompressed_kernel=True)
    assert derivation.lcow(linux_spec(), "vm", BUNDLE, SHIM, folder).kernel_file == "vmlinux"
    spec = linux_spec({VM + "lcow.kerneldirectboot": "0"})
    assert derivation.lcow(spec, "vm", BUNDLE, SHIM, folder).kernel_file == "kernel"


def test_a_root_file_system_of_an_unknown_kind(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        options = lcow({VM + "lcow.preferredrootfstype": "floppy"})
    assert options.root_fs is RootFs.INITRD
    assert "preferredrootfstype" in caplog.text


def test_the_boot_folder() -> None:
    spec = linux_spec({VM + "bootfilesrootpath": "D:\\boot"})
    assert derivation.linux_boot_folder(spec, "C:\\default") == "D:\\boot"
    assert derivation.linux_boot_folder(linux_spec(), "C:\\default") == "C:\\default"


def test_devices() -> None:
    options = lcow(
        windows={
            "devices": [
                {"id": "PCI\\A\\7", "idType": "vpci"},
                {"id": "PCI\\A\\65536", "idType": "gpu"},
                {"id": "B", "idType": "vpci-instance-id"},
                {"id": "C", "idType": "class"},
            ]
        }
    )
    assert options.devices == (
        AssignedDevice("PCI\\A", 7),
        AssignedDevice("PCI\\A\\65536"),
        AssignedDevice("B"),
    )


@given(st.text())
def test_any_device_path_is_read(path: str) -> None:
    device = derivation.assigned_device(path)
    assert 0 <= device.function < 1 << 16
    folder = path.replace("/", "\\").rpartition("\\")[0]
    assert device == AssignedDevice(path) or device.instance == folder


# --- confidential guests


def test_a_policy_of_a_linux_guest_implies() -> None:
    policy = {VM + "lcow.securitypolicy": POLICY, VM + "lcow.kernelbootoptions": "x"}
    options = lcow(policy)
    assert (options.vpmem_devices, options.controllers) == (0, 4)
    assert (options.guest_state_file, options.root_fs) == ("kernel.vmgs", RootFs.NONE)
    assert (options.verity, options.verity_disk) == (True, "rootfs.vhd")
    assert (options.kernel_options, options.overcommit) == ("", False)
    assert (options.encrypted_scratch, options.hcl_enabled) == (True, None)
    assert options.reference_info_file == "reference_info.cose"
    assert options.hash_envelope_file == "reference_info_hash_envelope.cose"
    assert not lcow({**policy, VM + "storage.scratch.encrypted": "false"}).encrypted_scratch


def test_a_policy_without_the_hardware_changes_no_boot() -> None:
    options = lcow({VM + "lcow.securitypolicy": POLICY, VM + "no_security_hardware": "true"})
    assert (options.guest_state_file, options.root_fs) == ("", RootFs.INITRD)
    assert (options.vpmem_devices, options.encrypted_scratch) == (64, True)


def test_a_policy_of_a_windows_guest_implies() -> None:
    options = wcow({VM + "wcow.securitypolicy": POLICY}, {"memory": {"limit": 8 << 30}})
    folder = "C:\\shim\\WindowsBootFiles\\confidential\\"
    assert (options.memory, options.overcommit, options.forward_logs) == (2048, False, False)
    assert options.isolation == "SecureNestedPaging"
    assert options.guest_state_file == folder + "cwcow.snp.vmgs"
    assert options.reference_info_file == folder + "reference_info.cose"
    assert options.hash_envelope_file == folder + "reference_info_hash_envelope.cose"


@pytest.mark.parametrize(
    ("asked", "isolation", "state"),
    [
        ({"wcow.isolation_type": "SNP"}, "SecureNestedPaging", "cwcow.snp.vmgs"),
        ({"wcow.isolation_type": "VBS"}, "VirtualizationBasedSecurity", "cwcow.vbs.vmgs"),
        ({"wcow.isolation_type": "GuestStateOnly"}, "GuestStateOnly", "cwcow.gso.vmgs"),
        ({"no_security_hardware": "true"}, "GuestStateOnly", "cwcow.gso.vmgs"),
    ],
)
def test_isolation_of_a_windows_guest(asked: dict[str, str], isolation: str, state: str) -> None:
    annotations = {VM + key: value for key, value in asked.items()}
    annotations |= {VM + "wcow.securitypolicy": POLICY, VM + "bootfilesrootpath": "D:\\b"}
    options = wcow(annotations)
    assert (options.isolation, options.guest_state_file) == (isolation, f"D:\\b\\{state}")


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (
            {TOPOLOGY + "memory.sizeinmb": "2047"},
            "minimum 2048MB of memory is required for confidential pods, got: 2047",
        ),
        ({VM + "wcow.isolation_type": "None"}, 'invalid WCOW isolation type "None"'),
        (
            {"io.microsoft.wcow.debug": "true"},
            (
                '"io.microsoft.wcow.debug_data_path" must be set to a non-empty path when'
                ' "io.microsoft.wcow.debug" is enabled'
            ),
        ),
    ],
)
def test_what_no_confidential_windows_guest_can_be(
    annotations: dict[str, str], message: str
) -> None:
    with pytest.raises(ShimError) as caught:
        wcow({VM + "wcow.securitypolicy": POLICY, **annotations})
    assert str(caught.value) == message


def test_debugging_is_for_confidential_guests() -> None:
    annotations = {"io.microsoft.wcow.debug": "true", "io.microsoft.wcow.debug_data_path": "D:\\d"}
    with pytest.raises(ShimError, match="is only supported for confidential WCOW"):
        wcow(annotations)
    assert wcow({**annotations, VM + "wcow.securitypolicy": POLICY}).save_disks_to == "D:\\d"
