"""Where every coroutine of a loop, and every thread, stands, as text for people.

asyncio shows the outermost frame of a waiting task only; what it waits *for* is the other end of
the chain, which this module follows.
"""

from __future__ import annotations

import asyncio
import linecache
import sys
import threading
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


def describe_tasks() -> str:
    """All tasks of the running loop: name, and frames from the outermost to the innermost."""
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    return "".join(
        f"{task.get_name()}:\n{''.join(_line(frame) for frame in _frames(task.get_coro()))}"
        for task in tasks
    )


def _frames(awaitable: object) -> Iterator[FrameType]:
    """The frames of a chain of coroutines and generators, each waiting for the next."""
    while awaitable is not None:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaitable, f"{kind}_frame", None)
            if frame is not None:
                yield frame
                awaitable = getattr(awaitable, f"{kind}_{'yieldfrom' if kind == 'gi' else 'await'}")
                break
        else:
            return


def _line(frame: FrameType) -> str:
    name, number = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(name, number).strip()
    return f'  File "{name}", line {number}, in {frame.f_code.co_qualname}\n    {source}\n'


def describe_threads() -> str:
    """All threads of this process: name, and frames from the outermost to the innermost."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "".join(
        f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - there is no other way
    )
