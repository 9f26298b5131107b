"""One OCI container: what the runtime, the reaper, the streams and the cgroup do together.

Theory of operation. `creation` has made the container, and `launcher` makes its processes; this
object acts on it and removes it.

Order and state are the task layer's. The few facts kept here are those that only the engine needs:
whether the cgroup is frozen, which execs live, whether the init's end has been dealt with.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from typing import TYPE_CHECKING

from podshim.engine import Container
from podshim.engines.oci import cgroups, checkpoints, commands
from podshim.engines.oci.blocking import in_thread
from podshim.engines.oci.launcher import exec_pid_file
from podshim.engines.oci.oom import OomWatch
from podshim.engines.oci.process import (
    ExecProcess,
    InitProcess,
    kill_error,
    means_gone,
    means_thawed,
)
from podshim.engines.oci.runtime import RuntimeFailureError
from podshim.engines.oci.stdio import StreamContext, Streams
from podshim.engines.oci.streams import open_streams
from podshim.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ShimError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.bundle import Bundle
    from podshim.engine import Stdio, TypedValue
    from podshim.engines.oci.cgroups import Cgroup
    from podshim.engines.oci.facts import SpecFacts
    from podshim.engines.oci.launcher import Launcher
    from podshim.engines.oci.rootfs import Rootfs
    from podshim.engines.oci.runtime import Runtime

log = logging.getLogger(__name__)

#: How long the init of a deleted container may take to be reaped, seconds.
_REAP_LIMIT = 10.0

#: How long killed processes that outlived the init may take to die, and between looks, seconds.
_SURVIVORS_LIMIT = 2.0
_SURVIVORS_PAUSE = 0.002


class OciContainer(Container):
    """A container made by an OCI runtime; used on the loop's thread."""

    def __init__(
        self,
        runtime: Runtime,
        launcher: Launcher,
        bundle: Bundle,
        context: StreamContext,
        facts: SpecFacts,
        rootfs: Rootfs,
    ) -> None:
        self._runtime = runtime
        self._launcher = launcher
        self._bundle = bundle
        self._context = context
        self._facts = facts
        self._rootfs = rootfs
        self._init: InitProcess | None = None
        self._execs: set[ExecProcess] = set()
        self._cgroup: Cgroup | None = None
        self._oom: OomWatch | None = None
        #: Set when there is an init: a container to be restored has none before its start.
        self._watched = asyncio.Event()
        self._frozen = False
        #: Whether the init has been sent a SIGKILL.
        self._killed = False
        self._init_ended = False

    @property
    def init(self) -> InitProcess:
        """The container's first process."""
        if self._init is None:
            raise ShimError("the container has not been created")
        return self._init

    def set_init(self, init: InitProcess) -> None:
        """Complete the creation: the init's functions need the container first."""
        self._init = init

    async def watch(self, pid: int) -> None:
        """Find the cgroup that the init was created in, and watch it for kills; never fails."""
        try:
            self._cgroup = await cgroups.load(pid)
            await self._cgroup.enable_controllers()
        except (ShimError, OSError) as error:
            log.warning("%s: no statistics: %s", self._runtime.container_id, error)
        self._oom = OomWatch.open(self._cgroup)
        self._watched.set()

    async def start_init(self) -> None:
        """Run `start`.

        Raises:
            ShimError: The runtime refused.
        """
        await self._runtime.run(
            "start", self._runtime.container_id, prefix="OCI runtime start failed"
        )

    async def exec(self, exec_id: str, spec: bytes, stdio: Stdio) -> ExecProcess:
        """Prepare a further process.

        Raises:
            InvalidArgumentError: `spec` is not a JSON object.
        """
        try:
            process = json.loads(spec)
        except (ValueError, RecursionError) as error:
            raise InvalidArgumentError(f"exec spec is not valid JSON: {error}") from error
        if not isinstance(process, dict):
            raise InvalidArgumentError("exec spec is not a JSON object")
        process["terminal"] = stdio.terminal
        context = StreamContext(
            self._context.reaper,
            self._context.namespace,
            exec_id,
            self._context.bundle,
            self._context.uid,
            self._context.gid,
            labelled=self._facts.labelled or bool(process.get("selinuxLabel")),
        )
        text = json.dumps(process).encode() + b"\n"

        async def start(exec_: ExecProcess) -> None:
            await self._start_exec(exec_, exec_id, text, stdio, context)

        def forget(exec_: ExecProcess) -> None:
            self._execs.discard(exec_)
            with contextlib.suppress(OSError):
                os.unlink(self._bundle.file(exec_pid_file(exec_id)))

        return ExecProcess(Streams(), start, forget)

    async def _start_exec(
        self,
        exec_: ExecProcess,
        exec_id: str,
        spec: bytes,
        stdio: Stdio,
        context: StreamContext,
    ) -> None:
        if self.init.exit is not None:
            raise FailedPreconditionError(
                f"container {self._runtime.container_id} init process is not running"
            )
        streams = await open_streams(stdio, context)
        # The bundle is private to root, and no identifier begins with a dot.
        name = f".process.{exec_id}.json"
        try:
            self._bundle.write(name, spec)
            try:
                pid_file = self._bundle.file(exec_pid_file(exec_id))
                arguments = commands.exec_(
                    self._bundle.file(name),
                    pid_file,
                    streams.console_socket,
                    self._runtime.container_id,
                )
                child = await self._launcher.launch("exec", arguments, pid_file, streams)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(self._bundle.file(name))
        except OSError as error:
            await streams.close()
            raise ShimError(f"OCI runtime exec failed: {error}") from error
        except BaseException:
            await streams.close()
            raise
        exec_.streams = streams
        exec_.adopt(child)
        self._execs.add(exec_)
        if self._init_ended and self._facts.shared_pids:
            child.signal(signal.SIGKILL)  # it came after the others had been killed
        await exec_.catch_up()

    async def kill(self, signal: int, *, everyone: bool) -> None:
        """Send a signal to the init, or to all processes.

        Raises:
            NotFoundError: The init has ended, or the container is gone.
            ShimError: The runtime refused for another reason.
        """
        if everyone:
            await self.kill_by_runtime(signal, "--all")
        else:
            await self.init.kill(signal)

    async def kill_by_runtime(self, number: int, *flags: str) -> None:
        """Run `kill`, and tell by its words what a failure means."""
        try:
            await self._runtime.run("kill", *flags, self._runtime.container_id, str(number))
        except RuntimeFailureError as error:
            raise kill_error(error.detail) from error
        if number == signal.SIGKILL:
            self._killed = True
            await self._let_die()

    async def _let_die(self) -> None:
        """Thaw what was killed: under cgroup v1 nobody dies frozen, and crun doesn't see to it."""
        if self._killed and self._frozen:
            with contextlib.suppress(ShimError):
                await self.resume()

    async def init_exited(self) -> None:
        """Deal with the init's end: count kills, end what survives it, thaw what is frozen."""
        self._init_ended = True
        if self._oom is not None:
            await self._oom.finish()
        if self._facts.shared_pids:
            await self._kill_survivors()
        if self._frozen:
            with contextlib.suppress(ShimError):
                await self.resume()

    async def _kill_survivors(self) -> None:
        try:
            await self._runtime.run(
                "kill",
                "--all",
                self._runtime.container_id,
                str(int(signal.SIGKILL)),
                prefix="OCI runtime killall failed",
            )
        except ShimError as error:
            log.warning("failed to kill init's children: %s", error)
        for exec_ in self._execs:
            with contextlib.suppress(NotFoundError):
                exec_.signal(signal.SIGKILL)
        folder = self._cgroup.memory_folder if self._cgroup is not None else None
        if folder is not None:
            await self._until_empty(os.path.join(folder, "cgroup.procs"))

    async def _until_empty(self, members: str) -> None:
        """Give those that were killed the time to die, so that an announced end is everyone's."""

        def wait() -> None:
            end = time.monotonic() + _SURVIVORS_LIMIT
            with contextlib.suppress(OSError):  # such a cgroup is gone
                while time.monotonic() < end:
                    with open(members, "rb", buffering=0) as file:
                        if not file.read(1):
                            return
                    time.sleep(_SURVIVORS_PAUSE)

        with contextlib.suppress(DeadlineExceededError):
            await in_thread(wait, limit=2 * _SURVIVORS_LIMIT, what="survivors")

    async def pause(self) -> None:
        """Freeze all processes."""
        try:
            await self._runtime.run(
                "pause", self._runtime.container_id, prefix="OCI runtime pause failed"
            )
        except DeadlineExceededError:
            # It may have frozen them, and nobody could ask for the opposite.
            with contextlib.suppress(ShimError):
                await self.resume()
            raise
        self._frozen = True
        await self._let_die()

    async def resume(self) -> None:
        """Thaw all processes; that they are not frozen, or are dead, is no error."""
        try:
            await self._runtime.run(
                "resume", self._runtime.container_id, prefix="OCI runtime resume failed"
            )
        except RuntimeFailureError as error:
            if not (self.init.exit is not None or means_thawed(error.detail)):
                raise
        self._frozen = False

    async def pids(self) -> Sequence[int]:
        """List the host's ids of all processes in the container."""
        output = await self._runtime.run("ps", "--format", "json", self._runtime.container_id)
        try:
            pids = json.loads(output) or []
        except (ValueError, RecursionError) as error:
            raise ShimError(f"{self._runtime.binary} ps: {error}") from error
        if not isinstance(pids, list) or not all(isinstance(pid, int) for pid in pids):
            raise ShimError(f"{self._runtime.binary} ps: not a list of process ids")
        return pids

    async def update(self, resources: bytes) -> None:
        """Change limits."""
        await self._runtime.run(
            "update", "--resources=-", self._runtime.container_id, stdin=resources
        )

    async def stats(self) -> TypedValue:
        """Measure.

        Raises:
            NotFoundError: There is no cgroup.
        """
        if self._cgroup is None:
            raise NotFoundError("cgroup does not exist")
        return await self._cgroup.stats()

    async def wait_oom(self) -> None:
        """Wait for the next kill by the out-of-memory killer.

        Raises:
            NotFoundError: There can't be any more.
        """
        await self._watched.wait()
        if self._oom is not None:
            await self._oom.wait()

    async def checkpoint(self, path: str, options: TypedValue | None) -> None:
        """Write the container's state into the folder `path`."""
        await checkpoints.checkpoint(self._runtime, self._bundle, path, options)

    async def delete(self) -> None:
        """Remove the container; what fails is told after everything else was removed.

        Raises:
            ShimError: The runtime refused, or the rootfs can't be unmounted; it may be tried again.
        """
        failure: ShimError | None = None
        try:
            await self.remove_from_runtime(force=self.init.exit is None)
        except ShimError as error:
            failure = error
        if self._oom is not None:
            self._oom.close()
        for process in (*self._execs, self.init):
            await process.streams.close()
        try:
            await self._rootfs.unmount()
        except ShimError as error:
            failure = failure or type(error)(f"failed rootfs umount: {error.detail}")
        if failure is not None:
            raise failure

    async def remove_from_runtime(self, *, force: bool) -> None:
        """Run `delete`; a container that does not exist is as good as deleted.

        Raises:
            ShimError: The runtime refused.
        """
        flags = ("--force",) if force else ()
        try:
            await self._runtime.run(
                "delete", *flags, self._runtime.container_id, prefix="failed to delete task"
            )
        except RuntimeFailureError as error:
            if not means_gone(f"{error.detail} {error.output}"):
                raise
        if self._init is not None and self._init.pid and self._init.exit is None:
            try:
                await asyncio.wait_for(self._init.wait(), _REAP_LIMIT)
            except TimeoutError:
                raise DeadlineExceededError(
                    f"failed to delete task: process {self._init.pid} did not end"
                ) from None
