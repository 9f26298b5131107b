"""What the manager's tests share: a root file system, and managers of Go's shim and of ours."""

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NoReturn

import pytest

from podshim.errors import InvalidArgumentError, NotFoundError
from podshim.manager import Containerd, Identity, Manager, find_shim
from support.rootfs import make_rootfs

GO_SHIM = "io.containerd.runc.v2"
#: Installed beside the interpreter, whether or not that folder is searched.
OWN_SHIM = str(Path(sys.executable).with_name("containerd-shim-runoci-v1"))
SHIMS = {
    "go": (GO_SHIM, Containerd.V1_6),
    "podshim": (OWN_SHIM, Containerd.V2_3),
}


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_rootfs(tmp_path_factory.mktemp("image") / "rootfs"))


@pytest.fixture(params=list(SHIMS))
async def manager(
    request: pytest.FixtureRequest, private_world: None, lacking: Callable[[str], NoReturn]
) -> AsyncIterator[Manager]:
    """A small containerd with Go's shim, of the line that the shim is from, or with ours."""
    runtime, line = SHIMS[request.param]
    try:
        find_shim(runtime)
    except (NotFoundError, InvalidArgumentError) as error:
        lacking(str(error))
    identity = Identity(line)
    async with Manager(runtime, namespace="manager-test", identity=identity) as manager:
        yield manager
