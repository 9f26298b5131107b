"""The VMs whose documents are compared with golden ones: a spec, and the document made of it."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from hcs.vm_support import (
    BUNDLE,
    HOST,
    NEW_HOST,
    POLICY,
    SHIM,
    TOPOLOGY,
    VM,
    linux_spec,
    windows_spec,
)
from podshim.engines.hcs.documents import vm_confidential, vm_lcow, vm_wcow
from podshim.engines.hcs.documents.vm_confidential import ConfidentialBoot
from podshim.engines.hcs.documents.vm_wcow import WindowsBoot
from podshim.engines.hcs.vm import derivation
from podshim.engines.hcs.vm.derivation import LinuxBootFolder
from podshim.engines.hcs.vm.options import HostFacts

Document = dict[str, object]
BOOT = WindowsBoot(files="C:\\base\\UtilityVM\\Files", scratch="C:\\scratch\\vm\\sandbox.vhdx")
DISKS = ConfidentialBoot(
    scratch="C:\\scratch\\sandbox.vhdx",
    boot="C:\\shim\\WindowsBootFiles\\confidential\\boot.vhd",
    root_fs="C:\\shim\\WindowsBootFiles\\confidential\\rootfs.vhd",
)
FOLDER = LinuxBootFolder("C:\\shim\\LinuxBootFiles")
WITH_VHD = replace(FOLDER, has_vhd=True)
REGISTRY = (
    '[{"Key": {"Hive": "System", "Name": "CurrentControlSet\\\\Services\\\\x"},'
    ' "Name": "Start", "Type": "DWord", "DWordValue": 4},'
    ' {"Key": {"Hive": "System", "Name": "Select"}, "Name": "x", "Type": "DWord"}]'
)
#: What any VM can be asked for.
EVERYTHING: Mapping[str, str] = {
    TOPOLOGY + "memory.sizeinmb": "3001",
    TOPOLOGY + "memory.lowmmiogapinmb": "128",
    TOPOLOGY + "memory.highmmiobaseinmb": "4096",
    TOPOLOGY + "memory.highmmiogapinmb": "512",
    TOPOLOGY + "memory.enabledeferredcommit": "true",
    TOPOLOGY + "processor.count": "4",
    TOPOLOGY + "processor.limit": "50000",
    TOPOLOGY + "processor.weight": "200",
    VM + "cpugroup.id": "2a0b8f76-3b3c-4a4a-9c2d-7e6a3a0c1d11",
    VM + "storageqos.bandwidthmaximum": "1000000",
    VM + "storageqos.iopsmaximum": "500",
    VM + "console.pipe": "\\\\.\\pipe\\vm",
    VM + "hv-socket.service-table.0BADF00D-0000-4000-8000-00000000CAFE": (
        '{"AllowWildcardBinds": true, "BindSecurityDescriptor": "D:P(A;;FA;;;WD)"}'
    ),
    "io.microsoft.container.processdumplocation": "C:\\dumps",
}
NUMA_EXPLICIT: Mapping[str, str] = {
    TOPOLOGY + "memory.allowovercommit": "false",
    TOPOLOGY + "numa.mapped-physical-nodes": "1,0",
    TOPOLOGY + "numa.count-of-processors": "1,1",
    TOPOLOGY + "numa.count-of-memory-blocks": "512,512",
    TOPOLOGY + "numa.preferred-physical-nodes": "0,1",
}
NUMA_IMPLICIT: Mapping[str, str] = {
    VM + "fullyphysicallybacked": "true",
    TOPOLOGY + "processor.numa.max-processors-per-node": "2",
    TOPOLOGY + "processor.numa.max-size-per-node": "512",
    TOPOLOGY + "numa.preferred-physical-nodes": "1",
}


def wcow(annotations: Mapping[str, str] | None = None, host: HostFacts = HOST) -> Document:
    """The document of a VM with a Windows guest."""
    named = {**annotations, VM + "wcow.additional-reg-keys": REGISTRY} if annotations else {}
    options = derivation.wcow(
        windows_spec(named), "pod@vm", BUNDLE, replace(SHIM, build=host.build)
    )
    return vm_wcow.build(options, BOOT, host)


def confidential_wcow(annotations: Mapping[str, str]) -> Document:
    """The document of a VM with a confidential Windows guest."""
    spec = windows_spec({VM + "wcow.securitypolicy": POLICY, **annotations})
    options = derivation.wcow(spec, "pod@vm", BUNDLE, SHIM)
    return vm_confidential.build_wcow(options, DISKS, HOST)


def lcow(
    annotations: Mapping[str, str] | None = None,
    folder: LinuxBootFolder = FOLDER,
    *,
    windows: object = None,
    host: HostFacts = HOST,
) -> Document:
    """The document of a VM with a Linux guest."""
    spec = linux_spec(annotations, windows)
    options = derivation.lcow(spec, "pod@vm", BUNDLE, replace(SHIM, build=host.build), folder)
    buses = {
        device: f"{index:08x}-0000-4000-8000-000000000000"
        for index, device in enumerate(options.devices, 1)
    }
    return vm_lcow.build(options, host, buses)


def confidential_lcow(annotations: Mapping[str, str]) -> Document:
    """The document of a VM with a confidential Linux guest."""
    spec = linux_spec({VM + "lcow.securitypolicy": POLICY, **annotations})
    options = derivation.lcow(spec, "pod@vm", BUNDLE, SHIM, WITH_VHD)
    return vm_confidential.build_lcow(options, HOST)


DEVICES = {
    "devices": [
        {"id": "PCIP\\VEN_1&DEV_2\\3", "idType": "vpci-instance-id"},
        {"id": "PCIP\\VEN_1&DEV_4\\5&6", "idType": "gpu"},
        {"id": "not-assigned", "idType": "class"},
    ]
}
ENCRYPTION_OFF = {VM + "storage.scratch.encrypted": "false"}

#: By the names of the golden files.
DOCUMENTS: Mapping[str, Callable[[], Document]] = {
    "wcow": wcow,
    "wcow_everything": lambda: wcow(
        {
            **EVERYTHING,
            VM + "dump-directory-path": "D:\\vmdumps",
            VM + "wcow.virtualSMB.nodirectmap": "true",
        }
    ),
    "wcow_bare": lambda: wcow(
        {
            VM + "disablecompartmentnamespace": "true",
            VM + "forwardlogs.enable": "false",
            VM + "resource-partition-id": "8A5C3B2D-1111-4222-8333-944455556666",
        }
    ),
    "wcow_numa_explicit": lambda: wcow(NUMA_EXPLICIT, NEW_HOST),
    "wcow_numa_implicit": lambda: wcow(NUMA_IMPLICIT, NEW_HOST),
    "wcow_confidential": lambda: confidential_wcow({}),
    "wcow_confidential_debug": lambda: confidential_wcow(
        {
            VM + "wcow.isolation_type": "VBS",
            VM + "wcow.no_secure_boot": "true",
            VM + "wcow.writable_efi": "true",
            VM + "forwardlogs.enable": "true",
            TOPOLOGY + "memory.sizeinmb": "4096",
            VM + "wcow.gueststatefile": "E:\\state.vmgs",
        }
    ),
    "lcow": lcow,
    "lcow_vhd": lambda: lcow(folder=replace(WITH_VHD, has_uncompressed_kernel=True)),
    "lcow_vhd_scsi": lambda: lcow({VM + "fullyphysicallybacked": "true"}, WITH_VHD),
    "lcow_verity": lambda: lcow(
        {
            VM + "devices.virtualpmem.maximumcount": "0",
            VM + "lcow.dmverity-mode": "true",
            VM + "lcow.dmverity-create-args": 'test,,,ro,0 8 verity 1 "x"',
        },
        WITH_VHD,
    ),
    "lcow_uefi": lambda: lcow(
        {VM + "lcow.kerneldirectboot": "false"}, replace(FOLDER, has_uncompressed_kernel=True)
    ),
    "lcow_everything": lambda: lcow(
        {
            **EVERYTHING,
            TOPOLOGY + "memory.enablecolddiscardhint": "true",
            VM + "lcow.kernelbootoptions": "a=b c",
            VM + "lcow.vpcienabled": "true",
            VM + "lcow.timesync.disable": "true",
            VM + "lcow.writable-overlay-directories": "true",
            VM + "lcow.extra-exec-command-args": "-x y",
            VM + "devices.virtualpmem.maximumcount": "128",
            VM + "devices.virtualpmem.maximumsizebytes": "8192",
        },
        WITH_VHD,
        windows=DEVICES,
    ),
    "lcow_numa": lambda: lcow(
        {**NUMA_EXPLICIT, VM + "lcow.vpcienabled": "true"}, windows=DEVICES, host=NEW_HOST
    ),
    "lcow_confidential": lambda: confidential_lcow({}),
    "lcow_confidential_more": lambda: confidential_lcow(
        {
            VM + "lcow.gueststatefile": "other.vmgs",
            VM + "lcow.dmverity-rootfs-vhd": "other.vhd",
            VM + "lcow.hcl-enabled": "false",
            VM + "lcow.extra-vsock-ports": "2056,5000",
            VM + "lcow.kernelbootoptions": "ignored",
            TOPOLOGY + "processor.count": "99",
        }
    ),
}
