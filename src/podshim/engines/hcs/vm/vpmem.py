"""Disks that a Linux guest has as persistent memory: the layers of its containers, read-only.

Theory of operation. A VM has a number of devices. On an older Windows each holds one disk; on a
newer one up to 1024, each in a region of its own: the first disk of a device makes the device,
every other is mapped into it. A disk that is there already is used again, and taken away when its
last user has released it. The guest mounts each at a path that tells where it is.

A device can be taken for the guest's root file system; it gets no layers then.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import present
from podshim.engines.hcs.documents.modify import VM_PMEM, VM_PMEM_MAPPING, guest_request, request
from podshim.engines.hcs.vm.modify import Held
from podshim.engines.hcs.vm.options import PAGE
from podshim.engines.hcs.vm.regions import Regions
from podshim.errors import ResourceExhaustedError, ShimError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.vm.modify import Modifier

MAPPINGS = 1024
_FORMAT = "Vhd1"


class NoRoomError(ResourceExhaustedError):
    """There is no room for a disk: it must be attached in another way."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a disk is: its device, and its region of it if the device holds several."""

    device: int
    offset: int = 0
    size: int | None = None

    @property
    def guest_path(self) -> str:
        """Where the guest mounts it."""
        if self.size is None:
            return f"/run/layers/p{self.device}"
        return f"/run/layers/p{self.device}-{self.offset}-{self.size}"


@dataclass(slots=True)
class _Disk:
    place: Place
    count: int = 1


@dataclass(slots=True)
class _Device:
    regions: Regions = field(default_factory=Regions)
    disks: int = 0


class VpmemManager:
    """The persistent-memory disks of one VM.

    Args:
        modifier: Who changes it.
        devices: How many devices it may have.
        device_bytes: The size of each.
        multi_mapping: Whether a device holds several disks.
        reserved: Devices that are taken from the start.
    """

    def __init__(
        self,
        modifier: Modifier,
        *,
        devices: int,
        device_bytes: int,
        multi_mapping: bool,
        reserved: Iterable[int] = (),
    ) -> None:
        self._modifier = modifier
        self._count = devices
        self._device_bytes = device_bytes
        self._multi_mapping = multi_mapping
        self._reserved = frozenset(reserved)
        self._disks: dict[str, _Disk] = {}
        self._devices: dict[int, _Device] = {}
        self._lock = asyncio.Lock()

    async def add(self, host_path: str, size: int) -> Held:
        """Give the guest a disk.

        Args:
            host_path: Its file.
            size: The file's size in bytes.

        Raises:
            NoRoomError: It is too large, or all devices are full.
            ShimError: HCS or the guest refuses.
        """
        async with self._lock:
            disk = self._disks.get(host_path)
            if disk is not None:
                disk.count += 1
            else:
                place = self._find_place(size)
                try:
                    await self._modifier.both(self._add_request(place, host_path))
                except BaseException:
                    self._give_back(place)
                    raise
                disk = self._disks[host_path] = _Disk(place)
                self._devices[place.device].disks += 1
            return Held(disk.place.guest_path, lambda: self._release(host_path))

    async def _release(self, host_path: str) -> None:
        async with self._lock:
            disk = self._disks[host_path]
            disk.count -= 1
            if disk.count:
                return
            try:
                await self._modifier.both(remove_request(disk.place))
            except ShimError as error:
                disk.count += 1  # it is still there
                raise ShimError(f"failed to remove VPMEM {host_path}: {error}") from error
            del self._disks[host_path]
            self._devices[disk.place.device].disks -= 1
            self._give_back(disk.place)

    def _find_place(self, size: int) -> Place:
        pages = -(-size // PAGE) * PAGE
        if not self._multi_mapping:
            if size > self._device_bytes:
                raise NoRoomError("layer size is to large for VPMEM max size")
            for number in self._usable():
                if number not in self._devices:
                    self._devices[number] = _Device()
                    return Place(number)
            raise NoRoomError("no available location")
        for number in self._usable():
            device = self._devices.setdefault(number, _Device())
            if device.disks >= MAPPINGS:
                continue
            offset = device.regions.take(pages)
            if offset is not None:
                return Place(number, offset, pages)
            if not device.disks:
                del self._devices[number]
        raise NoRoomError("no available location")

    def _usable(self) -> Iterable[int]:
        return (number for number in range(self._count) if number not in self._reserved)

    def _give_back(self, place: Place) -> None:
        device = self._devices[place.device]
        if place.size is not None:
            device.regions.give_back(place.offset)
        if not device.disks:
            del self._devices[place.device]

    def _add_request(self, place: Place, host_path: str) -> Json:
        return add_request(place, host_path, first=not self._devices[place.device].disks)


def add_request(place: Place, host_path: str, *, first: bool) -> Json:
    """The request that gives the guest a disk.

    Args:
        place: Where it will be.
        host_path: Its file.
        first: Whether it is the first disk of its device.
    """
    if first:
        path = VM_PMEM.format(place.device)
        settings: Json = {"HostPath": host_path, "ReadOnly": True, "ImageFormat": _FORMAT}
    else:
        path = VM_PMEM_MAPPING.format(place.device, place.offset)
        settings = {"HostPath": host_path, "ImageFormat": _FORMAT}
    return request(path, "Add", settings, _guest(place, "Add"))


def remove_request(place: Place) -> Json:
    """The request that takes it away."""
    if place.size is None:
        path = VM_PMEM.format(place.device)
    else:
        path = VM_PMEM_MAPPING.format(place.device, place.offset)
    return request(path, "Remove", None, _guest(place, "Remove"))


def _guest(place: Place, kind: str) -> Json:
    region = None
    if place.size is not None:
        region = present({"DeviceOffsetInBytes": place.offset, "DeviceSizeInBytes": place.size})
    settings = {
        "DeviceNumber": place.device,
        "MountPath": place.guest_path,
        "MappingInfo": region,
    }
    return guest_request("VPMemDevice", kind, present(settings))
