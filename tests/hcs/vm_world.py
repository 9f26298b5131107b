"""A host for VMs without Windows: HCS, files, sockets and a guest that boots, all in memory."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar  # Any: parsed JSON documents
from uuid import UUID

from hcs.vm_guest_support import LINUX, WINDOWS, FakeAgent, Loop, Network, port_service
from hcs.vm_support import OWNER
from podshim.bundle import Bundle
from podshim.engines.hcs.assembly import Setting
from podshim.engines.hcs.layers import Drivers
from podshim.engines.hcs.timeouts import Timeouts
from podshim.engines.hcs.vm.host import Files, VmHost
from podshim.engines.hcs.vm.vsmb import Shared
from podshim.errors import NotFoundError, ShimError
from podshim.task.runhcs.host import VmRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from podshim.engine import Mount
    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.results import HcsError
    from podshim.engines.hcs.vm.guest.sockets import Listen

T = TypeVar("T")
Document = dict[str, Any]

VM_GUID = UUID("11111111-2222-4333-8444-555555555555")
WINDOWS_AGENT = UUID("acef5661-84a1-4e44-856b-6245e69f4620")
POLICY_AGENT = UUID("ae8da506-a019-4553-a52b-902bc0fa0411")
WINDOWS_LOG = UUID("172dad59-976d-45f2-8b6c-6d1b13f2ac4d")


class FakeVm:
    """A VM as HCS has it; `on_start` is what its guest does when it boots."""

    def __init__(self, world: World, system_id: str, document: Document) -> None:
        self.id = system_id
        self.document = document
        self.changes: list[Document] = []
        self.closed = False
        self.exit_error: HcsError | None = None
        self.ended = asyncio.Event()
        self._world = world

    async def start(self) -> None:
        self._world.log.append("start")
        if self._world.start_fails:
            raise ShimError("it does not start")
        self._world.boot()

    async def terminate(self) -> None:
        self._world.log.append("terminate")
        self.ended.set()

    async def wait(self) -> None:
        await self.ended.wait()

    async def properties(self, types: Sequence[str] = (), *, operation: str = "") -> Document:
        assert not types or operation.endswith("PropertiesV2")
        answer = self._world.properties
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def modify(self, settings: Mapping[str, Any] | str) -> None:
        text = settings if isinstance(settings, str) else json.dumps(settings)
        self.changes.append(json.loads(text))

    async def close(self) -> None:
        self._world.log.append("close")
        self.closed = True


class FakeService:
    """HCS."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def create_system(self, system_id: str, document: str) -> FakeVm:
        self._world.log.append("create")
        if self._world.create_fails:
            raise ShimError("hcs::CreateComputeSystem: no")
        self._world.system = FakeVm(self._world, system_id, json.loads(document))
        return self._world.system

    async def service_properties(self, query: str) -> Document:
        assert json.loads(query) == {"PropertyTypes": ["ProcessorTopology"]}
        return {"Properties": [{"LogicalProcessorCount": 4}]}

    async def modify_service(self, settings: str) -> None:
        raise AssertionError(settings)


class FakeThreads:
    """Threads that are none."""

    async def run(self, what: str, function: Callable[[], T]) -> T:
        assert what
        await asyncio.sleep(0)
        return function()


class FakeFiles(Files):
    """What Windows would do to files, remembered."""

    def __init__(self) -> None:
        self.granted: list[tuple[str, str]] = []
        self.redirected: list[tuple[UUID, UUID]] = []
        self.marked: list[str] = []

    def grant(self, vm_id: str, path: str) -> None:
        self.granted.append((vm_id, path))

    def grant_group(self, path: str) -> None:
        self.granted.append(("*", path))

    def mark_unformatted(self, path: str) -> None:
        self.marked.append(path)

    def redirect(self, system: UUID, vm: UUID) -> FakeFiles:
        self.redirected.append((system, vm))
        return self

    def close(self) -> None:
        self.redirected.pop()

    def vm_working_set(self, vm: UUID) -> int:
        assert vm == VM_GUID
        return 123456

    def look(self, path: str, build: int) -> Shared:
        assert build
        if "gone" in path:
            raise FileNotFoundError(2, "not there", path)
        return Shared(is_folder="." not in path.rpartition("\\")[2])


class FakeLayers:
    """What knows layers."""

    def id_of(self, name: str) -> UUID:
        return UUID(int=len(name))

    def create_scratch(self, layer: str, parents: object) -> None:
        assert layer
        assert parents  # names of files are Windows' there, and the disk of the test is not

    def activate(self, layer: str) -> None:
        raise AssertionError(layer)

    deactivate = unprepare = activate

    def prepare(self, layer: str, parents: object) -> None:
        raise AssertionError(layer, parents)

    def mount_path(self, layer: str) -> str:
        raise AssertionError(layer)


