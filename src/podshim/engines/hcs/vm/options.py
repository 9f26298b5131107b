"""What a utility VM shall be: its options, their defaults, and which of them go together; pure.

Theory of operation. `WcowOptions` and `LcowOptions` are what `derivation` makes of a spec's
annotations, once, before anything exists; the documents are built from them and from what the host
is (`HostFacts`), so that the same options always give the same document. `check` refuses what can't
be, `processors` and `memory_mb` round to what the host and HCS take. "Physically backed" means that
the VM's memory is not overcommitted; "fully" so means its devices too.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from podshim.engines.hcs.vm.numa import NumaRequest
from podshim.errors import ShimError
from podshim.hcsspec import builds

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = logging.getLogger(__name__)

DEFAULT_MEMORY_MB = 1024
CONFIDENTIAL_MEMORY_MB = 2048
MAX_SCSI_CONTROLLERS = 4
MAX_VPMEM_DEVICES = 128
DEFAULT_VPMEM_DEVICES = 64
DEFAULT_VPMEM_BYTES = 4 << 30
PAGE = 4096

BUILD_KERNEL_DIRECT = builds.KERNEL_DIRECT_LCOW
BUILD_MULTI_MAPPING = builds.V19H1
BUILD_COLD_DISCARD_HINT = builds.COLD_DISCARD_HINT
BUILD_CPU_GROUP_AT_CREATE = builds.V21H1

KERNEL = "kernel"
UNCOMPRESSED_KERNEL = "vmlinux"
INITRD = "initrd.img"
ROOTFS_VHD = "rootfs.vhd"
GUEST_STATE = "kernel.vmgs"
REFERENCE_INFO = "reference_info.cose"
HASH_ENVELOPE = "reference_info_hash_envelope.cose"


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a VM's document depends on beside its options.

    Args:
        build: The build number of this Windows.
        processors: The number of the host's logical processors, as HCS counts them.
    """

    build: int
    processors: int


class RootFs(Enum):
    """What a Linux guest's root file system comes from; `NONE` if a guest state file says."""

    INITRD = "initrd"
    VHD = "vhd"
    NONE = ""


@dataclass(frozen=True, slots=True)
class AssignedDevice:
    """A PCI device of the host that the VM gets: its instance id, and which virtual function."""

    instance: str
    function: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VmOptions:
    """What VMs with either guest have in common. Sizes are in MB; 0 or empty: not set.

    Args:
        id: The VM's id.
        owner: Who is to be told as its owner: the shim's file name.
        bundle: The bundle's folder.
        service_table: Hv-sockets that the guest may bind, by service GUID, as HCS takes them.
        process_dumps: Where to put dumps of processes that crash (in the guest).
        dump_folder: Where to put dumps of the VM (on the host).
        network_proxy: The pipe of the proxy that configures the network.
        network_proxy_id: The id by which the proxy knows the VM.
    """

    id: str
    owner: str
    bundle: str = ""
    memory: int = DEFAULT_MEMORY_MB
    low_mmio_gap: int = 0
    high_mmio_base: int = 0
    high_mmio_gap: int = 0
    overcommit: bool = True
    deferred_commit: bool = False
    fully_physically_backed: bool = False
    processor_count: int = 2
    processor_limit: int = 0
    processor_weight: int = 0
    storage_iops: int = 0
    storage_bandwidth: int = 0
    cpu_group: str = ""
    resource_partition: str = ""
    scsi_controllers: int = 1
    numa: NumaRequest = field(default_factory=NumaRequest)
    service_table: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    console_pipe: str = ""
    process_dumps: str = ""
    dump_folder: str = ""
    no_writable_shares: bool = False
    network_proxy: str = ""
    network_proxy_id: str = ""
    security_policy: str = ""
    policy_enforcer: str = ""
    guest_state_file: str = ""
    reference_info_file: str = ""
    hash_envelope_file: str = ""

    @property
    def confidential(self) -> bool:
        """Whether the guest enforces a security policy."""
        return bool(self.security_policy)

    @property
    def memory_mb(self) -> int:
        """The memory as HCS takes it: an even number of MB, of 64 bits."""
        return min(self.memory + self.memory % 2, (1 << 64) - 2)

    def processors(self, host: HostFacts) -> int:
        """The number of processors: as asked for, but no more than the host has."""
        if self.processor_count <= host.processors:
            return self.processor_count
        _log.warning(
            "VM %s gets %d processors instead of %d: the host has no more",
            self.id,
            host.processors,
            self.processor_count,
        )
        return host.processors


