"""Values that a container's registry gets beyond those of its image.

Theory of operation. Three sources, in this order: one value that every container needs, so that its
services may take their time to end; dump settings, if annotations say where dumps of crashed
processes shall go; and what an annotation for tests says, of which only values of certain keys are
taken, because it comes from a user: each of the others is left out with a warning.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import Json, present
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec import table
from podshim.hcsspec.annotations import INT32
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from podshim.hcsspec.annotations import Annotation, Annotations

_log = logging.getLogger(__name__)

_DUMP_KEY = "Microsoft\\Windows\\Windows Error Reporting\\LocalDumps"
_DUMP_TYPES = {"mini": 1, "full": 2, "": 2}
_DUMP_COUNT = 10

_HIVES = frozenset({"System", "Software", "Security", "Sam"})
_TYPES = frozenset(
    {"None", "String", "ExpandedString", "MultiString", "Binary", "DWord", "QWord", "CustomType"}
)
#: Keys that an annotation may set: a hive, and how the key's name begins, in lower case.
_ALLOWED = (
    ("System", "currentcontrolset\\services"),
    ("System", "currentcontrolset\\policies"),
    ("System", "software"),
    ("Software", ""),
)


def registry_value(hive: str, key: str, name: str, kind: str, value: str | int) -> Json:
    """HCS' `RegistryValue` object.

    Args:
        hive: `System`, `Software`, `Security` or `Sam`.
        key: The key's path in the hive.
        name: The value's name.
        kind: The value's type, such as `String` or `DWord`.
        value: What it is.
    """
    return present(
        {"Key": {"Hive": hive, "Name": key}, "Name": name, "Type": kind, f"{kind}Value": value}
    )


def default_values() -> list[Json]:
    """What every container gets: its services may take as long to stop as the shim gives it."""
    return [
        registry_value(
            "System", "ControlSet001\\Control", "WaitToKillServiceTimeout", "String", "2147483647"
        )
    ]


def dump_values(container_id: str, annotations: Annotations, vm_location: str = "") -> list[Json]:
    """Where dumps of crashed processes go; none if nothing says it.

    Args:
        container_id: What a last `{container_id}` of the folder stands for.
        annotations: The container's.
        vm_location: The folder that its VM's options say, for a container that says nothing:
            one that says an empty text wants no dumps.

    Raises:
        ShimError: A dump type or count that does not exist.
    """
    location = table.PROCESS_DUMP_LOCATION
    folder = annotations.get(location) if location in annotations else vm_location
    if not folder:
        return []
    for name in ("{container_id}", "{CONTAINER_ID}"):
        if folder.endswith(name):
            folder = folder.removesuffix(name) + container_id
    kind = _DUMP_TYPES.get(annotations.get(table.PROCESS_DUMP_TYPE))
    if kind is None:
        raise ShimError('unknown dump type specified, valid values are "mini" or "full"')
    count = _dump_count(annotations.get(table.PROCESS_DUMP_COUNT))
    return [
        registry_value("Software", _DUMP_KEY, "DumpFolder", "String", folder),
        registry_value("Software", _DUMP_KEY, "DumpType", "DWord", kind),
        registry_value("Software", _DUMP_KEY, "DumpCount", "DWord", count),
    ]


def annotated_values(annotations: Annotations, row: Annotation[str]) -> list[Json]:
    """The values of an annotation that are allowed.

    Args:
        annotations: Where it may be.
        row: Which: the container's or the VM's.
    """
    text = annotations.get(row)
    if not text:
        return []
    try:
        entries = Member(json.loads(text), row.key).objects()
        values = [_value(entry) for entry in entries]
    except (ValueError, RecursionError, InvalidArgumentError):
        annotations.warn(row.key, text, "list of registry values")
        return []
    allowed = []
    for value, reason in values:
        if reason:
            _log.warning("annotation %s: a registry value is left out: %s", row.key, reason)
        else:
            allowed.append(value)
    return allowed


def _dump_count(text: str) -> int:
    if not text:
        return _DUMP_COUNT
    try:
        count = INT32.parse(text)
    except ValueError:
        count = 0
    if count <= 0:
        raise ShimError(f"invalid dump count specified: {text}")
    return count


def _value(entry: Member) -> tuple[Json, str]:
    """A value as HCS takes it, and why it must be left out, if it must.

    Raises:
        InvalidArgumentError: A member is of another type than HCS'.
    """
    key = entry["Key"]
    hive, path = key["Hive"].text(), key["Name"].text()
    values: Json = {
        "StringValue": entry["StringValue"].text(),
        "BinaryValue": entry["BinaryValue"].text(),
        "DWordValue": entry["DWordValue"].signed(32),
        "QWordValue": entry["QWordValue"].signed(64),
    }
    value = present(
        {
            "Key": present({"Hive": hive, "Name": path, "Volatile": key["Volatile"].flag()}),
            "Name": entry["Name"].text(),
            "Type": entry["Type"].text(),
            **values,
            "CustomType": entry["CustomType"].signed(32),
        }
    )
    return value, _objection(key.present, hive, path, value, len(present(values)))


def _objection(key: bool, hive: str, path: str, value: Json, values: int) -> str:
    if not key:
        return "it has no key"
    if hive not in _HIVES:
        return f"there is no hive {hive!r}"
    if not path or "Name" not in value:
        return "its key or itself has no name"
    if value.get("Type") not in _TYPES:
        return f"there is no type {value.get('Type')!r}"
    if values > 1:
        return "it has more than one value"
    if not any(hive == h and path.lower().startswith(prefix) for h, prefix in _ALLOWED):
        return f"its key {hive}\\{path} is not allowed"
    return ""
