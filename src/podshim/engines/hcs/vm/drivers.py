"""Installing drivers in a VM's guest.

Theory of operation. The host has folders (Windows) or disks (Linux) with drivers; the guest is
given each and runs its own installer on it. Windows' installer exits with a code of its own when a
driver is there already, which is no failure.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from podshim.engines.hcs.vm import command
from podshim.engines.hcs.vm.scsi import Attachment, MountOptions
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.engines.hcs.resources import Resources
    from podshim.engines.hcs.vm.machine import Vm

_PNPUTIL = "C:\\Windows\\System32\\pnputil.exe"
_NO_MORE_ITEMS = 259
_FOLDERS = uuid.UUID("914aadc8-f700-4365-8016-ddad0a9d406d")


async def install_drivers(vm: Vm, paths: Sequence[str], resources: Resources) -> None:
    """Install drivers.

    Args:
        vm: Where.
        paths: The host's folders or disks.
        resources: Takes what the guest was given for it.

    Raises:
        ShimError: A path is not there, or a driver can't be installed.
    """
    for path in paths:
        if not await vm.host.run("look for drivers", lambda path: Path(path).exists(), path):
            raise ShimError(f"failed to find path to drivers at {path}")
    for path in paths:
        await (_install_windows if vm.windows else _install_linux)(vm, path, resources)


async def _install_windows(vm: Vm, path: str, resources: Resources) -> None:
    held = await vm.vsmb.add(path, read_only=True)
    resources.add("drivers", held.release)
    code = await command.run_quietly(vm.guest, vm.id, *windows_installer(held.guest_path))
    if code not in {0, _NO_MORE_ITEMS}:
        raise ShimError(f"failed to install driver {path} in uvm with exit code {code}")


async def _install_linux(vm: Vm, path: str, resources: Resources) -> None:
    await vm.host.run("grant VM access", vm.host.files.grant, vm.id, path)
    held = await vm.scsi.add(Attachment(path, read_only=True), MountOptions())
    resources.add("drivers", held.release)
    code = await command.run_quietly(vm.guest, vm.id, *linux_installer(path, held.guest_path))
    if code:
        raise ShimError(f"failed to install driver {path} in uvm with exit code {code}")


def windows_installer(folder: str) -> tuple[str, ...]:
    """The command that installs the drivers of a folder of a Windows guest."""
    return ("cmd", "/c", _PNPUTIL, "/add-driver", f"{folder}/*.inf", "/subdirs", "/install")


def linux_installer(path: str, mounted: str) -> tuple[str, ...]:
    """The command that installs the drivers of a disk that a Linux guest has mounted.

    Args:
        path: The disk's path on the host: it names the folder that the guest works in.
        mounted: Where it is mounted, read-only.
    """
    return ("/bin/install-drivers", f"/run/drivers/{uuid.uuid5(_FOLDERS, path)}", mounted)
