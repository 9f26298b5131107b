"""Devices of the host that a container gets, and extensions of its device namespace.

Theory of operation. The spec names devices by the kind of their id: a class of interfaces, all of
whose devices the container gets, or the location path of one. Device extensions are documents of
their own, files whose paths an annotation lists: they are read where files are read, and checked
here, because HCS' word for a wrong one is of no help.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import Json, present
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec import builds
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOCATION_PATH = "vpci-location-path"
CLASSES = frozenset({"class", "vpci-class-guid"})

#: The members of a device extension: `text`, `flag`, `number`, or objects and lists of such.
_Shape = dict[str, object]
_OBJECT_DIRECTORY: _Shape = {"name": "text", "clonesd": "text", "shadow": "text"}
_SYMLINK: _Shape = {
    "name": "text",
    "path": "text",
    "scope": "text",
    "pathtoclone": "text",
    "access_mask": "number",
}
_OBJECT_DIRECTORY["symlink"] = [_SYMLINK]
_OBJECT_DIRECTORY["objdir"] = [_OBJECT_DIRECTORY]
_CATEGORY: _Shape = {
    "name": "text",
    "interface_class": [{"type": "text", "identifier": "text", "recurse": "flag"}],
}
_EXTENSION: _Shape = {
    "device_category": _CATEGORY,
    "namespace": {
        "ob": {"shadow": "text", "symlink": [_SYMLINK], "objdir": [_OBJECT_DIRECTORY]},
        "device": {
            "requires_driverstore": "flag",
            "device_category": [_CATEGORY],
            "device_instance": [
                {
                    "id": "text",
                    "location_path": "text",
                    "port_name": "text",
                    "interface_class": [{"type": "text", "identifier": "text", "recurse": "flag"}],
                }
            ],
        },
    },
}


def assigned_devices(windows: Member) -> list[Json]:
    """HCS' `AssignedDevices`.

    Args:
        windows: The spec's `windows`.

    Raises:
        ShimError: A kind of id that does not exist.
        InvalidArgumentError: A member of another type than OCI's.
    """
    return [
        _device(device["id"].text(), device["idType"].text())
        for device in windows["devices"].objects()
    ]


def device_extensions(
    documents: Sequence[tuple[str, object]], build: int
) -> Mapping[str, object] | None:
    """HCS' `AdditionalDeviceNamespace`; None without extensions.

    Args:
        documents: The files' paths and what is in them, parsed.
        build: The build of Windows.

    Raises:
        ShimError: This Windows has no device extensions.
        InvalidArgumentError: A document is no device extension.
    """
    if not documents:
        return None
    if build < builds.WS2022:
        raise ShimError(f"device extensions are not supported on this build ({build})")
    extensions = []
    for path, document in documents:
        if not isinstance(document, dict):
            raise InvalidArgumentError(f"{path}: the document must be an object")
        try:
            extensions.append(_taken(Member(document, document=path), _EXTENSION))
        except RecursionError:
            raise InvalidArgumentError(f"{path}: the document has too many levels") from None
    return {"device_extension": extensions}


def _device(identifier: str, kind: str) -> Json:
    if kind == LOCATION_PATH:
        return present({"Type": "DeviceInstance", "LocationPath": identifier})
    if kind in CLASSES:
        return present({"InterfaceClassGuid": identifier})
    raise ShimError(f"specified device {identifier} has unsupported type {kind}")


def _taken(member: Member, shape: _Shape) -> Json:
    """The members that HCS knows, each of its type; of the others nothing."""
    taken: Json = {}
    for name, wanted in shape.items():
        value = member[name]
        if not value.present:
            continue
        if isinstance(wanted, dict):
            taken[name] = _taken(value, wanted)
        elif isinstance(wanted, list):
            taken[name] = [_taken(item, wanted[0]) for item in value.objects()]
        elif wanted == "text":
            taken[name] = value.text()
        elif wanted == "flag":
            taken[name] = value.flag()
        else:
            taken[name] = value.signed(32)
    return present(taken)
