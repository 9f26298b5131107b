"""Creating a container, step by step, each with its undoing.

Theory of operation. containerd's contract fixes the order: options, `rootfs` folder, the two files
for whoever cleans up, mounts, streams, `create`, pid, cgroup. Every step leaves its opposite on an
exit stack; what fails, or is cancelled, takes everything back, including what a failed or killed
runtime command left of a half-made container.
"""

from __future__ import annotations

import contextlib
import logging
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from podshim.bundle import BundleError
from podshim.engines.oci import checkpoints, commands, options as runtime_options
from podshim.engines.oci.blocking import in_thread
from podshim.engines.oci.commandline import INIT_PID_FILE
from podshim.engines.oci.container import OciContainer
from podshim.engines.oci.facts import SpecFacts
from podshim.engines.oci.launcher import Launcher
from podshim.engines.oci.process import InitProcess
from podshim.engines.oci.rootfs import Rootfs
from podshim.engines.oci.runtime import Runtime
from podshim.engines.oci.stdio import StreamContext
from podshim.engines.oci.streams import open_streams
from podshim.errors import NotFoundError, ShimError

if TYPE_CHECKING:
    from podshim.engine import CreateRequest
    from podshim.engines.oci.options import RuntimeOptions
    from podshim.engines.oci.reaper import Reaper

log = logging.getLogger(__name__)

#: For the small files of a bundle, which lies on a tmpfs: seconds.
_FILE_LIMIT = 30.0


def _prepare(request: CreateRequest, options: RuntimeOptions) -> SpecFacts:
    """Do everything with the bundle's files that comes before the first mount (in a thread)."""
    bundle = request.bundle
    if request.rootfs:
        with contextlib.suppress(FileExistsError):
            os.mkdir(bundle.rootfs, 0o711)
    runtime_options.save(bundle, options)
    try:
        return SpecFacts.of(bundle.config())
    except BundleError:
        return SpecFacts()  # the runtime will say what is wrong with it


async def _prepared(request: CreateRequest) -> tuple[RuntimeOptions, SpecFacts]:
    options = await in_thread(
        lambda: runtime_options.decode(request.options), limit=_FILE_LIMIT, what="runtime options"
    )
    try:
        facts = await in_thread(
            lambda: _prepare(request, options), limit=_FILE_LIMIT, what="bundle files"
        )
    except FileNotFoundError as error:
        raise NotFoundError(f"open {error.filename}: no such file or directory") from error
    except OSError as error:
        raise ShimError(f"bundle {request.bundle.path}: {error}") from error
    return options, facts


async def _remove(container: OciContainer) -> None:
    """Remove what a failed `create` left in the runtime; what fails is only logged."""
    try:
        await container.remove_from_runtime(force=True)
    except ShimError as error:
        log.warning("a half-made container could not be removed: %s", error)


async def _unmount(rootfs: Rootfs) -> None:
    try:
        await rootfs.unmount()
    except ShimError as error:
        log.warning("the rootfs of a half-made container stays mounted: %s", error)


async def create(reaper: Reaper, namespace: str, request: CreateRequest) -> OciContainer:
    """Create a container; on any error nothing of it is left.

    Raises:
        InvalidArgumentError: The options are not understood.
        NotFoundError: There is no bundle.
        ShimError: A step failed.
        DeadlineExceededError: A step took too long.
    """
    options, facts = await _prepared(request)
    bundle = request.bundle
    runtime = Runtime(reaper, options, namespace, bundle.path, request.id)
    context = StreamContext(
        reaper,
        namespace,
        request.id,
        bundle.path,
        options.io_uid,
        options.io_gid,
        labelled=facts.labelled,
    )
    rootfs = Rootfs(bundle.rootfs, reaper)
    launcher = Launcher(reaper, runtime)
    async with AsyncExitStack() as undo:
        if request.rootfs:
            undo.push_async_callback(_unmount, rootfs)
            await rootfs.mount(request.rootfs)
        streams = await open_streams(request.stdio, context)
        undo.push_async_callback(streams.close)
        container = OciContainer(runtime, launcher, bundle, context, facts, rootfs)

        async def restore() -> None:
            await _restore(container, launcher, runtime, request)

        init = InitProcess(
            streams,
            restore if request.checkpoint else container.start_init,
            container.kill_by_runtime,
        )
        container.set_init(init)
        if not request.checkpoint:
            taken = await in_thread(
                lambda: os.path.exists(runtime.state_folder), limit=_FILE_LIMIT, what="runtime root"
            )
            if not taken:  # otherwise what is there is not ours to remove
                undo.push_async_callback(_remove, container)
            init.adopt(
                await launcher.launch(
                    "create",
                    commands.create(
                        options,
                        bundle.path,
                        bundle.file(INIT_PID_FILE),
                        streams.console_socket,
                        request.id,
                    ),
                    bundle.file(INIT_PID_FILE),
                    streams,
                )
            )
            await container.watch(init.pid)
        undo.pop_all()
    return container


async def _restore(
    container: OciContainer, launcher: Launcher, runtime: Runtime, request: CreateRequest
) -> None:
    """Start the init of a container that was created from a checkpoint."""
    init, bundle = container.init, request.bundle
    pid_file = bundle.file(INIT_PID_FILE)
    arguments = commands.restore(
        runtime.options,
        bundle.path,
        request.checkpoint,
        request.parent_checkpoint,
        pid_file,
        init.streams.console_socket,
        request.id,
        crun=await checkpoints.is_crun(runtime),
    )
    try:
        child = await launcher.launch("restore", arguments, pid_file, init.streams)
    except BaseException:
        await _remove(container)
        raise
    init.adopt(child)
    await container.watch(init.pid)
