"""The task layer's scenarios for all engines, over real containers: what the fake one promises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from podshim.manager.spec import process_spec
from task.scenarios import Scenarios, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oci.oci_support import Workshop
    from podshim.engine import CreateRequest


def command(program: tuple[str, ...]) -> list[str]:
    match program:
        case ("exit", status):
            return ["/bin/sh", "-c", f"exit {status}"]
        case ("run",):
            return ["/bin/sleep", "1000000"]
        case _:
            return ["/bin/no-such-program"]


class OciWorld(World):
    def __init__(self, shop: Workshop) -> None:
        super().__init__(shop.engine)
        self._shop = shop

    def request(self, program: tuple[str, ...]) -> CreateRequest:
        return self._shop.request(self._shop.spec(*command(program)))

    def spec(self, program: tuple[str, ...]) -> bytes:
        return json.dumps(process_spec(command(program))).encode()


class TestWithOciRuntimes(Scenarios):
    @pytest.fixture
    async def world(self, shop: Workshop) -> AsyncIterator[World]:
        world = OciWorld(shop)
        yield world
        for task in world.registry:
            await world.end(task)
        await world.registry.close()
