"""VMs from their creation to their end, on a host in memory."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hcs.vm_support import POLICY, VM, linux_spec
from hcs.vm_world import VM_GUID, Document, World
from podshim.engine import Mount
from podshim.engines.hcs import vm
from podshim.engines.hcs.results import HcsError
from podshim.engines.hcs.vm.machine import Vm
from podshim.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    ShimError,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.close()


def windows_spec(world: World, annotations: dict[str, str] | None = None) -> Document:
    return {
        "windows": {"hyperv": {}, "layerFolders": world.windows_layers()},
        "annotations": annotations or {},
    }


async def windows(world: World, annotations: dict[str, str] | None = None) -> Vm:
    return await vm.create(world.host(), world.request(windows_spec(world, annotations)))


async def linux(world: World, annotations: dict[str, str] | None = None) -> Vm:
    world.linux_files()
    return await vm.create(world.host(), world.request(linux_spec(annotations)))


# --- creation


async def test_a_windows_vm_is_created(world: World) -> None:
    made = await windows(world)
    assert (made.id, made.guest_os, made.processor_count) == ("pod@vm", "windows", 2)
    assert (made.signals_supported, made.host_process_supported) == (False, False)
    scratch = str(world.folder / "scratch" / "vm" / "sandbox.vhdx")
    assert world.files.granted == [("pod@vm", scratch)]
    assert Path(scratch).read_text() == "template"
    machine = world.made.document["VirtualMachine"]
    share = machine["Devices"]["VirtualSmb"]["Shares"][0]
    assert share["Path"] == str(world.folder / "base" / "UtilityVM" / "Files")
    assert {str(service)[:8] for service in world.network.listeners} == {"acef5661", "172dad59"}
    await made.close()
    await made.close()
    assert world.log == ["create", "terminate", "close"]


async def test_a_linux_vm_is_created(world: World) -> None:
    made = await linux(world)
    assert (made.guest_os, made.processor_count) == ("linux", 2)
    chipset = world.made.document["VirtualMachine"]["Chipset"]
    assert "nr_cpus=2" in chipset["LinuxKernelDirect"]["KernelCmdLine"]
    assert {str(service)[:8] for service in world.network.listeners} == {
        "00000001",
        "0000006d",
        "40000000",
    }
    await made.close()


async def test_hcs_refuses(world: World) -> None:
    world.create_fails = True
    with pytest.raises(ShimError) as caught:
        await windows(world)
    assert str(caught.value) == (
        "error while creating the compute system: hcs::CreateComputeSystem: no"
    )
    assert world.log == ["create"]


async def test_a_windows_without_hv_sockets(world: World) -> None:
    world.no_sockets = True
    with pytest.raises(ShimError, match=r"listen hvsock .*no such family"):
        await windows(world)
    assert world.log == ["create", "terminate", "close"]


async def test_a_vm_without_a_guid(world: World) -> None:
    world.properties = {"RuntimeId": 5}
    with pytest.raises(ShimError, match="HCS tells no GUID of the VM"):
        await windows(world)
    assert world.log == ["create", "terminate", "close"]


async def test_linux_boot_files_that_are_not_there(world: World) -> None:
    with pytest.raises(ShimError, match=r"kernel: '.*Linux Containers.kernel' not found"):
        await vm.create(world.host(), world.request(linux_spec()))
    assert world.log == []


@pytest.mark.parametrize(
    ("windows_section", "rootfs", "error", "message"),
    [
        ({}, (), FailedPreconditionError, "must pass either a rootfs mount"),
        ({"layerFolders": ["gone", "scratch"]}, (), ShimError, "utility VM folder could not be"),
        ({"layerFolders": 5}, (), InvalidArgumentError, "layerFolders must be a list"),
        (
            {},
            (Mount("BlockCIM", "s", options=('parentCimPaths=["a"]', "blockCIMType=file")),),
            ShimError,
            "hyperv isolation is not supported with block CIM layers yet",
        ),
        (
            {},
            (Mount("CimFS", "s", options=('parentCimPaths=["a"]', 'parentLayerPaths=["b"]')),),
            ShimError,
            "unsupported layer format for UVM boot",
        ),
    ],
)
async def test_layers_that_no_vm_boots_from(
    world: World,
    windows_section: Document,
    rootfs: tuple[Mount, ...],
    error: type[ShimError],
    message: str,
) -> None:
    spec = {"windows": {"hyperv": {}, **windows_section}}
    with pytest.raises(error, match=message):
        await vm.create(world.host(), world.request(spec, rootfs))
    assert world.log == []


async def test_confidential_windows_wants_block_cims(world: World) -> None:
    with pytest.raises(ShimError, match="only works with block CIM based layers"):
        await windows(world, {VM + "wcow.securitypolicy": POLICY})


async def test_a_confidential_windows_vm(world: World) -> None:
    boot = world.folder / "WindowsBootFiles" / "confidential"
    boot.mkdir(parents=True)
    for name in ("boot.vhd", "rootfs.vhd", "cwcow.snp.vmgs", "reference_info.cose"):
        (boot / name).write_text(name)
    scratch = world.folder / "scratch"
    scratch.mkdir()
    spec = {
        "windows": {"hyperv": {}},
        "annotations": {
            VM + "wcow.securitypolicy": POLICY,
            # Names of files are Windows' here, and the test's disk is not.
            VM + "bootfilesrootpath": str(boot),
            VM + "wcow.gueststatefile": str(boot / "cwcow.snp.vmgs"),
            VM + "wcow.uvm-reference-info-file": str(boot / "reference_info.cose"),
            VM + "uvm-hash-envelope-reference-info-file": str(boot / "gone"),
        },
    }
    options = ('parentCimPaths=["a"]', "blockCIMType=file")
    mount = Mount("BlockCIM", str(scratch), options=options)
    made = await vm.create(world.host(), world.request(spec, (mount,)))
    assert world.files.marked == [str(scratch / "sandbox.vhdx")]
    assert len(world.files.granted) == 5
    state = world.made.document["VirtualMachine"]["GuestState"]["GuestStateFilePath"]
    assert state == str(scratch / "cwcow.snp.vmgs")
    await made.start()
    (policy,) = [
        asked["Request"]
        for asked in world.there.named("ModifySettings")
        if asked["Request"]["ResourceType"] == "SecurityPolicy"
    ]
    assert policy["Settings"] == {
        "EncodedSecurityPolicy": POLICY,
        "EncodedUVMReference": "cmVmZXJlbmNlX2luZm8uY29zZQ==",
    }
    await made.close()


async def test_a_confidential_linux_vm(world: World) -> None:
    boot = world.folder / "LinuxBootFiles"
    boot.mkdir()
    for name in ("kernel.vmgs", "rootfs.vhd"):
        (boot / name).write_text(name)
    spec = linux_spec({VM + "lcow.securitypolicy": POLICY})
    made = await vm.create(world.host(), world.request(spec))
    bundle = world.folder / "bundle"
    assert {path.name for path in bundle.iterdir()} == {"kernel.vmgs", "rootfs.vhd"}
    assert {path for whose, path in world.files.granted if whose == "*"} == {
        str(bundle / "kernel.vmgs"),
        str(bundle / "rootfs.vhd"),
    }
    await made.start()
    await made.close()
    assert {path.name for path in bundle.iterdir()} == {"rootfs.vhd"}


async def test_a_confidential_linux_vm_that_hcs_refuses_leaves_no_state(world: World) -> None:
    boot = world.folder / "LinuxBootFiles"
    boot.mkdir()
    for name in ("kernel.vmgs", "rootfs.vhd"):
        (boot / name).write_text(name)
    world.create_fails = True
    with pytest.raises(ShimError, match="error while creating the compute system"):
        await vm.create(
            world.host(), world.request(linux_spec({VM + "lcow.securitypolicy": POLICY}))
        )
    assert not (world.folder / "bundle" / "kernel.vmgs").exists()


# --- start


async def test_a_windows_vm_starts(world: World) -> None:
    made = await windows(world)
    await made.start()
    assert (made.signals_supported, made.host_process_supported) == (True, True)
    agent = world.there
    assert [name for name, _ in agent.requests] == [
        "NegotiateProtocol",
        "Create",
        "Start",
        "ModifySettings",
    ]
    assert agent.named("Create")[0]["ContainerConfig"] == (
        '{"SystemType":"Container","TimeZoneInformation":{"Bias":-60}}'
    )
    assert agent.named("ModifySettings")[0]["Request"] == {
        "RequestType": "Update",
        "ResourceType": "HvSocket",
        "Settings": {
            "LocalAddress": str(VM_GUID),
            "ParentAddress": "894cc2d6-9d79-424f-93fe-42969ae6d8d1",
        },
    }
    await made.close()
    await made.wait()
    assert world.log == ["create", "start", "terminate", "close"]


async def test_a_windows_vm_in_utc(world: World) -> None:
    made = await windows(world, {VM + "wcow.timezone.noinherit": "true"})
    await made.start()
    assert "Coordinated Universal Time" in world.there.named("Create")[0]["ContainerConfig"]
    await made.close()


class Heard(logging.Handler):
    """Waits for a record of the log."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self.wanted = wanted
        self.heard = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.wanted in record.getMessage():
            self.heard.set()


