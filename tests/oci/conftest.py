from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from oci.oci_support import BUSYBOX, NAMESPACE, Workshop, environment, make_rootfs
from podshim.engines.oci import OciEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


@pytest.fixture(scope="session")
def rootfs(private_world: None, lacking: Callable[[str], NoReturn]) -> Iterator[Path]:
    if not Path(BUSYBOX).exists():
        lacking("busybox-static")
    folder = Path(tempfile.mkdtemp(prefix="podshim-rootfs-"))
    folder.chmod(0o755)
    yield make_rootfs(folder)
    shutil.rmtree(folder)
    for cgroup in Path("/sys/fs/cgroup").glob(f"*/{NAMESPACE}"):
        with suppress(OSError):  # another run of these tests has containers there
            cgroup.rmdir()


@pytest.fixture(params=["runc", "crun"])
def runtime(request: pytest.FixtureRequest, lacking: Callable[[str], NoReturn]) -> str:
    name: str = request.param
    if shutil.which(name) is None:
        lacking(name)
    return name


@pytest.fixture
async def engine(private_world: None) -> AsyncIterator[OciEngine]:
    engine = OciEngine(environment())
    await engine.open()
    yield engine
    await engine.close()


@pytest.fixture
async def shop(
    engine: OciEngine, rootfs: Path, runtime: str, tmp_path: Path
) -> AsyncIterator[Workshop]:
    workshop = Workshop(engine, tmp_path, rootfs, runtime)
    yield workshop
    await workshop.clear()
