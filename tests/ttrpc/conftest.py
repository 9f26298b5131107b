"""The service that most tests call, and a server of it."""

from __future__ import annotations

import pytest

from podshim.ttrpc import Server
from ttrpc.ttrpc_support import Echo


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def server(echo: Echo) -> Server:
    return Server([echo.service()])
