"""An OCI runtime (runc, crun, youki, ...) driven by its command line.

Theory of operation. Every operation is one short-lived child of the reaper:

    BINARY --root ROOT/NAMESPACE --log BUNDLE/log.json --log-format json [--systemd-cgroup] COMMAND

with the container's bundle as its working directory, and a limit on its time. What failed is told
in the runtime's own words, from its log (see `runtimelog`).
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from podshim.engines.oci import runtimelog
from podshim.engines.oci.commandline import find_binary, frame, runtime_environment
from podshim.engines.oci.program import Finished, ProgramStreams, run_program
from podshim.errors import DeadlineExceededError, ShimError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from podshim.engines.oci.options import RuntimeOptions
    from podshim.engines.oci.reaper import Reaper

#: How long each command may take, in seconds. Hooks run inside `create`, `start` and `delete`;
#: `checkpoint` and `restore` move memory images; `delete` polls up to 10 s for a dying init.
LIMITS: Final[Mapping[str, float]] = {
    "create": 120,
    "start": 60,
    "exec": 60,
    "kill": 30,
    "delete": 60,
    "pause": 60,
    "resume": 60,
    "ps": 15,
    "update": 30,
    "checkpoint": 600,
    "restore": 600,
    "--version": 10,
}


class RuntimeFailureError(ShimError):
    """The runtime ended with a status other than 0.

    Args:
        detail: The text for the caller.
        output: What it printed, for those who look for known phrases.
    """

    def __init__(self, detail: str, output: str = "") -> None:
        super().__init__(detail)
        self.output = output


@dataclass(slots=True)
class Runtime:
    """The runtime of one container.

    Args:
        reaper: Who spawns and reaps.
        options: Binary, root and cgroup manager.
        namespace: containerd's namespace.
        bundle: The container's folder: log, pid files and working directory.
        container_id: Its id.
        limits: Seconds by command; see `LIMITS`.
    """

    reaper: Reaper
    options: RuntimeOptions
    namespace: str
    bundle: str
    container_id: str
    limits: Mapping[str, float] = field(default_factory=lambda: LIMITS)
    #: How many commands run now, and may write to the log.
    _running: int = field(default=0, init=False)

    @property
    def binary(self) -> str:
        """The runtime's name or path as it was configured."""
        return self.options.binary

    @property
    def log(self) -> str:
        """The runtime's log file."""
        return os.path.join(self.bundle, "log.json")

    @property
    def state_folder(self) -> str:
        """Where runc and crun keep what they know of the container."""
        return os.path.join(self.options.root_or_default, self.namespace, self.container_id)

    async def run(
        self,
        command: str,
        *arguments: str,
        prefix: str = "",
        streams: ProgramStreams | None = None,
        stdin: bytes = b"",
    ) -> bytes:
        """Run one command to its end.

        Args:
            command: Such as `create`; it selects the limit.
            arguments: What follows it.
            prefix: With it, a failure reads `<prefix>: <the runtime's logged error>`; without, it
                is Go's text of the exit status and everything that was printed.
            streams: Descriptors for the command; the default is no input and captured output.
            stdin: What it can read, when `streams` gives no input.

        Returns:
            What it printed to standard output.

        Raises:
            RuntimeFailureError: It ended with another status than 0.
            ShimError: It could not be started.
            DeadlineExceededError: It was killed because its time was over.
        """
        lead = f"{prefix}: " if prefix else ""
        with self._logged() as start:
            try:
                binary = find_binary(self.binary)
                finished = await run_program(
                    self.reaper,
                    [*self._frame(binary), command, *arguments],
                    limit=self.limits[command],
                    cwd=self.bundle,
                    env=runtime_environment(),
                    stdin=stdin,
                    streams=streams,
                )
            except DeadlineExceededError as error:
                name = os.path.basename(self.binary)
                raise DeadlineExceededError(f"{lead}{name} {command}: {error.detail}") from error
            except ShimError as error:
                raise ShimError(f"{lead}{error.detail}") from error
            except OSError as error:
                action = "chdir" if error.filename == self.bundle else "fork/exec"
                reason = (error.strerror or str(error)).lower()
                what = error.filename or binary  # a lack of processes or descriptors names no file
                raise ShimError(f"{lead}{action} {what}: {reason}") from error
            if finished.exit.status != 0:
                raise self._failure(finished, prefix, start)
            return finished.stdout

    @contextmanager
    def _logged(self) -> Iterator[int]:
        """While a command runs: where in the log its own entries begin."""
        if not self._running:
            runtimelog.trim(self.log)
        self._running += 1
        try:
            yield runtimelog.position(self.log)
        finally:
            self._running -= 1

    def _frame(self, binary: str) -> list[str]:
        systemd = self.options.systemd_cgroup
        return frame(binary, self.options, self.namespace, self.bundle, systemd=systemd)

    def _failure(self, finished: Finished, prefix: str, start: int) -> RuntimeFailureError:
        output = (finished.stdout + finished.stderr).decode(errors="replace").strip()
        plain = (
            f"{self.binary} did not terminate successfully: exit status {finished.exit.status}"
            + (f": {output}" if output else "")
        )
        if not prefix:
            return RuntimeFailureError(plain, output)
        try:
            message = runtimelog.last_error(runtimelog.read_since(self.log, start))
        except OSError as error:
            reason = f"open {self.log}: {(error.strerror or str(error)).lower()}"
            text = f"unable to retrieve OCI runtime error ({reason}): {plain}"
            return RuntimeFailureError(f"{prefix}: {text}", output)
        return RuntimeFailureError(f"{prefix}: {message or plain}", output)
