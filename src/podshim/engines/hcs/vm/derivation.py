"""A VM's options as a spec's annotations ask for them; pure.

Theory of operation. For most options the annotation says it, or else the Windows section of the
spec (a sandbox's own limits are its VM's), or else the default. Some imply others, and these steps
follow each other in a fixed order, the later overruling the earlier: what boots, full physical
backing, then the security policy. A Linux guest with a policy boots from a guest state file, so it
has no say in its kernel; a Windows guest with one needs more memory and is talked to by another
agent. What depends on the machine, such as folders and the files in them, comes in as values.
"""

from __future__ import annotations

import ntpath
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from podshim.engines.hcs.documents import limits, registry
from podshim.engines.hcs.vm import options as vm_options
from podshim.engines.hcs.vm.numa import NumaRequest
from podshim.engines.hcs.vm.options import AssignedDevice, LcowOptions, RootFs, WcowOptions
from podshim.errors import ShimError
from podshim.hcsspec import table
from podshim.hcsspec.annotations import Annotations
from podshim.hcsspec.reading import Member, annotations_of
from podshim.hcsspec.sockets import socket_services

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.hcsspec.annotations import Annotation

#: More than any number has without leading zeros.
_MOST_DIGITS = 64
_DEVICE_TYPES = frozenset({"vpci-instance-id", "vpci", "gpu"})
_ISOLATION = {
    "SecureNestedPaging": "SecureNestedPaging",
    "SNP": "SecureNestedPaging",
    "VirtualizationBasedSecurity": "VirtualizationBasedSecurity",
    "VBS": "VirtualizationBasedSecurity",
    "GuestStateOnly": "GuestStateOnly",
}
#: The guest state file for each kind of isolation.
_GUEST_STATES = {
    "SecureNestedPaging": "cwcow.snp.vmgs",
    "VirtualizationBasedSecurity": "cwcow.vbs.vmgs",
    "GuestStateOnly": "cwcow.gso.vmgs",
}


@dataclass(frozen=True, slots=True)
class Shim:
    """What a VM's options depend on beside its spec.

    Args:
        owner: The shim's file name.
        folder: The folder that the shim's program is in.
        build: The build number of this Windows.
        processors: The number of processors that this process may use.
        log_level: How talkative a guest's agent shall be, as Go's loggers name levels.
        scrub_logs: Whether it shall keep secrets out of its log.
    """

    owner: str
    folder: str
    build: int
    processors: int = 2
    log_level: str = "info"
    scrub_logs: bool = True


@dataclass(frozen=True, slots=True)
class LinuxBootFolder:
    """A folder of a Linux guest's boot files: which of the optional ones are there."""

    path: str
    has_vhd: bool = False
    has_uncompressed_kernel: bool = False


class _Common(TypedDict, total=False):
    id: str
    owner: str
    bundle: str
    memory: int
    low_mmio_gap: int
    high_mmio_base: int
    high_mmio_gap: int
    overcommit: bool
    deferred_commit: bool
    fully_physically_backed: bool
    processor_count: int
    processor_limit: int
    processor_weight: int
    storage_iops: int
    storage_bandwidth: int
    cpu_group: str
    resource_partition: str
    numa: NumaRequest
    service_table: Mapping[str, Mapping[str, object]]
    console_pipe: str
    process_dumps: str
    dump_folder: str
    no_writable_shares: bool
    network_proxy: str
    network_proxy_id: str


