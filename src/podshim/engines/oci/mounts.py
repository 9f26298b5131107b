"""Mounting and unmounting, synchronously: for a thread of the shim, or the `delete` command.

Theory of operation. `mount_one` turns one of containerd's mounts into the calls that it needs: a
loop device or an id mapping first, then mount(2), then what mount(2) can't do at once (propagation,
a read-only bind). A target inside the root file system is resolved by the kernel as if that were
`/` (openat2), so a symbolic link in an image can't lead out of it, and the mount is made on the
descriptor. Everything blocks, and nothing here may run on the event loop's thread. Overlay's lower
folders may have to be relative to the working directory: `mount_one` may change that of its thread,
which it makes private first; the thread must be thrown away.
"""

from __future__ import annotations

import errno
import os
import tempfile
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from podshim.engines.oci import idmap, loop, mountinfo, mountoptions, syscalls
from podshim.engines.oci.mountoptions import MS_BIND, MS_RDONLY, MS_REMOUNT
from podshim.errors import InvalidArgumentError, ShimError

if TYPE_CHECKING:
    from podshim.engine import Mount

MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8

BUSY_ATTEMPTS: Final = 50
BUSY_PAUSE: Final = 0.05

#: What a bind inside a user namespace must keep of the mount below: statfs flag, mount flag.
_LOCKED: Final = (
    (os.ST_RDONLY, mountoptions.MS_RDONLY),
    (os.ST_NODEV, mountoptions.MS_NODEV),
    (os.ST_NOEXEC, mountoptions.MS_NOEXEC),
    (os.ST_NOSUID, mountoptions.MS_NOSUID),
    (os.ST_NOATIME, mountoptions.MS_NOATIME),
    (os.ST_RELATIME, mountoptions.MS_RELATIME),
    (os.ST_NODIRATIME, mountoptions.MS_NODIRATIME),
)


def is_fuse(mount: Mount) -> bool:
    """Whether a program has to make the mount: `fuse.TYPE` or `fuse3.TYPE`."""
    return mount.type.startswith(("fuse.", "fuse3."))


def fuse_command(mount: Mount, target: str) -> list[str]:
    """The program that makes a FUSE mount, and its arguments."""
    kind, _, fstype = mount.type.partition(".")
    options = [word for option in mount.options for word in ("-o", option)]
    return [f"mount.{kind}", mount.source, target, *options, "-t", fstype]


def open_target(rootfs: str, target: str) -> int:
    """Get a handle of where a mount goes, with `rootfs` as the root of its path.

    Raises:
        OSError: There is no such place.
    """
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    relative = target.strip("/")
    if not relative:  # nearly always; openat2(2) is younger (Linux 5.6) than some hosts
        return root
    try:
        flags = os.O_PATH | os.O_CLOEXEC
        resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
        return syscalls.openat2(root, relative, flags, resolve)
    finally:
        os.close(root)


