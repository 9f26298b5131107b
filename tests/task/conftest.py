"""A pod for each test; what is logged as an error fails the test that does not expect it."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from podshim.api import task_v3_ttrpc
from task.service_support import Link
from task.task_support import Pod


@pytest_asyncio.fixture
async def pod(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> AsyncIterator[Pod]:
    with caplog.at_level(logging.DEBUG, logger="podshim"):
        pod = Pod(tmp_path)
        yield pod
        await pod.close()
    records = [*caplog.get_records("call"), *caplog.records]
    errors = [record.getMessage() for record in records if record.levelno >= logging.ERROR]
    if request.node.get_closest_marker("logs_errors") is None:
        assert errors == []
    else:
        assert errors


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "logs_errors: the test makes the task layer log an error")


@pytest_asyncio.fixture
async def link(pod: Pod) -> AsyncIterator[Link]:
    link = Link(pod)
    yield link
    await link.close()


@pytest_asyncio.fixture
async def task(link: Link) -> task_v3_ttrpc.TaskStub:
    return task_v3_ttrpc.TaskStub(await link.connect())
