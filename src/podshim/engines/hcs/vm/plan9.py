"""Folders and files of the host that a Linux guest has by 9P.

Theory of operation. Every share is one of its own, with a number for a name, and is taken away when
it is released. A file is shared as its folder, restricted to that one name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import present
from podshim.engines.hcs.documents.modify import VM_PLAN9_SHARES, guest_request, request
from podshim.engines.hcs.vm.modify import NO_WRITABLE_SHARES, Held
from podshim.errors import ShimError
from podshim.hcsspec import builds

if TYPE_CHECKING:
    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.vm.modify import Modifier

PORT = 564
_READ_ONLY = 0x1
_LINUX_METADATA = 0x4
_RESTRICT = 0x80


class Plan9Manager:
    """The shares of one VM with a Linux guest.

    Args:
        modifier: Who changes it.
        build: The build number of this Windows.
        no_writable: Whether writable shares are refused.
    """

    def __init__(self, modifier: Modifier, build: int, *, no_writable: bool = False) -> None:
        self._modifier = modifier
        self._build = build
        self._no_writable = no_writable
        self._counter = 0

    async def add(
        self, host_folder: str, guest_path: str, *, read_only: bool, file: str = ""
    ) -> Held:
        """Share a folder, or one file of it.

        Args:
            host_folder: The folder.
            guest_path: Where the guest mounts it.
            read_only: Whether the guest may only read.
            file: The name of the one file that it may see; empty for all.

        Raises:
            ShimError: Writable shares are refused, this Windows shares no single files, or HCS or
                the guest refuses.
        """
        if file and self._build < builds.V19H1:
            raise ShimError("single-file mappings are not supported on this build of Windows")
        if not read_only and self._no_writable:
            raise ShimError(NO_WRITABLE_SHARES)
        name = str(self._counter)
        self._counter += 1
        await self._modifier.both(
            add_request(name, host_folder, guest_path, read_only=read_only, file=file)
        )
        return Held(guest_path, lambda: self._remove(name, guest_path))

    async def _remove(self, name: str, guest_path: str) -> None:
        try:
            await self._modifier.both(remove_request(name, guest_path))
        except ShimError as error:
            raise ShimError(f"failed to remove plan9 share {name}: {error}") from error


def add_request(name: str, folder: str, guest_path: str, *, read_only: bool, file: str) -> Json:
    """The request that shares a folder, or one file of it."""
    flags = _LINUX_METADATA
    flags |= _READ_ONLY if read_only else 0
    flags |= _RESTRICT if file else 0
    settings = {
        "Name": name,
        "AccessName": name,
        "Path": folder,
        "Port": PORT,
        "Flags": flags,
        "AllowedFiles": [file] if file else [],
    }
    mapped = {
        "MountPath": guest_path,
        "Port": PORT,
        "ShareName": name,
        "ReadOnly": read_only,
    }
    guest = guest_request("MappedDirectory", "Add", present(mapped))
    return request(VM_PLAN9_SHARES, "Add", present(settings), guest)


def remove_request(name: str, guest_path: str) -> Json:
    """The request that ends a share."""
    settings = {"Name": name, "AccessName": name, "Port": PORT}
    mapped = {"MountPath": guest_path, "Port": PORT, "ShareName": name}
    guest = guest_request("MappedDirectory", "Remove", mapped)
    return request(VM_PLAN9_SHARES, "Remove", settings, guest)
