"""The pure part of mounting: flags, data, compaction, the kernel's table."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given, strategies as st

from podshim.engine import Mount
from podshim.engines.oci import mountinfo, mountoptions
from podshim.engines.oci.mountoptions import IdMap, Options, compact, parse
from podshim.engines.oci.mounts import fuse_command, is_fuse
from podshim.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], Options()),
        (["ro"], Options(flags=1)),
        (["ro", "rw"], Options()),
        (["rbind", "ro"], Options(flags=0x1000 | 0x4000 | 1)),
        (["bind"], Options(flags=0x1000)),
        (["nosuid", "nodev", "noexec"], Options(flags=2 | 4 | 8)),
        (["nosuid", "suid", "nodev", "dev", "noexec", "exec"], Options()),
        (["sync", "remount", "mand", "dirsync"], Options(flags=0x10 | 0x20 | 0x40 | 0x80)),
        (["sync", "async", "mand", "nomand"], Options()),
        (["noatime", "nodiratime"], Options(flags=0x400 | 0x800)),
        (["noatime", "atime", "nodiratime", "diratime"], Options()),
        (["relatime", "strictatime"], Options(flags=1 << 21 | 1 << 24)),
        (["relatime", "norelatime", "strictatime", "nostrictatime"], Options()),
        (["defaults"], Options()),
        (["size=1m", "mode=755"], Options(data=("size=1m", "mode=755"))),
        (["rshared"], Options(propagation=1 << 20 | 0x4000)),
        (["private", "ro"], Options(flags=1, propagation=1 << 18)),
        (["loop", "direct-io", "ro"], Options(flags=1, loop=True, direct_io=True)),
        (
            ["uidmap=0:1000:1,1:2000:10", "gidmap=0:5:1"],
            Options(idmap=IdMap("0 1000 1\n1 2000 10\n", "0 5 1\n")),
        ),
        (["userxattr", "volatile"], Options(data=("userxattr", "volatile"))),
    ],
)
def test_options(options: list[str], expected: Options) -> None:
    assert parse(options) == expected


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["X-containerd.mkdir.path=/x"],
            (
                'internal mount option "X-containerd.mkdir.path=/x" was not consumed by the mount'
                " manager: invalid argument"
            ),
        ),
        (["uidmap=0:0:1"], "mount options uidmap and gidmap go only together: invalid argument"),
        (
            ["uidmap=0:0", "gidmap=0:0:1"],
            "mount option 'uidmap=0:0' is not a list of id mappings: invalid argument",
        ),
        (
            ["uidmap=0:0:-1", "gidmap=0:0:1"],
            "mount option 'uidmap=0:0:-1' is not a list of id mappings: invalid argument",
        ),
    ],
)
def test_options_that_make_no_sense(options: list[str], text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse(options)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("data", "folder", "result"),
    [
        (
            ("lowerdir=/a/snapshots/12/fs:/a/snapshots/9/fs", "workdir=/w"),
            "/a/snapshots",
            ("workdir=/w", "lowerdir=12/fs:9/fs"),
        ),
        (
            ("lowerdir=/a/snapshots/12/fs:/a/snapshots/13/fs",),
            "/a/snapshots",
            ("lowerdir=12/fs:13/fs",),
        ),
        (("lowerdir=/a/1/fs",), "", ("lowerdir=/a/1/fs",)),
        (("lowerdir=/a/fs:/b/fs",), "", ("lowerdir=/a/fs:/b/fs",)),
        (("lowerdir=/a:/a/b",), "", ("lowerdir=/a:/a/b",)),
        (("lowerdir=a/1:a/2",), "a", ("lowerdir=1:2",)),
        (("lowerdir=/a/1\\:x:/a/2",), "", ("lowerdir=/a/1\\:x:/a/2",)),
        (("upperdir=/u",), "", ("upperdir=/u",)),
        ((), "", ()),
    ],
)
def test_compaction(data: tuple[str, ...], folder: str, result: tuple[str, ...]) -> None:
    assert compact(data) == (folder, result)


NAMES = st.text(st.characters(exclude_characters="/:\\\0,=", codec="utf-8"), min_size=1, max_size=8)
PATHS = st.lists(NAMES.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


@given(st.lists(PATHS, min_size=1, max_size=6), st.lists(NAMES, max_size=3))
def test_compaction_names_the_same_folders(folders: list[str], others: list[str]) -> None:
    data = (*others, "lowerdir=" + ":".join(folders))
    folder, shorter = compact(data)
    resolved = [posixpath.join(folder, lower) for lower in mountoptions.lower_folders(shorter)]
    assert resolved == folders
    assert [option for option in shorter if not option.startswith("lowerdir=")] == others


MOUNTINFO = r"""21 28 0:19 / /sys rw,nosuid - sysfs sysfs rw
30 28 0:25 / /run/b\040c/rootfs rw - overlay overlay rw
31 30 0:25 / /run/b\040c/rootfs/proc rw - proc proc rw
32 30 0:25 / /run/b\040c/rootfs rw - tmpfs tmpfs rw
33 30 0:25 / /run/b\040c/rootfs2 rw - tmpfs tmpfs rw
34 30 0:25 / /run/b\134c rw - tmpfs tmpfs rw
broken line
"""


def test_the_kernel_s_table() -> None:
    points = mountinfo.mount_points(MOUNTINFO)
    assert points[1] == "/run/b c/rootfs"
    assert points[-1] == "/run/b\\c"
    assert len(points) == 6
    assert mountinfo.below(points, "/run/b c/rootfs") == [
        "/run/b c/rootfs/proc",
        "/run/b c/rootfs",
    ]
    assert mountinfo.below(points, "/nowhere") == []
    assert len(mountinfo.below(points, "/")) == 5


@given(st.text())
def test_any_text_is_a_table(text: str) -> None:
    for point in mountinfo.mount_points(text):
        assert isinstance(point, str)


def test_fuse() -> None:
    mount = Mount("fuse3.fuse-overlayfs", "overlay", options=("lowerdir=/a", "ro"))
    assert is_fuse(mount)
    assert not is_fuse(Mount("fuse", "x"))
    line = "mount.fuse3 overlay /t -o lowerdir=/a -o ro -t fuse-overlayfs"
    assert fuse_command(mount, "/t") == line.split()
    assert fuse_command(Mount("fuse.x.y", "s"), "/t") == ["mount.fuse", "s", "/t", "-t", "x.y"]
