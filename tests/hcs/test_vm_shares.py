"""Folders and files that guests share with the host, by SMB and by 9P."""

import pytest

from hcs.vm_machine import FakeMachine
from podshim.engines.hcs.documents.hosted_mounts import SMB_PREFIX
from podshim.engines.hcs.vm.plan9 import Plan9Manager
from podshim.engines.hcs.vm.vsmb import Shared, VsmbManager
from podshim.errors import ShimError

SHARES = "VirtualMachine/Devices/VirtualSmb/Shares"
READ_ONLY = {"ReadOnly": True, "ShareRead": True, "CacheIo": True, "PseudoOplocks": True}


async def look(path: str) -> Shared:
    if "gone" in path:
        raise FileNotFoundError(2, "not there", path)
    return Shared(is_folder=not path.endswith(".txt"), mappable="azure" not in path)


def manager(machine: FakeMachine, *, direct: bool = True, writable: bool = True) -> VsmbManager:
    return VsmbManager(machine.modifier, look, no_direct_map=not direct, no_writable=not writable)


async def test_a_folder() -> None:
    machine = FakeMachine()
    held = await manager(machine).add("C:\\data\\.", read_only=True, backup_privilege=True)
    assert held.guest_path == SMB_PREFIX + "s1"
    assert machine.take() == [
        (
            "host",
            {
                "ResourcePath": SHARES,
                "RequestType": "Add",
                "Settings": {
                    "Name": "s1",
                    "Path": "C:\\data",
                    "Options": {**READ_ONLY, "TakeBackupPrivilege": True},
                },
            },
        )
    ]


async def test_a_writable_folder_has_no_options() -> None:
    machine = FakeMachine()
    await manager(machine).add("C:\\data", read_only=False)
    ((_, document),) = machine.take()
    assert document["Settings"] == {"Name": "s1", "Path": "C:\\data", "Options": {}}


async def test_shares_are_counted_for_each_way_of_use() -> None:
    machine = FakeMachine()
    shares = manager(machine, direct=False)
    first = await shares.add("C:\\data", read_only=True)
    second = await shares.add("C:\\data", read_only=True)
    writable = await shares.add("C:\\data", read_only=False)
    assert first.guest_path == second.guest_path != writable.guest_path
    assert machine.sides() == [("host", "Add"), ("host", "Add")]
    await first.release()
    assert machine.sides() == []
    await second.release()
    assert machine.take() == [
        ("host", {"ResourcePath": SHARES, "RequestType": "Remove", "Settings": {"Name": "s1"}})
    ]
    again = await shares.add("C:\\data", read_only=True)
    assert again.guest_path == SMB_PREFIX + "s3"  # names are never used again


async def test_names_count_in_hexadecimal() -> None:
    machine = FakeMachine()
    shares = manager(machine)
    held = [await shares.add(f"C:\\{number}", read_only=True) for number in range(16)]
    assert held[9].guest_path == SMB_PREFIX + "sa"
    assert held[15].guest_path == SMB_PREFIX + "s10"


async def test_a_share_that_is_mapped_stays() -> None:
    machine = FakeMachine()
    shares = manager(machine)
    held = await shares.add("C:\\data", read_only=True)
    await held.release()
    again = await shares.add("C:\\data", read_only=True)
    assert machine.sides() == [("host", "Add")]
    assert again.guest_path == held.guest_path


async def test_files_share_the_share_of_their_folder() -> None:
    machine = FakeMachine()
    shares = manager(machine, direct=False)
    one = await shares.add("C:\\data\\one.txt", read_only=True)
    two = await shares.add("C:\\data\\two.txt", read_only=True)
    await shares.add("C:\\data\\one.txt", read_only=True)
    folder = await shares.add("C:\\data", read_only=True)
    assert one.guest_path == SMB_PREFIX + "s1\\one.txt"
    assert two.guest_path == SMB_PREFIX + "s1\\two.txt"
    assert folder.guest_path == SMB_PREFIX + "s2"
    options = {
        **READ_ONLY,
        "NoDirectmap": True,
        "RestrictFileAccess": True,
        "SingleFileMapping": True,
    }
    common = {"Name": "s1", "Path": "C:\\data", "Options": options}
    files = ["C:\\data\\one.txt", "C:\\data\\two.txt"]
    assert [document for _, document in machine.take()][:2] == [
        {
            "ResourcePath": SHARES,
            "RequestType": "Add",
            "Settings": {**common, "AllowedFiles": files[:1]},
        },
        {
            "ResourcePath": SHARES,
            "RequestType": "Update",
            "Settings": {**common, "AllowedFiles": files},
        },
    ]


