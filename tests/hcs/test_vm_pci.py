"""PCI devices of VMs."""

import pytest

from hcs.vm_machine import FakeMachine
from podshim.engines.hcs.vm.options import AssignedDevice
from podshim.engines.hcs.vm.pci import PciManager
from podshim.errors import ShimError

DEVICE = AssignedDevice("PCI\\X", 2)
PATH = "VirtualMachine/Devices/VirtualPci/bus"
FUNCTIONS = [{"DeviceInstancePath": "PCI\\X", "VirtualFunction": 2}]


async def test_a_device_of_a_linux_guest() -> None:
    machine = FakeMachine()
    manager = PciManager(machine.modifier, 26100, windows=False)
    assert await manager.assign(DEVICE, "bus") == "bus"
    assert await manager.assign(DEVICE) == "bus"
    settings = {"Functions": FUNCTIONS, "PropagateNumaAffinity": True}
    assert machine.take() == [
        ("host", {"ResourcePath": PATH, "RequestType": "Add", "Settings": settings}),
        (
            "guest",
            {
                "RequestType": "Add",
                "ResourceType": "VPCIDevice",
                "Settings": {"VMBusGUID": "bus"},
            },
        ),
    ]
    await manager.remove(DEVICE)
    assert machine.take() == []
    await manager.remove(DEVICE)
    assert machine.take() == [("host", {"ResourcePath": PATH, "RequestType": "Remove"})]
    with pytest.raises(ShimError) as caught:
        await manager.remove(DEVICE, "pod@vm")
    assert str(caught.value) == (
        "no device with ID PCI\\X and index 2 is present on the uvm pod@vm"
    )


async def test_a_device_of_a_windows_guest() -> None:
    machine = FakeMachine()
    manager = PciManager(machine.modifier, 20348, windows=True)
    bus = await manager.assign(AssignedDevice("PCI\\X"))
    assert machine.take() == [
        (
            "host",
            {
                "ResourcePath": f"VirtualMachine/Devices/VirtualPci/{bus}",
                "RequestType": "Add",
                "Settings": {"Functions": [{"DeviceInstancePath": "PCI\\X"}]},
            },
        )
    ]


async def test_a_device_that_is_there_from_the_start() -> None:
    machine = FakeMachine()
    manager = PciManager(
        machine.modifier, 20348, windows=False, present_from_start={DEVICE: "first"}
    )
    assert await manager.assign(DEVICE) == "first"
    await manager.remove(DEVICE)
    assert machine.take() == []


async def test_refusals() -> None:
    machine = FakeMachine()
    manager = PciManager(machine.modifier, 20348, windows=False)
    machine.refuse = lambda side, _: side == "guest"
    with pytest.raises(ShimError, match="guest modify"):
        await manager.assign(DEVICE, "bus")
    with pytest.raises(ShimError, match="no device with ID"):
        await manager.remove(DEVICE)