def target_path(rootfs: str, target: str) -> str:
    """The path of where a mount goes, free of symbolic links; for programs that make mounts.

    Raises:
        ShimError: There is no such place.
    """
    try:
        handle = open_target(rootfs, target)
        try:
            return os.readlink(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ShimError(f'mount target "{target}" in {rootfs}: {reason}') from error


def mount_one(mount: Mount, rootfs: str) -> None:
    """Make one mount in, or at, a root file system.

    Raises:
        ShimError: It can't be made; nothing of it is left. The text has containerd's form.
        InvalidArgumentError: Its options make no sense.
    """
    options = mountoptions.parse(mount.options)
    shown = os.path.join(rootfs, mount.target.strip("/")) if mount.target else rootfs
    data = ",".join(options.data)
    try:
        handle = open_target(rootfs, mount.target)
        try:
            _mount_at(mount, options, f"/proc/self/fd/{handle}", shown)
        finally:
            os.close(handle)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ShimError(
            f'mount source: "{mount.source}", target: "{shown}", fstype: {mount.type},'
            f' flags: {options.flags}, data: "{data}", err: {reason}'
        ) from error


def _mount_at(mount: Mount, options: mountoptions.Options, target: str, shown: str) -> None:
    data = options.data
    source = mount.source
    with ExitStack() as stack:
        if options.loop:
            read_only = bool(options.flags & MS_RDONLY)
            device = loop.attached(source, read_only=read_only, direct_io=options.direct_io)
            source = stack.enter_context(device)
        if options.idmap is not None and mount.type == "overlay":
            data = _map_lower_folders(data, options.idmap, stack)
        data_text = _fitting(mount.type, data)
        if not options.flags & MS_REMOUNT or data_text:
            syscalls.mount(source, target, mount.type, options.flags, data_text or None)
    mounted = _latest(target, shown)
    try:
        if options.propagation:
            syscalls.mount("", mounted, None, options.propagation, None)
        if options.flags & (MS_BIND | MS_RDONLY) == MS_BIND | MS_RDONLY:
            _make_bind_read_only(mounted, options.flags)
        if options.idmap is not None and mount.type != "overlay":
            idmap.mount_mapped(mounted, mounted, options.idmap)
    except OSError:
        syscalls.umount(mounted, MNT_DETACH)
        raise


def _latest(target: str, shown: str) -> str:
    """The path by which what was just mounted is reached.

    The handle is of the folder below the mount; its own path leads to what is on top of it. The
    kernel prints that path, without any symbolic link left to follow.
    """
    path = os.readlink(target)
    return path if path.startswith("/") else shown


def _fitting(fstype: str, data: tuple[str, ...]) -> str:
    """Bring the options into a page, changing the thread's working directory if that helps.

    Raises:
        InvalidArgumentError: They don't fit.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    text = ",".join(data)
    if fstype == "overlay" and len(os.fsencode(text)) >= page - mountoptions.COMPACT_MARGIN:
        folder, shorter = mountoptions.compact(data)
        if folder:
            syscalls.unshare(syscalls.CLONE_FS)
            os.chdir(folder)
            text = ",".join(shorter)
    if len(os.fsencode(text)) >= page:
        raise InvalidArgumentError("mount options is too long")
    return text


def _map_lower_folders(
    data: tuple[str, ...], mapping: mountoptions.IdMap, stack: ExitStack
) -> tuple[str, ...]:
    """Mount what the lower folders lie in with mapped ids, for as long as `stack` lives."""
    folders = mountoptions.lower_folders(data)
    parent = mountoptions.common_parent(folders)
    if len(folders) == 1:
        parent = os.path.dirname(folders[0])
    temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="ovl-idmapped"))
    idmap.mount_mapped(parent, temporary, mapping, read_only=True)
    # The overlay keeps what it needs; the folder must be free of mounts before it is removed.
    stack.callback(syscalls.umount, temporary, MNT_DETACH | UMOUNT_NOFOLLOW)
    return mountoptions.with_lower_folders(
        data, [os.path.join(temporary, os.path.relpath(folder, parent)) for folder in folders]
    )


def _make_bind_read_only(target: str, flags: int) -> None:
    kept = 0
    if _in_user_namespace():
        present = os.statvfs(target).f_flag
        kept = sum(flag for bit, flag in _LOCKED if present & bit)
    syscalls.mount("", target, None, flags | kept | MS_REMOUNT | MS_BIND | MS_RDONLY, None)


def _in_user_namespace() -> bool:
    """Whether this process is in a user namespace other than the first."""
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            return file.read().split() != ["0", "0", "4294967295"]
    except OSError:
        return False


def unmount_one(target: str, *, lazy: bool = False, attempts: int = BUSY_ATTEMPTS) -> None:
    """Remove every mount at a path, the topmost first.

    Args:
        target: The path; a symbolic link at its end is not followed.
        lazy: Whether a mount that stays busy is detached, to go when it can.
        attempts: How often to try while it is busy.

    Raises:
        ShimError: It can't be unmounted.
    """
    busy = 0
    while True:
        try:
            syscalls.umount(target, UMOUNT_NOFOLLOW)
            busy = 0
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.ENOENT}:  # nothing is mounted there (any more)
                return
            if error.errno == errno.EBUSY and busy < attempts:
                busy += 1
                time.sleep(BUSY_PAUSE)
                continue
            if lazy and error.errno == errno.EBUSY:
                syscalls.umount(target, UMOUNT_NOFOLLOW | MNT_DETACH)
                continue
            reason = (error.strerror or str(error)).lower()
            raise ShimError(f"failed to unmount target {target}: {reason}") from error


def unmount_below(path: str, *, lazy: bool = False, attempts: int = BUSY_ATTEMPTS) -> None:
    """Remove every mount at a path and below it, the deepest first.

    Args:
        path: The path; what does not exist has no mounts.
        lazy: See `unmount_one`; likewise `attempts`.
        attempts: See `unmount_one`.

    Raises:
        ShimError: The shallowest mount can't be unmounted.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = mountinfo.below(mountinfo.mount_points(file.read()), os.path.realpath(path))
    failure: ShimError | None = None
    for point in points:
        failure = None
        try:
            unmount_one(point, lazy=lazy, attempts=attempts)
        except ShimError as error:
            failure = error
        except OSError as error:
            failure = ShimError(f"failed to unmount target {point}: {error.strerror}")
    if failure is not None:
        raise failure