def lcow(
    spec: Mapping[str, object], vm_id: str, bundle: str, shim: Shim, boot: LinuxBootFolder
) -> LcowOptions:
    """The options of a VM with a Linux guest.

    Args:
        spec: The sandbox's or single task's spec.
        vm_id: The VM's id.
        bundle: The bundle's folder.
        shim: What they depend on beside that.
        boot: The folder of its boot files: `linux_boot_folder` says which.

    Raises:
        InvalidArgumentError: A member of the spec is of another type than OCI's.
        ShimError: An annotation's value can't be ignored.
    """
    annotations = Annotations(annotations_of(spec))
    get = annotations.get
    direct_possible = shim.build >= vm_options.BUILD_KERNEL_DIRECT
    direct = get(replace(table.KERNEL_DIRECT_BOOT, default=direct_possible))
    uncompressed = direct and boot.has_uncompressed_kernel
    root_fs = _root_fs(annotations, RootFs.VHD if boot.has_vhd else RootFs.INITRD)
    command = f"/bin/gcs -v4 -log-format json -loglevel {shim.log_level}"
    if extra := get(table.EXTRA_GUEST_ARGS):
        command += f" {extra}"
    single_mapping = shim.build < vm_options.BUILD_MULTI_MAPPING
    options = LcowOptions(
        **_common(spec, annotations, vm_id, bundle, shim),
        boot_folder=boot.path,
        kernel_file=vm_options.UNCOMPRESSED_KERNEL if uncompressed else vm_options.KERNEL,
        kernel_direct=direct,
        root_fs=root_fs,
        root_fs_file=vm_options.ROOTFS_VHD if root_fs is RootFs.VHD else vm_options.INITRD,
        kernel_options=get(table.KERNEL_BOOT_OPTIONS),
        command=command,
        scrub_logs=shim.scrub_logs,
        no_time_sync=get(table.DISABLE_TIME_SYNC),
        writable_overlays=get(table.WRITABLE_OVERLAY),
        vpmem_devices=get(table.VPMEM_COUNT),
        vpmem_bytes=get(table.VPMEM_SIZE),
        vpmem_multi_mapping=not get(replace(table.VPMEM_NO_MULTI_MAPPING, default=single_mapping)),
        cold_discard_hint=get(table.VM_COLD_DISCARD_HINT),
        pci=get(table.VPCI_ENABLED),
        encrypted_scratch=get(table.ENCRYPTED_SCRATCH),
        vsock_ports=get(table.EXTRA_VSOCK_PORTS),
        devices=_devices(spec),
        policy_based_routing=get(table.POLICY_BASED_ROUTING),
        security_policy=get(table.LCOW_SECURITY_POLICY),
        policy_enforcer=get(table.LCOW_ENFORCER),
        reference_info_file=_text(
            annotations, table.LCOW_REFERENCE_INFO, vm_options.REFERENCE_INFO
        ),
        hash_envelope_file=_text(annotations, table.HASH_ENVELOPE, vm_options.HASH_ENVELOPE),
    )
    if options.fully_physically_backed:
        options = replace(options, overcommit=False, vpmem_devices=0)
    if options.confidential:
        options = _confidential_linux(options, annotations)
    return replace(
        options,
        guest_state_file=_text(annotations, table.LCOW_GUEST_STATE_FILE, options.guest_state_file),
        verity_disk=_text(annotations, table.DM_VERITY_ROOTFS, options.verity_disk),
        verity=get(replace(table.DM_VERITY_MODE, default=options.verity)),
        verity_arguments=get(table.DM_VERITY_CREATE_ARGS),
        hcl_enabled=get(table.HCL_ENABLED),
    )


def wcow(spec: Mapping[str, object], vm_id: str, bundle: str, shim: Shim) -> WcowOptions:
    """The options of a VM with a Windows guest; arguments and errors as of `lcow`."""
    annotations = Annotations(annotations_of(spec))
    get = annotations.get
    confidential = bool(get(table.WCOW_SECURITY_POLICY))
    options = WcowOptions(
        **_common(spec, annotations, vm_id, bundle, shim),
        boot_folder=get(table.BOOT_FILES),
        no_compartment_namespace=get(table.DISABLE_COMPARTMENT_NAMESPACE),
        no_direct_map=get(table.NO_DIRECT_MAP),
        utc=get(table.NO_INHERIT_TIMEZONE),
        registry=tuple(registry.annotated_values(annotations, table.VM_REGISTRY)),
        writable_efi=get(table.WCOW_WRITABLE_EFI),
        save_disks_to=_debug_folder(annotations, confidential=confidential),
        # The host sees nothing of a confidential guest that nobody asked for.
        forward_logs=get(replace(table.LOG_FORWARDING, default=not confidential)),
        default_log_sources=get(table.LOG_DEFAULT_SOURCES),
        log_sources=get(table.LOG_SOURCES),
    )
    if options.fully_physically_backed:
        options = replace(options, overcommit=False)
    return _confidential_windows(options, annotations, shim) if confidential else options


