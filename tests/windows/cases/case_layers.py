"""Layers, final paths and whole creations over the stand-in: what Windows is asked, in order."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from ctypes import c_void_p
from pathlib import Path
from typing import Any

import pytest

assert sys.platform == "win32"

from podshim.bundle import Bundle  # noqa: E402 - after the line that tells where this runs
from podshim.engine import Mount  # noqa: E402
from podshim.engines.hcs import creation, layers, paths  # noqa: E402
from podshim.engines.hcs.layers.sources import BlockCim, ForkedCim, WcifsLayers  # noqa: E402
from podshim.engines.hcs.leftovers import Leftovers  # noqa: E402
from podshim.engines.hcs.operations import CallThreads  # noqa: E402
from podshim.errors import ShimError  # noqa: E402
from podshim.task.runhcs.host import ContainerRequest  # noqa: E402
from windows.cases import hcs as standin  # noqa: E402


@pytest.fixture
def threads() -> Iterator[CallThreads]:
    made = CallThreads()
    yield made
    made.close()


@pytest.fixture
def folders(tmp_path: Path) -> WcifsLayers:
    for name in ("base", "top", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "scratch" / "sandbox.vhdx").touch()
    return WcifsLayers(str(tmp_path / "scratch"), (str(tmp_path / "top"), str(tmp_path / "base")))


def calls() -> list[dict[str, Any]]:
    path = Path(os.environ["HCS_STANDIN_TRACE"])
    return [line for line in standin.trace(path) if line["what"] == "call"]


def names() -> list[str]:
    return [call["name"] for call in calls()]


MOUNTED = [
    "ActivateLayer",
    "NameToGuid",
    "NameToGuid",
    "PrepareLayer",
    "GetLayerMountPath",
    "GetLayerMountPath",
    "NameToGuid",
    "NameToGuid",
]


async def test_folders_are_mounted_as_the_original_does(
    folders: WcifsLayers, threads: CallThreads
) -> None:
    mounted = await layers.mount(folders, "c1", threads, Leftovers(), layers.Drivers())
    assert names() == MOUNTED
    listed = calls()[3]["arguments"]["Layers"]
    assert [(layer["Path"], layer["Id"].lower()) for layer in listed] == [
        (layer.path, layer.id) for layer in mounted.layers
    ]
    assert mounted.path.startswith("\\\\?\\Volume{")
    await mounted.release()
    assert names()[len(MOUNTED) :] == ["UnprepareLayer", "DeactivateLayer"]


async def test_a_scratch_disk_is_made(folders: WcifsLayers, threads: CallThreads) -> None:
    disk = Path(folders.scratch) / "sandbox.vhdx"
    disk.unlink()
    disk.parent.rmdir()
    mounted = await layers.mount(folders, "c1", threads, Leftovers(), layers.Drivers())
    assert disk.exists()
    assert names() == ["NameToGuid", "NameToGuid", "CreateSandboxLayer", *MOUNTED]
    await mounted.release()


async def test_a_disk_that_is_late_is_waited_for(
    tmp_path: Path, folders: WcifsLayers, threads: CallThreads
) -> None:
    fault = {"call": "PrepareLayer", "times": 2, "result": "0x80070015"}
    standin.configure(tmp_path, faults=[fault])
    pauses: list[float] = []
    mounted = await layers.mount(
        folders, "c1", threads, Leftovers(), layers.Drivers(sleep=pauses.append)
    )
    assert pauses == [0.1, 0.1]
    assert names().count("ActivateLayer") == 3
    assert names().count("DeactivateLayer") == 2
    await mounted.release()


async def test_layers_are_prepared_one_at_a_time(tmp_path: Path, threads: CallThreads) -> None:
    standin.configure(tmp_path, faults=[{"call": "PrepareLayer", "call_delay_ms": 100}])
    (tmp_path / "base").mkdir()

    async def mount(name: str) -> layers.Mounted:
        source = WcifsLayers(str(tmp_path / name), (str(tmp_path / "base"),))
        return await layers.mount(source, name, threads, Leftovers(), layers.Drivers())

    async with asyncio.TaskGroup() as group:
        mounting = [group.create_task(mount(name)) for name in ("s1", "s2", "s3")]
    for task in mounting:
        await task.result().release()
    lines = standin.trace(Path(os.environ["HCS_STANDIN_TRACE"]))
    prepared = {line["number"] for line in lines if line.get("name") == "PrepareLayer"}
    seen = [
        line["what"]
        for line in lines
        if (line["what"] == "call" and line["number"] in prepared) or line.get("call") in prepared
    ]
    assert seen == ["call", "return"] * 3


async def test_failures_are_told_in_windows_words(
    tmp_path: Path, folders: WcifsLayers, threads: CallThreads
) -> None:
    standin.configure(tmp_path, faults=[{"call": "PrepareLayer", "result": "0x80070005"}])
    with pytest.raises(ShimError) as caught:
        await layers.mount(folders, "c1", threads, Leftovers(), layers.Drivers())
    text = str(caught.value)
    assert text.startswith("hcsshim::PrepareLayer failed in Win32: ")
    assert text.endswith(" (0x5)")
    assert names()[-1] == "DeactivateLayer"


def volume_of(container: str) -> str:
    return str(uuid.uuid5(uuid.UUID("6827367b-c388-4e9b-961c-6d2c936c0000"), container))


async def test_an_image_is_mounted_below_a_filter(
    tmp_path: Path, folders: WcifsLayers, threads: CallThreads
) -> None:
    cims = tmp_path / "cims"
    cims.mkdir()
    (cims / "top.cim").touch()
    source = ForkedCim(folders.scratch, folders.parents, (str(cims / "top.cim"), "other"))
    mounted = await layers.mount(source, "c1", threads, Leftovers(), layers.Drivers())
    assert names() == [
        "CimMountImage",
        "ActivateLayer",
        "GetLayerMountPath",
        "GetLayerMountPath",
        "HcsAttachOverlayFilter",
    ]
    volume = volume_of("c1")
    assert calls()[0]["arguments"] == {
        "Images": [[str(cims), "top.cim"]],
        "Flags": 0,
        "Volume": volume,
    }
    assert json.loads(calls()[4]["document"]) == {
        "SchemaVersion": {},
        "Layers": [{"Id": volume, "Path": f"\\\\?\\Volume{{{volume}}}\\Files"}],
        "FilterType": "UnionFS",
    }
    await mounted.release()
    assert names()[5:] == ["HcsDetachOverlayFilter", "DeactivateLayer", "CimDismountImage"]
    detached = calls()[5]
    assert json.loads(detached["document"]) == {"SchemaVersion": {}, "FilterType": "UnionFS"}
    assert detached["arguments"]["Path"] == mounted.path


async def test_several_images_are_mounted_as_one(
    tmp_path: Path, folders: WcifsLayers, threads: CallThreads
) -> None:
    for name in ("merged", "a", "b"):
        (tmp_path / f"{name}.bcim").touch()
    cims = tuple(str(tmp_path / f"{name}.bcim" / f"{name}.cim") for name in ("a", "b"))
    merged = str(tmp_path / "merged.bcim" / "merged.cim")
    source = BlockCim(folders.scratch, cims, on_device=False, merged=merged)
    mounted = await layers.mount(source, "c2", threads, Leftovers(), layers.Drivers())
    assert calls()[0]["name"] == "CimMergeMountImage"
    assert calls()[0]["arguments"] == {
        "Images": [
            [str(tmp_path / f"{name}.bcim"), f"{name}.cim"] for name in ("merged", "a", "b")
        ],
        "Flags": 0x20,
        "Volume": volume_of("c2"),
    }
    await mounted.release()


async def test_an_image_that_is_not_there(folders: WcifsLayers, threads: CallThreads) -> None:
    source = ForkedCim(folders.scratch, folders.parents, ("C:\\none\\x.cim",))
    with pytest.raises(ShimError, match=r"^CimMountImage failed in Win32: .* \(0x2\)$"):
        await layers.mount(source, "c1", threads, Leftovers(), layers.Drivers())
    assert names() == ["CimMountImage"]


def test_a_folder_resolves_to_its_volume(tmp_path: Path) -> None:
    folder = tmp_path / "Some Folder"
    folder.mkdir()
    resolved = paths.resolve(str(folder))
    # Wine can't open what it tells here; what stands after the volume is the folder's path in it.
    volume, _, path = resolved.partition("}")
    assert volume.startswith("\\\\?\\Volume{")
    assert path.lower() == str(folder).partition(":")[2].lower()
    with pytest.raises(ShimError, match=r"^CreateFile .*none: "):
        paths.resolve(str(tmp_path / "none"))


class NoService:
    """HCS, of which nothing is asked here."""

    async def modify_service(self, settings: str) -> None:
        raise AssertionError(settings)

    async def service_properties(self, query: str) -> dict[str, object]:
        raise AssertionError(query)


class System:
    """A compute system of the stand-in."""

    def __init__(self, handle: c_void_p) -> None:
        self.handle = handle

    async def terminate(self) -> None:
        standin.terminate(self.handle)

    async def close(self) -> None:
        standin.core.HcsCloseComputeSystem(self.handle)


@pytest.fixture
def make(tmp_path: Path, threads: CallThreads) -> Callable[..., Any]:
    async def processors() -> int:
        return 2

    async def set_affinity(container_id: str, entries: Any) -> None:
        raise AssertionError(entries)

    async def create_system(container_id: str, document: str) -> System:
        (_, result, answer), handle = standin.create(container_id, document)
        if result:
            raise ShimError(f"0x{result:x} {answer}")
        return System(handle)

    async def create(name: str, spec: Any, *rootfs: Mount) -> creation.Created[System]:
        host = creation.Host(
            20348, "shim.exe", threads, Leftovers(), NoService(), processors, set_affinity
        )
        request = ContainerRequest(name, Bundle(str(tmp_path)), spec, tuple(rootfs))
        return await creation.create(host, request, create_system)

    return create


async def test_a_container_is_created_from_its_layers(
    tmp_path: Path, folders: WcifsLayers, make: Callable[..., Any], name: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    options = (f"parentLayerPaths={json.dumps(folders.parents)}", "rw")
    spec = {
        "hostname": "box",
        "mounts": [
            {"source": str(data), "destination": "C:\\data", "options": ["ro"]},
            {"source": "\\\\.\\pipe\\a", "destination": "\\\\.\\pipe\\b"},
        ],
        "windows": {"network": {}},
    }
    created = await make(name, spec, Mount("windows-layer", folders.scratch, options=options))
    asked = [call for call in calls() if call["name"] != "HcsCreateOperation"]
    order = [call["name"] for call in asked if not call["name"].startswith("HcsWait")]
    network = ["HcnCreateNamespace", "HcnQueryNamespaceProperties", "HcnCloseNamespace"]
    assert order[: len(network + MOUNTED) + 1] == [*network, *MOUNTED, "HcsCreateComputeSystem"]
    document = next(
        json.loads(call["document"]) for call in asked if call["name"] == "HcsCreateComputeSystem"
    )
    container = document["Container"]
    (mapped,) = container["MappedDirectories"]
    assert mapped["HostPath"].startswith("\\\\?\\Volume{")
    assert mapped["HostPath"].endswith("\\data")
    assert mapped["ReadOnly"] is True
    assert container["MappedPipes"] == [{"ContainerPipeName": "b", "HostPath": "\\\\.\\pipe\\a"}]
    assert [layer["Path"] for layer in container["Storage"]["Layers"]] == list(folders.parents)
    namespace = container["Networking"]["Namespace"]
    assert str(uuid.UUID(namespace)) == namespace.lower()
    await created.system.terminate()
    await created.system.close()
    before = len(calls())
    await created.resources.release()
    assert [call["name"] for call in calls()[before:]] == [
        "HNSCall",
        "UnprepareLayer",
        "DeactivateLayer",
    ]


async def test_a_creation_that_fails_leaves_nothing(
    tmp_path: Path, folders: WcifsLayers, make: Callable[..., Any], name: str
) -> None:
    fault = {"call": "HcsCreateComputeSystem", "result": "0x80070005", "stage": "completion"}
    standin.configure(tmp_path, faults=[fault])
    spec = {
        "windows": {"layerFolders": [*folders.parents, folders.scratch], "network": {}},
    }
    with pytest.raises(ShimError):
        await make(name, spec)
    after = names()[names().index("HcsCreateComputeSystem") :]
    released = [call for call in after if not call.startswith("Hcs")]
    assert released == ["HNSCall", "UnprepareLayer", "DeactivateLayer"]
