"""How a container is made and given back."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hcs.making_support import (
    REFUSED,
    Networks,
    Record,
    Service,
    System,
    Threads,
    drivers,
    id_of,
    win32,
)
from podshim.bundle import Bundle
from podshim.engine import Mount
from podshim.engines.hcs import creation
from podshim.engines.hcs.documents.limits import Affinity
from podshim.engines.hcs.hcn import MissingError
from podshim.engines.hcs.leftovers import Leftovers
from podshim.engines.hcs.resources import Resources
from podshim.errors import FailedPreconditionError, InvalidArgumentError, ShimError
from podshim.task.runhcs.host import ContainerRequest

VOLUME = "\\\\?\\Volume{6827367b-c388-4e9b-961c-6d2c936c00ff}"
E1, E2 = "endpoint-1", "endpoint-2"
SPEC: dict[str, Any] = {
    "mounts": [
        {"source": "C:\\data", "destination": "C:\\in", "options": ["ro"]},
        {"source": "\\\\.\\pipe\\p", "destination": "\\\\.\\pipe\\q"},
    ],
    "windows": {
        "layerFolders": ["C:\\layers\\base", ""],
        "network": {"endpointList": [E1, E2]},
        "credentialSpec": "{}",
        "resources": {"cpu": {"affinity": [{"mask": 3}]}},
    },
}
MADE = [
    "create_namespace", "add_endpoint", "add_endpoint",
    "id_of", "create_scratch", "activate", "id_of", "prepare", "mount_path", "id_of",
    "resolve",
    "AddInstance", "service_properties",
    "create_system",
    "set_affinity",
]  # fmt: skip
GIVEN_BACK = [
    "RemoveInstance",
    "remove_endpoint", "remove_endpoint", "delete_namespace",
    "unprepare", "deactivate",
]  # fmt: skip


class World:
    """A host whose parts write what is asked of them, and a request for a container."""

    def __init__(self, tmp_path: Path, spec: Any = None, **faults: Any) -> None:
        self.record = Record(**faults)
        self.systems: list[System] = []
        self.spec = json.loads(json.dumps(SPEC if spec is None else spec))
        folders = (self.spec.get("windows") or {}).get("layerFolders")
        if folders:
            folders[-1] = str(tmp_path / "scratch")
        self.request = ContainerRequest("c1", Bundle(str(tmp_path)), self.spec)
        self.host = creation.Host(
            build=20348,
            owner="shim.exe",
            threads=Threads(),
            leftovers=Leftovers(),
            service=Service(self.record),
            processors=self._processors,
            set_affinity=self._set_affinity,
            drivers=drivers(self.record),
            networks=Networks(self.record),
            resolve=self._resolve,
        )

    async def create(self) -> creation.Created[System]:
        return await creation.create(self.host, self.request, self._create_system)

    @property
    def document(self) -> Any:
        (system,) = self.systems
        return system.document

    async def _processors(self) -> int:
        return 4

    async def _set_affinity(self, container_id: str, entries: Sequence[Affinity]) -> None:
        self.record.call("set_affinity", container_id, list(entries))

    def _resolve(self, path: str) -> str:
        self.record.call("resolve", path)
        return "resolved " + path

    async def _create_system(self, container_id: str, document: str) -> System:
        self.record.call("create_system", container_id)
        self.systems.append(System(self.record, json.loads(document)))
        return self.systems[-1]


async def test_a_container_is_made_in_order_and_given_back_in_reverse(tmp_path: Path) -> None:
    world = World(tmp_path)
    created = await world.create()
    assert world.record.names == MADE
    assert world.record.calls[-1] == ("set_affinity", "c1", [Affinity(3, 0)])
    container = world.document["Container"]
    assert world.document["Owner"] == "shim.exe"
    assert container["Storage"] == {
        "Layers": [{"Id": str(id_of("base")), "Path": "C:\\layers\\base"}],
        "Path": VOLUME + "\\",
    }
    assert container["MappedDirectories"] == [
        {"HostPath": "resolved C:\\data", "ContainerPath": "C:\\in", "ReadOnly": True}
    ]
    assert container["MappedPipes"] == [{"ContainerPipeName": "q", "HostPath": "\\\\.\\pipe\\p"}]
    assert container["Networking"] == {"Namespace": Networks.id}
    assert container["ContainerCredentialGuard"] == {"Cookie": "cookie of c1"}
    world.record.calls.clear()
    await created.resources.release()
    await created.resources.release()
    assert world.record.names == GIVEN_BACK


@pytest.mark.parametrize("call", [name for name in MADE if name != "id_of"])
async def test_every_failure_gives_everything_back(tmp_path: Path, call: str) -> None:
    layer_calls = {"create_scratch", "activate", "prepare", "mount_path"}
    fault = win32(call, 5) if call in layer_calls else REFUSED
    world = World(tmp_path, **{call: fault})
    with pytest.raises(ShimError):
        await world.create()
    names = world.record.names
    counts = {name: names.count(name) for name in names}
    made_and_undone = [
        ("create_namespace", "delete_namespace"),
        ("activate", "deactivate"),
        ("prepare", "unprepare"),
        ("AddInstance", "RemoveInstance"),
    ]
    for made, undone in made_and_undone:
        succeeded = counts.get(made, 0) - (made == call)
        assert counts.get(undone, 0) == succeeded, (made, names)
    if call == "set_affinity":
        assert names[names.index(call) + 1 :][:2] == ["terminate", "close"]


async def test_a_second_endpoint_that_fails_leaves_no_first(tmp_path: Path) -> None:
    world = World(tmp_path, add_endpoint=[None, REFUSED])
    with pytest.raises(ShimError, match="it is told to fail"):
        await world.create()
    assert world.record.names == [
        "create_namespace",
        "add_endpoint",
        "add_endpoint",
        "remove_endpoint",
        "delete_namespace",
    ]


async def test_a_named_namespace_is_used_and_left_alone(tmp_path: Path) -> None:
    network = {"networkNamespace": "ns", "endpointList": [E1]}
    windows = {"layerFolders": ["b", "s"], "network": network}
    world = World(tmp_path, {"windows": windows})
    created = await world.create()
    await created.resources.release()
    assert world.document["Container"]["Networking"] == {"Namespace": "ns"}
    assert not [name for name in world.record.names if "namespace" in name or "endp" in name]


async def test_without_a_network_there_is_no_namespace(tmp_path: Path) -> None:
    world = World(tmp_path, {"windows": {"layerFolders": ["b", "s"]}})
    await world.create()
    assert "Networking" not in world.document["Container"]
    assert "create_namespace" not in world.record.names


async def test_what_is_gone_already_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = MissingError("Element not found.")
    world = World(tmp_path, remove_endpoint=[gone, gone], delete_namespace=gone)
    created = await world.create()
    with caplog.at_level(logging.WARNING):
        await created.resources.release()
    assert caplog.text.count("is gone already") == 3


async def test_an_endpoint_that_stays_does_not_keep_the_namespace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, remove_endpoint=REFUSED)
    created = await world.create()
    await created.resources.release()
    assert world.record.names[-6:] == GIVEN_BACK
    assert "endpoint endpoint-1 stays" in caplog.text


async def test_layers_are_unmounted_whatever_else_fails(tmp_path: Path) -> None:
    world = World(tmp_path, RemoveInstance=REFUSED, delete_namespace=REFUSED)
    created = await world.create()
    world.record.calls.clear()
    with pytest.raises(ShimError) as caught:
        await created.resources.release()
    assert str(caught.value) == "failed to release one or more container resources"
    assert world.record.names == GIVEN_BACK
    world.record.calls.clear()
    await created.resources.release()
    assert world.record.names == ["RemoveInstance", "delete_namespace"]


async def test_a_volume_of_somebody_else_is_not_mounted(tmp_path: Path) -> None:
    windows = {"layerFolders": ["C:\\layers\\base", "s"]}
    world = World(tmp_path, {"root": {"path": VOLUME}, "windows": windows})
    created = await world.create()
    assert world.record.names == ["id_of", "create_system"]
    storage = world.document["Container"]["Storage"]
    assert storage["Path"] == VOLUME + "\\"
    assert [layer["Path"] for layer in storage["Layers"]] == ["C:\\layers\\base"]
    await created.resources.release()
    assert world.record.names == ["id_of", "create_system"]


async def test_layers_of_somebody_elses_volume_that_windows_does_not_know(tmp_path: Path) -> None:
    windows = {"layerFolders": ["C:\\layers\\base", "s"]}
    world = World(tmp_path, {"root": {"path": VOLUME}, "windows": windows})
    world.record.faults["id_of"] = [win32("hcsshim::NameToGuid", 0x57)]
    with pytest.raises(
        ShimError, match=r"^failed to use pre-mounted container storage: hcs.*0x57\)$"
    ):
        await world.create()
    assert world.record.names == ["id_of"]


async def test_somebody_elses_volume_may_be_of_composite_images(tmp_path: Path) -> None:
    world = World(tmp_path, {"root": {"path": VOLUME}, "windows": {}})
    options = ('parentCimPaths=["C:\\\\a\\\\a.cim"]', "blockCIMType=file")
    world.request = replace(world.request, rootfs=(Mount("BlockCIM", "S", options=options),))
    await world.create()
    assert world.record.names == ["create_system"]
    identifier = VOLUME.removeprefix("\\\\?\\Volume{").removesuffix("}")
    assert world.document["Container"]["Storage"] == {
        "Layers": [{"Id": identifier, "Path": VOLUME + "\\"}],
        "Path": VOLUME + "\\",
    }


async def test_a_volume_needs_no_layers(tmp_path: Path) -> None:
    world = World(tmp_path, {"root": {"path": VOLUME}, "windows": {}})
    await world.create()
    assert world.document["Container"]["Storage"] == {"Path": VOLUME + "\\"}


async def test_composite_images_go_into_the_document_as_one_layer(tmp_path: Path) -> None:
    world = World(tmp_path, {"windows": {}})
    options = ('parentCimPaths=["C:\\\\a\\\\a.cim"]', "blockCIMType=file")
    world.request = replace(world.request, rootfs=(Mount("BlockCIM", "S", options=options),))
    await world.create()
    (layer,) = world.document["Container"]["Storage"]["Layers"]
    assert layer["Path"] == f"\\\\?\\Volume{{{layer['Id']}}}\\"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"windows": {"layerFolders": []}}, FailedPreconditionError),
        ({"mounts": [{"source": "C:\\x"}]}, ShimError),
        ({"root": {"readonly": True}}, ShimError),
        ({"root": {"path": "C:\\x"}}, ShimError),
        ({"hostname": 5}, InvalidArgumentError),
        ({"annotations": {"io.microsoft.container.wcow.gmsa.disable": "true"}}, ShimError),
        ({"annotations": {"io.microsoft.container.wcow.deviceextensions": "/none"}}, ShimError),
        (
            {"windows": {**SPEC["windows"], "resources": {"cpu": {"affinity": [{"mask": 0}]}}}},
            InvalidArgumentError,
        ),
        (
            {"windows": {**SPEC["windows"], "resources": {"cpu": {"count": 1, "shares": 1}}}},
            ShimError,
        ),
        ({"windows": {**SPEC["windows"], "devices": [{"id": "x", "idType": "y"}]}}, ShimError),
        ({"windows": {**SPEC["windows"], "network": 5}}, InvalidArgumentError),
    ],
)
async def test_what_can_not_be_right_is_refused_before_anything_is_touched(
    tmp_path: Path, change: Any, error: type[Exception]
) -> None:
    world = World(tmp_path, SPEC | change)
    with pytest.raises(error):
        await world.create()
    assert world.record.calls == []


async def test_a_mount_whose_source_is_not_there(tmp_path: Path) -> None:
    world = World(tmp_path, resolve=ShimError("CreateFile C:\\data: gone"))
    with pytest.raises(ShimError) as caught:
        await world.create()
    assert str(caught.value) == (
        'failed to resolve path for mount source "C:\\\\data": CreateFile C:\\data: gone'
    )


async def test_before_server_2019_there_is_the_first_schema(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.host = replace(world.host, build=16299)
    await world.create()
    assert world.document["SystemType"] == "Container"
    assert world.document["EndpointList"] == [E1, E2]
    assert world.document["Credentials"] == "{}"
    assert [folder["HostPath"] for folder in world.document["MappedDirectories"]] == ["C:\\data"]
    assert "resolve" in world.record.names
    assert "create_namespace" not in world.record.names
    assert "AddInstance" not in world.record.names


async def test_device_extensions_are_read(tmp_path: Path) -> None:
    key = "io.microsoft.container.wcow.deviceextensions"
    file = tmp_path / "extension.json"
    file.write_text('{"namespace":{"ob":{"shadow":"true"}}}')
    spec = {"windows": {"layerFolders": ["b", "s"]}, "annotations": {key: str(file)}}
    world = World(tmp_path, spec)
    await world.create()
    assert world.document["Container"]["AdditionalDeviceNamespace"] == {
        "device_extension": [{"namespace": {"ob": {"shadow": "true"}}}]
    }
    for broken in ("", "{", "[]", "5"):
        file.write_text(broken)
        world = World(tmp_path, spec)
        with pytest.raises(InvalidArgumentError):
            await world.create()


async def test_a_guard_that_is_refused_is_told(tmp_path: Path) -> None:
    world = World(tmp_path, AddInstance=REFUSED)
    told = "^failed to generate container credential guard instance: .*it is told to fail"
    with pytest.raises(ShimError, match=told):
        await world.create()
    assert "RemoveInstance" not in world.record.names


async def test_a_guard_that_can_not_be_found_is_removed(tmp_path: Path) -> None:
    world = World(tmp_path, service_properties=REFUSED)
    told = "^failed to retrieve container credential guard instances: .*it is told to fail"
    with pytest.raises(ShimError, match=told):
        await world.create()
    names = world.record.names
    assert names[names.index("service_properties") + 1] == "RemoveInstance"
    assert names.count("RemoveInstance") == 1


async def test_layers_alone_are_mounted_for_host_process_containers(tmp_path: Path) -> None:
    world = World(tmp_path)
    mounted = await creation.mount_layers(world.host, world.request)
    assert mounted.path == VOLUME
    await mounted.release()
    assert world.record.names[-2:] == ["unprepare", "deactivate"]


async def test_resources_go_in_reverse_order_and_layers_last() -> None:
    released: list[str] = []
    resources = Resources("c1")

    def adding(name: str) -> Any:
        async def release() -> None:
            released.append(name)

        return release

    resources.add("a", adding("a"))
    resources.add_layers(adding("layers"))
    resources.add("b", adding("b"))
    await resources.release()
    assert released == ["b", "a", "layers"]
