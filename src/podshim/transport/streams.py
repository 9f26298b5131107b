"""Byte streams as their users see them, whatever carries the bytes; pure and light.

Theory of operation. A stream owns one end of something that bytes flow through. One task at a
time may read it and one at a time may write it, the two at once; `close` may come at any time, also
while either is under way, which then fails. A read may be cancelled, and nothing is lost: the next
one takes what comes. Cancelling a write gives up the stream's writing, because nobody can tell
which bytes have gone: close it then.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Stream(ABC):
    """What can be closed; a context manager that closes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close it, at once and without waiting; any number of times."""


class ReadStream(Stream):
    """What bytes come out of."""

    @abstractmethod
    async def read(self, limit: int) -> bytes:
        """Wait for bytes and take what there is.

        Args:
            limit: The most bytes to take, at least 1.

        Returns:
            At least one byte, or none at the end of the file, then and ever after.

        Raises:
            OSError: It can't be read, or was closed here.
        """


class WriteStream(Stream):
    """What bytes go into."""

    @property
    @abstractmethod
    def written(self) -> int:
        """How many bytes of the last write the other side's buffers have taken."""

    @abstractmethod
    async def write(self, data: bytes) -> int:
        """Write all of it, waiting for room as long as that takes.

        Args:
            data: What to write; nothing is written for none.

        Returns:
            The length of the data.

        Raises:
            OSError: It can't be written, or was closed here; `written` says how much of it was.
        """


class DuplexStream(ReadStream, WriteStream):
    """What bytes come out of and go into, each way apart."""
