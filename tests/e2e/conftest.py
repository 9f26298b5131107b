"""The end-to-end tests of the shim without containerd: what they run on.

All tests that take `house` share one server for each runtime; at the end it must hold what it held
at the beginning, so every one of them is a leak test too. A test that needs a server of its own
takes `own_house`. All of them run on one event loop, because a server's connection lives on one.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import pytest_asyncio

from e2e.e2e_support import RUNTIMES, House, unchanged
from support.rootfs import BUSYBOX, make_rootfs

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run this folder's tests on the session's loop."""
    mark = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if _HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(mark, append=False)


@pytest.fixture(scope="package")
def rootfs(private_world: None, lacking: Callable[[str], NoReturn]) -> Iterator[Path]:
    """A root file system of busybox, for everybody to enter and nobody to change."""
    if not BUSYBOX.exists():
        lacking("busybox-static")
    folder = Path(tempfile.mkdtemp(prefix="podshim-e2e-"))
    folder.chmod(0o755)
    yield make_rootfs(folder / "rootfs")
    shutil.rmtree(folder)


@pytest.fixture(scope="package", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest, lacking: Callable[[str], NoReturn]) -> str:
    """Each OCI runtime in turn."""
    name: str = request.param
    if shutil.which(name) is None:
        lacking(name)
    return name


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def house(runtime: str, rootfs: Path) -> AsyncIterator[House]:
    """The server that tests share."""
    async with House.open(runtime, rootfs) as house:
        yield house
        await unchanged(house)


@pytest_asyncio.fixture(loop_scope="session")
async def own_house(runtime: str, rootfs: Path) -> AsyncIterator[House]:
    """A server for one test."""
    async with House.open(runtime, rootfs) as house:
        yield house
