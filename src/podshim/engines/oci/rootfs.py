"""A container's root file system: the mounts that `create` makes and the deletion removes.

Theory of operation. Each mount runs in a thread that is thrown away after it (see `mounts`), with
a limit. A thread that hangs in mount(2) can't be stopped: when its time is over the caller is let
go, and should the mount succeed after all, the thread itself removes it again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from podshim.engines.oci import mounts
from podshim.engines.oci.blocking import Caller, in_thread
from podshim.engines.oci.commandline import find_binary, runtime_environment
from podshim.engines.oci.program import run_program
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.engine import Mount
    from podshim.engines.oci.reaper import Reaper

#: Seconds for one mount.
MOUNT_LIMIT: Final = 60.0
#: Seconds for all unmounts; a slow disk may take more than ten for one.
UNMOUNT_LIMIT: Final = 120.0


class Rootfs:
    """The mounts of one root file system.

    Args:
        path: Where it is; the folder exists.
        reaper: Who runs the programs that make FUSE mounts.
    """

    def __init__(self, path: str, reaper: Reaper) -> None:
        self._path = path
        self._reaper = reaper
        self._touched = False
        self._unmounting = Caller()

    async def mount(self, wanted: Sequence[Mount]) -> None:
        """Make the mounts, in their order.

        Raises:
            ShimError: One can't be made; `unmount` is still to be called.
            DeadlineExceededError: One took too long.
        """
        self._touched = True
        for mount in wanted:
            try:
                if mounts.is_fuse(mount):
                    await self._mount_fuse(mount)
                else:
                    await self._mount_in_thread(mount)
            except ShimError as error:
                raise type(error)(f"failed to mount rootfs component: {error.detail}") from error

    async def _mount_in_thread(self, mount: Mount) -> None:
        lock = threading.Lock()
        abandoned = finished = False

        def work() -> None:
            nonlocal finished
            mounts.mount_one(mount, self._path)
            with lock:
                finished = True
                late = abandoned
            if late:
                mounts.unmount_below(self._path, lazy=True)

        try:
            await in_thread(work, limit=MOUNT_LIMIT, what="mount")
        except BaseException:
            with lock:
                abandoned = not finished
            raise

    async def _mount_fuse(self, mount: Mount) -> None:
        target = await in_thread(
            lambda: mounts.target_path(self._path, mount.target),
            limit=MOUNT_LIMIT,
            what="finding the mount's target",
        )
        command = mounts.fuse_command(mount, target)
        program = find_binary(command[0])
        try:
            finished = await run_program(
                self._reaper,
                [program, *command[1:]],
                limit=MOUNT_LIMIT,
                cwd="/",
                env=runtime_environment(),
            )
        except OSError as error:
            raise ShimError(f"fork/exec {program}: {error.strerror}") from error
        if finished.exit.status != 0:
            output = (finished.stdout + finished.stderr).decode(errors="replace").strip()
            raise ShimError(f"{command[0]}: exit status {finished.exit.status}: {output}")

    async def unmount(self) -> None:
        """Remove the mounts, if there ever were any; may be called again.

        Raises:
            ShimError: The root file system can't be unmounted.
            DeadlineExceededError: It took too long.
        """
        if self._touched:
            await self._unmounting.run(
                lambda: mounts.unmount_below(self._path), limit=UNMOUNT_LIMIT, what="unmount"
            )
