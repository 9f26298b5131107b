"""The scenarios for all engines, over the fake one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from podshim.bundle import Bundle
from podshim.engine import CreateRequest
from task.fake_engine import FakeEngine
from task.scenarios import Scenarios, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class FakeWorld(World):
    def __init__(self, folder: Path) -> None:
        self.engine = FakeEngine()
        super().__init__(self.engine)
        self._folder = folder

    def request(self, program: tuple[str, ...]) -> CreateRequest:
        (self._folder / "args").write_text(json.dumps(program))
        return CreateRequest("c1", Bundle(str(self._folder)))

    def spec(self, program: tuple[str, ...]) -> bytes:
        return json.dumps({"args": program}).encode()


class TestWithTheFakeEngine(Scenarios):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[World]:
        world = FakeWorld(tmp_path)
        yield world
        await world.registry.close()
        assert world.engine.violations == []
        assert world.engine.containers == {}
