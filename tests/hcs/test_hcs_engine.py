"""What the engine says where there is no Windows to ask."""

import pytest

from podshim.bundle import Bundle
from podshim.engine import Environment
from podshim.engines.hcs.argon import owner_of
from podshim.engines.hcs.engine import HcsEngine
from podshim.errors import ShimError
from podshim.task.runhcs.host import ContainerRequest
from podshim.version import VERSION


@pytest.mark.parametrize(
    ("program", "owner"),
    [
        ("C:\\bin\\containerd-shim-runhcs-v1.exe", "containerd-shim-runhcs-v1.exe"),
        ("C:\\bin\\containerd-shim-runhcs-v1", "containerd-shim-runhcs-v1.exe"),
        ("my-shim.EXE", "my-shim.EXE"),
        ("C:/python/lib/podshim/runhcs.py", "containerd-shim-runhcs-v1.exe"),
        ("-m", "containerd-shim-runhcs-v1.exe"),
        ("", "containerd-shim-runhcs-v1.exe"),
    ],
)
def test_the_owner_is_the_programs_file_name(program: str, owner: str) -> None:
    assert owner_of(program) == owner


async def test_an_engine_that_is_not_open_creates_nothing() -> None:
    engine = HcsEngine(Environment("test", "t1"))
    for annotations in ({}, {"microsoft.com/hostprocess-container": "true"}):
        spec = {"windows": {}, "annotations": annotations}
        with pytest.raises(ShimError, match="the engine is not open"):
            await engine.create_container(ContainerRequest("c1", Bundle("."), spec))
    await engine.close()


def test_it_is_described() -> None:
    assert HcsEngine.runtime_name == "io.containerd.runhcs.v1"
    assert HcsEngine.info(None).version == VERSION
