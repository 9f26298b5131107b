"""Real mounts, in the tests' own mount namespace."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci.oci_support import Holdings, Workshop, settled
from podshim.engine import Mount
from podshim.engines.oci import mounts, rootfs as rootfs_module, syscalls
from podshim.engines.oci.mountinfo import below, mount_points
from podshim.engines.oci.reaper import Reaper
from podshim.engines.oci.rootfs import Rootfs
from podshim.errors import DeadlineExceededError, InvalidArgumentError, ShimError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@pytest.fixture
def root(private_world: None, tmp_path: Path) -> Iterator[Path]:
    """An empty folder to mount on; overlay's upper folders are on a tmpfs."""
    folder = tmp_path / "bundle/rootfs"
    folder.mkdir(parents=True)
    yield folder
    mounts.unmount_below(str(tmp_path), lazy=True)


def mounted(folder: Path) -> list[str]:
    return below(mount_points(Path("/proc/self/mountinfo").read_text()), str(folder))


def make(root: Path, *wanted: Mount) -> None:
    """Mount in a thread that is thrown away, as the engine does."""
    failures: list[ShimError] = []

    def work() -> None:
        try:
            for mount in wanted:
                mounts.mount_one(mount, str(root))
        except ShimError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def layers(folder: Path, count: int) -> list[str]:
    names = []
    for number in range(count):
        layer = folder / f"a-rather-long-name-for-a-layer-{number:03}-{'x' * 16}" / "fs"
        layer.mkdir(parents=True)
        (layer / f"file{number}").touch()
        names.append(str(layer))
    return names


