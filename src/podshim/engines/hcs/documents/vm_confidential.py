"""The documents of confidential VMs, which are isolated from the host that runs them.

Theory of operation. A confidential VM boots only what was measured: its firmware starts from a
guest state file, and what its hardware attests includes the digest of the security policy that the
guest is to enforce. Nothing that the host says at boot counts, so there is no kernel command line
and no share with system files.

A Windows guest has three disks at fixed places: its scratch, its boot disk, and its root file
system on a disk that is a block CIM; firmware that finds them elsewhere does not boot. HCS requires
a share in its document, so it gets one of a folder that stays empty. A Linux guest has its kernel
in the guest state file, and its root file system on one disk that dm-verity protects.
"""

from __future__ import annotations

import ntpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents import vm_parts as parts, vm_wcow
from podshim.engines.hcs.documents.vm_lcow import ENTROPY_PORT, LOG_PORT
from podshim.engines.hcs.vm.numa import NumaTopology
from podshim.engines.hcs.vm.options import ROOTFS_VHD, RootFs
from podshim.errors import ShimError

if TYPE_CHECKING:
    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.vm.options import HostFacts, LcowOptions, WcowOptions

#: The first vsock port of the bridge to the guest's agent; the next is for its first stream.
BRIDGE_PORT = 0x40000000
NESTED_PAGING = "SecureNestedPaging"
#: The configuration version from which on VMs can be isolated.
VM_VERSION = 12
EMPTY_SHARE = "defaultEmptyShare"
EMPTY_FOLDER = "EmptyDoNotModify"


@dataclass(frozen=True, slots=True)
class ConfidentialBoot:
    """The disks of a confidential Windows guest.

    Args:
        scratch: What it writes to; marked as unformatted before the VM starts.
        boot: Its boot disk.
        root_fs: Its root file system: a block CIM.
    """

    scratch: str
    boot: str
    root_fs: str


def build_wcow(options: WcowOptions, boot: ConfidentialBoot, host: HostFacts) -> Json:
    """Make the document of a VM with a confidential Windows guest.

    Raises:
        ShimError: The options ask for what the host does not have, or the policy is not base64.
    """
    skipped: Json = {"ApplySecureBootTemplate": "Skip"}
    uefi = skipped if options.no_secure_boot else _secure_boot()
    share: Json = {
        "Name": EMPTY_SHARE,
        "Path": empty_folder(options),
        "Options": {"ReadOnly": True, "ShareRead": True, "NoOplocks": True},
    }
    machine = vm_wcow.common(
        options,
        host,
        chipset={"Uefi": uefi},
        share=share,
        disks={
            0: parts.disk(boot.scratch),
            1: parts.disk(boot.boot, read_only=not options.writable_efi),
            2: parts.disk(boot.root_fs, read_only=True),
        },
    )
    machine["Version"] = {"Major": VM_VERSION}
    machine["GuestState"] = {
        "GuestStateFilePath": options.guest_state_file,
        "GuestStateFileType": "BlockStorage",
    }
    machine["SecuritySettings"] = parts.isolation(
        options.isolation or NESTED_PAGING, options.security_policy, hcl=True
    )
    return parts.system(options.owner, parts.SCHEMA_2_5, machine)


def empty_folder(options: WcowOptions) -> str:
    """The folder that a confidential Windows guest's share is of."""
    return ntpath.join(options.bundle, EMPTY_FOLDER)


def guest_state_path(options: LcowOptions) -> str:
    """Where the VM's own copy of the guest state file is."""
    return ntpath.normpath(ntpath.join(options.bundle, options.guest_state_file))


def verity_disk_path(options: LcowOptions) -> str:
    """Where the VM's own copy of the root file system is, whatever it was copied from."""
    return ntpath.join(options.bundle, ROOTFS_VHD)


def build_lcow(options: LcowOptions, host: HostFacts) -> Json:
    """Make the document of a VM with a confidential Linux guest.

    Raises:
        ShimError: The options ask for what such a guest or the host does not have, or the policy
            is not base64.
    """
    if options.root_fs is not RootFs.NONE:
        raise ShimError("specifying a PreferredRootFSType is incompatible with SNP mode")
    nodes = NumaTopology()
    disks = {0: parts.disk(verity_disk_path(options), read_only=True)} if options.verity else {}
    machine = parts.members(
        StopOnReset=True,
        Chipset={"Uefi": _secure_boot()},
        ComputeTopology={
            "Memory": parts.memory(options, nodes),
            "Processor": parts.processor(options, host, options.processors(host), nodes),
        },
        Devices=parts.members(
            Scsi=parts.scsi(options.controllers, disks),
            HvSocket=parts.hv_socket(
                _service_table(options), bind=parts.EVERYONE, connect=parts.ADMINISTRATORS
            ),
            Plan9={},
        ),
        GuestState={
            "GuestStateFilePath": guest_state_path(options),
            "GuestStateFileType": "FileMode",
            "ForceTransientState": True,
        },
        StorageQoS=parts.storage_qos(options),
        SecuritySettings=parts.isolation(
            NESTED_PAGING, options.security_policy, hcl=options.hcl_enabled
        ),
    )
    return parts.system(options.owner, parts.SCHEMA_2_5, machine)


def _secure_boot() -> Json:
    return {
        "ApplySecureBootTemplate": "Apply",
        "SecureBootTemplateId": parts.SECURE_BOOT_TEMPLATE,
    }


def _service_table(options: LcowOptions) -> Json:
    table: Json = {name: dict(config) for name, config in options.service_table.items()}
    ports = (ENTROPY_PORT, LOG_PORT, BRIDGE_PORT, BRIDGE_PORT + 1, *options.vsock_ports)
    for port in ports:
        table[parts.vsock_service(port)] = parts.service(bind=parts.EVERYONE)
    return table
