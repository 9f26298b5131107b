"""Bundles on disk, made and removed."""

import ctypes
import json
import os
import stat
from pathlib import Path

import pytest

from podshim.errors import InvalidArgumentError
from podshim.manager.bundles import ContainerBundle
from podshim.manager.dialects import Answer
from podshim.manager.mounts import mounted_below

SPEC = {"ociVersion": "1.0.2"}
MS_BIND, MS_SHARED = 0x1000, 1 << 20


def mode(path: str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


async def test_what_is_in_a_bundle(tmp_path: Path) -> None:
    bundle = ContainerBundle(str(tmp_path), "ns", "c1", SPEC)
    state = tmp_path / "state/io.containerd.runtime.v2.task"
    assert bundle.path == str(state / "ns/c1")
    assert [mode(str(path)) for path in (state, state / "ns", state / "ns/c1")] == [
        *(0o711, 0o711, 0o700)
    ]
    assert sorted(os.listdir(bundle.path)) == ["config.json", "log", "rootfs", "work"]
    assert bundle.config() == SPEC
    assert mode(bundle.rootfs) == 0o711
    assert os.path.realpath(bundle.file("work")) == bundle.work
    assert mode(bundle.work) == 0o711
    assert stat.S_ISFIFO(os.stat(bundle.file("log")).st_mode)
    assert mode(bundle.file("log")) == 0o700
    bundle.remove()
    bundle.remove()
    assert not any(state.joinpath("ns").iterdir())
    assert not os.path.exists(bundle.work)


async def test_a_bundle_without_a_spec(tmp_path: Path) -> None:
    bundle = ContainerBundle(str(tmp_path), "ns", "c1", None)
    assert sorted(os.listdir(bundle.path)) == ["log", "rootfs", "work"]
    bundle.remove()


async def test_the_group_of_a_user_namespaces_root_may_pass(
    private_world: None, tmp_path: Path
) -> None:
    maps = [{"containerID": 5, "hostID": 1}, {"containerID": 0, "hostID": 1234}]
    bundle = ContainerBundle(str(tmp_path), "ns", "c1", {"linux": {"gidMappings": maps}})
    assert mode(bundle.path) == 0o710
    assert os.stat(bundle.path).st_gid == 1234
    bundle.remove()


async def test_one_id_has_one_bundle(tmp_path: Path) -> None:
    bundle = ContainerBundle(str(tmp_path), "ns", "c1", SPEC)
    with pytest.raises(FileExistsError):
        ContainerBundle(str(tmp_path), "ns", "c1", SPEC)
    assert bundle.config() == SPEC
    bundle.remove()


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 77])
async def test_ids_that_containerd_refuses(tmp_path: Path, name: str) -> None:
    for namespace, container in ((name, "c"), ("n", name)):
        with pytest.raises(InvalidArgumentError):
            ContainerBundle(str(tmp_path), namespace, container, SPEC)
    assert not any(tmp_path.iterdir())


async def test_a_spec_that_is_no_json_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        ContainerBundle(str(tmp_path), "ns", "c1", {"x": object()})
    assert [path.name for path in tmp_path.rglob("c1")] == []


async def test_what_a_restarted_daemon_reads(tmp_path: Path) -> None:
    bundle = ContainerBundle(str(tmp_path), "ns", "c1", SPEC)
    bundle.write_start("/bin/shim", Answer(3, "unix:///a"))
    assert Path(bundle.file("shim-binary-path")).read_text() == "/bin/shim"
    assert json.loads(Path(bundle.file("bootstrap.json")).read_text()) == {
        "version": 3,
        "address": "unix:///a",
        "protocol": "ttrpc",
    }
    assert bundle.read_start() == Answer(3, "unix:///a")
    bundle.remove()


async def test_a_shims_log_is_collected_and_bounded(tmp_path: Path) -> None:
    bundle = ContainerBundle(str(tmp_path), "ns", "c1", SPEC)
    with open(bundle.file("log"), "wb", buffering=0) as file:
        file.write(b"hello \xff\n")
        assert bundle.log.text == "hello \ufffd\n"
        for _ in range(40):
            file.write(b"x" * 50_000)
            assert bundle.log.text.endswith("x")
        file.write(b"the end")
    bundle.log.close()
    assert len(bundle.log.text) == 1 << 20
    assert bundle.log.text.endswith("the end")
    bundle.remove()


@pytest.mark.parametrize("folder", ["a b", "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}"])
async def test_removing_unmounts_and_spares_what_it_does_not_know(
    private_world: None, tmp_path: Path, folder: str
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    precious.joinpath("file").write_text("x")
    bundle = ContainerBundle(str(tmp_path / folder), "ns", "c1", SPEC)
    libc = ctypes.CDLL(None)
    for _ in range(2):
        target = bundle.rootfs.encode()
        assert libc.mount(os.fsencode(precious), target, None, MS_BIND, None) == 0
    bundle.remove()
    assert precious.joinpath("file").read_text() == "x"
    assert not os.path.exists(bundle.path)


async def test_a_mount_that_goes_with_another_is_no_error(
    private_world: None, tmp_path: Path
) -> None:
    bundle = ContainerBundle(str(tmp_path), "ns", "c1", SPEC)
    one, other = (bundle.file(name) for name in ("one", "other"))
    os.mkdir(one)
    os.mkdir(other)
    mount = ctypes.CDLL(None).mount
    assert mount(b"tmpfs", one.encode(), b"tmpfs", 0, None) == 0
    assert mount(None, one.encode(), None, MS_SHARED, None) == 0
    assert mount(one.encode(), other.encode(), None, MS_BIND, None) == 0
    os.mkdir(f"{one}/below")
    assert mount(b"tmpfs", f"{one}/below".encode(), b"tmpfs", 0, None) == 0
    assert os.path.ismount(f"{other}/below")
    bundle.remove()
    assert not os.path.exists(bundle.path)


async def test_a_rootfs_that_is_not_empty_is_kept(tmp_path: Path) -> None:
    bundle = ContainerBundle(str(tmp_path), "ns", "c1", SPEC)
    stray = Path(bundle.rootfs, "stray")
    stray.touch()
    with pytest.raises(OSError, match="not empty"):
        bundle.remove()
    stray.unlink()
    bundle.remove()


def test_mount_points_below_a_folder() -> None:
    info = "\n".join(
        f"{n} 1 0:1 / {point} rw - tmpfs none rw"
        for n, point in enumerate(["/", "/a", "/a/b", "/ab", r"/a/c\040d", "/a"])
    )
    assert mounted_below("/a", info) == ["/a", "/a/c d", "/a/b", "/a"]
    assert mounted_below("/none", info) == []
