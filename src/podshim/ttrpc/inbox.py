"""The messages of one stream that have come and have not been read.

Theory of operation. A connection puts messages in as they come off the wire and says once that no
more will come, with or without an error; one reader takes them out in order, then meets the end.
What has been delivered is read first, whatever ended the stream. The inbox itself refuses nothing:
whoever fills it looks at `full` first, and learns through `on_room` when it is full no longer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: How many messages of one stream may wait for their reader.
LIMIT = 64


class Inbox(Generic[T]):
    """A queue with an end, for one reader at a time; iterate over it to read.

    Args:
        limit: How many unread messages make it full.
        on_room: Called when a message is taken out of a full inbox.
    """

    __slots__ = ("__weakref__", "_ended", "_error", "_limit", "_messages", "_on_room", "_waiter")

    def __init__(self, limit: int, on_room: Callable[[], None]) -> None:
        self._limit = limit
        self._on_room = on_room
        self._messages: deque[T] = deque()
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def full(self) -> bool:
        """Whether as many messages wait as may."""
        return len(self._messages) >= self._limit

    @property
    def ended(self) -> bool:
        """Whether `end` has been called."""
        return self._ended

    @property
    def error(self) -> Exception | None:
        """What ended the stream, if it did not end well."""
        return self._error

    def put(self, message: T) -> None:
        """Add a message."""
        self._messages.append(message)
        self._wake()

    def end(self, error: Exception | None = None) -> None:
        """Say that no more messages come; only the first call counts.

        Args:
            error: What the reader is told after the last message; None for a proper end.
        """
        if not self._ended:
            self._ended = True
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Inbox[T]:
        return self

    async def __anext__(self) -> T:
        """The next message, when there is one.

        Raises:
            StopAsyncIteration: The stream has ended well.
            Exception: What it has ended with; the same at every further call.
            RuntimeError: Another task is reading already.
        """
        while not self._messages:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("a stream has one reader at a time")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        was_full = self.full
        message = self._messages.popleft()
        if was_full:
            self._on_room()
        return message
