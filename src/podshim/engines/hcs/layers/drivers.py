"""Windows' calls that mount layers: `vmcompute.dll`, `cimfs.dll`, `computestorage.dll`.

Theory of operation. `LayerDriver`, `CimDriver` and `OverlayFilter` say what is used of them, in
Python's terms; the DLLs stand behind, or a test's own. Every call blocks, some for seconds: none is
made on the loop. A failed call is an `OSError` with Windows' code, whose `filename` is the call's
title; `failure_text` makes the text of it that people know from Windows' own tools.
"""

from __future__ import annotations

import ctypes
import threading
from ctypes import POINTER, Structure, byref, c_int, c_size_t, c_uint32
from ctypes.wintypes import DWORD, LPCWSTR, LPWSTR
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from podshim.engines.hcs.documents.jsontext import dumps
from podshim.win32.binding import Library, check_hresult, code_of

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Flags of CimMountImage.
CIM_PLAIN = 0
CIM_ON_DEVICE = 0x10
CIM_IN_FILE = 0x20

_TITLE = "hcsshim::"
# Which of the two calls failed that tell a path: first its length, then itself.
_FIRST, _SECOND = " (first call)", " (second call)"


class LayerDriver(Protocol):
    """Layers that are folders; every method may raise OSError."""

    def activate(self, layer: str) -> None:
        """Attach a scratch layer's disk."""

    def deactivate(self, layer: str) -> None:
        """Detach it."""

    def prepare(self, layer: str, parents: Sequence[tuple[UUID, str]]) -> None:
        """Put an active layer over others, which come by id and folder, topmost first."""

    def unprepare(self, layer: str) -> None:
        """Undo that."""

    def create_scratch(self, layer: str, parents: Sequence[tuple[UUID, str]]) -> None:
        """Make a scratch layer's disk in its folder."""

    def mount_path(self, layer: str) -> str:
        """The volume of an active layer."""

    def id_of(self, name: str) -> UUID:
        """The id of a layer whose folder has this name."""


class CimDriver(Protocol):
    """Composite images; every method may raise OSError."""

    def mount(self, folder: str, name: str, flags: int, volume: UUID) -> None:
        """Mount an image as a volume of this GUID."""

    def mount_merged(self, images: Sequence[tuple[str, str]], flags: int, volume: UUID) -> None:
        """Mount several images as one, of which the first holds the union."""

    def dismount(self, volume: UUID) -> None:
        """Unmount the image."""


class OverlayFilter(Protocol):
    """The filter that puts a scratch volume over images; every method may raise OSError."""

    def attach(self, volume: str, layers: Sequence[tuple[str, str]]) -> None:
        """Put a volume over others, which come by id and path, topmost first."""

    def detach(self, volume: str) -> None:
        """Undo that."""


class _DriverInfo(Structure):
    _fields_ = [("flavour", c_int), ("home", LPCWSTR)]


class _Guid(Structure):
    _fields_ = [("bytes", ctypes.c_ubyte * 16)]


class _LayerDescriptor(Structure):
    _fields_ = [("id", _Guid), ("flags", c_uint32), ("path", LPCWSTR)]


class _CimImage(Structure):
    _fields_ = [("folder", LPCWSTR), ("name", LPCWSTR)]


_vmcompute = Library("vmcompute.dll")
_info, _hresult = POINTER(_DriverInfo), c_uint32
_descriptors = POINTER(_LayerDescriptor)
_activate = _vmcompute.function("ActivateLayer", _hresult, _info, LPCWSTR)
_deactivate = _vmcompute.function("DeactivateLayer", _hresult, _info, LPCWSTR)
_prepare = _vmcompute.function("PrepareLayer", _hresult, _info, LPCWSTR, _descriptors, DWORD)
_unprepare = _vmcompute.function("UnprepareLayer", _hresult, _info, LPCWSTR)
_create_sandbox = _vmcompute.function(
    "CreateSandboxLayer", _hresult, _info, LPCWSTR, c_size_t, _descriptors, DWORD
)
_mount_path = _vmcompute.function(
    "GetLayerMountPath", _hresult, _info, LPCWSTR, POINTER(c_size_t), LPWSTR
)
_name_to_guid = _vmcompute.function("NameToGuid", _hresult, LPCWSTR, POINTER(_Guid))

_cimfs = Library("cimfs.dll")
_cim_mount = _cimfs.function("CimMountImage", _hresult, LPCWSTR, LPCWSTR, c_uint32, POINTER(_Guid))
_cim_merge_mount = _cimfs.function(
    "CimMergeMountImage", _hresult, c_uint32, POINTER(_CimImage), c_uint32, POINTER(_Guid)
)
_cim_dismount = _cimfs.function("CimDismountImage", _hresult, POINTER(_Guid))