def test_a_read_only_bind(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("x")
    make(root, Mount("bind", str(source), options=("rbind", "ro")))
    assert (root / "file").read_text() == "x"
    with pytest.raises(OSError, match="Read-only"):
        (root / "new").touch()
    (source / "new").touch()
    mounts.unmount_below(str(root))
    assert mounted(root) == []


def test_an_overlay_of_many_layers(root: Path, tmp_path: Path) -> None:
    names = layers(tmp_path / "snapshots", 40)
    assert len(":".join(names)) > 5000
    before = os.getcwd()
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    options = (
        f"workdir={tmp_path}/work",
        f"upperdir={tmp_path}/upper",
        "lowerdir=" + ":".join(names),
    )
    make(root, Mount("overlay", "overlay", options=options))
    assert {f"file{number}" for number in range(40)} <= set(os.listdir(root))
    assert os.getcwd() == before
    mounts.unmount_below(str(root))


def test_options_beyond_a_page(root: Path, tmp_path: Path) -> None:
    lower = ":".join(f"/{chr(97 + number % 26)}{'y' * 200}" for number in range(30))
    with pytest.raises(InvalidArgumentError, match="mount options is too long"):
        make(root, Mount("overlay", "overlay", options=(f"lowerdir={lower}",)))
    assert mounted(root) == []


def test_the_error_has_all_that_is_needed(root: Path) -> None:
    with pytest.raises(ShimError) as caught:
        make(root, Mount("nosuchfs", "src", options=("nosuid", "a=b", "c")))
    assert str(caught.value) == (
        f'mount source: "src", target: "{root}", fstype: nosuchfs, flags: 2, data: "a=b,c",'
        " err: no such device"
    )


def test_targets_stay_inside(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "sub").mkdir()
    (root / "real").mkdir()
    (root / "link").symlink_to("/real")
    (root / "up").symlink_to("../../outside")
    (root / "absolute").symlink_to(outside)
    tmpfs = ("size=1m",)
    make(root, Mount("tmpfs", "t", target="/sub", options=tmpfs))
    make(root, Mount("tmpfs", "t", target="link", options=tmpfs))
    assert mounted(root) == [str(root / "real"), str(root / "sub")]
    for target in ("up", "absolute", "../../outside", "none"):
        with pytest.raises(ShimError, match="no such file or directory"):
            make(root, Mount("tmpfs", "t", target=target, options=tmpfs))
    assert mounted(outside) == []
    mounts.unmount_below(str(root))


def test_propagation(root: Path) -> None:
    make(root, Mount("tmpfs", "t", options=("size=1m", "shared")))
    line = next(
        line
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if f" {root} " in line
    )
    assert " shared:" in line
    mounts.unmount_below(str(root))


def test_a_stack_of_mounts_is_removed_whole(root: Path) -> None:
    tmpfs = Mount("tmpfs", "t", options=("size=1m",))
    make(root, tmpfs, tmpfs, tmpfs)
    (root / "deep").mkdir()
    make(root, Mount("tmpfs", "t", target="deep", options=("size=1m",)))
    mounts.unmount_below(str(root))
    assert mounted(root) == []
    mounts.unmount_below(str(root))
    mounts.unmount_below(str(root / "no/such/folder"))


def test_a_busy_mount_is_told_or_detached(root: Path) -> None:
    make(root, Mount("tmpfs", "t", options=("size=1m",)))
    with (root / "held").open("w"):
        with pytest.raises(ShimError) as caught:
            mounts.unmount_below(str(root), attempts=2)
        assert str(caught.value) == (f"failed to unmount target {root}: device or resource busy")
        mounts.unmount_below(str(root), attempts=0, lazy=True)
    assert mounted(root) == []


def test_a_busy_mount_is_waited_for(root: Path) -> None:
    make(root, Mount("tmpfs", "t", options=("size=1m",)))
    file = (root / "held").open("w")
    timer = threading.Timer(0.2, file.close)
    timer.start()
    mounts.unmount_below(str(root))
    assert file.closed
    assert mounted(root) == []
    timer.join()


def test_a_loop_device(root: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", str(image), "4M"], check=True)
    make(root, Mount("ext4", str(image), options=("loop",)))
    (root / "file").write_text("kept")
    mounts.unmount_below(str(root))
    make(root, Mount("ext4", str(image), options=("loop", "ro")))
    assert (root / "file").read_text() == "kept"
    device = next(
        line.split(" - ")[1].split()[1]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if f" {root} " in line
    )
    assert device.startswith("/dev/loop")
    mounts.unmount_below(str(root))
    assert not Path(f"/sys/block/{device.removeprefix('/dev/')}/loop").exists()


def test_a_loop_device_without_its_file(root: Path) -> None:
    with pytest.raises(ShimError, match="no such file or directory"):
        make(root, Mount("ext4", "/no/such/image", options=("loop",)))


MAP = ("uidmap=0:100000:65536", "gidmap=0:200000:65536")


def test_an_id_mapped_bind(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").touch()
    before = Holdings.now()
    make(root, Mount("bind", str(source), options=("rbind", *MAP)))
    status = (root / "file").stat()
    assert (status.st_uid, status.st_gid) == (100000, 200000)
    assert (source / "file").stat().st_uid == 0
    mounts.unmount_below(str(root))
    assert Holdings.now() == before


@pytest.mark.parametrize("count", [1, 3])
def test_an_id_mapped_overlay(root: Path, tmp_path: Path, count: int) -> None:
    names = layers(tmp_path / "snapshots", count)
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    options = (f"workdir={tmp_path}/work", f"upperdir={tmp_path}/upper")
    before = Holdings.now()
    lower = "lowerdir=" + ":".join(names)
    make(root, Mount("overlay", "overlay", options=(*options, lower, *MAP)))
    assert (root / "file0").stat().st_uid == 100000
    assert Holdings.now().mounts == before.mounts + 1
    mounts.unmount_below(str(root))
    assert Holdings.now() == before


def test_what_lends_a_user_namespace_dies_with_the_shim(private_world: None) -> None:
    """It has the shim's sockets open, which containerd would wait for."""
    script = """
import time
from podshim.engines.oci import idmap, mountoptions
def hang(path, text):
    print(path.split("/")[2], flush=True)
    time.sleep(600)
idmap._write = hang
idmap.user_namespace(mountoptions.IdMap("0 1000 1", "0 1000 1"))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as shim:
        assert shim.stdout is not None
        helper = int(shim.stdout.readline())
        assert Path(f"/proc/{helper}").exists()
        shim.kill()
        # Its end of the pipe is the last.
        assert select.select([shim.stdout], [], [], 20)[0], f"{helper} lives"
        assert shim.stdout.read() == b""


async def test_the_engine_s_rootfs(root: Path) -> None:
    reaper = Reaper()
    reaper.open()
    before = Holdings.now()
    rootfs = Rootfs(str(root), reaper)
    await rootfs.unmount()
    await rootfs.mount([Mount("tmpfs", "t", options=("size=1m",))])
    assert mounted(root) == [str(root)]
    await rootfs.unmount()
    await rootfs.unmount()
    with pytest.raises(ShimError, match=r'rootfs component: exec: "mount\.fuse3"'):
        await rootfs.mount([Mount("fuse3.x", "s")])
    await settled(before)
    reaper.close()


async def test_a_program_s_mount_stays_inside(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an image has at a mount's target must not lead a FUSE program out of it."""
    program = tmp_path / "tools/mount.fuse3"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$2" >> {tmp_path}/targets\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "escape").symlink_to(outside)
    (root / "data").mkdir()
    (root / "link").symlink_to("/data")
    reaper = Reaper()
    reaper.open()
    rootfs = Rootfs(str(root), reaper)
    await rootfs.mount([Mount("fuse3.x", "s"), Mount("fuse3.x", "s", target="/link")])
    with pytest.raises(ShimError, match=r'component: mount target "escape" in .*: no such file'):
        await rootfs.mount([Mount("fuse3.x", "s", target="escape")])
    assert (tmp_path / "targets").read_text().split() == [str(root), str(root / "data")]
    reaper.close()


def test_a_plain_rootfs_needs_no_young_kernel(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """openat2(2) came with Linux 5.6."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(syscalls, "openat2", refuse)
    make(root, Mount("tmpfs", "t", options=("size=1m",)))
    assert mounted(root) == [str(root)]


@pytest.mark.parametrize("name", ["a b", "form\x0cfeed", "line\u2028separator", "back\\slash"])
def test_odd_names_are_unmounted(root: Path, name: str) -> None:
    (root / name).mkdir()
    make(root, Mount("tmpfs", "t", target=name, options=("size=1m",)))
    assert mounted(root) == [str(root / name)]
    mounts.unmount_below(str(root))
    assert mounted(root) == []
    assert not os.path.ismount(root / name)


async def test_a_mount_that_comes_too_late_is_removed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    real = mounts.mount_one

    def slow(mount: Mount, path: str) -> None:
        go.wait(20)
        real(mount, path)

    monkeypatch.setattr(mounts, "mount_one", slow)
    monkeypatch.setattr(rootfs_module, "MOUNT_LIMIT", 0.05)
    before = Holdings.now()
    rootfs = Rootfs(str(root), Reaper())
    with pytest.raises(DeadlineExceededError, match="failed to mount rootfs component: mount did"):
        await rootfs.mount([Mount("tmpfs", "t", options=("size=1m",))])
    go.set()
    await settled(before)
    assert mounted(root) == []


async def test_an_unmount_that_hangs_does_not_become_a_crowd(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client tries a deletion again and again."""
    go = threading.Event()
    real = mounts.unmount_below

    def slow(path: str) -> None:
        go.wait(20)
        real(path)

    monkeypatch.setattr(mounts, "unmount_below", slow)
    before = Holdings.now()
    rootfs = Rootfs(str(root), Reaper())
    await rootfs.mount([Mount("tmpfs", "t", options=("size=1m",))])
    monkeypatch.setattr(rootfs_module, "UNMOUNT_LIMIT", 0.05)
    for _ in range(3):
        with pytest.raises(DeadlineExceededError, match="unmount"):
            await rootfs.unmount()
    assert Holdings.now().threads <= before.threads + 1
    go.set()
    monkeypatch.setattr(rootfs_module, "UNMOUNT_LIMIT", 20)
    await rootfs.unmount()
    assert mounted(root) == []
    await settled(before)


def overlay(shop: Workshop, folder: Path, count: int) -> Sequence[Mount]:
    names = [*layers(folder / "snapshots", count), str(shop.rootfs)]
    for name in ("upper", "work"):
        (folder / name).mkdir()
    lower = "lowerdir=" + ":".join(names)
    options = (f"workdir={folder}/work", f"upperdir={folder}/upper", lower)
    return [Mount("overlay", "overlay", options=options)]


async def test_a_container_on_many_layers(shop: Workshop, tmp_path: Path) -> None:
    before = Holdings.now()
    fifos = shop.streams()
    spec = shop.spec("/bin/sh", "-c", "ls /file7 && echo new > /made", root="rootfs")
    request = shop.request(spec, fifos.stdio, overlay(shop, tmp_path, 25))
    box = await shop.create(request, fifos)
    assert mounted(Path(request.bundle.rootfs))
    assert (await box.run()).status == 0
    assert await fifos.stdout.read_all() == b"/file7\n"
    await box.remove()
    assert mounted(Path(request.bundle.rootfs)) == []
    assert (tmp_path / "upper/made").read_text() == "new\n"
    fifos.close()
    await settled(before)