class FakeNetworks:
    """The host's networks: one namespace of two endpoints."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def namespace(self, namespace: str) -> Json:
        if namespace == "gone":
            raise NotFoundError("namespace")
        resources = [{"Type": "Endpoint", "Data": {"ID": name}} for name in ("e1", "e2")]
        return {"ID": namespace, "NamespaceId": 7, "Resources": resources}

    def endpoint(self, endpoint: str) -> Json:
        name = "pod_eth0" if endpoint == "e2" else "other"
        return {
            "ID": endpoint,
            "Name": name,
            "HostComputeNamespace": "ns",
            "MacAddress": f"00-{endpoint}",
        }

    def create_namespace(self) -> str:
        self.log.append("create")
        return "own"

    def add_endpoint(self, namespace: str, endpoint: str) -> None:
        self.log.append(f"add {endpoint} to {namespace}")

    def remove_endpoint(self, namespace: str, endpoint: str) -> None:
        self.log.append(f"remove {endpoint} from {namespace}")

    def delete_namespace(self, namespace: str) -> None:
        self.log.append(f"delete {namespace}")


@dataclass
class World:
    """A host, and what happens on it."""

    folder: Path
    network: Network = field(default_factory=Network)
    log: list[str] = field(default_factory=list)
    files: FakeFiles = field(default_factory=FakeFiles)
    networks: FakeNetworks = field(default_factory=FakeNetworks)
    system: FakeVm | None = None
    create_fails: bool = False
    start_fails: bool = False
    no_sockets: bool = False
    guest_boots: bool = True
    connect_limit: float = 30.0
    properties: Document | Exception = field(default_factory=lambda: {"RuntimeId": str(VM_GUID)})
    capabilities: Document | None = None
    agent: FakeAgent | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    entropy: bytes = b""
    guest_log: Loop | None = None
    booted: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def made(self) -> FakeVm:
        assert self.system is not None
        return self.system

    @property
    def there(self) -> FakeAgent:
        assert self.agent is not None
        return self.agent

    def host(self) -> VmHost:
        def spawn(work: Any, name: str) -> asyncio.Task[None]:
            return asyncio.create_task(work, name=name)

        timeouts = Timeouts(guest_connection=self.connect_limit, shutdown=5.0, terminate=5.0)
        return VmHost(
            setting=Setting("k8s.io", 20348, timeouts, spawn),
            owner=OWNER,
            program_folder=str(self.folder),
            service=FakeService(self),
            threads=FakeThreads(),
            processors=8,
            program_files=str(self.folder / "programs"),
            files=self.files,
            listening_for=self._listening_for,
            drivers=Drivers(layers=FakeLayers()),
            networks=self.networks,
            time_zone=lambda: {"Bias": -60},
        )

    def _listening_for(self, vm: UUID) -> Listen:
        assert vm == VM_GUID

        async def listen(service: UUID) -> Any:
            if self.no_sockets:
                raise OSError(10047, "no such family")
            return await self.network.listen(service)

        return listen

    def boot(self) -> None:
        self.booted.set()
        if self.guest_boots:
            self.tasks.append(asyncio.create_task(self._boot()))

    async def _boot(self) -> None:
        linux = port_service(1) in self.network.listeners
        if linux:
            stream = self.network.connect(port_service(1))
            while data := await stream.read(4096):
                self.entropy += data
            self.guest_log = self.network.connect(port_service(109))
            service = port_service(0x40000000)
        else:
            confidential = POLICY_AGENT in self.network.listeners
            service = POLICY_AGENT if confidential else WINDOWS_AGENT
            if WINDOWS_LOG in self.network.listeners:
                self.guest_log = self.network.connect(WINDOWS_LOG)
        capabilities = self.capabilities or (LINUX if linux else WINDOWS)
        self.agent = FakeAgent(self.network.connect(service), capabilities)
        self.agent.answers.update(self.answers)

    async def close(self) -> None:
        await asyncio.gather(*self.tasks)
        if self.agent is not None:
            await self.agent.close()
        assert self.network.listeners == {}

    def request(self, spec: Document, rootfs: tuple[Mount, ...] = ()) -> VmRequest:
        bundle = self.folder / "bundle"
        bundle.mkdir(exist_ok=True)
        return VmRequest("pod@vm", Bundle(str(bundle)), spec, rootfs)

    def linux_files(self) -> None:
        """Put a Linux guest's boot files where they are looked for."""
        boot = self.folder / "LinuxBootFiles"
        boot.mkdir()
        for name in ("kernel", "initrd.img"):
            (boot / name).write_text(name)

    def windows_layers(self) -> list[str]:
        """Make the layers of a Windows image, and the folders that name them."""
        files = self.folder / "base" / "UtilityVM" / "Files"
        files.mkdir(parents=True)
        (files.parent / "SystemTemplate.vhdx").write_text("template")
        scratch = self.folder / "scratch"
        scratch.mkdir()
        (scratch / "sandbox.vhdx").write_text("scratch")
        return [str(self.folder / "base"), str(scratch)]
