"""SCSI disks of VMs: places, counts, and requests."""

import asyncio

import pytest

from hcs.vm_machine import Document, FakeMachine
from podshim.engines.hcs.documents.vm_parts import SCSI_CONTROLLERS
from podshim.engines.hcs.vm import scsi
from podshim.engines.hcs.vm.scsi import Attachment, MountOptions, ScsiManager, Slot
from podshim.errors import ResourceExhaustedError, ShimError

DISK = Attachment("C:\\a.vhdx")
PLAIN = MountOptions()


def path(controller: int, lun: int) -> str:
    return f"VirtualMachine/Devices/Scsi/{SCSI_CONTROLLERS[controller]}/Attachments/{lun}"


def windows(machine: FakeMachine) -> ScsiManager:
    return ScsiManager(machine.modifier, windows=True, controllers=1, reserved=[Slot(0, 0)])


def linux(machine: FakeMachine, controllers: int = 4) -> ScsiManager:
    return ScsiManager(machine.modifier, windows=False, controllers=controllers)


async def test_a_disk_of_a_windows_guest_comes_and_goes() -> None:
    machine = FakeMachine()
    held = await windows(machine).add(DISK, PLAIN)
    assert held.guest_path == "c:\\mounts\\scsi\\m0"
    mapped = {"ContainerPath": "c:\\mounts\\scsi\\m0", "Lun": 1}
    assert machine.take() == [
        (
            "host",
            {
                "ResourcePath": path(0, 1),
                "RequestType": "Add",
                "Settings": {"Type": "VirtualDisk", "Path": "C:\\a.vhdx"},
            },
        ),
        (
            "guest",
            {"RequestType": "Add", "ResourceType": "MappedVirtualDisk", "Settings": mapped},
        ),
    ]
    await held.release()
    await held.release()
    assert machine.take() == [
        (
            "guest",
            {"RequestType": "Remove", "ResourceType": "MappedVirtualDisk", "Settings": mapped},
        ),
        ("host", {"ResourcePath": path(0, 1), "RequestType": "Remove"}),
    ]


async def test_a_disk_of_a_linux_guest_comes_and_goes() -> None:
    machine = FakeMachine()
    mount = MountOptions(
        partition=2,
        encrypted=True,
        options=("rw", "acl"),
        ensure_filesystem=True,
        filesystem="xfs",
        block_device=True,
    )
    held = await linux(machine).add(Attachment("C:\\a.vhdx", read_only=True), mount)
    assert held.guest_path == "/run/mounts/scsi/m0"
    assert machine.take()[1] == (
        "guest",
        {
            "RequestType": "Add",
            "ResourceType": "MappedVirtualDisk",
            "Settings": {
                "MountPath": "/run/mounts/scsi/m0",
                "Partition": 2,
                "ReadOnly": True,
                "Encrypted": True,
                "Options": ["acl", "rw"],
                "BlockDev": True,
                "EnsureFilesystem": True,
                "Filesystem": "xfs",
            },
        },
    )
    await held.release()
    assert machine.take() == [
        (
            "guest",
            {
                "RequestType": "Remove",
                "ResourceType": "MappedVirtualDisk",
                "Settings": {
                    "MountPath": "/run/mounts/scsi/m0",
                    "Partition": 2,
                    "ReadOnly": True,
                    "BlockDev": True,
                },
            },
        ),
        ("guest", {"RequestType": "Remove", "ResourceType": "SCSIDevice", "Settings": {}}),
        ("host", {"ResourcePath": path(0, 0), "RequestType": "Remove"}),
    ]


async def test_the_same_disk_is_attached_and_mounted_once() -> None:
    machine = FakeMachine()
    manager = linux(machine)
    one, other, elsewhere, unmounted = await asyncio.gather(
        manager.add(DISK, MountOptions(options=("a", "b"))),
        manager.add(DISK, MountOptions(options=("b", "a"))),
        manager.add(DISK, PLAIN),
        manager.add(DISK),
    )
    assert one.guest_path == other.guest_path != elsewhere.guest_path
    assert unmounted.guest_path == ""
    assert machine.sides() == [("host", "Add"), ("guest", "Add"), ("guest", "Add")]
    await one.release()
    await unmounted.release()
    assert machine.sides() == []
    await other.release()
    assert machine.sides() == [("guest", "Remove")]
    await elsewhere.release()
    assert machine.sides() == [("guest", "Remove"), ("guest", "Remove"), ("host", "Remove")]
    assert manager.slot_of(DISK) is None


