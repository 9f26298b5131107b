"""What changes of limits, and further shares, come to in a VM; pure."""

from __future__ import annotations

import ntpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents import modify
from podshim.engines.hcs.documents.modify import guest_request

if TYPE_CHECKING:
    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.vm.modify import Held
    from podshim.hcsspec.reading import Member


@dataclass(frozen=True, slots=True)
class Shared9p:
    """Something that a Linux guest has by 9P.

    Args:
        held: The share.
        file: The one name in it; empty for all.
    """

    held: Held
    file: str

    @property
    def guest_path(self) -> str:
        """Where the guest has it."""
        return f"{self.held.guest_path}/{self.file}" if self.file else self.held.guest_path


def folder_and_name(path: str, *, is_folder: bool) -> tuple[str, str]:
    """The folder to share for a path, and the one name in it; empty for all."""
    clean = ntpath.normpath(path)
    return (clean, "") if is_folder else (ntpath.dirname(clean), ntpath.basename(clean))


def vm_requests(resources: Member, *, linux: bool, build: int) -> list[Json]:
    """The requests that change a VM's limits.

    Args:
        resources: OCI's resources of the guest's platform.
        linux: Whether that is Linux.
        build: The build number of this Windows.

    Raises:
        InvalidArgumentError: A member of another type than OCI's.
        UnimplementedError: This Windows can't change that.
    """
    requests: list[Json] = []
    megabytes = modify.even_megabytes(resources["memory"])
    if megabytes is not None:
        requests.append(modify.vm_memory(megabytes))
        if linux:
            # The guest limits the pod's containers by its own memory, and must measure it again.
            requests.append({"GuestRequest": guest_request("PodCgroupMemoryLimit", "Update", None)})
    cpu = resources["cpu"]
    if cpu.present:
        if linux:
            maximum, weight = cpu["quota"].signed(64), cpu["shares"].unsigned(64)
        else:
            maximum, weight = cpu["maximum"].unsigned(16), cpu["shares"].unsigned(16)
        requests.append(modify.vm_processor_limits(max(maximum or 0, 0), weight or 0, build))
    return requests