def linux_boot_folder(spec: Mapping[str, object], default: str) -> str:
    """The folder of a Linux guest's boot files.

    Raises:
        InvalidArgumentError: The annotations are no object of strings.
    """
    return _text(Annotations(annotations_of(spec)), table.BOOT_FILES, default)


def _common(
    spec: Mapping[str, object],
    annotations: Annotations,
    vm_id: str,
    bundle: str,
    shim: Shim,
) -> _Common:
    get = annotations.get
    resources = Member(spec)["windows"]["resources"]
    cpu, storage = resources["cpu"], resources["storage"]
    memory = limits.megabytes(resources["memory"])
    partition = get(table.RESOURCE_PARTITION)
    default_processors = 1 if shim.processors == 1 else 2
    count = cpu["count"].unsigned(64) or default_processors
    return _Common(
        id=vm_id,
        owner=shim.owner,
        bundle=bundle,
        memory=get(table.VM_MEMORY) or memory or vm_options.DEFAULT_MEMORY_MB,
        low_mmio_gap=get(table.VM_LOW_MMIO_GAP),
        high_mmio_base=get(table.VM_HIGH_MMIO_BASE),
        high_mmio_gap=get(table.VM_HIGH_MMIO_GAP),
        overcommit=get(table.VM_ALLOW_OVERCOMMIT),
        deferred_commit=get(table.VM_DEFERRED_COMMIT),
        fully_physically_backed=get(table.PHYSICALLY_BACKED),
        processor_count=_number(annotations, table.VM_PROCESSOR_COUNT, count),
        processor_limit=_number(
            annotations, table.VM_PROCESSOR_LIMIT, cpu["maximum"].unsigned(16) or 0
        ),
        processor_weight=_number(
            annotations, table.VM_PROCESSOR_WEIGHT, cpu["shares"].unsigned(16) or 0
        ),
        storage_iops=_number(annotations, table.VM_IOPS, storage["iops"].unsigned(64) or 0),
        storage_bandwidth=_number(
            annotations, table.VM_BANDWIDTH, storage["bps"].unsigned(64) or 0
        ),
        cpu_group=get(table.CPU_GROUP),
        resource_partition=str(partition) if partition else "",
        numa=NumaRequest(
            max_processors=get(table.NUMA_MAX_PROCESSORS),
            max_memory_mb=get(table.NUMA_MAX_SIZE),
            preferred_nodes=get(table.NUMA_PREFERRED_NODES),
            nodes=get(table.NUMA_MAPPED_NODES),
            processors=get(table.NUMA_PROCESSORS),
            memory_mb=get(table.NUMA_MEMORY_BLOCKS),
        ),
        service_table=socket_services(annotations),
        console_pipe=get(table.CONSOLE_PIPE),
        process_dumps=get(table.PROCESS_DUMP_LOCATION),
        dump_folder=get(table.DUMP_DIRECTORY),
        no_writable_shares=get(table.DISABLE_WRITABLE_FILE_SHARES),
        network_proxy=get(table.NCPROXY),
        network_proxy_id=get(table.NCPROXY_CONTAINER_ID) or vm_id.removesuffix("@vm"),
    )


def _confidential_linux(options: LcowOptions, annotations: Annotations) -> LcowOptions:
    encrypted = annotations.get(replace(table.ENCRYPTED_SCRATCH, default=True))
    options = replace(options, encrypted_scratch=encrypted)
    if annotations.get(table.NO_SECURITY_HARDWARE):
        return options
    return replace(
        options,
        vpmem_devices=0,  # the kernel of such guests has no driver for it
        guest_state_file=vm_options.GUEST_STATE,
        kernel_options="",
        overcommit=False,
        root_fs=RootFs.NONE,
        root_fs_file="",
        verity_disk=vm_options.ROOTFS_VHD,
        verity=True,
    )


