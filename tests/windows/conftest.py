"""What tests on Windows programs share: the box, or a skip that says why there is none."""

import os
import secrets
from collections.abc import Iterator

import pytest

from windows.winebox import Box, UnavailableError, open_box, worlds


@pytest.fixture(scope="session")
def machine() -> Iterator[Box]:
    """A Windows environment for this test run alone; tests that want it are skipped without one."""
    os.environ[worlds.WORLD] = world = f"tests-{secrets.token_hex(4)}"
    try:
        box = open_box(world)
        yield box
        box.remove()
    except UnavailableError as err:
        pytest.skip(f"no Windows environment here: {err}")
    finally:
        del os.environ[worlds.WORLD]


@pytest.fixture
def box(machine: Box) -> Iterator[Box]:
    """The environment for one test: what the test leaves running is ended after it."""
    with machine.session() as session:
        yield session
