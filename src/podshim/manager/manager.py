"""The other side of shims: what containerd does with them, without containerd.

Theory of operation. A `Manager` is a small containerd of its own: a folder with state, fifos and
the events' socket, a namespace, one runtime. `shim` makes a bundle and starts its shim, `task`
creates a task in it as well. Both are context managers: leaving them ends what they began, in
containerd's order, on every path. A server that is still there when the manager itself is left is
killed: nothing outlives it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.errors import ShimError
from podshim.manager import platform
from podshim.manager.bundles import ContainerBundle
from podshim.manager.dialects import Containerd, Question
from podshim.manager.events import EventsServer
from podshim.manager.naming import find_shim
from podshim.manager.shim import Shim
from podshim.manager.spec import container_spec, process_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from google.protobuf.message import Message

    from podshim.engine import Mount, Stdio
    from podshim.manager.spec import Spec
    from podshim.manager.tasks import Task

#: Who is root in a user namespace only must be able to reach its bundle.
_PASSABLE = 0o711

log = logging.getLogger("podshim.manager")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which containerd a manager is to its shims.

    Args:
        line: Which line: it decides how shims are asked.
        containerd: The path of the executable, as told to shims.
        debug: Whether it runs at log level debug.
        socket_dir: Where shims shall make their sockets; only the newest line can tell them.
    """

    line: Containerd = Containerd.V2_3
    containerd: str = platform.CONTAINERD
    debug: bool = False
    socket_dir: str = ""


class Manager:
    """Starts and drives shims of one runtime, while it is entered.

    Args:
        runtime: A runtime's name, or the absolute path of a shim binary.
        namespace: containerd's namespace.
        options: The runtime's options, told to `start` and `Create`; a message or an `Any`.
        identity: Which containerd to be.
        env: What shims inherit as environment; None for the process's own.
        folder: Where to keep everything; None makes one and removes it at the end.
        loses_first: Whether shims' servers lose their first client, as those of Go do under Wine.

    Raises:
        InvalidArgumentError, NotFoundError: There is no such shim.
    """

    def __init__(
        self,
        runtime: str,
        *,
        namespace: str = "default",
        options: Message | None = None,
        identity: Identity | None = None,
        env: Mapping[str, str] | None = None,
        folder: str | None = None,
        loses_first: bool = False,
    ) -> None:
        self.namespace = namespace
        self.options = options
        self.identity = identity or Identity()
        beside = os.path.dirname(self.identity.containerd)
        self.binary = find_shim(runtime, beside=beside)
        self._env = dict(os.environ if env is None else env)
        self._given_folder = None if folder is None else os.path.abspath(folder)
        self._folder = ""
        self._loses_first = loses_first
        self._events: EventsServer | None = None
        self._stack = AsyncExitStack()
        self._shims: list[Shim] = []

    @property
    def folder(self) -> str:
        """Where everything is kept."""
        return self._folder

    @property
    def events(self) -> EventsServer:
        """Where shims send their events.

        Raises:
            ShimError: The manager is not entered.
        """
        if self._events is None:
            raise ShimError("enter the manager first: async with Manager(...)")
        return self._events

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._given_folder is None:
                self._folder = tempfile.mkdtemp(prefix="podshim-")
                stack.callback(shutil.rmtree, self._folder)
            else:
                self._folder = self._given_folder
            os.chmod(self._folder, _PASSABLE)
            os.makedirs(os.path.join(self._folder, "fifo"), mode=0o700, exist_ok=True)
            self._events = await stack.enter_async_context(EventsServer(self._ttrpc_address))
            stack.push_async_callback(self._end)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @property
    def _grpc_address(self) -> str:
        return platform.grpc_address(self._folder)

    @property
    def _ttrpc_address(self) -> str:
        return f"{self._grpc_address}.ttrpc"

    async def _end(self) -> None:
        """Close what was not closed, in the order of making turned round; then end servers."""
        async with AsyncExitStack() as stack:
            for shim in self._shims:
                stack.push_async_callback(shim.end_server)
            for shim in self._shims:
                stack.push_async_callback(shim.close)
            self._shims.clear()

    def prepare(
        self, container_id: str, spec: Spec | None, *, options: Message | None = None
    ) -> Shim:
        """Make a bundle, and the shim object that will start a shim for it.

        The caller starts and closes it; `shim` does both.

        Args:
            container_id: The container's id.
            spec: Its OCI spec; None makes a bundle without.
            options: The runtime's options if they are not the manager's.

        Raises:
            InvalidArgumentError: The id is none.
            OSError: The bundle can't be made.
        """
        events = self.events
        self._shims = [shim for shim in self._shims if not shim.forget()]
        question = Question(
            namespace=self.namespace,
            id=container_id,
            grpc_address=self._grpc_address,
            ttrpc_address=events.path,
            containerd=self.identity.containerd,
            options=self.options if options is None else options,
            debug=self.identity.debug,
            socket_dir=self.identity.socket_dir,
        )
        shim = Shim(
            self.binary,
            ContainerBundle(self._folder, self.namespace, container_id, spec),
            question,
            line=self.identity.line,
            env=self._env,
            fifos=os.path.join(self._folder, "fifo"),
            loses_first=self._loses_first,
        )
        self._shims.append(shim)
        return shim

    @contextlib.asynccontextmanager
    async def shim(
        self, container_id: str, spec: Spec | None, *, options: Message | None = None
    ) -> AsyncIterator[Shim]:
        """A shim, started and connected, without a task.

        Args:
            container_id: The container's id.
            spec: Its OCI spec; None makes a bundle without.
            options: The runtime's options if they are not the manager's.

        Raises:
            What `prepare`, `Shim.start` and `Shim.close` raise.
        """
        shim = self.prepare(container_id, spec, options=options)
        try:
            await shim.start()
            yield shim
        finally:
            await shim.close()

    @contextlib.asynccontextmanager
    async def task(
        self,
        container_id: str,
        args: Sequence[str] = (),
        *,
        root: str = "rootfs",
        rootfs: Iterable[Mount] = (),
        annotations: Mapping[str, str] | None = None,
        spec: Spec | None = None,
        terminal: bool = False,
        stdin: bool = True,
        stdio: Stdio | None = None,
        options: Message | None = None,
    ) -> AsyncIterator[tuple[Shim, Task]]:
        """A shim with a task that is created and not started.

        Args:
            container_id: The container's id.
            args: Its command, for a spec with defaults.
            root: For that spec: the root file system's folder.
            rootfs: What to mount on `rootfs` in the bundle.
            annotations: For that spec: such as those of `pod_annotations`.
            spec: The whole spec instead.
            terminal: Whether it has a terminal.
            stdin: Whether it has a standard input.
            stdio: Streams of the caller's own instead of fifos.
            options: The runtime's options if they are not the manager's.

        Raises:
            What `shim` and `Shim.create` raise.
        """
        if spec is None:
            process = process_spec(args, terminal=terminal)
            spec = container_spec(process, root=root, annotations=annotations)
        async with self.shim(container_id, spec, options=options) as shim:
            task = await shim.create(rootfs=rootfs, terminal=terminal, stdin=stdin, stdio=stdio)
            yield shim, task
