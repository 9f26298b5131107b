"""What a container's file system is made from: read from a request's mounts or from its spec; pure.

Theory of operation. A client names layers in one of two ways: as a single mount of the root file
system, whose type says how the image is stored, or as a list of folders in the spec. Both come down
to a scratch layer, which the container writes to, and what it covers:

    WcifsLayers    folders, put over each other by a filter
    ForkedCim      composite images (CIM) of the image's layers; the topmost holds all below it
    BlockCim       composite images on block devices or in single files; several are merged into one

Unknown options of a mount are none of our business: a snapshotter may say more than we understand.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from podshim.errors import FailedPreconditionError, InvalidArgumentError, ShimError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.engine import Mount
    from podshim.hcsspec.reading import Member

_PARENT_LAYERS = "parentLayerPaths="
_PARENT_CIMS = "parentCimPaths="
_BLOCK_TYPE = "blockCIMType="
_MERGED_CIM = "mergedCIMPath="


@dataclass(frozen=True, slots=True)
class WcifsLayers:
    """Layers that are folders.

    Args:
        scratch: The folder of the layer that the container writes to.
        parents: The folders of the image's layers, topmost first.
    """

    scratch: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForkedCim:
    """Layers that are composite images, each of which holds those below it.

    Args:
        scratch: The folder of the layer that the container writes to.
        parents: The folders of the image's layers, topmost first.
        cims: Their images; only the topmost is mounted.
    """

    scratch: str
    parents: tuple[str, ...]
    cims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BlockCim:
    """Layers that are composite images on block devices or in files.

    Args:
        scratch: The folder of the layer that the container writes to.
        cims: The images, topmost first.
        on_device: Whether they are on devices; otherwise each is a file.
        merged: The image that unites several; empty for a single one.
    """

    scratch: str
    cims: tuple[str, ...]
    on_device: bool
    merged: str = ""


LayerSource: TypeAlias = "WcifsLayers | ForkedCim | BlockCim"


def layers_of(rootfs: Sequence[Mount], windows: Member) -> LayerSource:
    """The layers of a Windows container.

    Args:
        rootfs: The root file system's mounts, as the client gave them.
        windows: The spec's `windows`.

    Raises:
        FailedPreconditionError: None, too many, or both kinds.
        ShimError: A mount that can't be one of layers.
        InvalidArgumentError: A member of another type than OCI's.
    """
    folders = tuple(windows["layerFolders"].texts())
    check(rootfs, folders)
    if folders:
        return WcifsLayers(folders[-1], folders[:-1])
    mount = rootfs[0]
    if any("\0" in text for text in (mount.source, *mount.options)):
        raise InvalidArgumentError("rootfs mount: a path must not contain NUL characters")
    if mount.type == "windows-layer":
        return WcifsLayers(mount.source, _texts(mount, _PARENT_LAYERS))
    if mount.type == "CimFS":
        return _forked_cim(mount)
    if mount.type == "BlockCIM":
        return _block_cim(mount)
    raise ShimError(f"invalid windows mount type: '{mount.type}'")


def check(rootfs: Sequence[Mount], folders: Sequence[str]) -> None:
    """Refuse layers that no container can be made of, Windows' or Linux'.

    Args:
        rootfs: The root file system's mounts, as the client gave them.
        folders: The spec's `windows.layerFolders`.

    Raises:
        FailedPreconditionError: None, too many, or both kinds.
    """
    if rootfs and folders:
        raise FailedPreconditionError("cannot pass both a rootfs mount and Windows.LayerFolders")
    if not rootfs and not folders:
        raise FailedPreconditionError("must pass either a rootfs mount or Windows.LayerFolders")
    if len(rootfs) > 1:
        raise FailedPreconditionError("expected a single rootfs mount")
    if rootfs and rootfs[0].target:
        raise FailedPreconditionError("rootfs mount must not have a Target path")
    if len(folders) == 1:
        raise FailedPreconditionError("must pass at least two Windows.LayerFolders")


def _forked_cim(mount: Mount) -> ForkedCim:
    parents, cims = _texts(mount, _PARENT_LAYERS), _texts(mount, _PARENT_CIMS)
    if len(parents) != len(cims):
        raise ShimError("invalid mount, number of parent layer paths & cim paths should be same")
    if not cims:
        raise ShimError("need at least 1 parent layer")
    return ForkedCim(mount.source, parents, cims)


def _block_cim(mount: Mount) -> BlockCim:
    cims = _texts(mount, _PARENT_CIMS)
    kind, merged = _option(mount, _BLOCK_TYPE), _option(mount, _MERGED_CIM)
    if kind is not None and kind not in {"device", "file"}:
        raise ShimError(f"invalid block CIM type `{kind}`")
    if not cims:
        raise ShimError("need at least 1 parent layer")
    if kind is None:
        raise ShimError("BlockCIM type not provided")
    if len(cims) > 1 and not merged:
        raise ShimError("merged CIM path not provided")
    return BlockCim(mount.source, cims, kind == "device", merged or "")


def _option(mount: Mount, flag: str) -> str | None:
    """The value of the first option that begins so; None without."""
    for option in mount.options:
        if option.startswith(flag):
            return option[len(flag) :]
    return None


def _texts(mount: Mount, flag: str) -> tuple[str, ...]:
    text = _option(mount, flag)
    if text is None:
        return ()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ShimError(f"failed to unmarshal option `{flag}`: {error}") from None
    if value is None:
        return ()
    if not isinstance(value, list) or not all(
        isinstance(item, str) and "\0" not in item for item in value
    ):
        raise ShimError(f"failed to unmarshal option `{flag}`: it must be a list of strings")
    return tuple(value)
