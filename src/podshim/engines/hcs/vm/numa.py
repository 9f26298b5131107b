"""The NUMA topology that a VM sees: two ways of asking for one, and what HCS is told.

Theory of operation. There are two ways to ask, each a group of annotations. *Implicit*: at most so
many processors and so much memory per node; the platform lays the nodes out. *Explicit*: three
lists whose item i says which physical node the virtual node i lies on, and how many processors and
MB of memory it has. A maximum of processors makes it implicit, else a list of nodes makes it
explicit, and with neither there is no topology, whatever else was said of it.

What comes out are two parts of the VM's document: `numa` of its computing topology and `processors`
of its processor. A topology needs memory that is physically backed, and a new enough Windows.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from podshim.errors import ShimError
from podshim.hcsspec import builds

_log = logging.getLogger(__name__)

#: The first build that takes a topology (Windows Server 2025).
FIRST_BUILD = builds.WS2025
#: A physical node number that stands for any.
ANY_NODE = 0xFF
MAX_NODES = 64


@dataclass(frozen=True, slots=True)
class NumaRequest:
    """What was asked for.

    Args:
        max_processors: Implicit: the most processors per node; 0 for not implicit.
        max_memory_mb: Implicit: the most memory per node, in MB.
        preferred_nodes: The physical nodes to take first.
        nodes: Explicit: the physical node of each virtual node.
        processors: Explicit: the number of processors of each.
        memory_mb: Explicit: the memory of each, in MB.
    """

    max_processors: int = 0
    max_memory_mb: int = 0
    preferred_nodes: tuple[int, ...] = ()
    nodes: tuple[int, ...] = ()
    processors: tuple[int, ...] = ()
    memory_mb: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class NumaTopology:
    """A topology as HCS takes it; None for what is left to the platform."""

    numa: dict[str, object] | None = None
    processors: dict[str, object] | None = None

    @property
    def present(self) -> bool:
        """Whether there is one."""
        return self.numa is not None or self.processors is not None


def topology(
    request: NumaRequest, *, build: int, overcommit: bool, processors: int, memory_mb: int
) -> NumaTopology:
    """Make a VM's topology.

    Args:
        request: What was asked for.
        build: The build number of the host's Windows.
        overcommit: Whether the VM's memory is not physically backed.
        processors: The number of the VM's processors.
        memory_mb: The VM's memory, in MB.

    Raises:
        ShimError: It can't be had, or is inconsistent, or is not the size of the VM.
    """
    if not request.max_processors and not request.nodes:
        _warn_of_halves(request)
        return NumaTopology()
    if build < FIRST_BUILD:
        raise ShimError(f"vNUMA topology is not supported on {build} version of Windows")
    made = _implicit(request) if request.max_processors else _explicit(request)
    if overcommit:
        raise ShimError("vNUMA supports only Physical memory backing type")
    if not request.max_processors:
        _check_size(request, processors, memory_mb)
    return made


def _implicit(request: NumaRequest) -> NumaTopology:
    if not request.max_memory_mb:
        raise ShimError("max size per node must be set when max processors per numa node is set")
    numa: dict[str, object] = {}
    if request.preferred_nodes:
        numa["PreferredPhysicalNodes"] = list(request.preferred_nodes)
    numa["MaxSizePerNode"] = request.max_memory_mb
    # HCS spells the members of this one object unlike all others.
    return NumaTopology(numa, {"count_per_node": {"max": request.max_processors}})


def _explicit(request: NumaRequest) -> NumaTopology:
    count = len(request.nodes)
    if count != len(request.processors) or count != len(request.memory_mb):
        raise ShimError(
            "mismatch in number of physical numa nodes and the corresponding processor and"
            " memory blocks count"
        )
    _check_nodes(request)
    numa: dict[str, object] = {"VirtualNodeCount": count}
    if request.preferred_nodes:
        numa["PreferredPhysicalNodes"] = list(request.preferred_nodes)
    numa["Settings"] = [_setting(request, number) for number in range(count)]
    return NumaTopology(numa)


def _setting(request: NumaRequest, number: int) -> dict[str, object]:
    members: dict[str, object] = {
        "VirtualNodeNumber": number,
        "PhysicalNodeNumber": request.nodes[number],
        "VirtualSocketNumber": number,
        "CountOfProcessors": request.processors[number],
        "CountOfMemoryBlocks": request.memory_mb[number],
        "MemoryBackingType": "Physical",
    }
    return {name: value for name, value in members.items() if value != 0}


def _check_nodes(request: NumaRequest) -> None:
    anywhere = request.nodes[0] == ANY_NODE
    for number, node in enumerate(request.nodes):
        if number > MAX_NODES:
            raise ShimError(
                f"vNUMA virtual node number {number} exceeds maximum allowed value {MAX_NODES}"
            )
        if node != ANY_NODE and node >= MAX_NODES:
            raise ShimError(
                f"vNUMA physical node number {node} exceeds maximum allowed value {MAX_NODES}"
            )
        if anywhere != (node == ANY_NODE):
            raise ShimError(
                f"vNUMA has a mix of wildcard ({ANY_NODE}) and non-wildcard ({node}) physical"
                " node numbers"
            )
        if not request.memory_mb[number]:
            raise ShimError("vNUMA nodes with no memory are not allowed")
    if not sum(request.processors):
        raise ShimError("partial resource allocation is not allowed")


def _check_size(request: NumaRequest, processors: int, memory_mb: int) -> None:
    asked_processors, asked_memory = sum(request.processors), sum(request.memory_mb)
    reason = ""
    if asked_processors != processors:
        reason = (
            f"vNUMA total processor count {asked_processors} does not match UVM processor count"
            f" {processors}"
        )
    elif asked_memory != memory_mb:
        reason = f"vNUMA total memory {asked_memory} does not match UVM memory {memory_mb}"
    if reason:
        raise ShimError(f"failed to validate vNUMA settings: {reason}")


def _warn_of_halves(request: NumaRequest) -> None:
    if request.max_memory_mb or request.preferred_nodes:
        _log.warning("potentially incomplete implicit vNUMA topology: %s", request)
    if request.processors or request.memory_mb:
        _log.warning("potentially incomplete explicit vNUMA topology: %s", request)
