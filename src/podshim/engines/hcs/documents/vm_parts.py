"""What the documents of all VMs are put together from.

Theory of operation. A document says only what is set: `members` leaves out what is empty, but not
an empty object, for HCS takes `{}` as "there shall be one"; for none, None is passed. SCSI
controllers are named by fixed GUIDs, so that a disk's place can be told before the VM exists.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import Json, present
from podshim.engines.hcs.vm.options import BUILD_CPU_GROUP_AT_CREATE, LcowOptions
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.engines.hcs.vm.numa import NumaTopology
    from podshim.engines.hcs.vm.options import HostFacts, VmOptions

SCSI_CONTROLLERS = (
    "df6d0690-79e5-55b6-a5ec-c1e2f77f580a",
    "0110f83b-de10-5172-a266-78bca56bf50a",
    "b5d2d8d4-3a75-51bf-945b-3444dc6b8579",
    "305891a9-b251-5dfe-91a2-c25d9212275b",
)
#: SYSTEM and administrators may do all.
ADMINISTRATORS = "D:P(A;;FA;;;SY)(A;;FA;;;BA)"
#: Everyone may.
EVERYONE = "D:P(A;;FA;;;WD)"
#: The template "Microsoft Windows" of Hyper-V.
SECURE_BOOT_TEMPLATE = "1734c6e8-3154-4dda-ba5f-a874cc483422"

SCHEMA_2_5: Mapping[str, int] = {"Major": 2, "Minor": 5}


def members(**values: object) -> Json:
    """An object of those values that are not empty; see `jsontext.present`."""
    return present(values)


def system(owner: str, schema: Mapping[str, int], machine: Json) -> Json:
    """The document of a VM."""
    return members(
        Owner=owner,
        SchemaVersion=dict(schema),
        VirtualMachine=machine,
        ShouldTerminateOnLastHandleClosed=True,
    )


def memory(options: VmOptions, numa: NumaTopology) -> Json:
    """The VM's memory."""
    linux = isinstance(options, LcowOptions)
    return members(
        SizeInMB=options.memory_mb,
        AllowOvercommit=options.overcommit,
        EnableHotHint=options.overcommit and not linux,
        EnableColdDiscardHint=isinstance(options, LcowOptions) and options.cold_discard_hint,
        EnableDeferredCommit=options.deferred_commit,
        LowMmioGapInMB=options.low_mmio_gap,
        HighMmioBaseInMB=options.high_mmio_base,
        HighMmioGapInMB=options.high_mmio_gap,
        SlitType="FirmwareFallbackMeasured" if numa.present else "",
    )


def processor(options: VmOptions, host: HostFacts, count: int, numa: NumaTopology) -> Json:
    """The VM's processors.

    Args:
        options: The VM's options.
        host: What the host is.
        count: How many.
        numa: The topology that they are part of.

    Raises:
        ShimError: The host can't put a new VM into a CPU group.
    """
    if options.cpu_group and host.build < BUILD_CPU_GROUP_AT_CREATE:
        raise ShimError(
            "cpu group assignment on create requires a build of"
            f" {BUILD_CPU_GROUP_AT_CREATE} or higher"
        )
    return members(
        Count=count,
        Limit=options.processor_limit,
        Weight=options.processor_weight,
        CpuGroup={"Id": options.cpu_group} if options.cpu_group else None,
        NumaProcessorsSettings=numa.processors,
    )


def storage_qos(options: VmOptions) -> Json | None:
    """The limits on the VM's disks; None for none."""
    if options.storage_bandwidth <= 0 and options.storage_iops <= 0:
        return None
    return members(IopsMaximum=options.storage_iops, BandwidthMaximum=options.storage_bandwidth)


def hv_socket(table: Mapping[str, object], *, bind: str, connect: str = "") -> Json:
    """Who may use the VM's hv-sockets: by default, and service by service."""
    config = members(
        DefaultBindSecurityDescriptor=bind,
        DefaultConnectSecurityDescriptor=connect,
        ServiceTable=dict(table) or None,
    )
    return {"HvSocketConfig": config}


def service(*, bind: str = ADMINISTRATORS, connect: str = ADMINISTRATORS) -> Json:
    """A service of the hv-socket table that the guest may bind for any VM."""
    return {
        "BindSecurityDescriptor": bind,
        "ConnectSecurityDescriptor": connect,
        "AllowWildcardBinds": True,
    }


def vsock_service(port: int) -> str:
    """The service GUID of a Linux guest's vsock port."""
    return f"{port:08x}-facb-11e6-bd58-64006a7986d3"


def scsi(controllers: int, disks: Mapping[int, Json]) -> Json:
    """SCSI controllers, and the disks of the first of them by their LUN."""
    made: Json = {name: {} for name in SCSI_CONTROLLERS[:controllers]}
    if disks:
        made[SCSI_CONTROLLERS[0]] = {"Attachments": {str(lun): disk for lun, disk in disks.items()}}
    return made


def disk(path: str, *, read_only: bool = False) -> Json:
    """A virtual disk file as a SCSI attachment."""
    return members(Type="VirtualDisk", Path=path, ReadOnly=read_only)


def com_ports(options: VmOptions) -> Json | None:
    """The serial console, COM1; None for none."""
    if not options.console_pipe:
        return None
    return {"0": {"NamedPipe": options.console_pipe}}


def isolation(kind: str, policy: str, *, hcl: bool | None) -> Json:
    """The settings of a VM that is isolated from its host.

    Args:
        kind: What isolates it.
        policy: The security policy, in base64; its digest becomes part of what the VM attests.
        hcl: Whether it runs a host compatibility layer; None to leave that open.

    Raises:
        ShimError: The policy is not base64.
    """
    settings = members(IsolationType=kind, LaunchData=policy_digest(policy))
    if hcl is not None:
        settings["HclEnabled"] = hcl
    return {"Isolation": settings}


def policy_digest(policy: str) -> str:
    """The SHA-256 digest of a security policy, in base64.

    Raises:
        ShimError: The policy is not base64.
    """
    text = policy.replace("\r", "").replace("\n", "")
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ShimError(f"failed to decode base64 security policy: {error}") from error
    return base64.b64encode(hashlib.sha256(decoded).digest()).decode("ascii")
