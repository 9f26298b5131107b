"""What cases on the stand-in share: a trace file and no configuration, and an id of their own."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from windows.cases import births


@pytest.fixture(autouse=True, scope="session")
def stubborn() -> Iterator[None]:
    with births.again():
        yield


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path) -> Iterator[None]:
    os.environ["HCS_STANDIN_TRACE"] = str(tmp_path / "trace.jsonl")
    os.environ.pop("HCS_STANDIN_CONFIG", None)
    yield
    os.environ.pop("HCS_STANDIN_CONFIG", None)


@pytest.fixture
def name() -> str:
    return f"c-{uuid.uuid4()}"