def _confidential_windows(
    options: WcowOptions, annotations: Annotations, shim: Shim
) -> WcowOptions:
    get = annotations.get
    least = vm_options.CONFIDENTIAL_MEMORY_MB
    memory = get(replace(table.VM_MEMORY, default=least))
    if memory < least:
        raise ShimError(
            f"minimum {least}MB of memory is required for confidential pods, got: {memory}"
        )
    default = "GuestStateOnly" if get(table.NO_SECURITY_HARDWARE) else "SecureNestedPaging"
    asked = _text(annotations, table.WCOW_ISOLATION_TYPE, default)
    isolation = _ISOLATION.get(asked)
    if isolation is None:
        raise ShimError(f'invalid WCOW isolation type "{asked}"')
    folder = options.boot_folder or ntpath.join(shim.folder, "WindowsBootFiles", "confidential")
    return replace(
        options,
        boot_folder=folder,
        memory=memory,
        overcommit=False,
        security_policy=get(table.WCOW_SECURITY_POLICY),
        policy_enforcer=get(table.WCOW_ENFORCER),
        no_secure_boot=get(table.WCOW_NO_SECURE_BOOT),
        isolation=isolation,
        guest_state_file=_file(
            annotations, table.WCOW_GUEST_STATE_FILE, folder, _GUEST_STATES[isolation]
        ),
        reference_info_file=_file(
            annotations, table.WCOW_REFERENCE_INFO, folder, vm_options.REFERENCE_INFO
        ),
        hash_envelope_file=_file(
            annotations, table.HASH_ENVELOPE, folder, vm_options.HASH_ENVELOPE
        ),
    )


def _debug_folder(annotations: Annotations, *, confidential: bool) -> str:
    if not annotations.get(table.WCOW_DEBUG):
        return ""
    if not confidential:
        raise ShimError(f'"{table.WCOW_DEBUG.key}" is only supported for confidential WCOW')
    folder = annotations.get(table.WCOW_DEBUG_DATA)
    if not folder:
        raise ShimError(
            f'"{table.WCOW_DEBUG_DATA.key}" must be set to a non-empty path when'
            f' "{table.WCOW_DEBUG.key}" is enabled'
        )
    return folder


def _root_fs(annotations: Annotations, default: RootFs) -> RootFs:
    key = table.PREFERRED_ROOTFS.key
    asked = annotations.values.get(key)
    if asked is None:
        return default
    if asked not in {"initrd", "vhd"}:
        annotations.warn(key, asked, "initrd or vhd")
        return default
    return RootFs(asked)


def _devices(spec: Mapping[str, object]) -> tuple[AssignedDevice, ...]:
    return tuple(
        assigned_device(device["id"].text())
        for device in Member(spec)["windows"]["devices"].objects()
        if is_assignable(device["idType"].text())
    )


def is_assignable(kind: str) -> bool:
    """Whether devices of this kind of id can be given to a VM."""
    return kind in _DEVICE_TYPES


def assigned_device(path: str) -> AssignedDevice:
    """A device as an OCI spec names it: its instance id, and a last part N for function N."""
    instance, _, last = path.replace("/", "\\").rpartition("\\")
    digits = last.isascii() and last.isdigit() and len(last) <= _MOST_DIGITS
    if instance and digits and int(last) < 1 << 16:
        return AssignedDevice(instance, int(last))
    return AssignedDevice(path)


def _number(annotations: Annotations, row: Annotation[int], otherwise: int) -> int:
    """A number of which 0 says nothing.

    Raises:
        ShimError: It is less than 0.
    """
    value = annotations.get(row) or otherwise
    if value < 0:
        raise ShimError(f'annotation "{row.key}" = "{value}" must not be negative')
    return value


def _text(annotations: Annotations, row: Annotation[str], default: str) -> str:
    return annotations.values.get(row.key, default)


def _file(annotations: Annotations, row: Annotation[str], folder: str, name: str) -> str:
    return _text(annotations, row, ntpath.normpath(ntpath.join(folder, name)))
