"""A spec's mounts, by what Windows makes of each: a mapped folder, a mapped pipe, or nothing.

Theory of operation. Windows maps folders of the host, and named pipes, into a container. Pipes are
known by their source. A pipe that is to appear as anything but a pipe can't be mapped, nor can a
utility VM's where there is none: they are left out, as Windows' own tools do. Whether a folder
exists, and its real path, only the host can say: `podshim.engines.hcs.paths` resolves the sources
of folders before they go into a document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import Json, present
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.hcsspec.reading import Member

PIPE_PREFIX = "\\\\.\\pipe\\"
#: Sources in the utility VM instead of the host.
VM_PREFIX = "uvm://"


@dataclass(frozen=True, slots=True)
class SpecMount:
    """A mount as the spec has it.

    Args:
        source: Where it comes from, not empty.
        destination: Where it appears in the container, not empty.
        type: Its type; empty for a folder.
        options: Its options, such as `ro`.
    """

    source: str
    destination: str
    type: str = ""
    options: tuple[str, ...] = ()

    @property
    def read_only(self) -> bool:
        """Whether the container may only read."""
        return any(option.lower() == "ro" for option in self.options)

    @property
    def is_pipe(self) -> bool:
        """Whether the source is a named pipe."""
        return self.source.removeprefix(VM_PREFIX).startswith(PIPE_PREFIX)


@dataclass(frozen=True, slots=True)
class MappedDirectory:
    """A folder of the host in a container: HCS' `MappedDirectory`."""

    host_path: str
    container_path: str
    read_only: bool = False

    def document(self) -> Json:
        """As HCS takes it."""
        return present(
            {
                "HostPath": self.host_path,
                "ContainerPath": self.container_path,
                "ReadOnly": self.read_only,
            }
        )


@dataclass(frozen=True, slots=True)
class MappedPipe:
    """A named pipe of the host in a container: HCS' `MappedPipe`."""

    container_pipe_name: str
    host_path: str

    def document(self) -> Json:
        """As HCS takes it."""
        return present({"ContainerPipeName": self.container_pipe_name, "HostPath": self.host_path})


def mounts_of(spec: Member) -> list[SpecMount]:
    """The mounts of a spec.

    Raises:
        ShimError: A mount without source or destination.
        InvalidArgumentError: A member of another type than OCI's.
    """
    mounts = []
    for entry in spec["mounts"].objects():
        source, destination = entry["source"].text(), entry["destination"].text()
        kind, options = entry["type"].text(), tuple(entry["options"].texts())
        if not source or not destination:
            raise ShimError(
                "invalid OCI spec - a mount must have both source and a destination:"
                f" {{Destination:{destination} Type:{kind} Source:{source}"
                f" Options:[{' '.join(options)}] UIDMappings:[] GIDMappings:[]}}"
            )
        mounts.append(SpecMount(source, destination, kind, options))
    return mounts


def mapped_pipes(mounts: Sequence[SpecMount]) -> list[MappedPipe]:
    """The pipes among the mounts of a process-isolated container."""
    return [
        MappedPipe(mount.destination.removeprefix(PIPE_PREFIX), mount.source)
        for mount in mounts
        if mount.source.startswith(PIPE_PREFIX) and mount.destination.startswith(PIPE_PREFIX)
    ]


def folders(mounts: Sequence[SpecMount]) -> list[SpecMount]:
    """The mounts whose sources are folders, to be resolved."""
    return [mount for mount in mounts if not mount.is_pipe]
