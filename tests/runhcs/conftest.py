"""Shims of both kinds; what is logged as an error fails the test that does not expect it."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from runhcs.slot_support import Shim, argon, host_process, in_pod

MakeShim = Callable[..., Awaitable[Shim]]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "logs_errors: the test makes the task layer log an error")


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, logger="podshim"):
        yield
    records = [*caplog.get_records("call"), *caplog.records]
    errors = [record.getMessage() for record in records if record.levelno >= logging.ERROR]
    if request.node.get_closest_marker("logs_errors") is None:
        assert errors == []
    else:
        assert errors


@pytest_asyncio.fixture
async def make_shim(tmp_path: Path, quiet: None) -> AsyncIterator[MakeShim]:
    made: list[Shim] = []

    async def make(**arguments: Any) -> Shim:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        shim = Shim(folder, **arguments)
        made.append(shim)
        await shim.open()
        return shim

    yield make
    for shim in made:
        await shim.close()


@pytest_asyncio.fixture
async def shim(make_shim: MakeShim) -> Shim:
    """A shim for the single task c1."""
    return await make_shim()


@pytest_asyncio.fixture
async def pod(make_shim: MakeShim) -> Shim:
    """A shim for the pod p, which has a running sandbox with a container."""
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.run(in_pod(argon(), "sandbox"), "p")
    shim.take()
    return shim


@pytest_asyncio.fixture
async def host_pod(make_shim: MakeShim) -> Shim:
    """A shim for the pod p, whose sandbox is pretended: of HostProcess containers."""
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.run(host_process(in_pod(argon(), "sandbox")), "p")
    shim.take()
    return shim
