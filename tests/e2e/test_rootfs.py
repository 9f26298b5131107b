"""Root file systems that the shim mounts, and containers in user namespaces."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from e2e.e2e_support import House, options, refused, unchanged
from podshim.engine import Mount
from podshim.errors import Code
from support import census


async def test_mounts_are_made_and_removed(house: House) -> None:
    """Mounts are at `rootfs` in the bundle from Create until Delete of the init."""
    spec = house.spec(["cat", "/etc/passwd"], root="rootfs")
    async with house.place(spec) as shim:
        task = await shim.create(rootfs=house.rootfs_mount())
        assert census.mounts_below(Path(shim.bundle.path)) == [shim.bundle.rootfs]
        assert Path(shim.bundle.rootfs, "bin/busybox").exists()
        await task.start()
        assert (await task.read_all())[0].startswith(b"root:")
        await task.wait()
        assert census.mounts_below(Path(shim.bundle.path)) == [shim.bundle.rootfs]
        await task.delete()
        assert census.mounts_below(Path(shim.bundle.path)) == []


async def test_a_read_only_mount(house: House) -> None:
    """A bind mount with `ro` can't be written to, from outside or inside."""
    # crun 1.8.1 makes the root writable again unless the spec forbids it.
    spec = house.spec(["touch", "/etc/new"], root="rootfs", readonly=True)
    mount = Mount("bind", str(house.rootfs), options=("rbind", "ro"))
    async with house.running(spec=spec, rootfs=[mount]) as task:
        assert os.statvfs(house.bundles[task.task_id].rootfs).f_flag & os.ST_RDONLY
        output = await task.read_all()
        assert b"Read-only file system" in output[1]
        assert (await task.wait()).status == 1


async def test_a_root_that_is_there_already(house: House) -> None:
    """Without mounts the root may be filled into the bundle beforehand."""
    spec = house.spec(["/bin/busybox", "echo", "here"], root="rootfs")
    async with house.place(spec) as shim:
        folder = Path(shim.bundle.rootfs)
        for name in ("bin", "dev", "proc", "sys"):
            (folder / name).mkdir()
        os.link(house.rootfs / "bin/busybox", folder / "bin/busybox")
        try:
            task = await shim.create()
            await task.start()
            assert await task.read_all() == (b"here\n", b"")
            await task.wait()
            await task.delete()
            assert (folder / "bin/busybox").exists()
        finally:
            (folder / "bin/busybox").unlink()
            for name in ("bin", "dev", "proc", "sys"):
                (folder / name).rmdir()


def layers(house: House, folder: Path, count: int) -> Mount:
    """An overlay of many layers on the root file system, its options longer than a page."""
    snapshots = folder / ("x" * 150)
    lower = []
    for number in range(count):
        layer = snapshots / f"{number}/fs"
        layer.mkdir(parents=True)
        (layer / f"layer{number}").write_text(f"{number}\n")
        lower.append(str(layer))
    shutil.copytree(house.rootfs, snapshots / "base/fs", symlinks=True)
    for name in ("upper", "work"):
        (folder / name).mkdir()
    return Mount(
        "overlay",
        "overlay",
        options=(
            "index=off",
            f"workdir={folder}/work",
            f"upperdir={folder}/upper",
            f"lowerdir={':'.join([*lower, f'{snapshots}/base/fs'])}",
        ),
    )


async def test_an_overlay_of_more_than_twenty_layers(house: House, tmp_path: Path) -> None:
    """More than 20 lowerdirs with over 4096 bytes of options: all are seen, the top is written."""
    mount = layers(house, tmp_path, 25)
    assert sum(map(len, mount.options)) > 4096
    script = "cat /layer0 /layer24; echo new > /written"
    spec = house.spec(["sh", "-c", script], root="rootfs")
    async with house.running(spec=spec, rootfs=[mount]) as task:
        assert await task.read_all() == (b"0\n24\n", b"")
        assert (await task.wait()).status == 0
        await task.delete()
    assert (tmp_path / "upper/written").read_text() == "new\n"
    await unchanged(house)


async def test_mounts_on_a_mount(house: House, tmp_path: Path) -> None:
    """Further mounts have targets inside the first, which can't lead out of it; all go again."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("inner\n")
    mounts = [
        *house.rootfs_mount(),
        Mount("tmpfs", "tmpfs", target="/tmp", options=("size=1m",)),
        Mount("bind", str(tmp_path / "data"), target="/../../root", options=("rbind", "ro")),
    ]
    spec = house.spec(["sh", "-c", "cat /root/file; touch /tmp/x"], root="rootfs")
    async with house.running(spec=spec, rootfs=mounts) as task:
        bundle = Path(house.bundles[task.task_id].path)
        assert len(census.mounts_below(bundle)) == 3
        assert await task.read_all() == (b"inner\n", b"")
        assert (await task.wait()).status == 0
        await task.delete()
        assert census.mounts_below(bundle) == []
    await unchanged(house)


@pytest.mark.parametrize(
    ("mount", "code", "text"),
    [
        (Mount("bind", "/no/such/x", options=("rbind",)), Code.UNKNOWN, "/no/such/x"),
        (Mount("nosuchfs", "x"), Code.UNKNOWN, "nosuchfs"),
        (
            Mount("bind", "/bin", options=("rbind", "X-containerd.mkdir.path=/x")),
            Code.INVALID_ARGUMENT,
            "X-containerd.mkdir.path=/x",
        ),
    ],
    ids=["source", "type", "option"],
)
async def test_a_mount_that_fails_undoes_the_others(
    house: House, mount: Mount, code: Code, text: str
) -> None:
    """A mount that can't be made fails Create with its reason; those before it are undone."""
    async with house.place(house.spec(["true"], root="rootfs")) as shim:
        with refused(code, "failed to mount rootfs component: ") as caught:
            await shim.create(rootfs=[*house.rootfs_mount(), mount])
        assert text in caught.value.message
        assert census.mounts_below(Path(shim.bundle.path)) == []
        assert house.topics(shim) == []
    await unchanged(house)


async def test_a_user_namespace(house: House) -> None:
    """Streams belong to io_uid and io_gid: root of a user namespace can reopen /dev/stdout."""
    spec = house.spec(["sh", "-c", "echo one > /dev/stdout && id -u && cat && echo err >&2"])
    spec["linux"]["namespaces"].append({"type": "user"})
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    spec["linux"]["uidMappings"] = spec["linux"]["gidMappings"] = maps
    allowed = {"/proc", "/dev", "/dev/pts"}
    spec["mounts"] = [item for item in spec["mounts"] if item["destination"] in allowed]
    chosen = options(house.runtime, io_uid=100000, io_gid=100000)
    async with house.running(spec=spec, runtime_options=chosen) as task:
        owners = {os.stat(reader.path).st_uid for reader in task.fifos.outputs}
        assert owners == {100000}
        await task.stdin.write(b"in\n")
        await task.close_stdin()
        assert await task.read_all() == (b"one\n0\nin\n", b"err\n")
        assert (await task.wait()).status == 0
    # An exec's streams are given away in the same way, terminal or not.
    spec["process"]["args"] = ["sleep", "1000"]
    async with house.running(spec=dict(spec), runtime_options=chosen) as task:
        result = await task.run("e", ["sh", "-c", "echo one > /dev/stdout"])
        assert (result.status, result.stdout) == (0, b"one\n"), result
        process = await task.exec("t", ["sh", "-c", "tty; echo two > /dev/tty"], terminal=True)
        await process.start()
        output = (await process.read_all())[0]
        assert (await process.wait()).status == 0, output
        assert output.endswith(b"two\r\n")
