"""Fakes of what makes a container: layers' drivers, networks, threads, HCS' credential guard.

All write their calls, in order, into one list, and fail where a test says so.
"""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from podshim.engines.hcs.hcn import MissingError
from podshim.engines.hcs.layers import Drivers
from podshim.errors import ShimError
from podshim.win32.binding import failure

T = TypeVar("T")


class Record:
    """Calls in order, and faults: how a call fails, by its name, once for each entry."""

    def __init__(self, **faults: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.faults: dict[str, list[Exception | None]] = {
            name: fault if isinstance(fault, list) else [fault] for name, fault in faults.items()
        }

    @property
    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def call(self, name: str, *arguments: Any) -> None:
        self.calls.append((name, *arguments))
        waiting = self.faults.get(name)
        fault = waiting.pop(0) if waiting else None
        if fault is not None:
            raise fault


def win32(title: str, code: int) -> OSError:
    """A failed call of Windows."""
    return failure(code, title)


class Layers:
    """`LayerDriver`, `CimDriver` and `OverlayFilter` in memory."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def activate(self, layer: str) -> None:
        self.record.call("activate", layer)

    def deactivate(self, layer: str) -> None:
        self.record.call("deactivate", layer)

    def prepare(self, layer: str, parents: Sequence[tuple[uuid.UUID, str]]) -> None:
        self.record.call("prepare", layer, list(parents))

    def unprepare(self, layer: str) -> None:
        self.record.call("unprepare", layer)

    def create_scratch(self, layer: str, parents: Sequence[tuple[uuid.UUID, str]]) -> None:
        self.record.call("create_scratch", layer, list(parents))

    def mount_path(self, layer: str) -> str:
        self.record.call("mount_path", layer)
        return "\\\\?\\Volume{6827367b-c388-4e9b-961c-6d2c936c00ff}"

    def id_of(self, name: str) -> uuid.UUID:
        self.record.call("id_of", name)
        return id_of(name)

    def attach(self, volume: str, layers: Sequence[tuple[str, str]]) -> None:
        self.record.call("attach", volume, list(layers))

    def detach(self, volume: str) -> None:
        self.record.call("detach", volume)


class Cims:
    def __init__(self, record: Record) -> None:
        self.record = record

    def mount(self, folder: str, name: str, flags: int, volume: uuid.UUID) -> None:
        self.record.call("mount", folder, name, flags, volume)

    def mount_merged(
        self, images: Sequence[tuple[str, str]], flags: int, volume: uuid.UUID
    ) -> None:
        self.record.call("mount_merged", list(images), flags, volume)

    def dismount(self, volume: uuid.UUID) -> None:
        self.record.call("dismount", volume)


def id_of(name: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, name)


def drivers(record: Record) -> Drivers:
    layers = Layers(record)
    return Drivers(
        layers, Cims(record), layers, sleep=lambda seconds: record.call("sleep", seconds)
    )


class Networks:
    """`HostNetworks` in memory."""

    id = "6827367b-c388-4e9b-961c-6d2c936c0abc"

    def __init__(self, record: Record) -> None:
        self.record = record

    def create_namespace(self) -> str:
        self.record.call("create_namespace")
        return self.id

    def add_endpoint(self, namespace: str, endpoint: str) -> None:
        self.record.call("add_endpoint", namespace, endpoint)

    def remove_endpoint(self, namespace: str, endpoint: str) -> None:
        self.record.call("remove_endpoint", namespace, endpoint)

    def delete_namespace(self, namespace: str) -> None:
        self.record.call("delete_namespace", namespace)

    def namespace(self, namespace: str) -> dict[str, object]:
        raise MissingError(namespace)

    def endpoint(self, endpoint: str) -> dict[str, object]:
        raise MissingError(endpoint)


class Threads:
    """No threads: calls are made at once."""

    async def run(self, what: str, function: Callable[[], T]) -> T:
        return function()


class Service:
    """HCS' side of credential guards."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.specs: dict[str, str] = {}

    async def modify_service(self, settings: str) -> None:
        change = json.loads(settings)["Settings"]
        details = change["OperationDetails"]
        self.record.call(change["Operation"], details["Id"])
        if change["Operation"] == "AddInstance":
            self.specs[details["Id"]] = details["CredentialSpec"]
        else:
            del self.specs[details["Id"]]

    async def service_properties(self, query: str) -> Mapping[str, object]:
        self.record.call("service_properties", json.loads(query)["PropertyTypes"])
        instances = [
            {"Id": name, "CredentialGuard": {"Cookie": f"cookie of {name}"}} for name in self.specs
        ]
        return {"Properties": [{"Instances": instances}]}


class System:
    def __init__(self, record: Record, document: Any) -> None:
        self.record = record
        self.document = document

    async def terminate(self) -> None:
        self.record.call("terminate")

    async def close(self) -> None:
        self.record.call("close")


REFUSED = ShimError("it is told to fail")
