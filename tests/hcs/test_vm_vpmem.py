"""Persistent-memory disks of Linux guests, and the regions that they are in."""

import pytest
from hypothesis import given, strategies as st

from hcs.vm_machine import FakeMachine
from podshim.engines.hcs.vm.regions import LARGEST, SMALLEST, Regions
from podshim.engines.hcs.vm.vpmem import NoRoomError, VpmemManager
from podshim.errors import ShimError

MB = 1 << 20
DEVICES = "VirtualMachine/Devices/VirtualPMem/Devices/"


def test_regions_are_taken_from_below() -> None:
    regions = Regions()
    assert [regions.take(size) for size in (1, MB, MB + 1, 4 * MB, 5 * MB)] == [
        0,
        MB,
        4 * MB,
        8 * MB,
        16 * MB,
    ]
    regions.give_back(MB)
    assert regions.take(MB) == MB


def test_parts_become_whole_again() -> None:
    regions = Regions()
    taken = [regions.take(MB) for _ in range(5)]
    assert regions.take(LARGEST) is None
    for offset in taken:
        assert offset is not None
        regions.give_back(offset)
    assert regions.empty
    assert regions.take(LARGEST) == 0
    assert regions.take(1) is None
    assert regions.take(LARGEST + 1) is None


def test_what_is_not_taken_can_not_be_given_back() -> None:
    with pytest.raises(KeyError):
        Regions().give_back(0)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 1 << 31)), max_size=60))
def test_regions_never_overlap(steps: list[tuple[bool, int]]) -> None:
    regions = Regions()
    held: dict[int, int] = {}
    for take, size in steps:
        if take or not held:
            offset = regions.take(size)
            if offset is None:
                continue
            whole = SMALLEST
            while whole < size:
                whole *= 4
            assert offset % whole == 0
            assert offset + whole <= LARGEST
            for other, length in held.items():
                assert offset + whole <= other or other + length <= offset
            held[offset] = whole
        else:
            offset = sorted(held)[size % len(held)]
            del held[offset]
            regions.give_back(offset)
    for offset in held:
        regions.give_back(offset)
    assert regions.take(LARGEST) == 0


def manager(
    machine: FakeMachine, *, devices: int = 2, multi: bool = True, reserved: tuple[int, ...] = ()
) -> VpmemManager:
    return VpmemManager(
        machine.modifier,
        devices=devices,
        device_bytes=4 << 30,
        multi_mapping=multi,
        reserved=reserved,
    )


async def test_disks_in_one_device() -> None:
    machine = FakeMachine()
    disks = manager(machine)
    first = await disks.add("C:\\1.vhd", 5000)
    second = await disks.add("C:\\2.vhd", 4096)
    assert first.guest_path == "/run/layers/p0-0-8192"
    assert second.guest_path == "/run/layers/p0-1048576-4096"
    guest = {"RequestType": "Add", "ResourceType": "VPMemDevice"}
    assert machine.take() == [
        (
            "host",
            {
                "ResourcePath": DEVICES + "0",
                "RequestType": "Add",
                "Settings": {"HostPath": "C:\\1.vhd", "ReadOnly": True, "ImageFormat": "Vhd1"},
            },
        ),
        (
            "guest",
            {
                **guest,
                "Settings": {
                    "MountPath": "/run/layers/p0-0-8192",
                    "MappingInfo": {"DeviceSizeInBytes": 8192},
                },
            },
        ),
        (
            "host",
            {
                "ResourcePath": DEVICES + "0/Mappings/1048576",
                "RequestType": "Add",
                "Settings": {"HostPath": "C:\\2.vhd", "ImageFormat": "Vhd1"},
            },
        ),
        (
            "guest",
            {
                **guest,
                "Settings": {
                    "MountPath": "/run/layers/p0-1048576-4096",
                    "MappingInfo": {"DeviceOffsetInBytes": 1048576, "DeviceSizeInBytes": 4096},
                },
            },
        ),
    ]
    await first.release()
    assert machine.take() == [
        (
            "guest",
            {
                "RequestType": "Remove",
                "ResourceType": "VPMemDevice",
                "Settings": {
                    "MountPath": "/run/layers/p0-0-8192",
                    "MappingInfo": {"DeviceSizeInBytes": 8192},
                },
            },
        ),
        ("host", {"ResourcePath": DEVICES + "0/Mappings/0", "RequestType": "Remove"}),
    ]
    await second.release()
    machine.take()
    await disks.add("C:\\3.vhd", 1)
    assert machine.take()[0][1]["ResourcePath"] == DEVICES + "0"


async def test_one_disk_in_each_device() -> None:
    machine = FakeMachine()
    disks = manager(machine, multi=False)
    first = await disks.add("C:\\1.vhd", 1)
    again = await disks.add("C:\\1.vhd", 1)
    await disks.add("C:\\2.vhd", 1)
    assert first.guest_path == again.guest_path == "/run/layers/p0"
    assert machine.take()[3] == (
        "guest",
        {
            "RequestType": "Add",
            "ResourceType": "VPMemDevice",
            "Settings": {"DeviceNumber": 1, "MountPath": "/run/layers/p1"},
        },
    )
    with pytest.raises(NoRoomError, match="no available location"):
        await disks.add("C:\\3.vhd", 1)
    with pytest.raises(NoRoomError, match="layer size is to large for VPMEM max size"):
        await disks.add("C:\\4.vhd", (4 << 30) + 1)
    await first.release()
    assert machine.take() == []
    await again.release()
    assert machine.take()[1] == ("host", {"ResourcePath": DEVICES + "0", "RequestType": "Remove"})
    await disks.add("C:\\3.vhd", 1)


async def test_devices_that_are_full_or_taken() -> None:
    machine = FakeMachine()
    disks = manager(machine, reserved=(0,))
    held = await disks.add("C:\\1.vhd", 2 << 30)
    assert held.guest_path == f"/run/layers/p1-0-{2 << 30}"
    with pytest.raises(NoRoomError, match="no available location"):
        await disks.add("C:\\2.vhd", 2 << 30)
    with pytest.raises(NoRoomError, match="no available location"):
        await disks.add("C:\\3.vhd", 5 << 30)


async def test_a_device_has_a_limit_of_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podshim.engines.hcs.vm.vpmem.MAPPINGS", 2)
    disks = manager(FakeMachine())
    held = [await disks.add(f"C:\\{number}.vhd", 1) for number in range(3)]
    assert held[2].guest_path == "/run/layers/p1-0-4096"


async def test_refusals_leave_things_as_they_were() -> None:
    machine = FakeMachine()
    disks = manager(machine)
    machine.refuse = lambda side, _: side == "guest"
    with pytest.raises(ShimError, match="guest modify"):
        await disks.add("C:\\1.vhd", 1)
    machine.refuse = lambda *_: False
    held = await disks.add("C:\\1.vhd", 1)
    assert held.guest_path == "/run/layers/p0-0-4096"
    machine.refuse = lambda *_: True
    with pytest.raises(ShimError, match=r"failed to remove VPMEM C:.1.vhd"):
        await held.release()
    machine.refuse = lambda *_: False
    machine.take()
    assert (await disks.add("C:\\1.vhd", 1)).guest_path == held.guest_path
    assert machine.take() == []
