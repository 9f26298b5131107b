"""The engine for Linux: containers by runc, crun or any other OCI runtime.

The parts that need asyncio are imported when the engine opens, so that `-info` and `delete`, which
only need the class methods, start quickly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from podshim.engine import Engine
from podshim.errors import ShimError

if TYPE_CHECKING:
    from podshim.bundle import Bundle
    from podshim.engine import Container, CreateRequest, EngineInfo, Environment, Exit, TypedValue
    from podshim.engines.oci.reaper import Reaper


class OciEngine(Engine):
    """Runs containers with an OCI runtime.

    It takes over SIGCHLD and every child of the process while it is open.
    """

    runtime_name: ClassVar[str] = "io.containerd.runoci.v1"

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._reaper: Reaper | None = None

    async def open(self) -> None:
        """Become the reaper of this process's children; on the main thread's loop."""
        from podshim.engines.oci.reaper import Reaper

        reaper = Reaper()
        reaper.open()
        self._reaper = reaper

    async def close(self) -> None:
        """Give SIGCHLD back."""
        if self._reaper is not None:
            self._reaper.close()
            self._reaper = None

    async def create(self, request: CreateRequest) -> Container:
        """Create a container whose init waits to be started.

        Raises:
            ShimError: It can't be created; nothing of it is left.
        """
        if self._reaper is None:
            raise ShimError("the engine is not open")
        from podshim.engines.oci import creation

        return await creation.create(self._reaper, self.environment.namespace, request)

    @classmethod
    def info(cls, options: TypedValue | None) -> EngineInfo:
        """Describe the engine and what its runtime can do; blocks for the runtime's answer.

        Raises:
            ShimError: The options are not understood, or their runtime does not exist.
        """
        from podshim.engines.oci import features

        return features.describe(options)

    @classmethod
    def cleanup(cls, namespace: str, container_id: str, bundle: Bundle) -> Exit | None:
        """Remove what a dead shim left of a container; blocks for some seconds at most."""
        from podshim.engines.oci.cleanup import clean_up

        clean_up(namespace, container_id, bundle)
        return None
