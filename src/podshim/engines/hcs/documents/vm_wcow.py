r"""The document of a VM with a Windows guest.

Theory of operation. A Windows guest boots from its image's layer: UEFI loads the boot manager over
VMBus from the share `os`, which is the layer's `UtilityVM\Files`, read-only; all that the guest
writes goes to its scratch disk, which is always the first one. `common` has what a confidential
guest, which boots differently, shares with it.
"""

from __future__ import annotations

import ntpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents import vm_parts as parts
from podshim.engines.hcs.documents.container import SCHEMA_2_1
from podshim.engines.hcs.vm import numa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.vm.options import HostFacts, WcowOptions

#: The service that forwards the guest's logs.
LOG_SERVICE = "172dad59-976d-45f2-8b6c-6d1b13f2ac4d"
DIRECT_MAPPING_MB = 1024


@dataclass(frozen=True, slots=True)
class WindowsBoot:
    """What a Windows guest boots from.

    Args:
        files: The folder of its system files.
        boot_folder: Where the boot manager is in there, with a leading backslash.
        scratch: The disk that it writes to.
    """

    files: str
    scratch: str
    boot_folder: str = "\\EFI\\Microsoft\\Boot"


def build(options: WcowOptions, boot: WindowsBoot, host: HostFacts) -> Json:
    """Make the document.

    Raises:
        ShimError: The options ask for what the host does not have.
    """
    share = parts.members(
        Name="os", Path=boot.files, Options=share_options(options, backup_privilege=True)
    )
    machine = common(
        options,
        host,
        chipset={
            "Uefi": {
                "BootThis": {
                    "DeviceType": "VmbFs",
                    "DevicePath": ntpath.join(boot.boot_folder, "bootmgfw.efi"),
                }
            }
        },
        share=share,
        disks={0: parts.disk(boot.scratch)},
    )
    return parts.system(options.owner, SCHEMA_2_1, machine)


def share_options(options: WcowOptions, *, backup_privilege: bool = False) -> Json:
    """How a read-only share of the host is used by the guest."""
    return parts.members(
        ReadOnly=True,
        ShareRead=True,
        CacheIo=True,
        TakeBackupPrivilege=backup_privilege,
        NoDirectmap=options.fully_physically_backed or options.no_direct_map,
        PseudoOplocks=True,
    )


def common(
    options: WcowOptions,
    host: HostFacts,
    *,
    chipset: Json,
    share: Json,
    disks: Mapping[int, Json],
) -> Json:
    """The machine of a Windows guest, however it boots.

    Args:
        options: The VM's options.
        host: What the host is.
        chipset: What boots it.
        share: The one folder of the host that it sees from the start.
        disks: Its disks, by their LUN.

    Raises:
        ShimError: The options ask for what the host does not have.
    """
    count = options.processors(host)
    nodes = numa.topology(
        options.numa,
        build=host.build,
        overcommit=options.overcommit,
        processors=count,
        memory_mb=options.memory_mb,
    )
    return parts.members(
        StopOnReset=True,
        Chipset=chipset,
        ComputeTopology=parts.members(
            Memory=parts.memory(options, nodes),
            Processor=parts.processor(options, host, count, nodes),
            Numa=nodes.numa,
        ),
        Devices=_devices(options, share, disks),
        RegistryChanges=parts.members(AddValues=registry_values(options)),
        StorageQoS=parts.storage_qos(options),
        DebugOptions=_debug_options(options),
        ResourcePartitionId=options.resource_partition,
    )


def registry_values(options: WcowOptions) -> list[Json]:
    """What the guest finds in its registry, in the order in which it is written."""
    values: list[Json] = []
    if options.process_dumps:
        # Dumps are kept where they are asked for, not reported; and the service that makes them
        # must run before the first crash.
        values.append(_dword("System", "ControlSet001\\Services\\WerSvc", "Start", 2))
        reporting = "Microsoft\\Windows\\Windows Error Reporting"
        values.append(_dword("Software", reporting, "Disabled", 1))
    if not options.no_compartment_namespace:
        gns = "CurrentControlSet\\Services\\gns"
        values.append(_dword("System", gns, "EnableCompartmentNamespace", 1))
    return values + [dict(value) for value in options.registry]


def _devices(options: WcowOptions, share: Json, disks: Mapping[int, Json]) -> Json:
    table = {name: dict(config) for name, config in options.service_table.items()}
    if options.forward_logs:
        table[LOG_SERVICE] = parts.service()
    return parts.members(
        ComPorts=parts.com_ports(options),
        Scsi=parts.scsi(options.scsi_controllers, disks),
        HvSocket=parts.hv_socket(table, bind=parts.ADMINISTRATORS),
        GuestCrashReporting=_crash_reporting(options),
        VirtualSmb={"Shares": [share], "DirectFileMappingInMB": DIRECT_MAPPING_MB},
    )


def _debug_options(options: WcowOptions) -> Json | None:
    if not options.dump_folder:
        return None
    start = ntpath.join(options.dump_folder, options.id)
    return {
        "BugcheckSavedStateFileName": f"{start}-savedstate.vmrs",
        "BugcheckNoCrashdumpSavedStateFileName": f"{start}-savedstate_nocrashdump.vmrs",
    }


def _crash_reporting(options: WcowOptions) -> Json | None:
    if not options.dump_folder:
        return None
    name = ntpath.join(options.dump_folder, f"{options.id}-windows-crash")
    return {"WindowsCrashSettings": {"DumpFileName": name, "DumpType": "Full"}}


def _dword(hive: str, key: str, name: str, value: int) -> Json:
    return {
        "Key": {"Hive": hive, "Name": key},
        "Name": name,
        "Type": "DWord",
        "DWordValue": value,
    }