async def test_what_can_not_be_mapped_is_not_and_is_taken_away() -> None:
    machine = FakeMachine()
    held = await manager(machine).add("Z:\\azure", read_only=True)
    await held.release()
    (_, added), (_, removed) = machine.take()
    assert added["Settings"]["Options"]["NoDirectmap"] is True
    assert removed["RequestType"] == "Remove"


async def test_shares_that_are_refused() -> None:
    machine = FakeMachine()
    with pytest.raises(match=r"^adding writable shares is denied: operation denied$"):
        await manager(machine, writable=False).add("C:\\data", read_only=False)
    with pytest.raises(ShimError, match=r"can't share C:.gone: "):
        await manager(machine).add("C:\\gone", read_only=True)
    assert machine.take() == []
    machine.refuse = lambda *_: True
    shares = manager(machine)
    with pytest.raises(ShimError, match="the host refuses"):
        await shares.add("C:\\data", read_only=True)
    machine.refuse = lambda *_: False
    held = await shares.add("C:\\data", read_only=True)
    assert held.guest_path == SMB_PREFIX + "s2"


async def test_a_removal_that_is_refused_keeps_the_share() -> None:
    machine = FakeMachine()
    shares = manager(machine, direct=False)
    held = await shares.add("C:\\data", read_only=True)
    machine.refuse = lambda *_: True
    with pytest.raises(ShimError, match=r"failed to remove vsmb share C:.data: the host refuses"):
        await held.release()
    machine.refuse = lambda *_: False
    assert (await shares.add("C:\\data", read_only=True)).guest_path == held.guest_path


# --- 9P

PLAN9 = "VirtualMachine/Devices/Plan9/Shares"


async def test_a_folder_by_9p() -> None:
    machine = FakeMachine()
    shares = Plan9Manager(machine.modifier, 20348)
    held = await shares.add("C:\\data", "/run/gcs/c/1/mounts/m0", read_only=False)
    await shares.add("C:\\data", "/x", read_only=True, file="one.txt")
    mapped = {"MountPath": "/run/gcs/c/1/mounts/m0", "Port": 564, "ShareName": "0"}
    assert machine.take() == [
        (
            "host",
            {
                "ResourcePath": PLAN9,
                "RequestType": "Add",
                "Settings": {
                    "Name": "0",
                    "AccessName": "0",
                    "Path": "C:\\data",
                    "Port": 564,
                    "Flags": 4,
                },
            },
        ),
        (
            "guest",
            {"RequestType": "Add", "ResourceType": "MappedDirectory", "Settings": mapped},
        ),
        (
            "host",
            {
                "ResourcePath": PLAN9,
                "RequestType": "Add",
                "Settings": {
                    "Name": "1",
                    "AccessName": "1",
                    "Path": "C:\\data",
                    "Port": 564,
                    "Flags": 4 | 1 | 0x80,
                    "AllowedFiles": ["one.txt"],
                },
            },
        ),
        (
            "guest",
            {
                "RequestType": "Add",
                "ResourceType": "MappedDirectory",
                "Settings": {"MountPath": "/x", "Port": 564, "ShareName": "1", "ReadOnly": True},
            },
        ),
    ]
    await held.release()
    assert machine.take() == [
        (
            "guest",
            {"RequestType": "Remove", "ResourceType": "MappedDirectory", "Settings": mapped},
        ),
        (
            "host",
            {
                "ResourcePath": PLAN9,
                "RequestType": "Remove",
                "Settings": {"Name": "0", "AccessName": "0", "Port": 564},
            },
        ),
    ]


async def test_9p_shares_that_are_refused() -> None:
    machine = FakeMachine()
    with pytest.raises(ShimError, match="single-file mappings are not supported on this build"):
        await Plan9Manager(machine.modifier, 17763).add("C:\\", "/x", read_only=True, file="f")
    strict = Plan9Manager(machine.modifier, 20348, no_writable=True)
    with pytest.raises(match="adding writable shares is denied"):
        await strict.add("C:\\", "/x", read_only=False)
    held = await strict.add("C:\\", "/x", read_only=True)
    machine.refuse = lambda side, _: side == "guest"
    with pytest.raises(ShimError, match="failed to remove plan9 share 0: guest modify"):
        await held.release()
