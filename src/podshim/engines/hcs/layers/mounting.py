r"""Mounting a Windows container's layers on the host, and unmounting them.

Theory of operation. Folders: the scratch layer's disk is attached (activated), a filter puts it
over the image's layers (prepared), and the volume that comes of it is the root file system.
Composite images: the image is mounted as a volume, the scratch layer's disk is attached, and
another filter puts it over that volume, whose GUID is made from the container's id, so that it can
be found when its shim is gone.

`mount` blocks. What it has done when something fails it undoes, and the way back of what it has
done is `Mount.undo`: steps to be taken in this order, none before the one before it has succeeded
(a layer that is still prepared must not be deactivated).
"""

from __future__ import annotations

import contextlib
import logging
import ntpath
import os
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from podshim.engines.hcs.documents.container import Layer
from podshim.engines.hcs.layers import drivers
from podshim.engines.hcs.layers.drivers import failure_text
from podshim.engines.hcs.layers.sources import BlockCim, ForkedCim, WcifsLayers
from podshim.errors import ShimError
from podshim.win32.binding import code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from podshim.engines.hcs.layers.drivers import CimDriver, LayerDriver, OverlayFilter
    from podshim.engines.hcs.layers.sources import LayerSource

_log = logging.getLogger(__name__)

SCRATCH_DISK = "sandbox.vhdx"
CIM_NAMESPACE = uuid.UUID("6827367b-c388-4e9b-961c-6d2c936c0000")

_ATTEMPTS = 5
_PAUSE = 0.1
#: The disk has been attached but is not there yet: ERROR_NOT_READY, ERROR_DEVICE_NOT_CONNECTED.
_TRANSIENT = frozenset({21, 1167})

Step: TypeAlias = "Callable[[], None]"


@dataclass(frozen=True, slots=True)
class Drivers:
    """Who mounts: Windows' DLLs, or a test's own.

    Args:
        layers: Layers that are folders, and scratch layers.
        cims: Composite images.
        overlay: The filter over composite images.
        sleep: Waits so many seconds before a further attempt.
    """

    layers: LayerDriver = field(default_factory=drivers.VmComputeLayers)
    cims: CimDriver = field(default_factory=drivers.CimFs)
    overlay: OverlayFilter = field(default_factory=drivers.UnionFilter)
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Mount:
    r"""Mounted layers.

    Args:
        path: The root file system: `\\?\Volume{GUID}`, with or without a backslash at its end.
        layers: What goes into the container's document.
        undo: How to unmount, step by step; `unmount` removes the steps that it has taken.
    """

    path: str
    layers: tuple[Layer, ...]
    undo: list[Step]


def mount(source: LayerSource, container_id: str, using: Drivers) -> Mount:
    """Mount layers. Blocks.

    Args:
        source: Which.
        container_id: Whose.
        using: Who mounts.

    Raises:
        ShimError: They can't be mounted; nothing is left mounted.
    """
    try:
        if isinstance(source, WcifsLayers):
            return _mount_folders(source, using)
        return _mount_cim(source, container_id, using)
    except OSError as error:
        raise ShimError(failure_text(error)) from error


def unmount(mounted: Mount) -> None:
    """Unmount layers, up to the first step that fails. Blocks.

    Raises:
        ShimError: A step has failed; another call goes on with it.
    """
    try:
        while mounted.undo:
            mounted.undo[0]()
            del mounted.undo[0]
    except OSError as error:
        raise ShimError(failure_text(error)) from error


def document_layers(parents: Sequence[str], using: Drivers) -> tuple[Layer, ...]:
    """Layers that are folders, as they go into a document. Blocks.

    Raises:
        ShimError: Windows does not tell their ids.
    """
    try:
        identified = _identified(parents, using)
    except OSError as error:
        raise ShimError(failure_text(error)) from error
    return tuple(Layer(str(identifier), path) for identifier, path in identified)


def volume_layer(volume: str) -> Layer:
    r"""Composite images that are mounted as a volume, as they go into a document.

    Args:
        volume: `\\?\Volume{GUID}\`.
    """
    return Layer(volume.removeprefix("\\\\?\\Volume{").removesuffix("}\\"), volume)