async def test_a_linux_vm_starts(world: World) -> None:
    made = await linux(world)
    handler = Heard("hello from within")
    logging.getLogger("podshim").addHandler(handler)
    try:
        await made.start()
        assert len(world.entropy) == 512
        assert [name for name, _ in world.there.requests] == ["NegotiateProtocol"]
        assert world.guest_log is not None
        await world.guest_log.write(b'{"level":"warning","msg":"hello from within"}\n')
        async with asyncio.timeout(10):
            await handler.heard.wait()
    finally:
        logging.getLogger("podshim").removeHandler(handler)
    await made.close()


async def test_logs_are_forwarded_where_the_guest_can(world: World) -> None:
    capabilities = {"GuestDefinedCapabilities": {"LogForwardingSupported": True}}
    world.capabilities = capabilities
    made = await windows(world)
    await made.start()
    asked = [one["Settings"]["RPCType"] for one in world.there.named("ModifyServiceSettings")]
    assert asked == ["ModifyServiceSettings", "StartLogForwarding"]
    await made.close()


async def test_a_guest_that_refuses_to_forward_logs_lives(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.capabilities = {"GuestDefinedCapabilities": {"LogForwardingSupported": True}}
    world.answers = {"ModifyServiceSettings": {"Result": 5, "ErrorMessage": "no"}}
    made = await windows(world)
    with caplog.at_level(logging.WARNING):
        await made.start()
    assert "its guest does not forward logs: guest RPC failure: no" in caplog.text
    await made.close()


async def test_a_start_that_hcs_refuses(world: World) -> None:
    made = await windows(world)
    world.start_fails = True
    with pytest.raises(ShimError, match="it does not start"):
        await made.start()
    await made.close()
    assert world.log == ["create", "start", "terminate", "terminate", "close"]


async def test_a_guest_that_never_connects(world: World) -> None:
    world.guest_boots, world.connect_limit = False, 0.05
    made = await linux(world)
    with pytest.raises(DeadlineExceededError, match="the guest of VM pod@vm did not connect"):
        await made.start()
    await made.close()


async def test_a_vm_that_ends_while_it_boots(world: World) -> None:
    world.guest_boots = False
    made = await windows(world)
    starting = asyncio.ensure_future(made.start())
    await world.booted.wait()
    world.made.exit_error = HcsError("hcs::System::waitBackground", "pod@vm", 0, reason="crashed")
    world.made.ended.set()
    with pytest.raises(ShimError, match="crashed"):
        await starting
    await made.close()


async def test_a_guest_that_refuses_its_setup(world: World) -> None:
    world.answers = {"ModifySettings": {"Result": 5, "ErrorMessage": "no"}}
    made = await windows(world)
    with pytest.raises(ShimError) as caught:
        await made.start()
    assert str(caught.value) == (
        "failed to do initial GCS setup: failed to configure HVSOCK for external GCS:"
        " guest RPC failure: no"
    )
    await made.close()


async def test_the_end_of_a_vm_is_heard(world: World) -> None:
    made = await windows(world)
    await made.start()
    waiting = asyncio.ensure_future(made.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    world.made.ended.set()
    await waiting
    await made.close()


async def test_before_the_start_there_is_no_guest(world: World) -> None:
    made = await windows(world)
    with pytest.raises(FailedPreconditionError, match="VM pod@vm is not started"):
        await made.stacks()
    with pytest.raises(ShimError, match="no network setup present for UVM"):
        await made.set_up_network("ns")
    await made.close()


# --- what a VM is asked for


@pytest.fixture
async def started(world: World) -> AsyncIterator[Vm]:
    made = await windows(world)
    await made.start()
    world.there.requests.clear()
    yield made
    await made.close()


@pytest.fixture
async def started_linux(world: World) -> AsyncIterator[Vm]:
    made = await linux(world)
    await made.start()
    world.there.requests.clear()
    yield made
    await made.close()


def guest_requests(world: World) -> list[Document]:
    return [asked["Request"] for asked in world.there.named("ModifySettings")]


async def test_limits_of_a_windows_vm(world: World, started: Vm) -> None:
    resources = b'{"memory":{"limit":1610612736},"cpu":{"maximum":5000,"shares":3}}'
    group = {VM + "cpugroup.id": "g"}
    await started.update(resources, group)
    topology = "VirtualMachine/ComputeTopology/"
    assert world.made.changes == [
        {"ResourcePath": topology + "Memory/SizeInMB", "Settings": 1536},
        {
            "ResourcePath": topology + "Processor/Limits",
            "Settings": {"Limit": 5000, "Weight": 3},
        },
        {"ResourcePath": topology + "Processor/CpuGroup", "Settings": {"Id": "g"}},
    ]
    with pytest.raises(ShimError, match="must specify an ID to use when configuring a VM's"):
        await started.update(b"{}", {VM + "cpugroup.id": ""})
    for wrong in (b"[", b"[]", b'{"memory":{"limit":"x"}}'):
        with pytest.raises(InvalidArgumentError):
            await started.update(wrong, {})


async def test_limits_of_a_linux_vm(world: World, started_linux: Vm) -> None:
    await started_linux.update(b'{"memory":{"limit":1048577},"cpu":{"quota":-1,"shares":9}}', {})
    assert [one["Settings"] for one in world.made.changes] == [2, {"Weight": 9}]
    assert guest_requests(world) == [
        {"RequestType": "Update", "ResourceType": "PodCgroupMemoryLimit"}
    ]
    await started_linux.update(b'{"memory":{}}', {})
    assert len(world.made.changes) == 2


async def test_statistics(world: World, started: Vm) -> None:
    told: Document = {
        "Statistics": {"Processor": {"TotalRuntime100ns": 7}},
        "Memory": {"VirtualNodeCount": 1, "VirtualMachineMemory": {"AssignedMemory": 10}},
    }
    world.properties = told
    measured = await started.statistics()
    assert measured is not None
    assert measured.processor.total_runtime_ns == 700
    assert measured.memory.working_set_bytes == 123456
    assert measured.memory.vm_memory.assigned_memory == 10
    world.properties = HcsError("hcs::System::PropertiesV2", "pod@vm", 0x8037010E)
    assert await started.statistics() is None
    world.properties = HcsError("hcs::System::PropertiesV2", "pod@vm", 0x80004005)
    with pytest.raises(HcsError):
        await started.statistics()


async def test_statistics_of_physical_memory(world: World) -> None:
    made = await windows(world, {VM + "fullyphysicallybacked": "true"})
    world.properties = {"Memory": {"VirtualMachineMemory": {"AssignedMemory": 10}}}
    measured = await made.statistics()
    assert measured is not None
    assert measured.memory.working_set_bytes == 40960
    await made.close()


async def test_policy_fragments(world: World, started: Vm) -> None:
    await started.add_policy_fragment("Zm9v", "")
    assert guest_requests(world) == [
        {
            "RequestType": "Add",
            "ResourceType": "SecurityPolicyFragment",
            "Settings": {"Fragment": "Zm9v"},
        }
    ]


async def test_sharing_with_a_windows_guest(world: World, started: Vm) -> None:
    await started.share("C:\\data", "C:\\in", read_only=True)
    (change,) = world.made.changes
    assert change["Settings"]["Path"] == "C:\\data"
    (told,) = guest_requests(world)
    assert told["ResourceType"] == "MappedDirectory"
    assert told["Settings"]["ContainerPath"] == "C:\\in"
    assert told["Settings"]["ReadOnly"] is True
    with pytest.raises(ShimError, match=r"can't share C:.gone"):
        await started.share("C:\\gone", "C:\\in", read_only=False)


async def test_sharing_with_a_linux_guest(world: World, started_linux: Vm) -> None:
    await started_linux.share("C:\\data\\one.txt", "/in", read_only=False)
    (change,) = world.made.changes
    assert change["Settings"]["Path"] == "C:\\data"
    assert change["Settings"]["AllowedFiles"] == ["one.txt"]
    with pytest.raises(ShimError, match=r"could not open 'C:.gone' path on host"):
        await started_linux.share("C:\\gone", "/in", read_only=False)


async def test_stacks_and_state(world: World, started: Vm, tmp_path: Path) -> None:
    world.there.answers["DumpStacks"] = {"GuestStacks": "main"}
    assert await started.stacks() == "main"
    await started.forget_container("c")
    assert world.there.named("DeleteContainerState") == []  # this guest keeps none
    assert tmp_path == world.folder


async def test_forgetting_a_container(world: World, started_linux: Vm) -> None:
    await started_linux.forget_container("c")
    assert world.there.named("DeleteContainerState")[0]["ContainerId"] == "c"


async def test_a_network_comes_and_goes(world: World, started: Vm) -> None:
    await started.set_up_network("ns")
    kinds = [one["ResourceType"] for one in guest_requests(world)]
    assert kinds == ["NetworkNamespace", "Network", "Network", "Network", "Network"]
    assert [one["Settings"]["EndpointId"] for one in world.made.changes] == ["e2", "e1"]
    await started.tear_down_network("ns")
    assert [one["RequestType"] for one in world.made.changes] == ["Add"] * 2 + ["Remove"] * 2
    with pytest.raises(ShimError, match='Namespace ID "gone" not found'):
        await started.set_up_network("gone")
