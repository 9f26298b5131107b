"""Utility VMs: what hosts hypervisor-isolated Windows containers and all Linux containers.

Theory of operation. A VM is made in steps, each a module: `derivation` reads its options from the
spec, `bootfiles` finds what it boots from, `making` builds its document (`documents.vm_*`) and its
compute system, `booting` starts it and connects to its guest (`guest`). `machine` is the VM as the
task layer has it; it owns what the VM is given while it runs: `scsi`, `vsmb`, `plan9`, `vpmem`,
`pci`, `network`, all of which change it by `modify`. `hosting` creates containers in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podshim.engines.hcs.vm.host import VmHost
    from podshim.engines.hcs.vm.machine import Vm
    from podshim.task.runhcs.host import VmRequest


async def create(host: VmHost, request: VmRequest) -> Vm:
    """Create a VM that waits to be started.

    Args:
        host: Where.
        request: What is asked for.

    Raises:
        InvalidArgumentError: A member of the spec is of another type than OCI's.
        FailedPreconditionError: Its layers can't be told.
        ShimError: What it asks for can't be, or Windows refuses; nothing is left behind.
    """
    from podshim.engines.hcs.vm import machine, making

    return machine.Vm(host, await making.make(host, request))