def volume_of(container_id: str) -> uuid.UUID:
    """The GUID of the volume that a container's composite image is mounted as."""
    return uuid.uuid5(CIM_NAMESPACE, container_id)


def _mount_folders(source: WcifsLayers, using: Drivers) -> Mount:
    scratch = source.scratch
    ensure_scratch(source, using)
    _attach_with_patience(source, using)
    undo: list[Step] = [
        lambda: using.layers.unprepare(scratch),
        lambda: using.layers.deactivate(scratch),
    ]
    with _undone_on_failure(undo):
        path = using.layers.mount_path(scratch)
        return Mount(path, document_layers(source.parents, using), undo)


def ensure_scratch(source: WcifsLayers, using: Drivers) -> None:
    """Make a scratch layer's folder and disk where they are missing. Blocks.

    Raises:
        OSError: Windows does not tell the ids of layers.
        ShimError: The folder or the disk can't be made.
    """
    try:
        os.makedirs(source.scratch, exist_ok=True)
    except OSError as error:
        text = f"failed to auto-create container scratch folder {source.scratch}: {error.strerror}"
        raise ShimError(text) from error
    if os.path.exists(ntpath.join(source.scratch, SCRATCH_DISK)):
        return
    try:
        using.layers.create_scratch(source.scratch, _identified(source.parents, using))
    except OSError as error:
        raise ShimError(f"failed to CreateSandboxLayer: {failure_text(error)}") from error


def _attach_with_patience(source: WcifsLayers, using: Drivers) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _attach(source, using)
        except OSError as error:
            if code_of(error) not in _TRANSIENT:
                raise
            if attempt == _ATTEMPTS:
                raise ShimError(f"layer retry loop failed: {failure_text(error)}") from error
            using.sleep(_PAUSE)
        else:
            return


def _attach(source: WcifsLayers, using: Drivers) -> None:
    using.layers.activate(source.scratch)
    with _undone_on_failure([lambda: using.layers.deactivate(source.scratch)]):
        using.layers.prepare(source.scratch, _identified(source.parents, using))


def _identified(parents: Sequence[str], using: Drivers) -> list[tuple[uuid.UUID, str]]:
    named = ((ntpath.basename(path.rstrip("\\/")), path) for path in parents)
    return [(using.layers.id_of(name), path) for name, path in named]


def _mount_cim(source: ForkedCim | BlockCim, container_id: str, using: Drivers) -> Mount:
    volume, scratch = volume_of(container_id), source.scratch
    path = f"\\\\?\\Volume{{{volume}}}\\"
    _mount_image(source, volume, using)
    undo: list[Step] = [lambda: using.cims.dismount(volume)]
    with _undone_on_failure(undo):
        using.layers.activate(scratch)
        undo.insert(0, lambda: using.layers.deactivate(scratch))
        root = using.layers.mount_path(scratch)
        using.overlay.attach(root, [(str(volume), path + "Files")])
        undo.insert(0, lambda: using.overlay.detach(root))
    return Mount(root, (volume_layer(path),), undo)


def _mount_image(source: ForkedCim | BlockCim, volume: uuid.UUID, using: Drivers) -> None:
    if isinstance(source, ForkedCim):
        folder, name = ntpath.split(source.cims[0])
        using.cims.mount(folder, name, drivers.CIM_PLAIN, volume)
        return
    flags = drivers.CIM_ON_DEVICE if source.on_device else drivers.CIM_IN_FILE
    if len(source.cims) == 1:
        folder, name = ntpath.split(source.cims[0])
        using.cims.mount(folder, name, flags, volume)
        return
    split = [ntpath.split(path) for path in (source.merged, *source.cims)]
    images = [(folder.rstrip("\\"), name) for folder, name in split]
    using.cims.mount_merged(images, flags, volume)


@contextlib.contextmanager
def _undone_on_failure(steps: Sequence[Step]) -> Iterator[None]:
    """Take each step, whatever becomes of the others, if the body fails."""
    try:
        yield
    except BaseException:
        for step in steps:
            try:
                step()
            except OSError as error:
                _log.warning("a layer stays mounted: %s", failure_text(error))
        raise
