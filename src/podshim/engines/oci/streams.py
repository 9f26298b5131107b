"""Which kind of streams a process gets: the one place that knows all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.engines.oci import logger
from podshim.engines.oci.console import ConsoleSocket, open_console
from podshim.engines.oci.stdio import open_plain, split
from podshim.errors import ShimError

if TYPE_CHECKING:
    from podshim.engine import Stdio
    from podshim.engines.oci.stdio import StreamContext, Streams


async def open_streams(stdio: Stdio, context: StreamContext) -> Streams:
    """Open the streams of a process as the client wants them.

    Raises:
        ShimError: A stream can't be opened or does not exist, its scheme is unknown, or a logging
            program does not work.
    """
    listener = None
    if stdio.terminal:
        try:
            listener = ConsoleSocket()
        except OSError as error:
            raise ShimError(f"failed to create OCI runtime console socket: {error}") from error
    try:
        if listener is not None:
            return await open_console(stdio, context, listener)
        if stdio.stdout and split(stdio.stdout, context.bundle)[0] in logger.SCHEMES:
            return await logger.open_logger_streams(stdio, context)
        return await open_plain(stdio, context)
    except ShimError as error:
        raise type(error)(f"failed to create init process I/O: {error.detail}") from error
    except OSError as error:
        raise ShimError(f"failed to create init process I/O: {error}") from error
