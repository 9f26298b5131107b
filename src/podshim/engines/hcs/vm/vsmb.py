"""Folders and files of the host that a Windows guest has by SMB over VMBus.

Theory of operation. A folder is shared once for each way of using it (writable or not) and counted.
A file is shared as its folder, restricted to the files that were asked for; a further file of the
same folder is added to that share. The guest sees a share below one fixed prefix, by its name,
which is never used again.

A share whose files are mapped into the VM's memory can't be taken away while the guest may have
them open, which the host can't see: it stays until the VM's end, and is used again if it is asked
for.
"""

from __future__ import annotations

import asyncio
import ntpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.hosted_mounts import SMB_PREFIX
from podshim.engines.hcs.documents.jsontext import present
from podshim.engines.hcs.documents.modify import VM_SMB_SHARES, request
from podshim.engines.hcs.vm.modify import NO_WRITABLE_SHARES, Held
from podshim.errors import ShimError
from podshim.hcsspec import builds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.vm.modify import Modifier

#: Builds on which files are mapped only if their file system tells file ids, which some don't.
BUILDS_WANTING_FILE_IDS = range(builds.V19H1, builds.V21H1)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the host's disk says of a path that is to be shared.

    Args:
        is_folder: Whether it is a folder.
        mappable: Whether its files can be mapped into a VM.
    """

    is_folder: bool
    mappable: bool = True


@dataclass(frozen=True, slots=True)
class _Key:
    path: str
    read_only: bool
    is_folder: bool


@dataclass(slots=True)
class _Share:
    name: str
    options: Json
    files: tuple[str, ...] = ()
    count: int = 0


class VsmbManager:
    """The shares of one VM with a Windows guest.

    Args:
        modifier: Who changes it.
        look: Looks at a path of the host; raises OSError.
        no_direct_map: Whether files are never mapped.
        no_writable: Whether writable shares are refused.
    """

    def __init__(
        self,
        modifier: Modifier,
        look: Callable[[str], Awaitable[Shared]],
        *,
        no_direct_map: bool = False,
        no_writable: bool = False,
    ) -> None:
        self._modifier = modifier
        self._look = look
        self._no_direct_map = no_direct_map
        self._no_writable = no_writable
        self._shares: dict[_Key, _Share] = {}
        self._counter = 0
        self._lock = asyncio.Lock()

    async def add(self, host_path: str, *, read_only: bool, backup_privilege: bool = False) -> Held:
        """Share a folder or a file.

        Args:
            host_path: Its path.
            read_only: Whether the guest may only read.
            backup_privilege: Whether the guest reads with the privilege of backups (layers).

        Raises:
            ShimError: Writable shares are refused, it is not there, or HCS refuses.
        """
        if not read_only and self._no_writable:
            raise ShimError(NO_WRITABLE_SHARES)
        async with self._lock:
            try:
                found = await self._look(host_path)
            except OSError as error:
                raise ShimError(f"can't share {host_path}: {error}") from error
            clean = ntpath.normpath(host_path)
            folder = clean if found.is_folder else ntpath.dirname(clean)
            options = share_options(
                read_only=read_only,
                backup_privilege=backup_privilege,
                no_direct_map=self._no_direct_map or not found.mappable,
                file=not found.is_folder,
            )
            key = _Key(folder, read_only, found.is_folder)
            file = "" if found.is_folder else clean
            share = await self._use(key, options, file)
            path = SMB_PREFIX + share.name
            if file:
                path += "\\" + ntpath.basename(file)
            return Held(path, lambda: self._release(key))

    async def _use(self, key: _Key, options: Json, file: str) -> _Share:
        share = self._shares.get(key)
        kind = "Add" if share is None else "Update"
        if share is None:
            self._counter += 1
            share = _Share(f"s{self._counter:x}", options)
        files = share.files
        if file and file not in files:
            files = (*files, file)
        if kind == "Add" or files != share.files:
            await self._modifier.host(share_request(kind, share.name, options, key.path, files))
        share.files, share.options = files, options
        share.count += 1
        self._shares[key] = share
        return share

    async def _release(self, key: _Key) -> None:
        async with self._lock:
            share = self._shares[key]
            share.count -= 1
            if share.count or "NoDirectmap" not in share.options:
                return
            try:
                await self._modifier.host(request(VM_SMB_SHARES, "Remove", {"Name": share.name}))
            except ShimError as error:
                raise ShimError(f"failed to remove vsmb share {key.path}: {error}") from error
            del self._shares[key]


def share_options(
    *, read_only: bool, backup_privilege: bool, no_direct_map: bool, file: bool
) -> Json:
    """How a share is used, as HCS takes it.

    Args:
        read_only: Whether the guest may only read.
        backup_privilege: Whether it reads with the privilege of backups.
        no_direct_map: Whether files are not mapped into the VM's memory.
        file: Whether only listed files are shared.
    """
    return present(
        {
            "ReadOnly": read_only,
            "ShareRead": read_only,
            "CacheIo": read_only,
            "TakeBackupPrivilege": backup_privilege,
            "NoDirectmap": no_direct_map,
            "RestrictFileAccess": file,
            "PseudoOplocks": read_only,
            "SingleFileMapping": file,
        }
    )


def share_request(kind: str, name: str, options: Json, path: str, files: tuple[str, ...]) -> Json:
    """The host's request that adds a share, or files to one."""
    settings = {"Name": name, "Path": path, "AllowedFiles": list(files), "Options": options}
    return request(VM_SMB_SHARES, kind, present(settings))