async def test_other_ways_of_attaching_are_other_attachments() -> None:
    machine = FakeMachine()
    manager = linux(machine)
    await manager.add(DISK)
    await manager.add(Attachment("C:\\a.vhdx", read_only=True))
    await manager.add(Attachment("\\\\.\\PHYSICALDRIVE1", type="PassThru"))
    await manager.add(scsi.extensible_disk("evd://kind/a/b", read_only=False))
    assert [document["Settings"] for _, document in machine.take()] == [
        {"Type": "VirtualDisk", "Path": "C:\\a.vhdx"},
        {"Type": "VirtualDisk", "Path": "C:\\a.vhdx", "ReadOnly": True},
        {"Type": "PassThru", "Path": "\\\\.\\PHYSICALDRIVE1"},
        {
            "Type": "ExtensibleVirtualDisk",
            "Path": "a/b",
            "ExtensibleVirtualDiskType": "kind",
        },
    ]


async def test_places_run_out_and_are_used_again() -> None:
    machine = FakeMachine()
    manager = windows(machine)
    held = [await manager.add(Attachment(f"C:\\{number}.vhdx")) for number in range(63)]
    with pytest.raises(ResourceExhaustedError, match="no available location"):
        await manager.add(DISK)
    await held[4].release()
    await manager.add(DISK)
    assert manager.slot_of(DISK) == Slot(0, 5)


async def test_controllers_are_filled_one_after_the_other() -> None:
    machine = FakeMachine()
    manager = linux(machine, controllers=2)
    for number in range(65):
        await manager.add(Attachment(f"C:\\{number}.vhdx"))
    assert machine.take()[-1][1]["ResourcePath"] == path(1, 0)


async def test_a_path_that_is_taken() -> None:
    machine = FakeMachine()
    manager = linux(machine)
    held = await manager.add(DISK, PLAIN, "/run/gcs/c/1")
    assert held.guest_path == "/run/gcs/c/1"
    machine.take()
    with pytest.raises(ShimError, match="cannot mount over an existing mountpoint: /run/gcs/c/1"):
        await manager.add(Attachment("C:\\b.vhdx"), PLAIN, "/run/gcs/c/1")
    assert machine.sides() == [("host", "Add"), ("guest", "Remove"), ("host", "Remove")]


async def test_the_host_refuses() -> None:
    machine = FakeMachine()
    manager = windows(machine)
    machine.refuse = lambda side, _: side == "host"
    with pytest.raises(ShimError) as caught:
        await manager.add(DISK, PLAIN)
    assert str(caught.value) == (
        "attach VirtualDisk/C:\\a.vhdx at controller 0 lun 1: the host refuses"
    )
    assert manager.slot_of(DISK) is None


async def test_the_guest_refuses() -> None:
    machine = FakeMachine()
    manager = windows(machine)

    def refuses(side: str, document: Document) -> bool:
        return side == "guest" and document["RequestType"] == "Add"

    machine.refuse = refuses
    with pytest.raises(ShimError) as caught:
        await manager.add(DISK, PLAIN)
    assert str(caught.value) == (
        "mount scsi controller 0 lun 1 at c:\\mounts\\scsi\\m0: the guest refuses"
    )
    assert machine.sides() == [("host", "Add"), ("guest", "Add"), ("host", "Remove")]
    assert manager.slot_of(DISK) is None


async def test_what_windows_guests_do_not_know() -> None:
    machine = FakeMachine()
    manager = ScsiManager(machine.modifier, windows=True, controllers=2)
    with pytest.raises(ShimError, match="WCOW does not support encrypted"):
        await manager.add(DISK, MountOptions(filesystem="ext4"))
    for number in range(64):
        await manager.add(Attachment(f"C:\\{number}.vhdx"))
    with pytest.raises(ShimError, match="WCOW only supports SCSI controller 0"):
        await manager.add(DISK, PLAIN)


async def test_the_scratch_of_a_confidential_container() -> None:
    machine = FakeMachine()
    await windows(machine).add(DISK, MountOptions(format_refs=True))
    assert machine.take()[1][1]["ResourceType"] == "MappedVirtualDiskForContainerScratch"


@pytest.mark.parametrize("source", ["evd://", "evd:///x", "evd://kind", "kind"])
def test_sources_of_no_extensible_disk(source: str) -> None:
    with pytest.raises(ShimError, match="invalid extensible vhd path: "):
        scsi.extensible_disk(source, read_only=True)
