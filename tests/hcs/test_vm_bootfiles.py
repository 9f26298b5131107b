"""Where VMs' boot files are found, and the copies that VMs get."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from hcs.vm_support import OWNER
from podshim.engines.hcs.documents.vm_confidential import ConfidentialBoot
from podshim.engines.hcs.documents.vm_wcow import WindowsBoot
from podshim.engines.hcs.vm import bootfiles
from podshim.engines.hcs.vm.derivation import LinuxBootFolder
from podshim.engines.hcs.vm.options import LcowOptions, WcowOptions
from podshim.errors import ShimError


def filled(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_default_folder_of_a_linux_guest(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    found = bootfiles.default_linux_folder(str(tmp_path), str(programs))
    assert found == str(programs / "Linux Containers")
    (tmp_path / "LinuxBootFiles").mkdir()
    found = bootfiles.default_linux_folder(str(tmp_path), str(programs))
    assert found == str(tmp_path / "LinuxBootFiles")


def test_looking_into_a_folder(tmp_path: Path) -> None:
    assert bootfiles.look(str(tmp_path)) == LinuxBootFolder(str(tmp_path))
    filled(tmp_path / "rootfs.vhd")
    filled(tmp_path / "vmlinux")
    assert bootfiles.look(str(tmp_path)) == LinuxBootFolder(
        str(tmp_path), has_vhd=True, has_uncompressed_kernel=True
    )


def test_boot_files_that_are_not_there(tmp_path: Path) -> None:
    options = LcowOptions(id="vm", owner=OWNER, boot_folder=str(tmp_path))
    with pytest.raises(ShimError) as caught:
        bootfiles.check_linux(options)
    assert str(caught.value) == f"kernel: '{tmp_path / 'kernel'}' not found"
    filled(tmp_path / "kernel")
    with pytest.raises(ShimError) as caught:
        bootfiles.check_linux(options)
    assert str(caught.value) == f"boot file: '{tmp_path / 'initrd.img'}' not found"
    filled(tmp_path / "initrd.img")
    bootfiles.check_linux(options)


@pytest.fixture
def confidential(tmp_path: Path) -> LcowOptions:
    (tmp_path / "bundle").mkdir()
    return LcowOptions(
        id="vm",
        owner=OWNER,
        bundle=str(tmp_path / "bundle"),
        boot_folder=str(tmp_path / "boot"),
        guest_state_file="kernel.vmgs",
        verity_disk="verity.vhd",
    )


def test_a_confidential_linux_guest_gets_copies(confidential: LcowOptions, tmp_path: Path) -> None:
    boot, bundle = tmp_path / "boot", tmp_path / "bundle"
    with pytest.raises(ShimError, match=r"the GuestState vmgs file '.*' was not found"):
        bootfiles.confidential_linux(confidential)
    filled(boot / "kernel.vmgs", "state")
    with pytest.raises(ShimError, match=r"the DM Verity VHD file '.*' was not found"):
        bootfiles.confidential_linux(confidential)
    assert names(bundle) == set()
    filled(boot / "verity.vhd", "disk")
    state, disk = bootfiles.confidential_linux(confidential)
    assert (state, disk) == (str(bundle / "kernel.vmgs"), str(bundle / "rootfs.vhd"))
    assert (Path(state).read_text(), Path(disk).read_text()) == ("state", "disk")
    bootfiles.remove_guest_state(confidential)
    bootfiles.remove_guest_state(confidential)
    assert names(bundle) == {"rootfs.vhd"}


def test_a_copy_that_fails_leaves_nothing(confidential: LcowOptions, tmp_path: Path) -> None:
    boot, bundle = tmp_path / "boot", tmp_path / "bundle"
    filled(boot / "kernel.vmgs")
    filled(boot / "verity.vhd")
    (bundle / "rootfs.vhd").mkdir()
    with pytest.raises(ShimError, match="failed to copy DM Verity rootfs template file: "):
        bootfiles.confidential_linux(confidential)
    assert names(bundle) == {"rootfs.vhd"}


def test_the_topmost_layer_with_a_system_is_booted(tmp_path: Path) -> None:
    layers = [tmp_path / name for name in ("top", "middle", "base")]
    for layer in layers:
        layer.mkdir()
    folders = [str(layer) for layer in layers]
    with pytest.raises(ShimError, match="utility VM folder could not be found in layers"):
        bootfiles.find_utility_vm(folders)
    for layer in layers[1:]:
        (layer / "UtilityVM").mkdir()
    assert bootfiles.find_utility_vm([str(tmp_path / "gone"), *folders]) == folders[1]


def test_a_windows_guest_gets_a_scratch_disk_once(tmp_path: Path) -> None:
    base, scratch = tmp_path / "base", tmp_path / "scratch"
    (base / "UtilityVM").mkdir(parents=True)
    with pytest.raises(ShimError, match="failed to copy the VM's scratch: "):
        bootfiles.windows(str(scratch), [str(base)])
    assert names(scratch / "vm") == set()
    template = filled(base / "UtilityVM" / "SystemTemplate.vhdx", "template")
    disk = scratch / "vm" / "sandbox.vhdx"
    boot = bootfiles.windows(str(scratch), [str(base)])
    assert boot == WindowsBoot(files=str(base / "UtilityVM" / "Files"), scratch=str(disk))
    assert disk.read_text() == "template"
    template.write_text("other")
    bootfiles.windows(str(scratch), [str(base)])
    assert disk.read_text() == "template"


def test_a_confidential_windows_guest(tmp_path: Path) -> None:
    boot, own = tmp_path / "boot", tmp_path / "scratch"
    own.mkdir()
    filled(boot / "cwcow.snp.vmgs", "state")
    filled(boot / "boot.vhd", "boot")
    options = WcowOptions(
        id="vm",
        owner=OWNER,
        boot_folder=str(boot),
        guest_state_file=str(boot / "cwcow.snp.vmgs"),
    )
    disks, state = bootfiles.confidential_windows(options, str(own))
    assert disks == ConfidentialBoot(
        scratch=str(own / "sandbox.vhdx"),
        boot=str(boot / "boot.vhd"),
        root_fs=str(boot / "rootfs.vhd"),
    )
    assert Path(state).read_text() == "state"
    writable = replace(options, writable_efi=True)
    disks, _ = bootfiles.confidential_windows(writable, str(own))
    assert disks.boot == str(own / "boot.vhd")
    assert Path(disks.boot).read_text() == "boot"
    (boot / "boot.vhd").unlink()
    with pytest.raises(ShimError, match="failed to copy EFI VHD: "):
        bootfiles.confidential_windows(writable, str(own))
    (boot / "cwcow.snp.vmgs").unlink()
    with pytest.raises(ShimError, match="failed to make a copy of VMGS: "):
        bootfiles.confidential_windows(options, str(own))


def test_the_empty_folder(tmp_path: Path) -> None:
    bootfiles.make_empty_folder(str(tmp_path / "a" / "empty"))
    bootfiles.make_empty_folder(str(tmp_path / "a" / "empty"))
    assert names(tmp_path / "a" / "empty") == set()
    with pytest.raises(ShimError, match="failed to create VSMB default empty share directory"):
        bootfiles.make_empty_folder(str(filled(tmp_path / "file")))


def test_the_dump_folder(tmp_path: Path) -> None:
    bootfiles.check_dump_folder(str(tmp_path))
    with pytest.raises(ShimError, match=r"dump directory path .* isn't a directory"):
        bootfiles.check_dump_folder(str(filled(tmp_path / "file")))
    with pytest.raises(ShimError, match="failed to stat dump directory "):
        bootfiles.check_dump_folder(str(tmp_path / "gone"))


def test_disks_are_kept_for_debugging(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scratch = filled(tmp_path / "sandbox.vhdx", "scratch")
    boot = ConfidentialBoot(str(scratch), str(tmp_path / "gone.vhd"), "")
    with caplog.at_level(logging.WARNING):
        bootfiles.save_disks("pod@vm", boot, str(tmp_path / "kept" / "here"))
    assert (tmp_path / "kept" / "here" / "pod@vm_sandbox.vhdx").read_text() == "scratch"
    assert "gone.vhd" in caplog.text
