"""The table of all annotations that the shim knows, a row for each.

Theory of operation. This is the only place where an annotation's name, kind and default stand; code
refers to rows by their Python names, and the table of the documentation is made from them. Rows
stand in the order in which people look for them: what a container is, HostProcess containers,
utility VMs of any guest, of Windows guests, of Linux guests, networks, and what is there for tests
of Windows itself. Annotations that only a VM's guest obeys are here too: they are handed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podshim.hcsspec import expansion, optionsmerge, predicates
from podshim.hcsspec.annotations import (
    BOOL,
    GUID,
    INT32,
    TEXT,
    TEXTS,
    UINT32,
    UINT32S,
    UINT64,
    UINT64S,
    Annotation,
)

if TYPE_CHECKING:
    from uuid import UUID

_CONTAINER = "io.microsoft.container."
_VM = "io.microsoft.virtualmachine."
_TOPOLOGY = "io.microsoft.virtualmachine.computetopology."
_WCOW = "io.microsoft.virtualmachine.wcow."
_LCOW = "io.microsoft.virtualmachine.lcow."

_TEXTS: tuple[str, ...] = ()
_NUMBERS: tuple[int, ...] = ()
_NO_GUID: UUID | None = None
_NO_BOOL: bool | None = None
_OFF = False
_ON = True

# --- containers and pods
CONTAINER_TYPE = Annotation(
    predicates.CONTAINER_TYPE, TEXT, "", "`sandbox` or `container`: what it is to a pod"
)
SANDBOX_ID = Annotation(predicates.SANDBOX_ID, TEXT, "", "the pod's id")
PROCESS_DUMP_LOCATION = Annotation(
    _CONTAINER + "processdumplocation",
    TEXT,
    "",
    "the folder for dumps of crashed processes; a last `{container_id}` is replaced",
)
PROCESS_DUMP_TYPE = Annotation(
    "io.microsoft.wcow.processdumptype", TEXT, "", "`mini` or `full` (if absent)"
)
PROCESS_DUMP_COUNT = Annotation(
    "io.microsoft.wcow.processdumpcount", TEXT, "", "how many dumps are kept, more than 0 (10)"
)
CONTAINER_MEMORY = Annotation(
    _CONTAINER + "memory.sizeinmb", UINT64, 0, "memory limit in MB; 0: as the spec says"
)
CONTAINER_PROCESSOR_COUNT = Annotation(
    _CONTAINER + "processor.count", INT32, 0, "number of processors; 0: as the spec says"
)
CONTAINER_PROCESSOR_LIMIT = Annotation(
    _CONTAINER + "processor.limit", INT32, 0, "1 to 10000, in 1/100 %; 0: as the spec says"
)
CONTAINER_PROCESSOR_WEIGHT = Annotation(
    _CONTAINER + "processor.weight", INT32, 0, "up to 10000; 0: as the spec says"
)
CONTAINER_BANDWIDTH = Annotation(
    _CONTAINER + "storage.qos.bandwidthmaximum", INT32, 0, "bytes/s; 0: as the spec says"
)
CONTAINER_IOPS = Annotation(
    _CONTAINER + "storage.qos.iopsmaximum", INT32, 0, "operations/s; 0: as the spec says"
)
DEVICE_EXTENSIONS = Annotation(
    _CONTAINER + "wcow.deviceextensions", TEXTS, _TEXTS, "JSON files of device extensions"
)
DISABLE_GMSA = Annotation(expansion.DISABLE_GMSA, BOOL, _OFF, "refuse credential specs")
GPU_CAPABILITIES = Annotation(
    _CONTAINER + "gpu.capabilities", TEXT, "", "what of a GPU a Linux container sees (guest)"
)
RLIMIT_CORE = Annotation("io.microsoft.lcow.rlimitcore", TEXT, "", "core size limit (guest)")
SHM_SIZE = Annotation("io.microsoft.lcow.shm.size-kb", TEXT, "", "size of /dev/shm (guest)")
LCOW_PRIVILEGED = Annotation(_LCOW + "privileged", BOOL, _OFF, "a privileged Linux container")
LCOW_HOST_NETWORK = Annotation(_LCOW + "hostnetwork", BOOL, _OFF, "share the VM's network (guest)")
TEE_LOG_PATH = Annotation(
    _CONTAINER + "lcow.tee-log-path", TEXT, "", "copy output into a file of the VM (guest)"
)
TEE_LOG_DIR_MOUNT = Annotation(
    _CONTAINER + "lcow.tee-log-dir-mount", TEXT, "", "where to mount such files (guest)"
)
DISABLE_UNSAFE_OPERATIONS = Annotation(
    expansion.DISABLE_UNSAFE_OPERATIONS, TEXT, "", "stands for several others that forbid things"
)

# --- HostProcess containers
HOST_PROCESS = Annotation(
    predicates.HOST_PROCESS, TEXT, "", "exactly `true`: a HostProcess container"
)
HOST_PROCESS_INHERIT_USER = Annotation(
    predicates.HOST_PROCESS_INHERIT_USER,
    TEXT,
    "",
    "exactly `true`: run as the shim's user (in a VM: as the system)",
)
HOST_PROCESS_ROOTFS = Annotation(
    predicates.HOST_PROCESS_ROOTFS, TEXT, "", "where its root file system appears"
)
DISABLE_HOST_PROCESS = Annotation(
    expansion.DISABLE_HOST_PROCESS, BOOL, _OFF, "refuse HostProcess containers"
)

# --- utility VMs of any guest
BOOT_FILES = Annotation(optionsmerge.BOOT_FILES, TEXT, "", "the folder of boot files")
DUMP_DIRECTORY = Annotation(
    _VM + "dump-directory-path", TEXT, "", "the folder (which exists) for dumps of crashed VMs"
)
DISABLE_WRITABLE_FILE_SHARES = Annotation(
    expansion.DISABLE_WRITABLE_FILE_SHARES, BOOL, _OFF, "refuse writable shares"
)
KERNEL_DRIVERS = Annotation(
    _VM + "kerneldrivers", TEXTS, _TEXTS, "folders of drivers to install in the guest"
)
CPU_GROUP = Annotation(_VM + "cpugroup.id", TEXT, "", "the host's CPU group of the VM, a GUID")
VM_PROCESSOR_COUNT = Annotation(
    optionsmerge.VM_PROCESSOR_COUNT, INT32, 0, "processors; 0: 2, or as many as there are"
)
VM_PROCESSOR_LIMIT = Annotation(_TOPOLOGY + "processor.limit", INT32, 0, "1 to 100000, in 1/1000 %")
VM_PROCESSOR_WEIGHT = Annotation(_TOPOLOGY + "processor.weight", INT32, 0, "up to 10000")
VM_MEMORY = Annotation(optionsmerge.VM_MEMORY, UINT64, 0, "MB; 0: 1024")
VM_ALLOW_OVERCOMMIT = Annotation(
    _TOPOLOGY + "memory.allowovercommit", BOOL, _ON, "whether memory may be virtual"
)
VM_DEFERRED_COMMIT = Annotation(
    _TOPOLOGY + "memory.enabledeferredcommit", BOOL, _OFF, "commit late; wants overcommit"
)
VM_COLD_DISCARD_HINT = Annotation(
    _TOPOLOGY + "memory.enablecolddiscardhint", BOOL, _OFF, "tell of cold memory (Linux guests)"
)
VM_LOW_MMIO_GAP = Annotation(_TOPOLOGY + "memory.lowmmiogapinmb", UINT64, 0, "MB")
VM_HIGH_MMIO_BASE = Annotation(_TOPOLOGY + "memory.highmmiobaseinmb", UINT64, 0, "MB")
VM_HIGH_MMIO_GAP = Annotation(_TOPOLOGY + "memory.highmmiogapinmb", UINT64, 0, "MB")
PHYSICALLY_BACKED = Annotation(
    _VM + "fullyphysicallybacked", BOOL, _OFF, "memory of its own: no overcommit, VPMem, mapping"
)
NUMA_MAX_PROCESSORS = Annotation(
    _TOPOLOGY + "processor.numa.max-processors-per-node", UINT32, 0, "NUMA, implicit"
)
NUMA_MAX_SIZE = Annotation(
    _TOPOLOGY + "processor.numa.max-size-per-node", UINT64, 0, "NUMA, implicit; MB"
)
NUMA_PREFERRED_NODES = Annotation(
    _TOPOLOGY + "numa.preferred-physical-nodes", UINT32S, _NUMBERS, "NUMA, implicit"
)
NUMA_MAPPED_NODES = Annotation(
    _TOPOLOGY + "numa.mapped-physical-nodes", UINT32S, _NUMBERS, "NUMA, explicit"
)
NUMA_PROCESSORS = Annotation(
    _TOPOLOGY + "numa.count-of-processors", UINT32S, _NUMBERS, "NUMA, explicit: of each node"
)
NUMA_MEMORY_BLOCKS = Annotation(
    _TOPOLOGY + "numa.count-of-memory-blocks", UINT64S, _NUMBERS, "NUMA, explicit: of each node"
)
RESOURCE_PARTITION = Annotation(
    _VM + "resource-partition-id", GUID, _NO_GUID, "the VM's resource partition; no CPU group then"
)
VM_BANDWIDTH = Annotation(_VM + "storageqos.bandwidthmaximum", INT32, 0, "bytes/s of its storage")
VM_IOPS = Annotation(_VM + "storageqos.iopsmaximum", INT32, 0, "operations/s of its storage")
HASH_ENVELOPE = Annotation(
    _VM + "uvm-hash-envelope-reference-info-file", TEXT, "", "reference measurements (confidential)"
)
NO_SECURITY_HARDWARE = Annotation(
    _VM + "no_security_hardware", BOOL, _OFF, "confidential without the hardware, for tests"
)

# --- utility VMs with Windows
DISABLE_COMPARTMENT_NAMESPACE = Annotation(
    _VM + "disablecompartmentnamespace", BOOL, _OFF, "no namespaces of network compartments"
)
NO_INHERIT_TIMEZONE = Annotation(
    optionsmerge.NO_INHERIT_TIMEZONE, BOOL, _OFF, "UTC instead of the host's time zone"
)
NO_DIRECT_MAP = Annotation(expansion.NO_DIRECT_MAP, BOOL, _OFF, "shares are not mapped directly")
LOG_SOURCES = Annotation(
    _VM + "forwardlogs.sources", TEXT, "", "base64 of JSON: ETW providers to forward"
)
LOG_FORWARDING = Annotation(
    _VM + "forwardlogs.enable", BOOL, _ON, "forward the guest's logs; confidential: off if absent"
)
LOG_DEFAULT_SOURCES = Annotation(
    _VM + "forwardlogs.defaultsources.enable", BOOL, _ON, "forward the usual providers too"
)
WCOW_GUEST_STATE_FILE = Annotation(_WCOW + "gueststatefile", TEXT, "", "the VMGS file")
WCOW_SECURITY_POLICY = Annotation(
    _WCOW + "securitypolicy", TEXT, "", "base64 of a policy: makes the VM confidential"
)
WCOW_ENFORCER = Annotation(_WCOW + "enforcer", TEXT, "", "who enforces the policy")
WCOW_AMD_CERTIFICATE = Annotation(_WCOW + "amd-certificate", TEXT, "", "the host's certificate")
WCOW_POLICY_ENVIRONMENT = Annotation(
    _WCOW + "securitypolicy.env", BOOL, _OFF, "tell containers of the policy"
)
WCOW_REFERENCE_INFO = Annotation(
    _WCOW + "uvm-reference-info-file", TEXT, "", "reference measurements"
)
WCOW_ISOLATION_TYPE = Annotation(
    _WCOW + "isolation_type",
    TEXT,
    "",
    "`SecureNestedPaging`, `VirtualizationBasedSecurity` or `GuestStateOnly`",
)
WCOW_NO_SECURE_BOOT = Annotation(_WCOW + "no_secure_boot", BOOL, _OFF, "secure boot off")
WCOW_WRITABLE_EFI = Annotation(_WCOW + "writable_efi", BOOL, _OFF, "a boot disk of its own")
WCOW_DEBUG = Annotation("io.microsoft.wcow.debug", BOOL, _OFF, "debug a confidential VM")
WCOW_DEBUG_DATA = Annotation(
    "io.microsoft.wcow.debug_data_path", TEXT, "", "where its disks are kept after its end"
)

# --- utility VMs with Linux
DISABLE_TIME_SYNC = Annotation(
    _LCOW + "timesync.disable", BOOL, _OFF, "don't set the guest's clock"
)
KERNEL_BOOT_OPTIONS = Annotation(_LCOW + "kernelbootoptions", TEXT, "", "more kernel arguments")
KERNEL_DIRECT_BOOT = Annotation(
    _LCOW + "kerneldirectboot", BOOL, _ON, "boot the kernel without UEFI"
)
PREFERRED_ROOTFS = Annotation(
    _LCOW + "preferredrootfstype", TEXT, "", "`initrd` or `vhd`: what the guest boots from"
)
VPCI_ENABLED = Annotation(_LCOW + "vpcienabled", BOOL, _OFF, "PCI in the guest's kernel")
VPMEM_COUNT = Annotation(
    _VM + "devices.virtualpmem.maximumcount", UINT32, 64, "VPMem devices, at most 128"
)
VPMEM_SIZE = Annotation(
    _VM + "devices.virtualpmem.maximumsizebytes",
    UINT64,
    4 << 30,
    "bytes of each VPMem device, a multiple of 4096",
)
VPMEM_NO_MULTI_MAPPING = Annotation(
    _LCOW + "vpmem.nomultimapping", BOOL, _OFF, "one layer in each VPMem device"
)
DM_VERITY_CREATE_ARGS = Annotation(
    _LCOW + "dmverity-create-args", TEXT, "", "arguments of the root disk's dm-verity"
)
DM_VERITY_MODE = Annotation(_LCOW + "dmverity-mode", BOOL, _OFF, "boot with dm-verity")
DM_VERITY_ROOTFS = Annotation(
    _LCOW + "dmverity-rootfs-vhd", TEXT, "", "the root disk of dm-verity, a file of the boot files"
)
ENCRYPTED_SCRATCH = Annotation(
    _VM + "storage.scratch.encrypted", BOOL, _OFF, "encrypt scratch disks; with a policy: on"
)
LCOW_GUEST_STATE_FILE = Annotation(_LCOW + "gueststatefile", TEXT, "", "the VMGS file")
HCL_ENABLED = Annotation(_LCOW + "hcl-enabled", BOOL, _NO_BOOL, "the host compatibility layer")
LCOW_AMD_CERTIFICATE = Annotation(_LCOW + "amd-certificate", TEXT, "", "the host's certificate")
LCOW_SECURITY_POLICY = Annotation(
    _LCOW + "securitypolicy", TEXT, "", "base64 of a policy: makes the VM confidential"
)
LCOW_ENFORCER = Annotation(_LCOW + "enforcer", TEXT, "", "who enforces the policy")
LCOW_POLICY_ENVIRONMENT = Annotation(
    _LCOW + "securitypolicy.env", BOOL, _OFF, "tell containers of the policy"
)
LCOW_REFERENCE_INFO = Annotation(
    _LCOW + "uvm-reference-info-file", TEXT, "", "reference measurements"
)
SKIP_POD_NETWORKING = Annotation(
    "io.microsoft.cri.skip-pod-networking", BOOL, _OFF, "several pods in a VM; without effect"
)
TENANT_SANDBOX_ID = Annotation(
    "io.microsoft.cri.tenant-sandbox-id", TEXT, "", "several pods in a VM; without effect"
)
VIRTUAL_POD_ID = Annotation(
    "io.microsoft.cri.virtual-pod-id", TEXT, "", "several pods in a VM: which one it is of"
)

# --- networks, migration
NCPROXY = Annotation(optionsmerge.NCPROXY, TEXT, "", "the pipe of a service that sets networks up")
NCPROXY_CONTAINER_ID = Annotation(
    "io.microsoft.network.ncproxy.containerid", TEXT, "", "the pod's id for that service"
)
MIGRATION = Annotation(
    "io.microsoft.migration.support-enabled", BOOL, _OFF, "live migration; without effect"
)
MIGRATION_SOURCE = Annotation(
    "io.microsoft.migration.source-container-id", TEXT, "", "live migration; without effect"
)
GPU_VHD = Annotation("io.microsoft.lcow.gpuvhdpath", TEXT, "", "without effect, deprecated")

# --- for tests of Windows itself, not for users
HV_SOCKET_SERVICE = Annotation(
    _VM + "hv-socket.service-table.",
    TEXT,
    "",
    "+ a GUID; JSON: a Hyper-V socket service",
    prefix=True,
)
CONSOLE_PIPE = Annotation(_VM + "console.pipe", TEXT, "", "a pipe for the guest's serial console")
EXTRA_VSOCK_PORTS = Annotation(
    _LCOW + "extra-vsock-ports", UINT32S, _NUMBERS, "more ports of a confidential guest"
)
WRITABLE_OVERLAY = Annotation(
    _LCOW + "writable-overlay-directories", BOOL, _OFF, "the guest's root is writable"
)
POLICY_BASED_ROUTING = Annotation(
    _LCOW + "network.policybasedrouting", BOOL, _OFF, "routes by policy in the guest"
)
EXTRA_GUEST_ARGS = Annotation(
    _LCOW + "extra-exec-command-args", TEXT, "", "more arguments of the guest's agent"
)
VM_REGISTRY = Annotation(
    _WCOW + "additional-reg-keys", TEXT, "", "JSON: registry values for the guest"
)
CONTAINER_REGISTRY = Annotation(
    _CONTAINER + "wcow.test-registry-annotation", TEXT, "", "JSON: its registry values"
)

#: All rows. Any: each has its own type of value.
ROWS: tuple[Annotation[Any], ...] = tuple(
    row for row in list(globals().values()) if isinstance(row, Annotation)
)
