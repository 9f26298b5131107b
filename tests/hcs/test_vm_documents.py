"""The documents of utility VMs, member by member."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from hcs.vm_cases import DOCUMENTS, FOLDER, WITH_VHD, confidential_lcow, lcow, wcow
from hcs.vm_support import BUNDLE, HOST, SHIM, TOPOLOGY, VM, golden, linux_spec, plain
from podshim.engines.hcs.documents import vm_confidential, vm_lcow, vm_parts
from podshim.engines.hcs.vm import derivation
from podshim.engines.hcs.vm.options import AssignedDevice, HostFacts, LcowOptions
from podshim.errors import ShimError


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.startswith("wcow")])
def test_wcow_documents(name: str) -> None:
    assert plain(DOCUMENTS[name]()) == golden(name)


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.startswith("lcow")])
def test_lcow_documents(name: str) -> None:
    assert plain(DOCUMENTS[name]()) == golden(name)


def line(options: LcowOptions) -> str:
    return vm_lcow.command_line(options)


def lcow_options(**annotations: str) -> LcowOptions:
    named = {VM + "lcow." + key.replace("_", "-"): value for key, value in annotations.items()}
    return derivation.lcow(linux_spec(named), "vm", BUNDLE, SHIM, FOLDER)


def test_kernel_command_line_starts_without_a_root_where_hcs_hands_it_over() -> None:
    assert line(lcow_options()).startswith(" initcall_blacklist=virtio_vsock_init ")


@pytest.mark.parametrize(
    ("annotations", "folder", "start"),
    [
        ({}, WITH_VHD, "root=/dev/pmem0 ro rootwait init=/init "),
        ({"kerneldirectboot": "false"}, FOLDER, "initrd=/initrd.img "),
        ({"preferredrootfstype": "initrd"}, WITH_VHD, " initcall"),
        ({"preferredrootfstype": "vhd"}, FOLDER, "root=/dev/pmem0 "),
    ],
)
def test_kernel_command_line_names_the_root(
    annotations: dict[str, str], folder: derivation.LinuxBootFolder, start: str
) -> None:
    named = {VM + "lcow." + key: value for key, value in annotations.items()}
    options = derivation.lcow(linux_spec(named), "vm", BUNDLE, SHIM, folder)
    assert line(options).startswith(start)


def test_kernel_command_line_tells_the_agent_not_to_scrub() -> None:
    shim = replace(SHIM, scrub_logs=False, log_level="debug")
    options = derivation.lcow(linux_spec(), "vm", BUNDLE, shim, FOLDER)
    assert line(options).endswith("/bin/gcs -v4 -log-format json -loglevel debug -scrub-logs=false")


def test_kernel_command_line_has_no_overlays_in_memory() -> None:
    assert " -w " not in line(lcow_options(writable_overlay_directories="true"))


def test_verity_without_its_arguments() -> None:
    with pytest.raises(ShimError, match="DmVerityCreateArgs must be set"):
        lcow(
            {
                VM + "devices.virtualpmem.maximumcount": "0",
                VM + "lcow.dmverity-mode": "true",
            },
            WITH_VHD,
        )


def test_a_device_twice() -> None:
    device = {"id": "PCI\\X", "idType": "vpci"}
    with pytest.raises(ShimError, match=r"device PCI.X with index 0 is specified multiple times"):
        lcow(windows={"devices": [device, device]})


def test_a_preferred_root_with_a_guest_state_file() -> None:
    spec = linux_spec({VM + "lcow.gueststatefile": "x.vmgs"})
    options = derivation.lcow(spec, "vm", BUNDLE, SHIM, FOLDER)
    with pytest.raises(ShimError, match="incompatible with SNP mode"):
        vm_confidential.build_lcow(options, HOST)


def test_a_policy_that_is_not_base64() -> None:
    with pytest.raises(ShimError, match="failed to decode base64 security policy: "):
        confidential_lcow({VM + "lcow.securitypolicy": "&&&"})


def test_a_policy_with_line_ends_is_base64() -> None:
    assert vm_parts.policy_digest("eyJh\r\nIjoxfQ==\n") == vm_parts.policy_digest("eyJhIjoxfQ==")


@pytest.mark.parametrize("make", [wcow, lcow], ids=["wcow", "lcow"])
def test_a_cpu_group_needs_a_newer_windows(
    make: Callable[..., dict[str, object]],
) -> None:
    annotations = {VM + "cpugroup.id": "2a0b8f76-3b3c-4a4a-9c2d-7e6a3a0c1d11"}
    with pytest.raises(ShimError, match="requires a build of 19043 or higher"):
        make(annotations, host=HostFacts(build=19042, processors=8))
    assert make(annotations, host=HostFacts(build=19043, processors=8))


@pytest.mark.parametrize("make", [wcow, lcow], ids=["wcow", "lcow"])
def test_processors_are_clamped_and_memory_is_even(
    make: Callable[..., dict[str, object]],
) -> None:
    annotations = {
        TOPOLOGY + "processor.count": "64",
        TOPOLOGY + "memory.sizeinmb": "1025",
    }
    document = make(annotations, host=HostFacts(build=20348, processors=3))
    machine = document["VirtualMachine"]
    assert isinstance(machine, dict)
    assert machine["ComputeTopology"]["Processor"] == {"Count": 3}
    assert machine["ComputeTopology"]["Memory"]["SizeInMB"] == 1026


def test_devices_without_a_numa_topology_have_no_affinity() -> None:
    options = replace(lcow_options(), devices=(AssignedDevice("X", 1),))
    document = vm_lcow.build(options, HOST, {AssignedDevice("X", 1): "bus"})
    machine = document["VirtualMachine"]
    assert isinstance(machine, dict)
    assert machine["Devices"]["VirtualPci"] == {
        "bus": {"Functions": [{"DeviceInstancePath": "X", "VirtualFunction": 1}]}
    }
