"""PCI devices of the host that a VM has.

Theory of operation. A device is named by its instance on the host and a virtual function of it, and
appears in the VM on a VMBus of its own, whose GUID tells a Linux guest which device it is. Several
containers may have the same device; it goes when the last has given it back. Devices that the VM
was created with stay until its end.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import present
from podshim.engines.hcs.documents.modify import VM_PCI, guest_request, request
from podshim.errors import ShimError
from podshim.hcsspec import builds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.vm.modify import Modifier
    from podshim.engines.hcs.vm.options import AssignedDevice


@dataclass(slots=True)
class _Assigned:
    bus: str
    count: int = 1


class PciManager:
    """The assigned devices of one VM.

    Args:
        modifier: Who changes it.
        build: The build number of this Windows.
        windows: Whether its guest is a Windows.
        present_from_start: The buses of the devices that it was created with.
    """

    def __init__(
        self,
        modifier: Modifier,
        build: int,
        *,
        windows: bool,
        present_from_start: Mapping[AssignedDevice, str] | None = None,
    ) -> None:
        self._modifier = modifier
        self._build = build
        self._windows = windows
        start = present_from_start or {}
        self._devices = {device: _Assigned(bus) for device, bus in start.items()}
        self._lock = asyncio.Lock()

    async def assign(self, device: AssignedDevice, bus: str = "") -> str:
        """Give the VM a device.

        Args:
            device: Which.
            bus: The GUID of its VMBus; empty for a new one.

        Returns:
            The GUID of its VMBus.

        Raises:
            ShimError: HCS or the guest refuses.
        """
        async with self._lock:
            assigned = self._devices.get(device)
            if assigned is not None:
                assigned.count += 1
                return assigned.bus
            bus = bus or str(uuid.uuid4())
            await self._modifier.both(self._add_request(device, bus))
            self._devices[device] = _Assigned(bus)
            return bus

    async def remove(self, device: AssignedDevice, vm_id: str = "") -> None:
        """Take a device away, when nobody has it any more.

        Raises:
            ShimError: The VM does not have it, or HCS refuses.
        """
        async with self._lock:
            assigned = self._devices.get(device)
            if assigned is None:
                raise ShimError(
                    f"no device with ID {device.instance} and index {device.function} is present"
                    f" on the uvm {vm_id}"
                )
            if assigned.count > 1:
                assigned.count -= 1
                return
            await self._modifier.both(request(VM_PCI.format(assigned.bus), "Remove"))
            del self._devices[device]

    def _add_request(self, device: AssignedDevice, bus: str) -> Json:
        function = present(
            {"DeviceInstancePath": device.instance, "VirtualFunction": device.function}
        )
        affinity = self._build >= builds.WS2025
        settings = present({"Functions": [function], "PropagateNumaAffinity": affinity})
        # A Windows guest finds the device by itself.
        guest = guest_request("VPCIDevice", "Add", {"VMBusGUID": bus})
        return request(VM_PCI.format(bus), "Add", settings, None if self._windows else guest)
