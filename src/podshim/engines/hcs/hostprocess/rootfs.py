"""Where a HostProcess container finds its files on the host. Blocks.

Theory of operation. Its processes see the host's files, and their own at one place. Where Windows
has the bind filter, the job becomes a silo, and place and mounts lead to their targets for this
silo's processes alone. Elsewhere the container's volume is mounted at a folder of its own, and its
mounts are symbolic links in there. Where a host can't mount volumes at folders, that folder itself
serves, and is removed with all that is in it.
"""

from __future__ import annotations

import logging
import ntpath
import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from podshim.engines.hcs.hostprocess.shortcomings import cause
from podshim.errors import ShimError
from podshim.win32 import bindfilter
from podshim.win32.binding import ERROR_NOT_SUPPORTED, failure
from podshim.win32.mountpoints import mount_volume, unmount_volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from podshim.engines.hcs.documents.mounts import SpecMount
    from podshim.engines.hcs.hostprocess.job import HostJob
    from podshim.engines.hcs.hostprocess.location import Location
    from podshim.engines.hcs.hostprocess.shortcomings import Shortcomings

log = logging.getLogger(__name__)


def show(
    job: HostJob, location: Location, mounts: Sequence[SpecMount], shortcomings: Shortcomings
) -> ExitStack:
    """Let a container's files and mounts appear at their places.

    Args:
        job: The container's job; a silo if `location` is bound.
        location: Where to, and which volume.
        mounts: The spec's mounts.
        shortcomings: What it does without.

    Returns:
        What undoes it when it is closed; it may raise OSError then.

    Raises:
        OSError, ShimError: Something can't appear; nothing is left behind.
    """
    undo = ExitStack()
    try:
        if location.bound:
            _bind_all(job, location, mounts, shortcomings)
        else:
            _mount(location, undo, shortcomings)
            _link_all(location, mounts)
    except BaseException:
        _try(undo.close)
        raise
    return undo


def make_folder(path: str) -> None:
    """Make a process's working directory if it is not there.

    Raises:
        OSError: It can't be made.
    """
    # No mode: 0o700 would shut it to the container's user.
    os.makedirs(path, exist_ok=True)


def _bind_all(
    job: HostJob, location: Location, mounts: Sequence[SpecMount], shortcomings: Shortcomings
) -> None:
    _make_parent(location.bare)
    bindfilter.bind(job.job.handle, location.path, location.volume)
    if not mounts:
        return
    with _at_temporary_folder(location.volume, shortcomings) as folder:
        for mount in mounts:
            if os.path.lexists(mount.destination):
                log.warning("mount destination %s exists on the host", mount.destination)
            _make_parent(mount.destination)
            bindfilter.bind(
                job.job.handle, mount.destination, mount.source, read_only=mount.read_only
            )
            if folder is not None:
                _try_link(folder, location, mount)


def _try_link(folder: str, location: Location, mount: SpecMount) -> None:
    """Let a mount appear at the root file system's place, too: a convenience."""
    inside = location.under(mount.destination)[len(location.bare) :].lstrip("\\")
    try:
        _link(ntpath.join(folder, inside), mount.source)
    except OSError as error:
        log.warning("mount %s has no link: %s", mount.destination, cause(error))


@contextmanager
def _at_temporary_folder(volume: str, shortcomings: Shortcomings) -> Iterator[str | None]:
    """A folder at which a volume appears for a moment; None where that can't be."""
    with ExitStack() as undo:
        folder = tempfile.mkdtemp(prefix="podshim-")
        undo.callback(_try, partial(os.rmdir, folder))
        mounted = False
        with shortcomings.allowed("volumes at folders"):
            mount_volume(folder, volume)
            undo.callback(_try, partial(unmount_volume, folder))
            mounted = True
        yield folder if mounted else None


def _mount(location: Location, undo: ExitStack, shortcomings: Shortcomings) -> None:
    folder = location.bare
    is_new = not os.path.lexists(folder)
    os.makedirs(folder, exist_ok=True)
    mounted = False
    try:
        with shortcomings.allowed("volumes at folders"):
            mount_volume(folder, location.volume)
            mounted = True
    finally:
        if is_new:
            undo.callback(os.rmdir if mounted else shutil.rmtree, folder)
        if mounted:
            undo.callback(unmount_volume, folder)


def _link_all(location: Location, mounts: Sequence[SpecMount]) -> None:
    for mount in mounts:
        try:
            _link(location.under(mount.destination), mount.source)
        except (OSError, NotImplementedError) as error:
            text = cause(error) if isinstance(error, OSError) else str(error)
            raise ShimError(
                f"failed to setup symlink from {mount.source} to {mount.destination}: {text}"
            ) from error
        if mount.read_only:
            log.warning("mount %s can't be read-only on this host", mount.destination)


def _link(path: str, target: str) -> None:
    _make_parent(path)
    os.symlink(target, path, target_is_directory=os.path.isdir(target))
    if not os.path.lexists(path):
        raise failure(ERROR_NOT_SUPPORTED, path)  # some hosts claim to have made it


def _try(give_back: Callable[[], object]) -> None:
    """Give something back, as well as that can be."""
    try:
        give_back()
    except OSError as error:
        log.warning("something could not be given back: %s", cause(error))


def _make_parent(path: str) -> None:
    parent = ntpath.dirname(path.rstrip("\\/"))
    if parent:
        os.makedirs(parent, exist_ok=True)
