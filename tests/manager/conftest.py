"""What the manager's tests share: a root file system, and a manager of Go's shim."""

from collections.abc import AsyncIterator, Callable
from typing import NoReturn

import pytest

from podshim.errors import NotFoundError
from podshim.manager import Containerd, Identity, Manager, find_shim
from support.rootfs import make_rootfs

GO_SHIM = "io.containerd.runc.v2"


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_rootfs(tmp_path_factory.mktemp("image") / "rootfs"))


@pytest.fixture
async def go(private_world: None, lacking: Callable[[str], NoReturn]) -> AsyncIterator[Manager]:
    """A containerd 1.6 in small, whose runtime is Go's shim of that time."""
    try:
        find_shim(GO_SHIM)
    except NotFoundError as error:
        lacking(str(error))
    async with Manager(
        GO_SHIM, namespace="manager-test", identity=Identity(Containerd.V1_6)
    ) as manager:
        yield manager
