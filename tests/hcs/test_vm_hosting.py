"""Containers in VMs, on a host in memory: what the VM and its guest are told, and in what order."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from hcs.vm_support import VM
from hcs.vm_world import VM_GUID, Document, World
from podshim.bundle import Bundle
from podshim.engine import Mount, Stdio
from podshim.engines.hcs import vm
from podshim.engines.hcs.container import HcsContainer
from podshim.engines.hcs.documents.hosted_mounts import SMB_PREFIX
from podshim.engines.hcs.vm import drivers, linuxparts
from podshim.engines.hcs.vm.linuxparts import LinuxLayer, LinuxLayers
from podshim.engines.hcs.vm.machine import Vm
from podshim.engines.hcs.vm.scsi import Attachment
from podshim.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ShimError,
    UnimplementedError,
)
from podshim.hcsspec.reading import Member
from podshim.task.runhcs.host import ContainerRequest, HostCommand

GUID = UUID("99999999-8888-4777-8666-555555555555")
SANDBOX = {
    "io.kubernetes.cri.container-type": "sandbox",
    "io.kubernetes.cri.sandbox-id": "c1",
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.close()


@pytest.fixture
async def windows(world: World) -> AsyncIterator[Vm]:
    spec = {"windows": {"hyperv": {}, "layerFolders": world.windows_layers()}}
    made = await vm.create(world.host(), world.request(spec))
    await made.start()
    world.there.answers["GetProperties"] = {"Properties": json.dumps({"SystemGUID": str(GUID)})}
    forget(world)
    yield made
    await made.close()


@pytest.fixture
async def linux(world: World) -> AsyncIterator[Vm]:
    world.linux_files()
    spec: Document = {"linux": {}, "annotations": {VM + "devices.virtualpmem.maximumcount": "2"}}
    made = await vm.create(world.host(), world.request(spec))
    await made.start()
    forget(world)
    yield made
    await made.close()


def forget(world: World) -> None:
    world.there.requests.clear()
    world.made.changes.clear()
    world.files.granted.clear()


def request(
    world: World, spec: Document, rootfs: tuple[Mount, ...] = (), *, owns_vm: bool = False
) -> ContainerRequest:
    bundle = Bundle(str(world.folder / "bundle"))
    return ContainerRequest("c1", bundle, spec, rootfs, owns_vm=owns_vm)


def windows_spec(world: World, **members: object) -> Document:
    folders = [str(world.folder / "base"), str(world.folder / "scratch")]
    windows = {"hyperv": {}, "layerFolders": folders}
    spec: Document = {"process": {"args": ["cmd"]}, "windows": windows, **members}
    if "windows" in members:
        spec["windows"] = {**windows, **members["windows"]}  # type: ignore[dict-item]  # an object
    return spec


def guest_requests(world: World) -> list[Document]:
    return [
        asked["Request"]
        for asked in world.there.named("ModifySettings")
        if asked["ContainerId"].startswith("0000")
    ]


def document_of(world: World) -> Document:
    (created,) = world.there.named("Create")
    document: Document = json.loads(created["ContainerConfig"])
    return document


async def create(made: Vm, asked: ContainerRequest) -> HcsContainer:
    container = await made.create_container(asked)
    assert isinstance(container, HcsContainer)
    return container


async def end(world: World, container: HcsContainer) -> None:
    await world.there.end_container("c1")
    await container.delete()


async def test_a_windows_container(world: World, windows: Vm) -> None:
    container = await create(windows, request(world, windows_spec(world)))
    base, scratch = SMB_PREFIX + "s1", "c:\\mounts\\scsi\\m0"
    scratch_file = f"{world.folder / 'scratch'}\\sandbox.vhdx"
    assert world.files.granted == [("pod@vm", scratch_file)]
    share, disk = world.made.changes
    assert share["Settings"]["Path"] == str(world.folder / "base").replace("/", "\\")
    assert share["Settings"]["Options"]["TakeBackupPrivilege"] is True
    assert disk["Settings"] == {"Type": "VirtualDisk", "Path": scratch_file}
    layers = [{"Id": str(UUID(int=4)), "Path": base}]
    assert guest_requests(world)[1] == {
        "RequestType": "Add",
        "ResourceType": "CombinedLayers",
        "Settings": {"ContainerRootPath": scratch, "Layers": layers},
    }
    assert document_of(world)["Container"]["Storage"] == {"Layers": layers, "Path": scratch}
    assert world.files.redirected == [(GUID, VM_GUID)]
    forget(world)
    await end(world, container)
    assert [one["ResourceType"] for one in guest_requests(world)] == [
        "CombinedLayers",
        "MappedVirtualDisk",
    ]
    assert [one["RequestType"] for one in world.made.changes] == ["Remove"]  # the share stays
    assert world.files.redirected == []


async def test_processes_of_a_windows_container(world: World, windows: Vm) -> None:
    agent = world.there
    agent.answers["ExecuteProcess"] = {"ProcessId": 41}
    exits: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
    agent.answers["WaitForProcess"] = lambda _: exits
    container = await create(windows, request(world, windows_spec(world)))
    await container.init.start()
    assert container.init.pid == 41
    await agent.wait_for("WaitForProcess")
    assert [name for name, _ in agent.requests][-4:] == [
        "GetProperties",
        "Start",
        "ExecuteProcess",
        "WaitForProcess",
    ]
    parameters = json.loads(agent.named("ExecuteProcess")[0]["Settings"]["ProcessParameters"])
    assert parameters == {"CommandLine": "cmd"}
    further = await container.exec("e1", b'{"args":["ping"],"terminal":false}', Stdio())
    await further.start()
    await container.init.kill(15)
    await agent.wait_for("SignalProcess")
    assert agent.named("SignalProcess")[0]["Options"] == {"Signal": "CtrlShutdown"}
    exits.set_result({"ExitCode": 3})
    assert (await container.init.wait()).status == 3
    assert (await further.wait()).status == 3
    with pytest.raises(NotFoundError):
        await container.init.kill(9)
    agent.answers["ShutdownGraceful"] = lambda _: end_soon(world)
    await container.init_exited()
    await container.init.delete()
    await further.delete()
    await container.delete()


async def end_soon(world: World) -> Document:
    await world.there.end_container("c1")
    return {}


async def test_mounts_of_a_windows_container(world: World, windows: Vm) -> None:
    world.there.answers["ExecuteProcess"] = {"ProcessId": 5}
    mounts = [
        {"source": "C:\\data", "destination": "C:\\d", "options": ["ro"]},
        {"source": "C:\\x.vhdx", "destination": "C:\\x", "type": "virtual-disk"},
        {"source": "evd://k/p", "destination": "C:\\e", "type": "extensible-virtual-disk"},
        {"source": "sandbox:///box", "destination": "C:\\b"},
        {"source": "\\\\.\\pipe\\p", "destination": "\\\\.\\pipe\\q"},
    ]
    container = await create(windows, request(world, windows_spec(world, mounts=mounts)))
    section = document_of(world)["Container"]
    assert section["MappedDirectories"] == [
        {"HostPath": SMB_PREFIX + "s2", "ContainerPath": "C:\\d", "ReadOnly": True},
        {"HostPath": "C:\\SandboxMounts\\box", "ContainerPath": "C:\\b"},
        {"HostPath": "c:\\mounts\\scsi\\m1", "ContainerPath": "C:\\x"},
        {"HostPath": "c:\\mounts\\scsi\\m2", "ContainerPath": "C:\\e"},
    ]
    assert section["MappedPipes"] == [
        {"ContainerPipeName": "q", "HostPath": SMB_PREFIX + "IPC$\\p"}
    ]
    assert ("pod@vm", "C:\\x.vhdx") in world.files.granted
    pipe = {"ResourcePath": "VirtualMachine/Devices/MappedPipes/\\\\.\\pipe\\p"}
    assert {**pipe, "RequestType": "Add"} in world.made.changes
    (made,) = world.there.named("ExecuteProcess")
    parameters = json.loads(made["Settings"]["ProcessParameters"])
    assert parameters["CommandLine"] == (
        "cmd /c mkdir C:\\SandboxMounts\\box & dir C:\\SandboxMounts\\box"
    )
    assert parameters["User"] == "NT AUTHORITY\\SYSTEM"
    await end(world, container)
    assert {**pipe, "RequestType": "Remove"} in world.made.changes


async def test_a_folder_that_the_guest_can_not_make(world: World, windows: Vm) -> None:
    world.there.answers["WaitForProcess"] = {"ExitCode": 1}
    mounts = [{"source": "sandbox:///box", "destination": "C:\\b"}]
    with pytest.raises(ShimError, match="failed to create sandbox mount directory in utility VM"):
        await create(windows, request(world, windows_spec(world, mounts=mounts)))
    assert guest_requests(world)[-1]["RequestType"] == "Remove"


async def test_a_container_that_the_guest_refuses_leaves_nothing(world: World, windows: Vm) -> None:
    world.there.answers["Create"] = {"Result": 5, "ErrorMessage": "no"}
    with pytest.raises(ShimError) as caught:
        await create(windows, request(world, windows_spec(world)))
    assert str(caught.value) == "failed to create container c1: guest RPC failure: no"
    assert [one["RequestType"] for one in guest_requests(world)] == [
        "Add",
        "Add",
        "Remove",
        "Remove",
    ]
    assert windows.scsi.slot_of(windows_scratch(world)) is None
    del world.there.answers["Create"]
    await end(world, await create(windows, request(world, windows_spec(world))))


def windows_scratch(world: World) -> Attachment:
    return Attachment(f"{world.folder / 'scratch'}\\sandbox.vhdx")


async def test_a_container_whose_guid_is_not_told(world: World, windows: Vm) -> None:
    world.there.answers["GetProperties"] = {"Properties": "{}"}
    with pytest.raises(ShimError, match="the guest tells no GUID of container c1"):
        await create(windows, request(world, windows_spec(world)))
    assert len(world.there.named("ShutdownForced")) == 1


async def test_the_network_comes_with_the_first_container(world: World, windows: Vm) -> None:
    spec = windows_spec(world, windows={"network": {"networkNamespace": "ns"}})
    container = await create(windows, request(world, spec))
    assert document_of(world)["Container"]["Networking"] == {"Namespace": "ns"}
    assert not any("NetworkAdapters" in one["ResourcePath"] for one in world.made.changes)
    await end(world, container)
    forget(world)
    container = await create(windows, request(world, spec, owns_vm=True))
    adapters = [one for one in world.made.changes if "NetworkAdapters" in one["ResourcePath"]]
    assert len(adapters) == 2
    forget(world)
    await end(world, container)
    adapters = [one for one in world.made.changes if "NetworkAdapters" in one["ResourcePath"]]
    assert [one["RequestType"] for one in adapters] == ["Remove", "Remove"]


async def test_a_network_of_its_own(world: World, windows: Vm) -> None:
    spec = windows_spec(world, windows={"network": {"endpointList": ["e9"]}})
    container = await create(windows, request(world, spec, owns_vm=True))
    assert world.networks.log == ["create", "add e9 to own"]
    assert document_of(world)["Container"]["Networking"] == {"Namespace": "own"}
    await end(world, container)
    assert world.networks.log[2:] == ["remove e9 from own", "delete own"]


async def test_the_first_of_a_virtual_pod(world: World, linux: Vm) -> None:
    spec = linux_spec(world)
    spec["windows"]["network"] = {"networkNamespace": "ns"}
    spec["annotations"] = {"io.microsoft.cri.virtual-pod-id": "c1"}
    container = await create(linux, request(world, spec))
    assert [one for one in world.made.changes if "NetworkAdapters" in one["ResourcePath"]]
    await end(world, container)


async def test_what_no_windows_container_in_a_vm_is(world: World, windows: Vm) -> None:
    device = {"devices": [{"id": "PCI", "idType": "vpci-instance-id"}]}
    with pytest.raises(UnimplementedError, match="device PCI of type vpci-instance-id"):
        await create(windows, request(world, windows_spec(world, windows=device)))
    options = ('parentCimPaths=["a"]', "blockCIMType=file")
    spec = windows_spec(world)
    del spec["windows"]["layerFolders"]
    with pytest.raises(UnimplementedError, match="composite images"):
        await create(windows, request(world, spec, (Mount("BlockCIM", "s", options=options),)))
    assert world.there.requests == []
    assert world.made.changes == []


async def test_changing_a_windows_container(world: World, windows: Vm) -> None:
    container = await create(windows, request(world, windows_spec(world)))
    await container.update(b'{"memory":{"limit":3145728}}')
    await container.add_mount("C:\\more", "C:\\m", read_only=True)
    asked = [
        one["Request"] for one in world.there.named("ModifySettings") if one["ContainerId"] == "c1"
    ]
    assert asked == [
        {"ResourcePath": "Container/Memory/SizeInMB", "RequestType": "Update", "Settings": 4},
        {
            "ResourcePath": "Container/MappedDirectories",
            "RequestType": "Add",
            "Settings": {
                "HostPath": SMB_PREFIX + "s2",
                "ContainerPath": "C:\\m",
                "ReadOnly": True,
            },
        },
    ]
    for wrong in (b"[", b"[]"):
        with pytest.raises(InvalidArgumentError):
            await container.update(wrong)
    await end(world, container)


async def test_drivers(world: World, windows: Vm) -> None:
    folder = world.folder / "drivers"
    annotations = {VM + "kerneldrivers": str(folder)}
    spec = windows_spec(world, annotations=annotations)
    with pytest.raises(ShimError, match="failed to find path to drivers at "):
        await create(windows, request(world, spec))
    folder.mkdir()
    world.there.answers["WaitForProcess"] = {"ExitCode": 259}
    container = await create(windows, request(world, spec))
    ran = [
        json.loads(one["Settings"]["ProcessParameters"])["CommandLine"]
        for one in world.there.named("ExecuteProcess")
    ]
    assert len(ran) == 2  # before the devices are there, and after
    assert ran[0].startswith("cmd /c C:\\Windows\\System32\\pnputil.exe /add-driver ")
    await end(world, container)
    world.there.answers["WaitForProcess"] = {"ExitCode": 2}
    with pytest.raises(ShimError, match=r"failed to install driver .* in uvm with exit code 2"):
        await create(windows, request(world, spec))


def test_installers() -> None:
    assert drivers.windows_installer("\\\\s")[3:] == (
        "/add-driver",
        "\\\\s/*.inf",
        "/subdirs",
        "/install",
    )
    program, place, mounted = drivers.linux_installer("C:\\d.vhd", "/run/mounts/scsi/m0")
    assert (program, mounted) == ("/bin/install-drivers", "/run/mounts/scsi/m0")
    assert UUID(place.removeprefix("/run/drivers/")).version == 5


async def test_running_a_command_in_the_guest(world: World, windows: Vm) -> None:
    world.there.answers["WaitForProcess"] = {"ExitCode": 7}
    assert await windows.run(HostCommand(("ipconfig", "/all"))) == 7
    (made,) = world.there.named("ExecuteProcess")
    assert json.loads(made["Settings"]["ProcessParameters"]) == {
        "CommandLine": "ipconfig /all",
        "User": "NT AUTHORITY\\SYSTEM",
        "WorkingDirectory": "C:\\",
    }
    with pytest.raises(InvalidArgumentError, match="missing command"):
        await windows.run(HostCommand(()))


# --- Linux


def linux_spec(world: World, **members: object) -> Document:
    layers = world.folder / "layers"
    layers.mkdir(exist_ok=True)
    for name in ("top", "base"):
        (layers / f"{name}\\layer.vhd").write_bytes(b"x" * 5000)
    folders = [str(layers / "top"), str(layers / "base"), str(layers / "scratch")]
    return {
        "process": {"args": ["sh"]},
        "root": {},
        "linux": {},
        "windows": {"layerFolders": folders},
        **members,
    }


async def test_a_linux_container(world: World, linux: Vm) -> None:
    container = await create(linux, request(world, linux_spec(world)))
    base = "/run/gcs/c/c1"
    combined = guest_requests(world)[-1]
    assert combined == {
        "RequestType": "Add",
        "ResourceType": "CombinedLayers",
        "Settings": {
            "ContainerID": "c1",
            "ContainerRootPath": f"{base}/rootfs",
            "Layers": [
                {"Path": "/run/layers/p0-0-8192"},
                {"Path": "/run/layers/p0-1048576-8192"},
            ],
            "ScratchPath": f"{base}/scratch/c1",
        },
    }
    scratch = guest_requests(world)[-2]["Settings"]
    assert scratch == {"MountPath": base, "EnsureFilesystem": True, "Filesystem": "ext4"}
    document = document_of(world)
    assert document["OciBundlePath"] == base
    assert document["ScratchDirPath"] == f"{base}/scratch/c1"
    assert document["OciSpecification"]["root"] == {"path": f"{base}/rootfs"}
    forget(world)
    await end(world, container)
    assert [one["ResourceType"] for one in guest_requests(world)] == [
        "CombinedLayers",
        "MappedVirtualDisk",
        "SCSIDevice",
        "VPMemDevice",
        "VPMemDevice",
    ]


async def test_processes_of_a_linux_container(world: World, linux: Vm) -> None:
    agent = world.there
    agent.answers["ExecuteProcess"] = {"ProcessId": 41}
    agent.answers["WaitForProcess"] = lambda _: None
    container = await create(linux, request(world, linux_spec(world)))
    await container.init.start()
    further = await container.exec("e1", b'{"args":["ls"],"cwd":"/"}', Stdio())
    await further.start()
    init, other = [
        json.loads(one["Settings"]["ProcessParameters"]) for one in agent.named("ExecuteProcess")
    ]
    assert init == {}
    assert other["OciProcess"]["args"] == ["ls"]
    await container.kill(15, everyone=False)
    assert agent.named("SignalProcess")[0]["Options"] == {"Signal": 15}
    await container.update(b'{"pids":{"limit":5}}')
    assert agent.named("ModifySettings")[-1]["Request"] == {
        "RequestType": "Update",
        "ResourceType": "ContainerConstraints",
        "Settings": {"Windows": {}, "Linux": {"pids": {"limit": 5}}},
    }
    with pytest.raises(UnimplementedError):
        await container.add_mount("C:\\x", "/x", read_only=True)
    agent.answers["WaitForProcess"] = {"ExitCode": 0}
    await world.there.end_container("c1")
    await container.delete()


async def test_mounts_of_a_linux_container(world: World, linux: Vm) -> None:
    mounts = [
        {"source": "proc", "destination": "/proc", "type": "proc"},
        {"source": "C:\\data", "destination": "/d", "type": "bind", "options": ["ro"]},
        {"source": "C:\\one.txt", "destination": "/one", "type": "bind"},
        {"source": "C:\\x.vhdx", "destination": "/x", "type": "virtual-disk"},
    ]
    container = await create(linux, request(world, linux_spec(world, mounts=mounts)))
    made = document_of(world)["OciSpecification"]["mounts"]
    assert [(one["source"], one["type"]) for one in made] == [
        ("proc", "proc"),
        ("/run/gcs/c/c1/mounts/m1", "bind"),
        ("/run/gcs/c/c1/mounts/m2/one.txt", "bind"),
        ("/run/mounts/scsi/m1", "none"),
    ]
    await end(world, container)


async def test_devices_of_a_linux_container(world: World, linux: Vm) -> None:
    spec = linux_spec(world)
    spec["windows"]["devices"] = [{"id": "PCI\\X\\1", "idType": "gpu"}]
    container = await create(linux, request(world, spec))
    (change,) = [one for one in world.made.changes if "VirtualPci" in one["ResourcePath"]]
    assert change["Settings"] == {
        "Functions": [{"DeviceInstancePath": "PCI\\X", "VirtualFunction": 1}]
    }
    bus = change["ResourcePath"].rpartition("/")[2]
    devices = document_of(world)["OciSpecification"]["windows"]["devices"]
    assert devices == [{"id": bus, "idType": "gpu"}]
    await end(world, container)
    assert world.made.changes[-1]["RequestType"] == "Remove"
    spec["windows"]["devices"] = [{"id": "X", "idType": "class"}]
    with pytest.raises(ShimError, match="specified device X has unsupported type class"):
        await create(linux, request(world, spec))


async def test_a_sandbox_leaves_its_layers_to_the_end_of_its_vm(world: World, linux: Vm) -> None:
    spec = linux_spec(world, annotations=SANDBOX)
    container = await create(linux, request(world, spec, owns_vm=True))
    forget(world)
    await end(world, container)
    assert guest_requests(world) == []


async def test_layers_that_have_no_room_as_memory_are_disks(world: World, linux: Vm) -> None:
    layers = world.folder / "layers"
    layers.mkdir()
    big = layers / "big.vhd"
    with big.open("wb") as file:
        file.truncate(5 << 30)
    partitioned = json.dumps(
        [{"Path": str(big), "Partition": 0}, {"Path": str(big), "Partition": 2}]
    )
    options = (f"scratch={layers / 's.vhdx'}", f"parent-partitioned-layers={partitioned}")
    spec: Document = {"process": {"args": ["sh"]}, "linux": {}}
    mount = Mount("lcow-partitioned-layer", "x", options=options)
    container = await create(linux, request(world, spec, (mount,)))
    first, second = guest_requests(world)[:2]
    assert first["Settings"] == {
        "MountPath": "/run/mounts/scsi/m0",
        "ReadOnly": True,
        "Options": ["ro"],
    }
    assert second["Settings"]["Partition"] == 2
    await end(world, container)


async def test_layers_that_can_not_be_had_leave_nothing(world: World, linux: Vm) -> None:
    spec = linux_spec(world)
    spec["windows"]["layerFolders"][1] = str(world.folder / "gone")
    with pytest.raises(ShimError, match="failed to look at a layer"):
        await create(linux, request(world, spec))
    assert [one["RequestType"] for one in guest_requests(world)] == ["Add", "Remove"]


@pytest.mark.parametrize(
    ("rootfs", "windows_section", "expected"),
    [
        (
            (),
            {"layerFolders": ["C:\\top", "C:\\base", "C:\\s"]},
            LinuxLayers(
                (LinuxLayer("C:\\top\\layer.vhd"), LinuxLayer("C:\\base\\layer.vhd")),
                "C:\\s\\sandbox.vhdx",
            ),
        ),
        (
            (Mount("lcow-layer", "C:\\s", options=("rw", 'parentLayerPaths=["C:\\\\b"]')),),
            {},
            LinuxLayers((LinuxLayer("C:\\b\\layer.vhd"),), "C:\\s\\sandbox.vhdx"),
        ),
        (
            (
                Mount(
                    "lcow-partitioned-layer",
                    "",
                    options=(
                        "scratch=C:\\s.vhdx",
                        'parent-partitioned-layers=[{"Path":"C:\\\\b.vhd","Partition":3}]',
                    ),
                ),
            ),
            {},
            LinuxLayers((LinuxLayer("C:\\b.vhd", 3),), "C:\\s.vhdx"),
        ),
    ],
)
def test_layers_of_linux_containers(
    rootfs: tuple[Mount, ...], windows_section: Document, expected: LinuxLayers
) -> None:
    assert linuxparts.linux_layers_of(rootfs, Member(windows_section)) == expected


@pytest.mark.parametrize(
    ("rootfs", "error", "message"),
    [
        ((), FailedPreconditionError, "must pass either a rootfs mount or"),
        ((Mount("bind", "x"),), ShimError, "unrecognized rootfs mount type: bind"),
        (
            (Mount("lcow-partitioned-layer", "x", options=("rw",)),),
            ShimError,
            "unrecognized lcow-partitioned-layer mount option: rw",
        ),
        (
            (Mount("lcow-layer", "x", options=("parentLayerPaths=[",)),),
            InvalidArgumentError,
            "failed to unmarshal option `parentLayerPaths=`",
        ),
        (
            (Mount("lcow-layer", "x", options=("parentLayerPaths=[5]",)),),
            InvalidArgumentError,
            "must be a string",
        ),
    ],
)
def test_layers_of_no_linux_container(
    rootfs: tuple[Mount, ...], error: type[ShimError], message: str
) -> None:
    with pytest.raises(error, match=message):
        linuxparts.linux_layers_of(rootfs, Member({}))
