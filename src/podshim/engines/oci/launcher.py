"""How a container's process comes into being, for `create`, `exec` and `restore` alike.

Theory of operation. The runtime command runs with the process's streams and leaves a pid file and a
child of the shim behind. The child is adopted while the reaper still remembers exits of unknown
pids, so that a process which died at once is not lost; then its streams are told that it lives.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from podshim.bundle import SHIM_PID
from podshim.engines.oci.commandline import INIT_PID_FILE
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.engines.oci.reaper import Child, Reaper
    from podshim.engines.oci.runtime import Runtime
    from podshim.engines.oci.stdio import Streams


def read_pid(path: str) -> int:
    """Read the pid that a runtime wrote.

    Raises:
        ShimError: There is none.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            pid = int(file.read(32))
    except (OSError, ValueError) as error:
        raise ShimError(f"open {path}: {getattr(error, 'strerror', None) or error}") from error
    if not 0 < pid < 1 << 31:
        raise ShimError(f"{path}: not a process id: {pid}")
    return pid


def exec_pid_file(exec_id: str) -> str:
    """The name of an exec's pid file in the bundle.

    `init` and `shim` would get a file of others, so they get names that no identifier can have.
    """
    name = f"{exec_id}.pid"
    return f".{name}" if name in {INIT_PID_FILE, SHIM_PID} else name


class Launcher:
    """Runs the runtime commands that leave a process behind.

    Args:
        reaper: Who watches processes.
        runtime: The container's runtime.
    """

    def __init__(self, reaper: Reaper, runtime: Runtime) -> None:
        self._reaper = reaper
        self._runtime = runtime

    async def launch(
        self, command: str, arguments: Sequence[str], pid_file: str, streams: Streams
    ) -> Child:
        """Run a command that creates, executes or restores a process.

        Args:
            command: The runtime's command.
            arguments: All that follows it.
            pid_file: The file that it will write.
            streams: The process's streams; they are started, but stay the caller's.

        Returns:
            The process.

        Raises:
            RuntimeFailureError: The runtime refused.
            ShimError: A later step failed; the process, if its pid is known, has been killed.
            DeadlineExceededError: A step took too long.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(pid_file)
        with self._reaper.launch() as launch:
            try:
                await self._runtime.run(
                    command,
                    *arguments,
                    prefix=f"OCI runtime {command} failed",
                    streams=streams.runtime,
                )
            except BaseException:
                # It may have been killed when its work was done: nobody would know the process.
                with contextlib.suppress(ShimError):
                    launch.adopt(read_pid(pid_file)).signal(signal.SIGKILL)
                raise
            kind = "exec" if command == "exec" else "container"
            try:
                child = launch.adopt(read_pid(pid_file))
            except ShimError as error:
                raise ShimError(
                    f"failed to retrieve OCI runtime {kind} pid: {error.detail}"
                ) from error
        try:
            await streams.started()
        except BaseException:
            child.signal(signal.SIGKILL)
            raise
        return child
