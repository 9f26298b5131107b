"""Waiting on the event loop for a non-blocking descriptor (pipe, fifo, pty, eventfd)."""

from __future__ import annotations

import asyncio


def wake(future: asyncio.Future[None]) -> None:
    """Let whoever waits for `future` go on; once is enough."""
    if not future.done():
        future.set_result(None)


async def readable(fd: int) -> None:
    """Wait until a read of `fd` would not block; only one may wait for a descriptor."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, wake, future)
    try:
        await future
    finally:
        loop.remove_reader(fd)


async def writable(fd: int) -> None:
    """Wait until a write to `fd` would not block; only one may wait for a descriptor."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.add_writer(fd, wake, future)
    try:
        await future
    finally:
        loop.remove_writer(fd)