_storage = Library("computestorage.dll")
_attach = _storage.function("HcsAttachOverlayFilter", _hresult, LPCWSTR, LPCWSTR)
_detach = _storage.function("HcsDetachOverlayFilter", _hresult, LPCWSTR, LPCWSTR)

#: Windows' filter driver does not bear two preparations at once, whoever asks in this process.
_preparing = threading.Lock()


class VmComputeLayers:
    """`LayerDriver` over `vmcompute.dll`."""

    def activate(self, layer: str) -> None:
        """See `LayerDriver`."""
        check_hresult(_activate(_filter(), layer), _TITLE + "ActivateLayer")

    def deactivate(self, layer: str) -> None:
        """See `LayerDriver`."""
        check_hresult(_deactivate(_filter(), layer), _TITLE + "DeactivateLayer")

    def prepare(self, layer: str, parents: Sequence[tuple[UUID, str]]) -> None:
        """See `LayerDriver`."""
        below = _described(parents)
        with _preparing:
            result = _prepare(_filter(), layer, below, len(parents))
        check_hresult(result, _TITLE + "PrepareLayer")

    def unprepare(self, layer: str) -> None:
        """See `LayerDriver`."""
        check_hresult(_unprepare(_filter(), layer), _TITLE + "UnprepareLayer")

    def create_scratch(self, layer: str, parents: Sequence[tuple[UUID, str]]) -> None:
        """See `LayerDriver`."""
        result = _create_sandbox(_filter(), layer, 0, _described(parents), len(parents))
        check_hresult(result, _TITLE + "CreateSandboxLayer")

    def mount_path(self, layer: str) -> str:
        """See `LayerDriver`."""
        title, length = _TITLE + "GetLayerMountPath", c_size_t()
        check_hresult(_mount_path(_filter(), layer, byref(length), None), title + _FIRST)
        buffer = ctypes.create_unicode_buffer(length.value + 1)
        length.value += 1
        check_hresult(_mount_path(_filter(), layer, byref(length), buffer), title + _SECOND)
        return buffer.value

    def id_of(self, name: str) -> UUID:
        """See `LayerDriver`."""
        guid = _Guid()
        check_hresult(_name_to_guid(name, byref(guid)), _TITLE + "NameToGuid")
        return UUID(bytes_le=bytes(guid))


class CimFs:
    """`CimDriver` over `cimfs.dll`."""

    def mount(self, folder: str, name: str, flags: int, volume: UUID) -> None:
        """See `CimDriver`."""
        check_hresult(_cim_mount(folder, name, flags, byref(_guid(volume))), "CimMountImage")

    def mount_merged(self, images: Sequence[tuple[str, str]], flags: int, volume: UUID) -> None:
        """See `CimDriver`."""
        listed = (_CimImage * len(images))(*(_CimImage(*image) for image in images))
        result = _cim_merge_mount(len(images), listed, flags, byref(_guid(volume)))
        check_hresult(result, "CimMergeMountImage")

    def dismount(self, volume: UUID) -> None:
        """See `CimDriver`."""
        check_hresult(_cim_dismount(byref(_guid(volume))), "CimDismountImage")


class UnionFilter:
    """`OverlayFilter` over `computestorage.dll`."""

    def attach(self, volume: str, layers: Sequence[tuple[str, str]]) -> None:
        """See `OverlayFilter`."""
        check_hresult(_attach(volume, dumps(attachment(layers))), "hcsshim::AttachOverlayFilter")

    def detach(self, volume: str) -> None:
        """See `OverlayFilter`."""
        data = {"SchemaVersion": {}, "FilterType": "UnionFS"}
        check_hresult(_detach(volume, dumps(data)), "hcsshim::DetachOverlayFilter")


def attachment(layers: Sequence[tuple[str, str]]) -> dict[str, object]:
    """The document that puts a volume over layers, which come by id and path."""
    listed = [{"Id": identifier, "Path": path} for identifier, path in layers]
    return {"SchemaVersion": {}, "Layers": listed, "FilterType": "UnionFS"}


def failure_text(error: OSError) -> str:
    """A failed call as people know it: `<call> failed in Win32: <message> (0x<code>)`.

    Args:
        error: What a driver raised.
    """
    title = error.filename
    if not isinstance(title, str) or "!" in title:  # the export is not there
        return str(error)
    rest = next((rest for rest in (_FIRST, _SECOND) if title.endswith(rest)), "")
    title = title.removesuffix(rest)
    return f"{title} failed in Win32: {error.strerror} (0x{code_of(error):x}){rest}"


def _filter() -> object:
    return byref(_DriverInfo(1, ""))


def _described(parents: Sequence[tuple[UUID, str]]) -> ctypes.Array[_LayerDescriptor]:
    return (_LayerDescriptor * len(parents))(
        *(_LayerDescriptor(_guid(identifier), 0, path) for identifier, path in parents)
    )


def _guid(value: UUID) -> _Guid:
    return _Guid.from_buffer_copy(value.bytes_le)
