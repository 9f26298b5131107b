r"""What a HostProcess container may mount. Pure.

Its processes are the host's: pipes are there anyhow, and need no mount.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.mounts import PIPE_PREFIX, mounts_of
from podshim.errors import ShimError

if TYPE_CHECKING:
    from podshim.engines.hcs.documents.mounts import SpecMount
    from podshim.hcsspec.reading import Member


def job_mounts(spec: Member) -> list[SpecMount]:
    """The mounts of a spec, all of them folders or files.

    Raises:
        ShimError: A mount without source or destination, or one of a named pipe.
        InvalidArgumentError: A member of another type than OCI's.
    """
    mounts = mounts_of(spec)
    for mount in mounts:
        if mount.source.lower().startswith(PIPE_PREFIX):
            raise ShimError(
                "named pipe mounts not supported for job containers - interact with the pipe"
                " directly"
            )
    return mounts
