"""The files that VMs boot from: where they are looked for, and the copies that a VM gets.

Theory of operation. A Linux guest boots from a folder that the host's administrator has filled. A
Windows guest boots from its image: the topmost layer that has a folder `UtilityVM` has the system
files, and a template of the disk that the VM writes to, of which it gets a copy beside the scratch
of the container. Confidential guests boot from files that were measured; what a running VM changes
of them, it changes in its own copy.

All functions here touch the disk and may block: call them in a thread.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.vm_confidential import ConfidentialBoot
from podshim.engines.hcs.documents.vm_wcow import WindowsBoot
from podshim.engines.hcs.vm import options as vm_options
from podshim.engines.hcs.vm.derivation import LinuxBootFolder
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.engines.hcs.vm.options import LcowOptions, WcowOptions

_log = logging.getLogger(__name__)

UTILITY_VM = "UtilityVM"
SYSTEM_FILES = "Files"
SCRATCH_TEMPLATE = "SystemTemplate.vhdx"
SCRATCH = "sandbox.vhdx"
BOOT_DISK = "boot.vhd"


def default_linux_folder(shim_folder: str, program_files: str) -> str:
    """Where a Linux guest's boot files are if nothing says otherwise.

    Args:
        shim_folder: The folder of the shim's program.
        program_files: The folder of programs (`%ProgramFiles%`).
    """
    beside = Path(shim_folder) / "LinuxBootFiles"
    return str(beside if beside.exists() else Path(program_files) / "Linux Containers")


def look(folder: str) -> LinuxBootFolder:
    """See which of a Linux guest's optional boot files a folder has."""
    path = Path(folder).absolute()
    return LinuxBootFolder(
        str(path),
        has_vhd=(path / vm_options.ROOTFS_VHD).exists(),
        has_uncompressed_kernel=(path / vm_options.UNCOMPRESSED_KERNEL).exists(),
    )


def check_linux(options: LcowOptions) -> None:
    """See that a Linux guest's boot files are there.

    Raises:
        ShimError: One is not.
    """
    kernel = Path(options.boot_folder) / options.kernel_file
    if not kernel.exists():
        raise ShimError(f"kernel: '{kernel}' not found")
    root_fs = Path(options.boot_folder) / options.root_fs_file
    if not root_fs.exists():
        raise ShimError(f"boot file: '{root_fs}' not found")


def confidential_linux(options: LcowOptions) -> tuple[str, str]:
    """Copy a confidential Linux guest's boot files into its bundle.

    Returns:
        The guest state file and the root file system's disk, both the VM's own.

    Raises:
        ShimError: One is not there, or can't be copied; no copy is left then.
    """
    state = Path(options.boot_folder) / options.guest_state_file
    if not state.exists():
        raise ShimError(f"the GuestState vmgs file '{state}' was not found")
    disk = Path(options.boot_folder) / options.verity_disk
    if not disk.is_file():
        raise ShimError(f"the DM Verity VHD file '{disk}' was not found")
    own_state = Path(options.bundle) / options.guest_state_file
    own_disk = Path(options.bundle) / vm_options.ROOTFS_VHD
    _copy(state, own_state, "failed to copy VMGS template file")
    try:
        _copy(disk, own_disk, "failed to copy DM Verity rootfs template file")
    except ShimError:
        own_state.unlink(missing_ok=True)
        raise
    return str(own_state), str(own_disk)


def remove_guest_state(options: LcowOptions) -> None:
    """Remove the VM's own guest state file, which nobody needs after its end."""
    try:
        (Path(options.bundle) / options.guest_state_file).unlink(missing_ok=True)
    except OSError as error:
        _log.warning("VM %s: can't remove its guest state file: %s", options.id, error)


def find_utility_vm(layers: Sequence[str]) -> str:
    """The topmost layer that VMs can boot from.

    Args:
        layers: The folders of the layers, topmost first.

    Raises:
        ShimError: None of them, or one can't be looked into.
    """
    for layer in layers:
        try:
            (Path(layer) / UTILITY_VM).stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ShimError(
                f"failed to locate utility VM folder from layer folders: {error}"
            ) from error
        return layer
    raise ShimError(
        "failed to locate utility VM folder from layer folders: utility VM folder could not be"
        " found in layers"
    )


def windows(scratch: str, layers: Sequence[str]) -> WindowsBoot:
    """What a Windows guest boots from; its scratch disk is made if it is not there.

    Args:
        scratch: The folder of the container's scratch; the VM's is in a folder below it.
        layers: The folders of the image's layers, topmost first.

    Raises:
        ShimError: There is no system in them, or the scratch can't be made.
    """
    utility_vm = Path(find_utility_vm(layers)) / UTILITY_VM
    disk = Path(scratch) / "vm" / SCRATCH
    if not disk.exists():
        try:
            disk.parent.mkdir(mode=0o777, parents=True, exist_ok=True)
        except OSError as error:
            raise ShimError(f"failed to create {disk.parent}: {error}") from error
        _copy(utility_vm / SCRATCH_TEMPLATE, disk, "failed to copy the VM's scratch")
    return WindowsBoot(files=str(utility_vm / SYSTEM_FILES), scratch=str(disk))


def confidential_windows(options: WcowOptions, scratch: str) -> tuple[ConfidentialBoot, str]:
    """What a confidential Windows guest boots from: measured files, and copies of its own.

    Args:
        options: The VM's options.
        scratch: The folder of its scratch disk, where its copies go.

    Returns:
        Its disks and its guest state file.

    Raises:
        ShimError: A file can't be copied, or the empty folder can't be made.
    """
    boot_folder, own = Path(options.boot_folder), Path(scratch)
    state = Path(options.guest_state_file)
    # A guest state file serves one VM at a time.
    own_state = own / state.name
    _copy(state, own_state, "failed to make a copy of VMGS")
    boot_disk = boot_folder / BOOT_DISK
    if options.writable_efi:
        own_disk = own / BOOT_DISK
        _copy(boot_disk, own_disk, "failed to copy EFI VHD")
        boot_disk = own_disk
    boot = ConfidentialBoot(
        scratch=str(own / SCRATCH),
        boot=str(boot_disk),
        root_fs=str(boot_folder / vm_options.ROOTFS_VHD),
    )
    return boot, str(own_state)


def make_empty_folder(path: str) -> None:
    """Make the folder that a confidential Windows guest's share is of.

    Raises:
        ShimError: It can't be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ShimError(
            f'failed to create VSMB default empty share directory "{path}": {error}'
        ) from error


def check_dump_folder(path: str) -> None:
    """See that the folder for a VM's dumps is there.

    Raises:
        ShimError: It is not, or is no folder.
    """
    try:
        is_folder = Path(path).stat().st_mode & 0o170000 == 0o040000
    except OSError as error:
        raise ShimError(f"failed to stat dump directory {path}: {error}") from error
    if not is_folder:
        raise ShimError(f"dump directory path {path} isn't a directory")


def save_disks(vm_id: str, boot: ConfidentialBoot, folder: str) -> None:
    """Keep a confidential VM's disks for debugging; what fails is only logged."""
    target = Path(folder)
    for disk in (boot.scratch, boot.boot):
        copy = target / f"{vm_id}_{Path(disk).name}"
        try:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(disk, copy)
        except OSError as error:
            _log.warning("VM %s: can't save %s for debugging: %s", vm_id, disk, error)


def _copy(source: Path, target: Path, what: str) -> None:
    """Copy a file, whole or not at all; one that is there already is replaced."""
    beside = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        shutil.copyfile(source, beside)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ShimError(f"{what}: {error}") from error
