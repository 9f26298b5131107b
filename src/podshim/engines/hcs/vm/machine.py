"""A utility VM: what it is to the task layer, and to the containers in it.

Theory of operation. `making` made it; `start` boots it and connects to its guest, and then there
are those who give it things: disks, shares, devices, a network. One task watches for its end,
however that comes. `close` ends it, and gives back what was made for it, once; what it was given
goes with it. A VM that fails to start is ended before the failure is told.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from typing import TYPE_CHECKING

from podshim.api.runhcs_stats_pb2 import (
    VirtualMachineMemoryStatistics,
    VirtualMachineProcessorStatistics,
    VirtualMachineStatistics,
)
from podshim.engines.hcs import results
from podshim.engines.hcs.documents import modify, properties
from podshim.engines.hcs.documents.modify import guest_request
from podshim.engines.hcs.results import HcsError
from podshim.engines.hcs.vm import bootfiles, command, updates
from podshim.engines.hcs.vm.booting import Boot
from podshim.engines.hcs.vm.modify import Modifier
from podshim.engines.hcs.vm.ncproxy import ComputeAgent, ProxiedNetwork
from podshim.engines.hcs.vm.network import HostLookup, VmNetwork
from podshim.engines.hcs.vm.options import LcowOptions, RootFs, WcowOptions
from podshim.engines.hcs.vm.pci import PciManager
from podshim.engines.hcs.vm.plan9 import Plan9Manager
from podshim.engines.hcs.vm.scsi import ScsiManager
from podshim.engines.hcs.vm.vpmem import VpmemManager
from podshim.engines.hcs.vm.vsmb import VsmbManager
from podshim.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    ShimError,
)
from podshim.hcsspec import table
from podshim.hcsspec.reading import Member
from podshim.task.runhcs.host import UtilityVM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.engines.hcs.vm.guest.connection import Guest
    from podshim.engines.hcs.vm.host import VmHost
    from podshim.engines.hcs.vm.making import Made
    from podshim.engines.hcs.vm.vsmb import Shared
    from podshim.task.runhcs.host import ContainerRequest, HostCommand, WindowsContainer

_log = logging.getLogger(__name__)

_PAGE = 4096


class Vm(UtilityVM):
    """A utility VM; made by `podshim.engines.hcs.vm.create`.

    Args:
        host: Where it lives.
        made: What was made; owned from now on.
    """

    def __init__(self, host: VmHost, made: Made) -> None:
        blueprint = made.blueprint
        options = blueprint.options
        self.host = host
        self.options = options
        self.id = options.id
        self.guest_os = "linux" if isinstance(options, LcowOptions) else "windows"
        self.processor_count = min(options.processor_count, blueprint.facts.processors)
        self.system = made.system
        self.vm = made.vm
        self.modifier = Modifier(made.system)
        #: Held while a container is created in a confidential VM, which bears one at a time.
        self.creating = asyncio.Lock()
        self._made = made
        self._guest: Guest | None = None
        self._network: VmNetwork | None = None
        self._proxied: ProxiedNetwork | None = None
        self._ended = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._boot = Boot(host, made, self._ended)
        self._watch = asyncio.create_task(self._watch_end(), name=f"vm-{self.id}")
        windows, modifier, build = self.windows, self.modifier, host.setting.build
        linux = isinstance(options, LcowOptions)
        controllers = options.controllers if isinstance(options, LcowOptions) else 1
        self.scsi = ScsiManager(
            modifier, windows=windows, controllers=controllers, reserved=blueprint.reserved
        )
        self.pci = PciManager(modifier, build, windows=windows, present_from_start=blueprint.buses)
        self.plan9 = Plan9Manager(modifier, build, no_writable=options.no_writable_shares)
        no_direct_map = isinstance(options, WcowOptions) and options.no_direct_map
        self.vsmb = VsmbManager(
            modifier,
            self._look,
            no_direct_map=no_direct_map or options.fully_physically_backed,
            no_writable=options.no_writable_shares,
        )
        self.vpmem = _vpmem(modifier, options) if linux else None

    @property
    def windows(self) -> bool:
        """Whether its guest is a Windows."""
        return self.guest_os == "windows"

    @property
    def guest(self) -> Guest:
        """Its guest.

        Raises:
            FailedPreconditionError: It is not connected.
        """
        if self._guest is None:
            raise FailedPreconditionError(f"VM {self.id} is not started")
        return self._guest

    @property
    def signals_supported(self) -> bool:  # type: ignore[override]  # known once it is started
        """Whether its guest delivers signals."""
        return self._guest is not None and self._guest.capabilities.signals

    @property
    def host_process_supported(self) -> bool:  # type: ignore[override]  # likewise
        """Whether its guest runs HostProcess containers."""
        return self._guest is not None and self._guest.capabilities.host_process

    async def start(self) -> None:
        """Boot it and connect to its guest; after a failure it has ended.

        Raises:
            DeadlineExceededError: The guest did not connect in time.
            ShimError: It can't be started, or its guest refuses.
        """
        try:
            async with asyncio.timeout(self.host.setting.timeouts.guest_connection):
                guest = await self._boot.run()
        except BaseException as error:
            await self._end()
            if isinstance(error, TimeoutError):
                raise DeadlineExceededError(f"the guest of VM {self.id} did not connect") from error
            raise
        self._guest = self.modifier.guest = guest
        routing = isinstance(self.options, LcowOptions) and self.options.policy_based_routing
        self._network = VmNetwork(
            self.modifier,
            HostLookup(self.host.networks, self.host.threads),
            windows=self.windows,
            namespaces=guest.capabilities.namespaces,
            policy_based_routing=routing,
        )
        if self.options.network_proxy:
            self._proxied = self._behind_proxy(self._network)

    async def wait(self) -> None:
        """Wait until it has ended, however that comes."""
        await self._ended.wait()

    async def close(self) -> None:
        """End it and free what it holds; any number of calls."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name=f"close-vm-{self.id}")
        await asyncio.shield(self._closing)

    async def create_container(self, request: ContainerRequest) -> WindowsContainer:
        """Create a container in it; see `WindowsEngine.create_container`.

        Raises:
            ShimError: It can't be created; nothing of it is left.
        """
        from podshim.engines.hcs.vm.hosting import create

        return await create(self, request)

    async def set_up_network(self, namespace_id: str) -> None:
        """Give the guest the endpoints of a network namespace.

        Raises:
            ShimError: They can't be given.
        """
        if self._proxied is not None:
            await self._proxied.set_up(namespace_id)
        else:
            await self.network.set_up(namespace_id)

    async def tear_down_network(self, namespace_id: str) -> None:
        """Take them away again.

        Raises:
            ShimError: They can't be taken away.
        """
        if self._proxied is not None:
            await self._proxied.tear_down()
        else:
            await self.network.tear_down(namespace_id)

    @property
    def network(self) -> VmNetwork:
        """Its network.

        Raises:
            ShimError: It is not started.
        """
        if self._network is None:
            raise ShimError("no network setup present for UVM")
        return self._network

    async def update(self, resources: bytes, annotations: Mapping[str, str]) -> None:
        """Change its limits; a CPU group is named by an annotation.

        Raises:
            InvalidArgumentError: `resources` is no object of its platform.
            UnimplementedError: This Windows can't change that.
            ShimError: HCS or the guest refuses.
        """
        try:
            parsed = json.loads(resources)
        except (ValueError, RecursionError) as error:
            raise InvalidArgumentError(f"resources are no JSON: {error}") from None
        wanted = Member(parsed, document="resources")
        build = self.host.setting.build
        for request in updates.vm_requests(wanted, linux=not self.windows, build=build):
            await self.modifier.both(request)
        if table.CPU_GROUP.key in annotations:
            await self.set_cpu_group(annotations[table.CPU_GROUP.key])

    async def set_cpu_group(self, group_id: str) -> None:
        """Put it into a CPU group of the host.

        Raises:
            ShimError: No group is named, or HCS refuses.
        """
        await self.modifier.host(modify.vm_cpu_group(group_id))

    async def add_policy_fragment(self, fragment: str, media_type: str) -> None:
        """Hand the guest a fragment of a security policy.

        Raises:
            ShimError: It refuses.
        """
        settings = {"Fragment": fragment, "MediaType": media_type}
        told = {name: value for name, value in settings.items() if value}
        await self.modifier.inside(guest_request("SecurityPolicyFragment", "Add", told))

    async def statistics(self) -> VirtualMachineStatistics | None:
        """Measure it; None if it is not there any more or does not tell.

        Raises:
            ShimError: Any other reason.
        """
        kinds = [properties.STATISTICS, properties.MEMORY]
        try:
            told = await self.system.properties(kinds, operation="hcs::System::PropertiesV2")
        except HcsError as error:
            if results.is_out_of_reach(error.result):
                return None
            raise
        runtime = properties.total_runtime_ns(told) or 0
        memory = properties.vm_memory(told) or VirtualMachineMemoryStatistics()
        if self.options.overcommit:
            call, vm = self.host.files.vm_working_set, self.vm
            memory.working_set_bytes = await self.host.run("measure the VM's memory", call, vm)
        else:
            memory.working_set_bytes = memory.vm_memory.assigned_memory * _PAGE
        return VirtualMachineStatistics(
            processor=VirtualMachineProcessorStatistics(total_runtime_ns=runtime), memory=memory
        )

    async def run(self, command_: HostCommand) -> int:
        """Run a command in the guest, outside containers; return its exit code.

        Raises:
            InvalidArgumentError: There is no command.
            ShimError: It can't be run.
        """
        return await command.run(self.guest, self.id, command_, self.host.setting.namespace)

    async def share(self, host_path: str, guest_path: str, *, read_only: bool) -> None:
        """Share a path of the host into the guest, for as long as it lives.

        Raises:
            ShimError: It can't be shared.
        """
        if self.windows:
            held = await self.vsmb.add(host_path, read_only=read_only)
            settings = {"HostPath": held.guest_path, "ContainerPath": guest_path}
            mapped = {**settings, "ReadOnly": True} if read_only else settings
            try:
                await self.modifier.inside(guest_request("MappedDirectory", "Add", mapped))
            except BaseException:
                await held.release()
                raise
            return
        await self.share_by_9p(host_path, guest_path, read_only=read_only)

    async def share_by_9p(
        self, host_path: str, guest_path: str, *, read_only: bool
    ) -> updates.Shared9p:
        """Share a folder or file with a Linux guest.

        Returns:
            What is shared, and where the guest has it: of a file its folder, and its name.

        Raises:
            ShimError: It can't be shared.
        """
        try:
            found = await self._look(host_path)
        except OSError as error:
            raise ShimError(f"could not open '{host_path}' path on host: {error}") from error
        folder, name = updates.folder_and_name(host_path, is_folder=found.is_folder)
        held = await self.plan9.add(folder, guest_path, read_only=read_only, file=name)
        return updates.Shared9p(held, name)

    async def stacks(self) -> str:
        """The stacks of the guest's agent, for people; empty if it does not tell."""
        guest = self.guest
        return await guest.stacks() if guest.capabilities.stacks else ""

    async def forget_container(self, container_id: str) -> None:
        """Let the guest remove the state that it keeps of a container that is gone.

        Raises:
            ShimError: It refuses.
        """
        guest = self.guest
        if guest.capabilities.delete_state:
            await guest.delete_state(container_id)

    def _behind_proxy(self, network: VmNetwork) -> ProxiedNetwork:
        options, host = self.options, self.host
        agent = ComputeAgent(network, self.pci, self.id)
        connect = functools.partial(host.connect, options.network_proxy)
        return ProxiedNetwork(network, agent, options.network_proxy_id, connect, host.serve_agent)

    async def _look(self, path: str) -> Shared:
        files, build = self.host.files, self.host.setting.build
        return await self.host.threads.run(f"look at {path}", lambda: files.look(path, build))

    async def _watch_end(self) -> None:
        try:
            await self.system.wait()
        except HcsError as error:
            _log.info("VM %s: %s", self.id, error)
        self._ended.set()

    async def _end(self) -> None:
        """End the VM itself, and wait for that as long as it may take."""
        try:
            await self.system.terminate()
            async with asyncio.timeout(self.host.setting.timeouts.terminate):
                await self._ended.wait()
        except TimeoutError:
            _log.error("VM %s has not ended", self.id)
        except (ShimError, OSError) as error:
            _log.warning("VM %s can't be ended: %s", self.id, error)

    async def _close(self) -> None:
        await self._end()
        if self._guest is not None:
            await self._guest.close()
        if self._proxied is not None:
            self._proxied.close()
        await self._boot.close()
        await self._give_back_files()
        await self.system.close()
        await asyncio.wait((self._watch,))

    async def _give_back_files(self) -> None:
        blueprint, options = self._made.blueprint, self.options
        try:
            if blueprint.undo is not None:
                await self.host.run("remove the VM's files", blueprint.undo)
            disks = blueprint.disks
            if disks is not None and isinstance(options, WcowOptions) and options.save_disks_to:
                folder = options.save_disks_to
                call = bootfiles.save_disks
                await self.host.run("save the VM's disks", call, self.id, disks, folder)
        except ShimError as error:
            _log.warning("VM %s: %s", self.id, error)


def _vpmem(modifier: Modifier, options: WcowOptions | LcowOptions) -> VpmemManager | None:
    if not isinstance(options, LcowOptions):
        return None
    return VpmemManager(
        modifier,
        devices=options.vpmem_devices,
        device_bytes=options.vpmem_bytes,
        multi_mapping=options.vpmem_multi_mapping,
        reserved=(0,) if options.root_fs is RootFs.VHD else (),
    )