@dataclass(frozen=True, slots=True, kw_only=True)
class WcowOptions(VmOptions):
    """A VM with a Windows guest.

    Args:
        boot_folder: The folder of a confidential guest's boot files.
        registry: Values for the guest's registry, as HCS takes them.
        isolation: What protects a confidential guest from the host, as HCS calls it.
        save_disks_to: For debugging: where a confidential VM's disks are saved when it is gone.
        log_sources: Which providers' events the guest shall forward: JSON in base64.
    """

    boot_folder: str = ""
    no_compartment_namespace: bool = False
    no_direct_map: bool = False
    utc: bool = False
    registry: tuple[Mapping[str, object], ...] = ()
    isolation: str = ""
    no_secure_boot: bool = False
    writable_efi: bool = False
    save_disks_to: str = ""
    forward_logs: bool = True
    default_log_sources: bool = True
    log_sources: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LcowOptions(VmOptions):
    """A VM with a Linux guest.

    Args:
        boot_folder: The folder of the kernel and the root file system.
        kernel_direct: Whether HCS loads the kernel itself, without UEFI.
        command: The command line of the guest's agent.
        vsock_ports: Further ports that a confidential guest may bind.
        verity_disk: The file name of a confidential guest's root file system.
        verity_arguments: How the kernel sets up dm-verity, without a guest state file.
        writable_overlays: Whether the guest's /etc and /var are to be writable.
    """

    boot_folder: str = ""
    kernel_file: str = KERNEL
    kernel_direct: bool = True
    root_fs: RootFs = RootFs.INITRD
    root_fs_file: str = INITRD
    kernel_options: str = ""
    command: str = "/bin/gcs -v4 -log-format json -loglevel info"
    scrub_logs: bool = True
    no_time_sync: bool = False
    writable_overlays: bool = False
    vpmem_devices: int = DEFAULT_VPMEM_DEVICES
    vpmem_bytes: int = DEFAULT_VPMEM_BYTES
    vpmem_multi_mapping: bool = True
    cold_discard_hint: bool = False
    pci: bool = False
    encrypted_scratch: bool = False
    vsock_ports: tuple[int, ...] = ()
    devices: tuple[AssignedDevice, ...] = ()
    policy_based_routing: bool = False
    verity: bool = False
    verity_disk: str = ""
    verity_arguments: str = ""
    hcl_enabled: bool | None = None

    @property
    def controllers(self) -> int:
        """How many SCSI controllers it has: all where layers have no other way in."""
        return self.scsi_controllers if self.vpmem_devices else MAX_SCSI_CONTROLLERS


def check(options: VmOptions, host: HostFacts) -> None:
    """Refuse options that can't be, or not together, or not on this Windows.

    Raises:
        ShimError: Of these.
    """
    reason = _reason_against(options, host)
    if reason:
        raise ShimError(f"UVM options incorrect: {reason}")


def _reason_against(options: VmOptions, host: HostFacts) -> str:
    if options.deferred_commit and not options.overcommit:
        return "EnableDeferredCommit is not supported on physically backed VMs"
    if isinstance(options, LcowOptions):
        reason = _reason_against_linux(options, host)
    elif options.scsi_controllers != 1:
        reason = "exactly 1 SCSI controller is required for WCOW"
    elif options.confidential and not options.guest_state_file:
        reason = "GuestStateFilePath must be provided when enabling security policy"
    else:
        reason = ""
    if reason:
        return reason
    if options.resource_partition and options.cpu_group:
        return "resource partition ID and CPU group ID cannot be set at the same time"
    return ""


def _reason_against_linux(options: LcowOptions, host: HostFacts) -> str:
    if options.scsi_controllers > MAX_SCSI_CONTROLLERS:
        return f"SCSI controller count can't be more than {MAX_SCSI_CONTROLLERS}"
    if options.vpmem_devices > MAX_VPMEM_DEVICES:
        return f"VPMem device count cannot be greater than {MAX_VPMEM_DEVICES}"
    if options.vpmem_devices and options.vpmem_bytes % PAGE:
        return f"VPMemSizeBytes must be a multiple of {PAGE}"
    if options.kernel_direct and host.build < BUILD_KERNEL_DIRECT:
        return f"KernelDirectBoot is not supported on builds older than {BUILD_KERNEL_DIRECT}"
    if options.cold_discard_hint and host.build < BUILD_COLD_DISCARD_HINT:
        return (
            f"EnableColdDiscardHint is not supported on builds older than {BUILD_COLD_DISCARD_HINT}"
        )
    return ""
