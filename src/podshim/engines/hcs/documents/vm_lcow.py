"""The document of a VM with a Linux guest, and the command line of its kernel.

Theory of operation. A Linux guest boots a kernel from a folder of the host, loaded by HCS itself
(direct) or by UEFI over VMBus. Its root file system is in memory (an initrd) or on a read-only
disk: the first persistent-memory device, or without such the first SCSI disk, with or without
dm-verity. The kernel's command line says which, and after `--` what its init starts: something that
seeds the entropy pool from one vsock port and runs the guest's agent with its log going to another.
A serial console is for debugging: then the kernel is talkative, does not end the VM when it panics,
and a shell waits on the console.
"""

from __future__ import annotations

import logging
import ntpath
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents import vm_parts as parts
from podshim.engines.hcs.documents.container import SCHEMA_2_1
from podshim.engines.hcs.vm import numa
from podshim.engines.hcs.vm.options import RootFs
from podshim.errors import ShimError
from podshim.hcsspec import builds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.vm.options import AssignedDevice, HostFacts, LcowOptions

_log = logging.getLogger(__name__)

ENTROPY_PORT = 1
LOG_PORT = 109
#: The first build that hands the topology on to assigned devices.
BUILD_NUMA_AFFINITY = builds.WS2025


def build(
    options: LcowOptions, host: HostFacts, buses: Mapping[AssignedDevice, str] | None = None
) -> Json:
    """Make the document.

    Args:
        options: The VM's options.
        host: What the host is.
        buses: The VMBus id of each device of the options.

    Raises:
        ShimError: The options ask for what the host does not have, or contradict each other.
    """
    count = options.processors(host)
    nodes = numa.topology(
        options.numa,
        build=host.build,
        overcommit=options.overcommit,
        processors=count,
        memory_mb=options.memory_mb,
    )
    machine = parts.members(
        StopOnReset=True,
        Chipset=_chipset(options),
        ComputeTopology=parts.members(
            Memory=parts.memory(options, nodes),
            Processor=parts.processor(options, host, count, nodes),
            Numa=nodes.numa,
        ),
        Devices=parts.members(
            ComPorts=parts.com_ports(options),
            Scsi=parts.scsi(options.controllers, _disks(options)),
            VirtualPMem=_persistent_memory(options),
            HvSocket=parts.hv_socket(
                {name: dict(config) for name, config in options.service_table.items()},
                bind=parts.ADMINISTRATORS,
            ),
            Plan9={},
            VirtualPci=_assigned(options, host, buses or {}, numa_aware=nodes.present),
        ),
        StorageQoS=parts.storage_qos(options),
        ResourcePartitionId=options.resource_partition,
    )
    return parts.system(options.owner, SCHEMA_2_1, machine)


def command_line(options: LcowOptions) -> str:
    """The kernel's command line.

    Raises:
        ShimError: dm-verity is asked for without what the kernel must know of it.
    """
    debugging = bool(options.console_pipe)
    words = [_root(options), "initcall_blacklist=virtio_vsock_init"]
    if debugging:
        words.append("8250_core.nr_uarts=1 8250_core.skip_txen_test=1 console=ttyS0,115200")
    else:
        words.append("8250_core.nr_uarts=0")
        words.append("panic=-1 quiet")
    if options.kernel_options:
        words.append(options.kernel_options)
    if not options.pci:
        words.append("pci=off")
    words.append(f"nr_cpus={options.processor_count} brd.rd_nr=0 pmtmr=0 --")
    words.append(_init(options, debugging=debugging))
    return " ".join(words)


def _root(options: LcowOptions) -> str:
    """Where the root file system is, as the kernel is told; empty if HCS hands it over itself."""
    if options.root_fs is RootFs.INITRD:
        return "" if options.kernel_direct else f"initrd=/{options.root_fs_file}"
    if options.root_fs is not RootFs.VHD:
        return ""
    if options.vpmem_devices:
        return "root=/dev/pmem0 ro rootwait init=/init"
    if not options.verity:
        return "root=/dev/sda ro rootwait init=/init"
    if not options.verity_arguments:
        raise ShimError(
            "DmVerityCreateArgs must be set when DmVerityMode is true and not booting from a vmgs"
            " file."
        )
    return f"root=/dev/dm-0 dm-mod.create={_quoted(options.verity_arguments)} init=/init"


def _init(options: LcowOptions, *, debugging: bool) -> str:
    """The arguments of the guest's init."""
    agent = f"/bin/vsockexec -e {LOG_PORT} {options.command}"
    if options.no_time_sync:
        agent += " -disable-time-sync"
    if not options.scrub_logs:
        agent += " -scrub-logs=false"
    if options.process_dumps:
        agent += f" -core-dump-location {options.process_dumps}"
    arguments = f"-e {ENTROPY_PORT}"
    if options.writable_overlays:
        if options.root_fs is RootFs.VHD:
            arguments += " -w"
        elif options.root_fs is RootFs.INITRD:
            _log.warning("VM %s: a root file system in memory is writable anyway", options.id)
    return f'{arguments} sh -c "{agent} & exec sh"' if debugging else f"{arguments} {agent}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _chipset(options: LcowOptions) -> Json:
    line = command_line(options)
    if not options.kernel_direct:
        entry = parts.members(
            DeviceType="VmbFs",
            DevicePath=f"\\{options.kernel_file}",
            OptionalData=line,
            VmbFsRootPath=options.boot_folder,
        )
        return {"Uefi": {"BootThis": entry}}
    initrd = root_fs_path(options) if options.root_fs is RootFs.INITRD else ""
    direct = parts.members(
        KernelFilePath=kernel_path(options), InitRdPath=initrd, KernelCmdLine=line
    )
    return {"LinuxKernelDirect": direct}


def kernel_path(options: LcowOptions) -> str:
    """Where the kernel is on the host."""
    return ntpath.normpath(ntpath.join(options.boot_folder, options.kernel_file))


def root_fs_path(options: LcowOptions) -> str:
    """Where the root file system is on the host."""
    return ntpath.normpath(ntpath.join(options.boot_folder, options.root_fs_file))


def _disks(options: LcowOptions) -> dict[int, Json]:
    if options.root_fs is not RootFs.VHD or options.vpmem_devices:
        return {}
    return {0: parts.disk(root_fs_path(options), read_only=True)}


def _persistent_memory(options: LcowOptions) -> Json | None:
    if not options.vpmem_devices:
        return None
    devices: Json | None = None
    if options.root_fs is RootFs.VHD:
        path = root_fs_path(options)
        devices = {"0": {"HostPath": path, "ReadOnly": True, "ImageFormat": "Vhd1"}}
    return parts.members(
        Devices=devices,
        MaximumCount=options.vpmem_devices,
        MaximumSizeBytes=options.vpmem_bytes,
    )


def _assigned(
    options: LcowOptions,
    host: HostFacts,
    buses: Mapping[AssignedDevice, str],
    *,
    numa_aware: bool,
) -> Json | None:
    if not options.devices:
        return None
    made: Json = {}
    for device in options.devices:
        if buses[device] in made:
            raise ShimError(
                f"device {device.instance} with index {device.function} is specified multiple times"
            )
        function = parts.members(
            DeviceInstancePath=device.instance, VirtualFunction=device.function
        )
        affinity = numa_aware and host.build >= BUILD_NUMA_AFFINITY
        made[buses[device]] = parts.members(Functions=[function], PropagateNumaAffinity=affinity)
    return made
