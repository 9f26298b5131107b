"""What cases share: a time limit, a trace file and no configuration, and an id of their own."""

import asyncio
import functools
import inspect
import io
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from windows.cases import births

#: How long a case may take (s). The whole file has a limit too, but fails as a whole.
LIMIT = 100.0


def pytest_itemcollected(item: pytest.Item) -> None:
    """Limit each case that is a coroutine."""
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        item.obj = limited(item.obj)


def limited(case: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A case that fails after its limit, and says where its tasks stood then."""

    @functools.wraps(case)
    async def run(**given: object) -> None:
        stacks: list[str] = []

        def look() -> None:
            stacks.extend(map(_stack, asyncio.all_tasks()))

        timer = asyncio.get_running_loop().call_later(LIMIT, look)
        try:
            async with asyncio.timeout(LIMIT + 1):  # in the case's own task, which it may count
                await case(**given)
        except TimeoutError as late:
            if not stacks:
                raise
            raise TimeoutError(f"not over after {LIMIT:g} s:\n{''.join(stacks)}") from late
        finally:
            timer.cancel()

    return run


def _stack(task: "asyncio.Task[object]") -> str:
    text = io.StringIO()
    task.print_stack(file=text)
    return text.getvalue()


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
